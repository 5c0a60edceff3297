"""The benchmark of compression: where its days lie, what its rows are, what its tables say."""

import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks import compression
from benchmarks.compression import figures_table, goals_table
from benchmarks.compression_data import Fold, fold_of, load_source
from benchmarks.compression_plan import METHODS, SIZES, Plan, Row
from benchmarks.handbook_folds import Fold as Published
from benchmarks.handbook_folds import rows_to_score
from fraudnet.network import scaling
from fraudnet.transactions.simulator import SimulatorConfig
from tests.benchmarks.tables import FIRST, handbook_file

PLAN = Plan(sizes=("nano",), shares=(0.5,), training_days=14, every=1, epochs=1, fine_tune=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handbook_file(tmp_path_factory.mktemp("compression"))


def days(fold: Fold, rows: np.ndarray) -> tuple[int, int]:  # type: ignore[type-arg]
    """First and last day of rows, since the file's first."""
    first = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp()
    found = (fold.histories.timestamp_us[rows] / 1e6 - first) // 86_400
    return int(found.min()), int(found.max())


def test_periods_follow_each_other_with_a_delay_between(data: Path) -> None:
    source = load_source(data)
    for number in (1, 2):
        fold = fold_of(source, number, 14, every=1)
        later = 7 * (number - 1)
        assert days(fold, fold.test) == (59 - later, 65 - later)
        assert days(fold, fold.validation.rows) == (45 - later, 51 - later)
        assert days(fold, fold.training.rows) == (24 - later, 37 - later)
        # What the test begins with is known of the validation, and the same of the training.
        for known, week in ((fold.validation, 59), (fold.training, 45)):
            seen = known.histories.is_fraud >= 0
            assert days(fold, seen)[1] == week - later - 8


def test_the_test_is_the_handbooks(data: Path) -> None:
    source = load_source(data)
    for number in (1, 3):
        fold = fold_of(source, number, 7, every=1)
        expected = rows_to_score(source.histories, Published(number, 7))
        np.testing.assert_array_equal(fold.test, expected)


def test_some_accounts_alone(data: Path) -> None:
    fold = fold_of(load_source(data), 1, 14, every=3)
    for rows in (fold.training.rows, fold.validation.rows, fold.test):
        assert set(fold.histories.account[rows] % 3) == {0}


def row(method: str, share: float, precision: float, **more: object) -> Row:
    first = Row("large", 1, 0, method, share, 100, 10, 0.6, precision, 0.9, 1.0, {}, "code")
    return replace(first, **more)  # type: ignore[arg-type]


ROWS = [
    row("whole", 1, 0.700),
    row("whole", 1, 0.720, seed=1),
    row("plain", 0.5, 0.500),
    row("plain", 0.5, 0.520, seed=1),
    row("whitened", 0.5, 0.490),
    row("whitened", 0.5, 0.520, seed=1),
    row("tuned", 0.5, 0.699),
    row("tuned", 0.5, 0.715, seed=1),
]


def cells(table: object, column: int) -> list[str]:
    return [str(cell) for cell in table.columns[column].cells]  # type: ignore[attr-defined]


def test_goals_say_by_how_much_they_are_missed() -> None:
    table = goals_table(ROWS)
    assert cells(table, 1) == ["-0.0030", "-0.0050"]
    assert cells(table, 2) == ["-0.005", "+0.000"]
    assert cells(table, 3) == ["met", "missed"]
    assert cells(goals_table(ROWS[:2]), 0) == []


def test_figures_are_means_beside_the_whole() -> None:
    table = figures_table(ROWS)
    assert cells(table, 0) == ["large, whole", "large, plain", "large, whitened", "large, tuned"]
    assert cells(table, 5) == ["0.7100", "0.5100", "0.5050", "0.7070"]
    assert cells(table, 6) == ["+0.0000", "-0.2000", "-0.2050", "-0.0030"]


def test_sizes_are_those_of_the_family() -> None:
    assert tuple(scaling.SIZES) == SIZES


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_network_is_measured_and_kept(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "compression.json"
    words = ["--data", str(data), "--sizes", "nano", "--shares", "0.5", "--training-days", "14"]
    words += ["--every", "1", "--epochs", "1", "--fine-tune", "1", "--json", str(path)]
    assert compression.main(words) == 0
    shown = capsys.readouterr().out
    assert "nano at 0.5, whitened beside plain" in shown
    report = json.loads(path.read_text())
    rows = {r["method"]: r for r in report["rows"]}
    assert sorted(rows) == sorted(METHODS)
    assert len(rows) == len(report["rows"]) == PLAN.rows_of_a_network
    whole = rows["whole"]
    for name, found in rows.items():
        assert 0 < found["average_precision"] <= 1
        assert found["seconds"] > 0
        if name.startswith("whole"):
            assert (found["macs"], found["parameters"]) == (whole["macs"], whole["parameters"])
        elif name != "smaller":
            assert found["macs"] < 0.6 * whole["macs"]
            assert found["parameters"] < whole["parameters"]
            assert found["ranks"]
    assert (rows["tuned"]["macs"], rows["tuned"]["ranks"]) == (
        (rows["searched"]["macs"], rows["searched"]["ranks"])
    )
    assert 0.7 < rows["smaller"]["macs"] / rows["tuned"]["macs"] < 1.4
    assert compression.main([*words, "--resume"]) == 0
    assert json.loads(path.read_text()) == report  # nothing was measured again
    capsys.readouterr()
    assert compression.main([*words, "--resume", "--fine-tune", "2"]) == 2
    assert "its fine_tune is 1, that of this run 2" in capsys.readouterr().err


def test_the_help_ends_with_an_example_that_parses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compression.parser().parse_args(["--help"])
    example = shlex.split(capsys.readouterr().out.rstrip().splitlines()[-1])
    assert example[:3] == ["python", "-m", "benchmarks.compression"]
    assert compression.parser().parse_args(example[3:]).shares == [0.5]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "absent.parquet"], "absent.parquet: there is no such file"),
        (["--shares", "0.5", "1.5"], "shares: 1.5; give shares between 0 and 1"),
        (["--fine-tune", "0"], "fine tune: give at least 1"),
        (["--resume"], "--resume: needs --json FILE"),
        (["--json", "no/figures.json"], "there is no folder no"),
        (["--data", "handbook.parquet"], "needed are 2018-07-11 to 2018-09-04; give a file"),
        (["--data", "long.parquet", "--every", "4000", "--training-days", "1"], "use more of the"),
    ],
)
def test_wrong_input_ends_in_one_line(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handbook_file(tmp_path, days=40)
    handbook_file(tmp_path, name="long.parquet")
    monkeypatch.chdir(tmp_path)
    assert compression.main(words) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.err.count("\n") == 1


def test_without_a_file_it_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    small = SimulatorConfig(accounts=40, counterparties=40)
    monkeypatch.setattr("benchmarks.compression_data.SimulatorConfig", lambda: small)
    source = load_source(None)
    assert source.end == datetime(2025, 5, 1, tzinfo=UTC)
    assert source.histories.timestamp_us.max() < source.end.timestamp() * 1e6
