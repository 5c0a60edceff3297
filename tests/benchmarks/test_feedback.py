"""The feedback loop: which labels arrive when, what a budget finds, what verdicts bring."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import feedback
from benchmarks.feedback import main, summary
from benchmarks.feedback_policies import POLICIES, Learner, Row, live
from benchmarks.feedback_world import Conditions, Year

SMALL = Conditions(accounts=60, months=2, fraud_share=0.2, error_rate=0.2, budget_per_day=4)


@pytest.fixture(scope="module")
def year() -> Year:
    return Year.of(SMALL, seed=1)


def test_only_labels_that_have_arrived_are_known(year: Year) -> None:
    """Against a rule a row: verdicts after 5 days, reports and the launch's labels after 30."""
    now = year.month(2).end
    launched = year.month(1).begin
    moments = [now.fromtimestamp(us / 1e6, now.tzinfo) for us in year.histories.timestamp_us]
    reviewed = np.random.default_rng(0).choice(len(moments), 2000, replace=False)
    for share in (0.5, None):
        expected = []
        looked_at = set(reviewed.tolist())
        for row, moment in enumerate(moments):
            truth = int(year.histories.is_fraud[row])
            late = moment + timedelta(days=30) <= now
            told = share is None or moment < launched
            told = told or bool(truth and year.report_chance[row] < share)
            if late and told:
                expected.append(truth)
            elif row in looked_at and moment + timedelta(days=5) <= now:
                expected.append(truth ^ int(year.mistaken[row]))
            else:
                expected.append(-1)
        known = year.known(reviewed, now, share)
        assert known.histories.is_fraud.tolist() == expected
        assert np.array_equal(known.rows, np.array(expected) >= 0)


def test_the_kinds_of_fraud_change(year: Year) -> None:
    days = SMALL.simulator(1).fraud_days
    assert days["high_amount"][1] == days["mule_burst"][0] == 150
    assert {days[kind][1] for kind in ("card_testing", "account_takeover", "mule_burst")} == {180}
    assert year.is_fraud.any()


class Oracle:
    """Gives every fraud the highest score; remembers what it was taught."""

    def __init__(self, year: Year) -> None:
        self._year, self.taught = year, list[int]()

    def start(self) -> None:
        self.taught.clear()

    def learn(self, known: Any, month: int) -> None:  # noqa: ANN401
        assert known.rows.any()
        self.taught.append(month)

    def fit_distance(self, known: Any) -> None:  # noqa: ANN401
        assert known.rows.any()

    def scores(
        self, year: Year, wanted: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.float64], ...]:
        chance = np.random.default_rng(0).random(int(wanted.sum()))
        return 0.5 * chance + 0.5 * year.is_fraud[wanted], chance


@pytest.mark.parametrize("name", POLICIES)
def test_a_budget_finds_what_it_has_room_for(name: str, year: Year) -> None:
    oracle = Oracle(year)
    rows = [*live(name, 0.5, year, oracle)]  # type: ignore[arg-type]
    assert [row.month for row in rows] == [1, 2]
    assert oracle.taught == ([2] if POLICIES[name].retrained else [])
    shares = POLICIES[name].shares
    for row in rows:
        month = year.month(row.month)
        found = frauds = 0
        for number in range(6):
            begin = month.begin + timedelta(days=5 * number)
            moments = year.histories.timestamp_us / 1e6
            own = (moments >= begin.timestamp()) & (
                moments < (begin + timedelta(days=5)).timestamp()
            )
            here = int(year.is_fraud[own].sum())
            found, frauds = found + min(here, 20), frauds + here
        assert row.recall_of_ranking == pytest.approx(found / frauds)
        if not (shares.unfamiliar or shares.random):  # which look where this oracle knows nothing
            assert row.recall_at_budget == row.recall_of_ranking
            assert row.precision == pytest.approx(found / 120)
        else:
            assert row.precision < found / 120


def made(policy: str, share: float | None, seed: int, recalls: Sequence[float]) -> list[Row]:
    return [
        Row(policy, share, seed, month, recall, 0.5, recall)
        for month, recall in enumerate(recalls, 1)
    ]


def test_the_summary_is_over_months_then_worlds() -> None:
    rows = made("verdicts", 0.0, 0, [0.2, 0.4]) + made("verdicts", 0.0, 1, [0.6, 0.8])
    rows += made("verdicts", 0.6, 0, [1.0, 1.0]) + made("never_retrained", None, 0, [0.1, 0.0])
    found = summary(rows)
    assert [(each.policy, each.reported_share) for each in found] == [
        ("never_retrained", None), ("verdicts", 0.6), ("verdicts", 0.0)
    ]  # fmt: skip
    assert found[2].figures["recall_at_budget"] == pytest.approx((0.5, 0.2))
    assert found[2].figures["later_recall"] == pytest.approx((0.6, 0.2))


def test_a_run_that_was_cut_off_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[int] = []

    def measure(_: object, __: object, rows: Sequence[Row]) -> Iterator[list[Row]]:
        done.append(len(rows))
        yield made(("never_retrained", "verdicts")[len(done) - 1], None, 0, [0.3, 0.2])

    monkeypatch.setattr(feedback, "measure", measure)
    words = ["--json", str(tmp_path / "rows.json"), "--resume"]
    assert main(words) == main(words) == 0
    assert done == [0, 2]
    report = json.loads((tmp_path / "rows.json").read_text())
    assert [row["policy"] for row in report["rows"]] == ["never_retrained"] * 2 + ["verdicts"] * 2
    assert (tmp_path / "rows.png").stat().st_size > 5_000
    assert "verdicts" in capsys.readouterr().out
    assert main([*words, "--accounts", "30"]) == 2
    assert "measured with other conditions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--months", "0"], "--months: give at least 1"),
        (["--reported", "1.5"], "--reported: 1.5 is no share"),
        (["--resume"], "--resume: needs --json"),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_network_that_learns_from_verdicts_beats_one_that_does_not() -> None:
    """Later in the year, when the fraud has changed, by 5 points of recall at the same budget."""
    year = Year.of(Conditions(accounts=500, months=6), seed=0)
    learner = Learner(year)
    later = {}
    for name in ("never_retrained", "verdicts"):
        rows = [*live(name, 0.6, year, learner)]
        later[name] = np.mean([row.recall_at_budget for row in rows if row.month > 3])
    assert later["verdicts"] > later["never_retrained"] + 0.05
