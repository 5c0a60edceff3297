"""One contestant of the device's benchmark, in a process of its own.

`python -m benchmarks.device_contestants FOLDER` reads `task.json` there and prints one JSON object.
"""

import ctypes
import gc
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.device_world import TREE_INSERT, transactions
from fraudnet.device.contract import ReputationTerms
from fraudnet.device.reputation import Snapshot
from fraudnet.device.transactions import Transaction

DAY_US = 86_400_000_000
DAYS = (1, 7, 30)
_HELD = "SELECT probability FROM transactions WHERE transaction_id = ?"
_WINDOW = """
SELECT COUNT(*), TOTAL(amount) FROM transactions
WHERE account_id = ? AND timestamp_us > ? AND timestamp_us <= ?"""

Decide = Callable[[Transaction], object]


def scorer(task: dict[str, Any]) -> Decide:
    """This project's, whole: look up, window, inference, reasons of flags, commit."""
    from fraudnet.device.scorer import Options, Scorer

    folder = Path(task["folder"])
    options = Options(durable=task["durable"], keep=None)
    opened = Scorer(
        folder / "fraud.tflite", Path(task["store"]), folder / "snapshot", options=options
    )
    return opened.score


def trees(task: dict[str, Any]) -> Decide:
    """LightGBM's C path for single rows on features from SQL, stored in one commit too."""
    import lightgbm

    folder = Path(task["folder"])
    columns = tuple(task["columns"])
    snapshot = Snapshot(folder / "snapshot", ReputationTerms(columns, 10_000.0))
    connection = sqlite3.connect(task["store"], isolation_level=None)
    connection.execute(f"PRAGMA synchronous = {'FULL' if task['durable'] else 'NORMAL'}")
    booster = lightgbm.Booster(model_file=folder / "model.lightgbm")
    library, width = lightgbm.basic._LIB, booster.num_feature()  # type: ignore[attr-defined]
    row, out = (ctypes.c_double * width)(), (ctypes.c_double * 1)()
    fast, length = ctypes.c_void_p(), ctypes.c_int64()
    if library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 0, 0, -1, 1, width, b"num_threads=1", ctypes.byref(fast)
    ):
        raise RuntimeError("LightGBM's fast path does not begin")

    def decide(t: Transaction) -> float:
        connection.execute("BEGIN IMMEDIATE")
        held = connection.execute(_HELD, (t.transaction_id,)).fetchone()
        if held is None:
            row[:] = features(connection, snapshot, t)  # type: ignore[assignment]
            library.LGBM_BoosterPredictForMatSingleRowFast(fast, row, ctypes.byref(length), out)
            held = (out[0],)
            values = (t.transaction_id, t.account_id, t.timestamp_us, t.amount, out[0])
            connection.execute(TREE_INSERT, values)
        connection.execute("COMMIT")
        return float(held[0])

    decide.booster = booster  # type: ignore[attr-defined]
    return decide


def features(connection: sqlite3.Connection, snapshot: Snapshot, t: Transaction) -> list[float]:
    """The Handbook's: amount, weekend, night; count and mean amount of 1, 7, 30 days; reputation.

    The transaction itself counts.
    """
    now_us = t.timestamp_us
    found = [
        t.amount,
        float((now_us // DAY_US + 3) % 7 >= 5),
        float(now_us % DAY_US < 6 * 3_600_000_000),
    ]
    for days in DAYS:
        count, total = connection.execute(
            _WINDOW, (t.account_id, now_us - days * DAY_US, now_us)
        ).fetchone()
        found += [count + 1.0, (total + t.amount) / (count + 1)]
    return found + [float(v) for v in snapshot.counts(t.counterparty_id, now_us).values()]


def latency(task: dict[str, Any]) -> dict[str, Any]:
    """Nanoseconds of each decision, one after the other."""
    decide = trees(task) if task["name"] == "lightgbm" else scorer(task)
    arriving = list(
        transactions(
            task["stored"], task["warm_up"] + task["decisions"], task["stored"], task["accounts"]
        )
    )
    gc.collect()
    gc.freeze()
    taken, flagged = [], 0
    for transaction in arriving:
        begin_ns = time.perf_counter_ns()
        decision = decide(transaction)
        taken.append(time.perf_counter_ns() - begin_ns)
        flagged += getattr(decision, "flagged", False)
    return {"taken_ns": taken[task["warm_up"] :], "flagged": flagged}


def catch_up(task: dict[str, Any]) -> dict[str, Any]:
    """How many stored transactions are decided in a second, and whether one by one agrees."""
    from fraudnet.device.scorer import Options, Scorer

    folder = Path(task["folder"])
    files = (folder / "fraud.tflite", Path(task["store"]), folder / "snapshot")
    with Scorer(*files, options=Options(keep=None)) as opened:
        begin = time.perf_counter()
        found = {}
        count = flagged = 0
        for decision in opened.score_many():
            count += 1
            flagged += decision.flagged  # type: ignore[union-attr]
            if count % task["every"] == 0:
                found[decision.transaction_id] = decision  # type: ignore[union-attr]
        seconds = time.perf_counter() - begin
    files = (files[0], Path(task["again"]), files[2])
    difference, differing = 0.0, 0
    wanted = transactions(0, task["stored"], task["stored"], task["accounts"])
    with Scorer(*files, options=Options(durable=False, keep=None)) as opened:
        for transaction in wanted:
            if other := found.get(transaction.transaction_id):
                one = opened.score(transaction)
                difference = max(difference, abs(one.probability - other.probability))  # type: ignore[union-attr]
                differing += one.flagged != other.flagged  # type: ignore[union-attr]
    return {
        "transactions": count,
        "flagged": flagged,
        "seconds": seconds,
        "transactions_per_second": count / seconds,
        "compared_with_one_by_one": len(found),
        "largest_difference": difference,
        "other_decisions": differing,
    }


def main(folder: Path) -> None:
    """Do the task."""
    task = json.loads((folder / "task.json").read_text())
    if task["name"] != "lightgbm":
        os.environ["FRAUDNET_TFLITE_RUNTIME"] = task["name"]
    print(json.dumps(catch_up(task) if task["catch_up"] else latency(task)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
