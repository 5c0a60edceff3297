"""Recall by kind at the alert budget, in a small world."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import main
from benchmarks.kinds import Row, ratio_to_oracle, table
from fraudnet.transactions.simulated_fraud import FRAUD_KINDS

SMALL = ("--accounts", "150", "--counterparties", "200", "--days", "90", "--fraud-share", "0.02")


def row(model: str, recall: dict[str, float], seed: int = 0) -> Row:
    return Row(model, seed, 0.5, recall, dict.fromkeys(recall, 10), 1.0)


def test_measures_each_model_in_each_world(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["kinds", *SMALL, "--seeds", "3", "4", "--models", "boosting", "oracle"]
    words += ["--set", "alerts.per_day=6"]
    assert main([*words, "--json", str(tmp_path / "rows.json")]) == 0
    report = json.loads((tmp_path / "rows.json").read_text())
    assert [(r["model"], r["seed"]) for r in report["rows"]] == [
        (model, seed) for seed in (3, 4) for model in ("boosting", "oracle")
    ]
    assert len(set(report["data_fingerprints"])) == 2
    assert report["experiment"]["alerts"]["per_day"] == 6
    boosting, oracle = (
        np.mean([r["average_precision"] for r in report["rows"] if r["model"] == model])
        for model in ("boosting", "oracle")
    )
    assert oracle > boosting
    for r in report["rows"]:
        flagged = sum(r["recall"][kind] * r["transactions"][kind] for kind in r["recall"])
        assert flagged <= 6 * 28 + 1e-9
    shown = capsys.readouterr().out
    assert all(kind in shown for kind in FRAUD_KINDS)


def test_the_ratio_is_that_of_the_means() -> None:
    rows = [
        row("fraudnet", {"a": 0.2}), row("oracle", {"a": 0.9}),
        row("fraudnet", {"a": 0.4, "b": 1.0}, 1), row("oracle", {"a": 0.6, "b": 0.0}, 1),
    ]  # fmt: skip
    assert ratio_to_oracle(rows, "a") == pytest.approx(0.3 / 0.75)
    assert ratio_to_oracle(rows, "b") is None
    assert ratio_to_oracle(rows[:1], "a") is None


def test_the_table_names_what_is_under_half() -> None:
    first, second = FRAUD_KINDS[:2]
    rows = [
        row("fraudnet", {first: 0.4, second: 0.9}), row("oracle", {first: 0.9, second: 1.0}),
    ]  # fmt: skip
    cells = list(table(rows).columns[-1].cells)
    assert cells[0] == "0.44 under half"
    assert cells[1] == "0.90"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--days", "30"], "the data span 30 days"),
        (["--fraud-share", "0"], "there is no fraud in the test period"),
        (["--accounts", "0"], "accounts is 0"),
        (["--set", "network.widht=3"], "did you mean 'width'?"),
    ],
)
def test_wrong_input_ends_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kinds", *SMALL, *words, "--seeds", "0", "--models", "boosting"]) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.err.count("\n") == 1
