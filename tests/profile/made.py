"""Made-up transactions for the profile, with whatever a test plants in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudnet.transactions.reading import Transactions, read_transactions
from fraudnet.transactions.recipe import CANONICAL, Recipe, parse_recipe

DAY_US = 86_400_000_000
FIRST_US = 20_000 * DAY_US  # 2024-10-04, a Friday
TIME = pa.timestamp("us", "UTC")

Columns = dict[str, Any]


def columns(
    rows: int = 4000, seed: int = 0, *, days: int = 60, fraud_share: float = 0.05
) -> Columns:
    """Columns that tell nothing of the label, by time."""
    random = np.random.default_rng(seed)
    us = np.sort(random.integers(0, days * DAY_US, rows) // 1_000_000 * 1_000_000) + FIRST_US
    return {
        "transaction_id": [f"{each:016x}" for each in random.permutation(rows) * 7919 + 10**12],
        "timestamp": us,
        "account_id": [f"holder {each}" for each in random.integers(0, rows // 15 + 1, rows)],
        "counterparty_id": [f"payee {each}" for each in random.integers(0, 50, rows)],
        "amount": random.lognormal(3.0, 1.0, rows).round(2),
        "category": random.choice(["food", "fuel", "rent"], rows, p=[0.6, 0.3, 0.1]),
        "is_fraud": (random.random(rows) < fraud_share).astype(np.int8),
    }


def recipe(**further: object) -> Recipe:
    """The recipe of our own names, every column allowed to be absent, and further keys."""
    own = {name: name for name in CANONICAL if name != "currency"}
    keys = {"name": "made", "optional": ["category", "counterparty_id"], **own, **further}
    return parse_recipe(keys, "made")


def table(made: Mapping[str, Any]) -> pa.Table:
    times = {
        name: pa.array(made[name], TIME) for name in ("timestamp", "label_time") if name in made
    }
    return pa.table({**made, **times})


def read(folder: Path, made: Mapping[str, Any], **further: object) -> Transactions:
    """The columns as a file's, read by a recipe with these further keys."""
    path = folder / "made.parquet"
    pq.write_table(table(made), path)
    return read_transactions(path, recipe(**further))
