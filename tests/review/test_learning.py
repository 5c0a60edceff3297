"""The loop is closed: what a review says of transactions makes the next network a better one."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import Flag
from fraudnet.review.exporting import export_labels
from fraudnet.review.importing import add_flags
from fraudnet.review.verdicts import record_verdict
from fraudnet.training.prepare import prepare
from fraudnet.training.scoring import logits_of
from fraudnet.training.train import train
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.windows.periods import microseconds
from tests.training.world import DAY_US, experiment, logging_to

WORLD = SimulatorConfig(accounts=200, counterparties=150, days=75, fraud_share=0.03, seed=3)
SETTINGS = ("features.numeric=[]", "training.epochs=6")
LABELLED_DAYS = 5  # after them the bank labels nothing more that training could use
SEEDS = 3  # their gains differ by more than the verdicts are worth to one of them


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_network_that_learns_from_verdicts_beats_one_that_does_not(
    tmp_path: Path, scratch: str
) -> None:
    truth, path = simulate(WORLD), tmp_path / "payments.parquet"
    pq.write_table(truth, path)
    split = prepare(path, experiment(*SETTINGS)).split
    moments = truth["timestamp"].cast(pa.int64()).to_numpy()
    first = int(moments.min()) // DAY_US * DAY_US
    reviewed = (moments >= first + LABELLED_DAYS * DAY_US) & (
        moments < microseconds(split.training.end - timedelta(days=1))
    )
    is_fraud = truth["is_fraud"].to_numpy()
    at = truth.column_names.index("is_fraud")
    hidden = pa.array(is_fraud, pa.int8(), mask=reviewed)
    pq.write_table(truth.set_column(at, "is_fraud", hidden), path)

    gains = []
    for seed in range(SEEDS):
        set_seed = f"training.seed={seed}"
        with logging_to(scratch):
            before, logits = precision_and_logits(path, set_seed)
            database = CaseDatabase(tmp_path / f"{seed}.sqlite", create=True, gap_hours=0)
            places = np.flatnonzero(reviewed)
            flagged = places[np.argsort(-logits[places])[:400]]
            others = np.setdiff1d(places, flagged)
            drawn = np.random.default_rng(5).choice(others, 150, replace=False)
            share = len(drawn) / len(others)
            for rows, chance in ((flagged, None), (drawn, share)):
                add_flags(
                    database, "phone", [flag_of(truth, int(row), logits, chance) for row in rows]
                )
            judge(database, dict(zip(truth["transaction_id"].to_pylist(), is_fraud, strict=True)))
            labels = tmp_path / f"{seed}.csv"
            assert len(export_labels(database, labels)) == 550
            after, _ = precision_and_logits(path, set_seed, f"data.labels='{labels}'")
        print(f"average precision {before:.3f} without verdicts, {after:.3f} with them")
        gains.append(after - before)
    assert np.mean(gains) > 0.05


def precision_and_logits(path: Path, *more: str) -> tuple[float, NDArray[np.float32]]:
    """Average precision on the test period, and all logits in the order of the source."""
    prepared = prepare(path, experiment(*SETTINGS, *more))
    histories, network = prepared.histories, train(prepared).network
    logits = np.empty(len(histories), np.float32)
    found = logits_of(network, histories, np.ones(len(histories), bool))
    logits[histories.source_row] = found
    later = prepared.split.test.contains(histories.timestamp_us)
    return float(average_precision_score(histories.is_fraud[later], found[later])), logits


def flag_of(
    table: pa.Table, row: int, logits: NDArray[np.float32], inclusion_probability: float | None
) -> Flag:
    """A transaction as its device would put it forward."""
    values = table.slice(row, 1).to_pylist()[0]
    moment_us = microseconds(values["timestamp"])
    chosen = inclusion_probability is not None
    return Flag(
        values["transaction_id"], values["account_id"], moment_us, values["amount"],
        values["counterparty_id"], values["category"], float(1 / (1 + np.exp(-logits[row]))), 1.0,
        0.5, None, None, "0" * 64, moment_us, json.dumps([{"transaction_id": "alone"}]),
        "random" if chosen else "flagged", inclusion_probability or 1.0,
    )  # fmt: skip


def judge(database: CaseDatabase, truth: dict[str, int]) -> None:
    """An analyst who is right gives the verdict of each transaction a day after it."""
    with database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT case_id, transaction_id, timestamp_us FROM flags ORDER BY flag_id"
        ).all()
    for case_id, transaction_id, moment_us in rows:
        verdict = "confirmed_fraud" if truth[transaction_id] else "false_positive"
        record_verdict(
            database, case_id, verdict, "ana", transaction_ids=[transaction_id],
            now_us=moment_us + DAY_US,
        )  # fmt: skip
