"""A small file in the Handbook's columns that covers all four folds with 28 days of training."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST = datetime(2018, 7, 1)
DAYS = 66  # to 2018-09-04, the last day of the last test
CUSTOMERS = 60


def handbook_table(days: int = DAYS, seed: int = 1) -> pa.Table:
    """Each customer twice a day; on one day in 30 the second of them is a large fraud."""
    rng = np.random.default_rng(seed)
    day, customer, again = (
        grid.ravel() for grid in np.meshgrid(range(days), range(CUSTOMERS), range(2), indexing="ij")
    )
    fraud = (again == 1) & ((day + customer) % 30 == 0)
    second = day * 86_400 + rng.integers(86_400, size=len(day))
    order = np.argsort(second, kind="stable")
    amount = rng.uniform(1, 200, len(day)).round(2) + 150 * fraud
    return pa.table(
        {
            "transaction_id": pa.array(range(len(day)), pa.int64()),
            "timestamp": pa.array(
                [FIRST + timedelta(seconds=int(s)) for s in second[order]], pa.timestamp("us")
            ),
            "account_id": pa.array(customer[order], pa.int32()),
            "counterparty_id": pa.array(rng.integers(20, size=len(day)), pa.int32()),
            "amount": pa.array(amount[order], pa.float64()),
            "is_fraud": pa.array(fraud[order], pa.int8()),
            "fraud_scenario": pa.array(fraud[order], pa.int8()),
        }
    )


def handbook_file(folder: Path, days: int = DAYS, name: str = "handbook.parquet") -> Path:
    path = folder / name
    pq.write_table(handbook_table(days), path)
    return path
