"""Settings on validation weeks: before all tests, by scikit-learn's measures, with what is set."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.handbook_oracle import fraud_probability
from benchmarks.validation import main
from fraudnet.transactions.reading import ReadOptions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.windows.histories import build_histories
from fraudnet.windows.specification import FeatureSpecification, Reputation
from tests.benchmarks.tables import handbook_file, handbook_table

SMALL = (
    "network.width=4", "network.dilations=[1]", "network.squeeze_window=2", "network.head=4",
    "network.normal_window=4", "network.amount_pieces=4", "training.epochs=1",
)  # fmt: skip
DAY_US = 86_400_000_000


def rows(data: Path, folder: Path, *words: str) -> list[dict[str, Any]]:
    """Without their times."""
    found = folder / "rows.json"
    assert main(["--data", str(data), "--training-days", "7", "--json", str(found), *words]) == 0
    made: list[dict[str, Any]] = json.loads(found.read_text())["rows"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in made]


def settings(*given: str) -> list[str]:
    return [word for setting in given for word in ("--set", setting)]


def test_labels_of_the_tests_change_nothing(tmp_path: Path) -> None:
    table = handbook_table()
    tested = pc.greater_equal(table["timestamp"], pa.scalar(np.datetime64("2018-08-08", "us")))
    genuine = pc.subtract(pa.scalar(1, pa.int8()), table["is_fraud"])
    turned = pc.if_else(tested, genuine, table["is_fraud"])
    other = table.set_column(table.column_names.index("is_fraud"), "is_fraud", turned)
    pq.write_table(other, tmp_path / "turned.parquet")
    words = ["--trials", "1", *settings(*SMALL)]
    assert rows(tmp_path / "turned.parquet", tmp_path, *words) == rows(
        handbook_file(tmp_path), tmp_path, *words
    )


def test_figures_are_scikit_learns_of_the_week_and_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.validation.UNFORESEEN", 0.55)  # so few accounts are taken often
    small, data = handbook_table(), tmp_path / "handbook.parquet"
    kind = np.asarray(small["is_fraud"]) * np.random.default_rng(0).integers(1, 3, len(small))
    place = small.column_names.index("fraud_scenario")
    pq.write_table(small.set_column(place, "fraud_scenario", pa.array(kind, pa.int8())), data)
    (latest,) = rows(data, tmp_path, "--oracle", "--trials", "1")
    table = read_transactions(data, load_recipe("handbook"), ReadOptions(require_labels=True)).table
    features = FeatureSpecification(reputation=Reputation(refresh="transaction"))
    histories = build_histories(table, features, 7)
    day = histories.timestamp_us // DAY_US - 17_713  # 2018-07-01
    # The week that ends with July, and no customer of a fraud that is known by then.
    known = np.zeros(len(histories), bool)
    for today in range(24, 31):
        caught = (histories.is_fraud == 1) & (day >= 10) & (day < today - 7)
        known |= (day == today) & np.isin(histories.account, histories.account[caught])
    week = (day >= 24) & (day < 31) & ~known
    truth, score = histories.is_fraud[week], fraud_probability(histories)[week]
    assert latest["roc_auc"] == pytest.approx(roc_auc_score(truth, score))
    assert latest["average_precision"] == pytest.approx(average_precision_score(truth, score))
    theirs = kind[histories.source_row[week]]
    by_kind = {
        str(k): average_precision_score(
            truth[np.isin(theirs, [0, k])], score[np.isin(theirs, [0, k])]
        )
        for k in (1, 2)
    }
    assert latest["by_kind"] == pytest.approx(by_kind)
    assert by_kind["1"] != pytest.approx(by_kind["2"])
    assert (latest["seed"], latest["parameters"]) == (None, None)
    low = score < 0.55
    assert 0 < latest["unforeseen_share"] < 1
    assert latest["unforeseen_share"] == pytest.approx(truth[low].sum() / truth.sum())
    assert latest["unforeseen_roc_auc"] == pytest.approx(roc_auc_score(truth[low], score[low]))


def test_what_is_set_is_what_is_fitted(tmp_path: Path) -> None:
    data = handbook_file(tmp_path)
    words = ("--trials", "1", "--seeds", "2")
    small = rows(data, tmp_path, *words, *settings(*SMALL))
    wider = rows(data, tmp_path, *words, *settings(*SMALL, "network.head=8"))
    assert [row["seed"] for row in small] == [0, 1]
    assert small[0]["roc_auc"] != small[1]["roc_auc"]
    # Four channels more in the head: their kernels and biases, and as many weights of the logit.
    assert wider[0]["parameters"] - small[0]["parameters"] == 4 * 4 + 4 + 4


def test_a_week_that_is_not_whole_has_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = handbook_file(tmp_path, days=27)  # to 2018-07-27, amid the latest week
    (row,) = rows(data, tmp_path, "--oracle")
    assert row["trial"] == 2
    capsys.readouterr()
    assert main(["--data", str(data), "--training-days", "7", "--oracle", "--trials", "1"]) == 2
    assert "does not hold the days of validation week 1" in capsys.readouterr().err


def test_without_kinds_there_is_no_figure_of_any(tmp_path: Path) -> None:
    data = tmp_path / "handbook.parquet"
    pq.write_table(handbook_table().drop_columns("fraud_scenario"), data)
    (row,) = rows(data, tmp_path, "--oracle", "--trials", "1", "1")
    assert row["by_kind"] == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "3"], "validation week 3"),
        (["--training-days", "60"], "validation week 1"),
        (["--training-days", "0"], "training days: 0"),
        (["--training-days", "1000000"], "training days: 1000000"),
        (["--seeds", "0"], "seeds: 0"),
        (["--set", "network.widht=8"], "widht"),
        (["--set", "alerts.per_day=7"], "only keys of network and training"),
        (["--set", "training.seed=7"], "give --seeds instead"),
        (["--oracle", "--set", "network.width=8"], "nothing is fitted"),
        (["--json", "nowhere/rows.json"], "there is no folder"),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = handbook_file(tmp_path)
    assert main(["--data", str(data), "--training-days", "7", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
