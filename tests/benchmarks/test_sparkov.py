"""The Sparkov cut: what is trained on, what is tested, and what is refused."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import sparkov
from benchmarks.detection import main, parser
from benchmarks.fitted import Answer
from benchmarks.sparkov import CUT, Plan, measure, periods, recall_at
from fraudnet.errors import InputError
from fraudnet.transactions.reading import Transactions, read_transactions
from fraudnet.transactions.recipe import load_recipe

BOOSTING = ("boosting_without_history",)


def sparkov_table(begin: datetime, days: int, seed: int = 0) -> pa.Table:
    """Twenty cards, five payments a day each; one in forty is a fraud of about 1,000."""
    rng = np.random.default_rng(seed)
    rows = days * 100
    fraud = rng.random(rows) < 1 / 40
    second = np.sort(rng.integers(days * 86_400, size=rows))
    amount = np.where(fraud, rng.normal(1000, 50, rows), rng.lognormal(4, 1.5, rows)).clip(1)
    return pa.table(
        {
            "trans_date_trans_time": pa.array(
                [begin + timedelta(seconds=int(s)) for s in second], pa.timestamp("us")
            ),
            "cc_num": rng.integers(20, size=rows),
            "merchant": [f"fraud_M{m}" for m in rng.integers(10, size=rows)],
            "category": [("travel", "home")[c] for c in rng.integers(2, size=rows)],
            "amt": amount.round(2),
            "is_fraud": fraud.astype(np.int8),
        }
    )


def write(folder: Path, begin: datetime, days: int, name: str = "sparkov.parquet") -> Path:
    pq.write_table(sparkov_table(begin, days), folder / name)
    return folder / name


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sparkov"), datetime(2020, 2, 15), 170)


def read(path: Path) -> Transactions:
    return read_transactions(path, load_recipe("sparkov"))


def changed(transactions: Transactions, when: Callable[[Any], Any]) -> Transactions:
    """The same with labels turned over where `when` says so of the timestamps."""
    table = transactions.table
    moments = table["timestamp"].cast(pa.int64()).to_numpy()
    labels = table["is_fraud"].to_numpy().astype(np.int8)
    labels = np.where(when(moments), 1 - labels, labels)
    position = table.column_names.index("is_fraud")
    other = table.set_column(position, "is_fraud", pa.array(labels, pa.int8()))
    return replace(transactions, table=other)


def test_prints_a_table_and_writes_every_row(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sparkov", "--data", str(data), "--models", *BOOSTING]
    assert main([*words, "--json", str(tmp_path / "rows.json")]) == 0
    report = json.loads((tmp_path / "rows.json").read_text())
    (row,) = report["rows"]
    assert row["model"] == BOOSTING[0]
    assert f"{row['average_precision']:.4f}" in capsys.readouterr().out
    assert row["average_precision"] > 0.5
    assert shlex.split(report["command"])[3:] == [*words, "--json", str(tmp_path / "rows.json")]


def test_the_cut_divides_training_and_test(data: Path) -> None:
    training, test = periods(read(data), Plan())
    assert training.end == test.begin == CUT
    shorter, validation = periods(read(data), Plan(validation_days=20))
    assert validation.end == CUT
    assert shorter.end == validation.begin == CUT - timedelta(days=20)


def test_choosing_by_validation_sees_nothing_of_the_test(data: Path) -> None:
    plan = Plan(models=BOOSTING, validation_days=30)
    cut_us = int(CUT.timestamp() * 1e6)
    transactions = read(data)
    (row,) = measure(transactions, plan)
    (other,) = measure(changed(transactions, lambda moments: moments >= cut_us), plan)
    own, second = asdict(row), asdict(other)
    assert own | {"train_seconds": 0} == second | {"train_seconds": 0}


def test_scores_of_the_test_do_not_depend_on_its_labels(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = []

    def kept(name: str, seed: int, answer: Answer, labels: Sequence[int]) -> sparkov.Row:
        scores.append(answer.score)
        return sparkov.Row(name, seed, 0, 0, 0, 0, len(labels))

    monkeypatch.setattr(sparkov, "_row", kept)
    cut_us = int(CUT.timestamp() * 1e6)
    transactions = read(data)
    for each in (transactions, changed(transactions, lambda moments: moments >= cut_us)):
        measure(each, Plan(models=["boosting_with_history"]))
    np.testing.assert_array_equal(scores[0], scores[1])


def test_recall_is_that_of_the_best_threshold_allowed() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        labels = (rng.random(200) < 0.2).astype(np.int8)
        score = (rng.normal(size=200) + labels).round(1)
        best = 0.0
        for threshold in [*score, np.inf]:
            flagged = score >= threshold
            if flagged[labels == 0].mean() <= 0.05:
                best = max(best, flagged[labels == 1].mean())
        assert recall_at(labels, score, 0.05) == pytest.approx(best)


@pytest.mark.parametrize(
    ("begin", "days", "says"),
    [
        (datetime(2020, 6, 1), 60, "give a file that begins earlier"),
        (datetime(2019, 1, 1), 200, "give a file that goes on longer"),
    ],
)
def test_a_file_that_does_not_cover_the_cut_is_refused(
    begin: datetime, days: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, begin, days)
    assert main(["sparkov", "--data", str(path), "--models", *BOOSTING]) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.err.count("\n") == 1
    assert str(path) in shown.err


@pytest.mark.parametrize("plan", [{"seeds": 0}, {"models": ["none"]}, {"validation_days": 0}])
def test_a_plan_that_cannot_be_measured_is_refused(plan: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Plan(**plan)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", ["sparkov", "kinds"])
def test_the_help_ends_with_an_example_that_parses(
    protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([protocol, "--help"])
    example = shlex.split(capsys.readouterr().out.rstrip().splitlines()[-1])
    assert parser().parse_args(example[3:]).protocol == protocol


@pytest.mark.slow
def test_the_network_is_measured_beside_boosting(data: Path, tmp_path: Path) -> None:
    words = ["sparkov", "--data", str(data), "--models", "fraudnet", *BOOSTING]
    assert main([*words, "--set", "training.epochs=1", "--json", str(tmp_path / "rows.json")]) == 0
    ours, peer = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert ours["parameters"] > 1000
    assert peer["parameters"] is None
    assert 0 <= ours["average_precision"] <= 1
