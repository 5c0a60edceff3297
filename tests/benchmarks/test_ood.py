"""Shifted input: each shift changes what it says, each distance is what its formula says."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import ood, speed_data
from benchmarks import ood_methods as methods
from benchmarks import ood_peers as peers
from benchmarks.ood_held_out import alerts
from benchmarks.ood_measure import Row
from benchmarks.ood_shifts import Windows, as_if_now, shifts_of
from fraudnet.transactions.simulator import SimulatorConfig
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification

LENGTH, PADDED = 30, 6
CATEGORY = CategoricalColumn(column="category", vocabulary=("a", "b", "c"))
SPECIFICATION = FeatureSpecification(categorical=(CATEGORY,))
SHIFTS = shifts_of(SPECIFICATION)
CHANGED = {
    "amounts in cents": {"amount"},
    "clock 7 hours off": {"day", "second"},
    "amount stuck": {"amount"},
    "reputation stuck": {i.name for i in SPECIFICATION.inputs if i.kind == "reputation"},
    "bot": {i.name for i in SPECIFICATION.inputs} - {"valid"},
    "category re-coded": {"category"},
}


def windows() -> Windows:
    """Four windows an hour a position, the second with six positions of padding."""
    rng = np.random.default_rng(0)
    moment = 20_000 * 86_400 + 10_000 + 3_600 * np.arange(LENGTH) + np.arange(4)[:, None]
    made: Windows = {
        i.name: rng.integers(0, 4, (4, LENGTH)).astype(i.dtype) for i in SPECIFICATION.inputs
    }
    made["valid"] = np.ones((4, LENGTH), np.float32)
    made["valid"][1, :PADDED] = 0
    made["amount"] = rng.uniform(1, 99, (4, LENGTH)).astype(np.float32)
    made |= {"day": (moment // 86_400).astype(np.int32)}
    made |= {"second": (moment % 86_400).astype(np.int32)}
    return {name: np.where(made["valid"] > 0, v, 0).astype(v.dtype) for name, v in made.items()}


def moments(given: Windows) -> npt.NDArray[np.int64]:
    return given["day"].astype(np.int64) * 86_400 + given["second"]


@pytest.mark.parametrize("name", CHANGED)
def test_a_shift_changes_its_inputs_alone_and_no_padding(name: str) -> None:
    before, kept = windows(), windows()
    after = SHIFTS[name](before)
    assert set(SHIFTS) == set(CHANGED)
    assert {n for n in before if not np.array_equal(before[n], after[n])} == CHANGED[name]
    for n, values in after.items():
        np.testing.assert_array_equal(before[n], kept[n])
        np.testing.assert_array_equal(values[1, :PADDED], 0)
        assert values.dtype == before[n].dtype


def test_the_shifts_are_what_they_are_called() -> None:
    before = windows()
    after = {name: shift(before) for name, shift in SHIFTS.items()}
    valid = before["valid"] > 0
    np.testing.assert_allclose(after["amounts in cents"]["amount"], before["amount"] * 100)
    late = moments(after["clock 7 hours off"]) - moments(before)
    np.testing.assert_array_equal(late[valid], 7 * 3600)
    assert after["clock 7 hours off"]["second"].max() < 86_400
    stuck = after["amount stuck"]["amount"][1]
    np.testing.assert_array_equal(stuck[PADDED:], before["amount"][1, PADDED])
    code = before["category"]
    expected = np.select([code == 0, code == 3], [0, 1], code + 1)
    np.testing.assert_array_equal(after["category re-coded"]["category"], expected)
    bot = after["bot"]
    np.testing.assert_array_equal(np.diff(moments(bot)[:, -10:]), 60)
    np.testing.assert_array_equal(moments(bot)[:, -1], moments(before)[:, -1])
    np.testing.assert_array_equal(bot["amount"][:, -10:], before["amount"][:, -1:].repeat(10, 1))
    np.testing.assert_array_equal(bot["amount"][:, :-10], before["amount"][:, :-10])
    assert (np.diff(moments(bot)[0]) >= 0).all()


def test_another_time_is_moved_by_whole_weeks() -> None:
    before = windows()
    after = as_if_now(before, 19_000)
    moved = (after["day"] - before["day"])[before["valid"] > 0]
    assert len(set(moved)) == 1
    assert moved[0] % 7 == 0
    assert 18_993 < after["day"].max() <= 19_000


def test_auroc_and_fpr_are_those_of_counting() -> None:
    rng = np.random.default_rng(1)
    near, far = rng.normal(size=40).round(1), rng.normal(1, 1, 30).round(1)
    pairs = (far[:, None] > near).mean() + (far[:, None] == near).mean() / 2
    assert methods.auroc(near, far) == pytest.approx(pairs)
    limit = np.sort(near)[37]  # of 40, 38 pass
    assert methods.fpr95(near, far) == pytest.approx((far <= limit).mean())


def test_with_one_cloud_for_both_classes_nothing_is_relatively_far() -> None:
    rows = np.random.default_rng(3).normal(size=(400, 3))
    relative = peers.fit_relative(rows, rows)
    np.testing.assert_allclose(relative(rows * 2), 0, atol=1e-2)


def test_the_budget_is_spent_on_probability_then_distance() -> None:
    probability = np.arange(400.0)
    distance = -np.arange(400.0)
    assert set(np.flatnonzero(alerts(probability, distance, 0.0))) == {396, 397, 398, 399}
    assert set(np.flatnonzero(alerts(probability, distance, 0.5))) == {0, 1, 398, 399}


def test_falls_short_where_ours_is_not_within_a_hundredth() -> None:
    def each(ours: float) -> dict[str, Row]:
        return {n: Row(n, "bot", a, 0.0, 9) for n, a in (("ours", ours), ("energy", 0.9))}

    assert not ood.falls_short(each(0.895), "ours")
    assert ood.falls_short(each(0.885), "ours")


def test_the_help_ends_with_an_example_that_parses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ood.parser().parse_args(["--help"])
    example = shlex.split(capsys.readouterr().out.rstrip().splitlines()[-1])
    assert example[:3] == ["python", "-m", "benchmarks.ood"]
    assert ood.parser().parse_args(example[3:]).windows == 200


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "absent.parquet"], "absent.parquet: there is no such file"),
        (["--windows", "0"], "--windows: give at least 1"),
        (["--held-out", "1"], "--held-out: give 0, or 2 and more"),
        (["--data", "a", "--other", "b"], "--other: not with --data"),
    ],
)
def test_wrong_input_ends_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ood.main(words) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.slow
def test_the_command_prints_both_tables_and_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = replace(SimulatorConfig(), accounts=80, counterparties=40, fraud_share=0.05)
    monkeypatch.setattr(speed_data, "SimulatorConfig", lambda: small)
    path = tmp_path / "ood.json"
    words = ["--every", "1", "--epochs", "1", "--windows", "50", "--json", str(path)]
    assert ood.main(words) == 0
    report = json.loads(path.read_text())
    found = {(row["method"], row["shift"]) for row in report["rows"]}
    assert {shift for _, shift in found} >= {*CHANGED, "fraud"}
    assert {method for method, _ in found} == set(report["macs_per_position"])
    ours = report["macs_per_position"][report["ours"]]
    assert ours < 0.03 * report["network_macs_per_position"]
    assert len(report["held_out"]) == 2
    shown = capsys.readouterr().out
    assert "pass where 95 %" in shown
    assert "not learnt" in shown
