"""A team's database of 30 cases of 5 accounts, hostile texts among them, and its device's store."""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.importing import import_store

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE transactions (
  sequence INTEGER PRIMARY KEY,
  transaction_id TEXT NOT NULL UNIQUE, account_id TEXT NOT NULL, timestamp_us INTEGER NOT NULL,
  counterparty_id TEXT, amount REAL NOT NULL, columns TEXT NOT NULL, reputation TEXT NOT NULL,
  fraud_probability REAL, ood_distance REAL, threshold REAL, flagged INTEGER, artifact_sha256 TEXT);
CREATE INDEX transactions_by_account ON transactions (account_id, timestamp_us, sequence);
CREATE TABLE cases (
  case_id INTEGER PRIMARY KEY,
  transaction_id TEXT NOT NULL UNIQUE REFERENCES transactions (transaction_id),
  opened_at_us INTEGER NOT NULL, window TEXT NOT NULL);
INSERT INTO meta VALUES ('schema_version', '1');
"""

START_US = 1_717_200_000_000_000  # 2024-06-01 00:00:00 UTC
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
OPENED_AFTER_US = 60_000_000  # a case is opened a minute after its transaction
HOSTILE = [
    "<script>document.title='broken'</script>",
    "<b>bold</b>",
    "<img src=x onerror=\"document.title='broken'\">",
    "</script><script>document.title='broken'</script>",
    r"$\href{javascript:alert(1)}{prize}$",
    "=cmd()",
]
ACCOUNTS = ["a-1", "a-2", "a-3", "a-4", "<i>a-5</i>"]
PER_ACCOUNT, UNSCORED, CASES_PER_ACCOUNT = 60, 10, 6
THRESHOLD = 0.3


def account_history(account: str, number: int, seed: random.Random) -> list[dict[str, Any]]:
    """60 transactions: the first 10 not scored, every eighth of the others flagged."""
    time_us, rows = START_US + number * DAY_US, []
    for index in range(PER_ACCOUNT):
        time_us += int(seed.expovariate(1 / (9 * HOUR_US)))
        flagged = index >= UNSCORED and (index - UNSCORED) % 8 == 7
        ordinary = seed.choice(["grocer", "fuel & go", "café"])
        rows.append(
            {
                "transaction_id": f"t-{number}-{index}",
                "account_id": account,
                "timestamp_us": time_us,
                "counterparty_id": seed.choice(HOSTILE) if flagged else ordinary,
                "amount": round(seed.lognormvariate(6 if flagged else 3, 0.5), 2),
                "columns": {"category": seed.choice(["food", "fuel", None]), "distance": 1.5},
                "fraud_probability": None
                if index < UNSCORED
                else round(seed.uniform(0.31, 0.99) if flagged else seed.uniform(0.0, 0.2), 4),
                "ood_distance": None if index < UNSCORED else round(seed.gammavariate(9, 0.5), 3),
                "flagged": flagged,
            }
        )
    return rows


def insert(connection: sqlite3.Connection, row: dict[str, Any], window: list[Any]) -> None:
    scored = row["fraud_probability"] is not None
    connection.execute(
        "INSERT INTO transactions VALUES (NULL, ?, ?, ?, ?, ?, ?, '{}', ?, ?, ?, ?, ?)",
        (
            row["transaction_id"], row["account_id"], row["timestamp_us"], row["counterparty_id"],
            row["amount"], json.dumps(row["columns"]), row["fraud_probability"],
            row["ood_distance"], THRESHOLD if scored else None, int(row["flagged"]), "0" * 64,
        ),
    )  # fmt: skip
    if row["flagged"]:
        hidden = ("account_id", "flagged")
        entries = [{k: v for k, v in entry.items() if k not in hidden} for entry in window]
        connection.execute(
            "INSERT INTO cases VALUES (NULL, ?, ?, ?)",
            (row["transaction_id"], row["timestamp_us"] + OPENED_AFTER_US, json.dumps(entries)),
        )


def make_store(path: Path, histories: list[list[dict[str, Any]]]) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)
        with connection:
            for history in histories:
                for index, row in enumerate(history):
                    insert(connection, row, history[: index + 1])
    return path


def make_histories() -> list[list[dict[str, Any]]]:
    seed = random.Random(9)
    return [account_history(account, n, seed) for n, account in enumerate(ACCOUNTS)]


both = pytest.mark.parametrize(
    "backend",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))],
    indirect=True,
)
"""Runs a test on SQLite and on a PostgreSQL server."""


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def new_source(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Names a database that is not made yet, another one each time."""
    numbers = count()

    def source() -> str:
        if backend == "sqlite":
            return str(tmp_path / f"reviews{next(numbers)}.sqlite")
        url: str = request.getfixturevalue("postgres").url()
        schema = f"s{uuid4().hex}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}".encode())
        return f"{url}&options=-csearch_path%3D{schema}"

    return source


@pytest.fixture
def source(new_source: Callable[[], str]) -> str:
    return new_source()


@pytest.fixture
def empty(source: str) -> CaseDatabase:
    return CaseDatabase(source, create=True)


@pytest.fixture
def empty_path(tmp_path: Path) -> Path:
    """A database without cases."""
    path = tmp_path / "empty.sqlite"
    CaseDatabase(path, create=True)
    return path


@pytest.fixture
def histories() -> list[list[dict[str, Any]]]:
    return make_histories()


@pytest.fixture
def device_path(tmp_path: Path, histories: list[list[dict[str, Any]]]) -> Path:
    return make_store(tmp_path / "cases.sqlite", histories)


@pytest.fixture
def database(source: str, device_path: Path) -> CaseDatabase:
    """30 cases of one flag each, numbered as on the device."""
    database = CaseDatabase(source, create=True, gap_hours=0)
    import_store(database, DeviceStore(device_path))
    return database


@pytest.fixture
def change(database: CaseDatabase) -> Callable[[str], None]:
    """Runs SQL on the database behind everybody's back."""

    def execute(statement: str) -> None:
        with database.write() as connection:
            connection.exec_driver_sql(statement)

    return execute
