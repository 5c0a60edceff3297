"""The case store: every transaction, its decision and its case, in one SQLite file.

Write-ahead log and full synchronisation: what was committed is there after a kill or a power cut.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from fraudnet.device.errors import ConflictError, StoreError
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import History

SCHEMA_VERSION = "1"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE transactions (
  sequence INTEGER PRIMARY KEY,  -- arrival order
  transaction_id TEXT NOT NULL UNIQUE, account_id TEXT NOT NULL, timestamp_us INTEGER NOT NULL,
  counterparty_id TEXT, amount REAL NOT NULL,
  columns TEXT NOT NULL,         -- JSON object: further columns as received
  reputation TEXT NOT NULL,      -- JSON object: counts as known when it was scored, {} = unknown
  -- NULL: history only, not scored; familiar also where the artifact does not judge it
  fraud_probability REAL, ood_distance REAL, threshold REAL, flagged INTEGER, artifact_sha256 TEXT,
  familiar INTEGER);
CREATE INDEX transactions_by_account ON transactions (account_id, timestamp_us, sequence);
CREATE TABLE cases (
  case_id INTEGER PRIMARY KEY,
  transaction_id TEXT NOT NULL UNIQUE REFERENCES transactions (transaction_id),
  opened_at_us INTEGER NOT NULL,
  window TEXT NOT NULL);         -- JSON list: the window's transactions, the flagged one last
"""
_FIND = """
SELECT account_id, timestamp_us, counterparty_id, amount, columns, sequence, reputation,
       fraud_probability, ood_distance, threshold, flagged, artifact_sha256, familiar
FROM transactions WHERE transaction_id = ?"""
_EARLIER = """
FROM transactions WHERE account_id = ? AND (timestamp_us, sequence) < (?, ?)
ORDER BY timestamp_us DESC, sequence DESC LIMIT ?"""
_HISTORY = f"SELECT timestamp_us, amount, columns, reputation {_EARLIER}"
_CASE_FIELDS = (
    "transaction_id", "timestamp_us", "counterparty_id", "amount", "columns",
    "fraud_probability", "ood_distance",
)  # fmt: skip
_CASE_WINDOW = f"SELECT {', '.join(_CASE_FIELDS)} {_EARLIER}"
_INSERT = """
INSERT INTO transactions (transaction_id, account_id, timestamp_us, counterparty_id, amount,
  columns, reputation, fraud_probability, ood_distance, threshold, flagged, artifact_sha256,
  familiar)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_DECIDE = """
UPDATE transactions SET reputation = ?, fraud_probability = ?, ood_distance = ?, threshold = ?,
  flagged = ?, artifact_sha256 = ?, familiar = ? WHERE sequence = ?"""
_OPEN_CASE = "INSERT INTO cases (transaction_id, opened_at_us, window) VALUES (?, ?, ?)"
_AFTER_ALL = 2**63 - 1  # a sequence that none reaches


class Score(NamedTuple):
    """What was decided about a transaction."""

    fraud_probability: float
    ood_distance: float
    threshold: float
    flagged: bool
    artifact_sha256: str
    familiar: bool | None  # None: not judged


class Stored(NamedTuple):
    """What the store holds of a transaction beyond its content."""

    sequence: int
    reputation: dict[str, int]
    score: Score | None  # None: history only


class Store:
    """A case store, made when it is not there.

    Raises:
        StoreError: not a case store, of another version, or not to be opened; so do all methods
            when SQLite fails.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained():
            # Transactions are begun and ended here, not by the module.
            self._connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            with self._explained():
                self._prepare()
        except StoreError:
            self.close()
            raise

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        with self.commit():
            tables = {
                name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")
            }
            if not tables:
                self._create()
            elif not {"meta", "transactions", "cases"} <= tables:
                raise StoreError(f"{self._path}: SQLite, but no case store; give another --store")
            found = self._connection.execute(
                "SELECT value FROM meta WHERE key = 'schema_version'"
            ).fetchone()
            if found != (SCHEMA_VERSION,):
                raise StoreError(
                    f"{self._path}: schema version {found and found[0]}, this fraudnet reads "
                    f"{SCHEMA_VERSION}; give another --store, or use the fraudnet that wrote it"
                )
            # A column that may be NULL: whoever knows nothing of it reads and writes as before.
            columns = self._connection.execute("PRAGMA table_info(transactions)").fetchall()
            if "familiar" not in {name for _, name, *_ in columns}:
                self._connection.execute("ALTER TABLE transactions ADD COLUMN familiar INTEGER")

    def _create(self) -> None:
        for statement in _SCHEMA.split(";\n"):
            self._connection.execute(statement)
        self._connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", (SCHEMA_VERSION,))

    def close(self) -> None:
        """Closes the file; what was committed stays."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """One SQL transaction: all of what happens inside is stored, or nothing."""
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path}: {error}; expected a case store, or a new file in a writable folder "
                "that no other process holds locked"
            ) from error

    def find(self, transaction: Transaction) -> Stored | None:
        """Returns what is stored of a transaction, None if it is new.

        Raises:
            ConflictError: its id is stored with other content; the message shows both.
        """
        row = self._connection.execute(_FIND, (transaction.transaction_id,)).fetchone()
        if row is None:
            return None
        account_id, timestamp_us, counterparty_id, amount, columns, sequence, reputation, *score = (
            row
        )
        stored = Transaction(
            transaction.transaction_id,
            account_id,
            timestamp_us,
            counterparty_id,
            amount,
            json.loads(columns),
        )
        if stored != transaction:
            raise ConflictError(_difference(stored, transaction))
        return Stored(sequence, json.loads(reputation), _score(*score))

    def history(self, transaction: Transaction, stored: Stored | None, limit: int) -> History:
        """Returns the account's last `limit` transactions before this one, oldest first.

        Before means by (timestamp, arrival); a new transaction arrives after all.
        """
        sequence = stored.sequence if stored else _AFTER_ALL
        rows = self._connection.execute(
            _HISTORY, (transaction.account_id, transaction.timestamp_us, sequence, limit)
        ).fetchall()[::-1]
        timestamps, amounts, columns, reputation = zip(*rows, strict=True) if rows else [()] * 4
        return History(list(timestamps), list(amounts), _parse_all(columns), _parse_all(reputation))

    def add(
        self, transaction: Transaction, reputation: Mapping[str, int], score: Score | None
    ) -> None:
        """Stores a new transaction, with its decision if it has one."""
        values = (
            transaction.transaction_id,
            transaction.account_id,
            transaction.timestamp_us,
            transaction.counterparty_id,
            transaction.amount,
            json.dumps(transaction.columns),
            json.dumps(reputation),
        )
        self._connection.execute(_INSERT, values + (score or (None,) * len(Score._fields)))

    def decide(self, stored: Stored, reputation: Mapping[str, int], score: Score) -> None:
        """Stores the decision about a transaction that was history only."""
        self._connection.execute(_DECIDE, (json.dumps(reputation), *score, stored.sequence))

    def open_case(self, transaction: Transaction, length: int) -> None:
        """Opens a case with the last `length` transactions, the stored flagged one included."""
        ((sequence,),) = self._connection.execute(
            "SELECT sequence FROM transactions WHERE transaction_id = ?",
            (transaction.transaction_id,),
        )
        rows = self._connection.execute(
            _CASE_WINDOW, (transaction.account_id, transaction.timestamp_us, sequence + 1, length)
        ).fetchall()[::-1]
        window: list[dict[str, Any]] = [dict(zip(_CASE_FIELDS, row, strict=True)) for row in rows]
        for entry in window:
            entry["columns"] = json.loads(entry["columns"])
        self._connection.execute(
            _OPEN_CASE, (transaction.transaction_id, time.time_ns() // 1000, json.dumps(window))
        )


def _score(
    probability: float | None,
    distance: float,
    threshold: float,
    flagged: int,
    sha256: str,
    familiar: int | None,
) -> Score | None:
    if probability is None:
        return None
    judged = None if familiar is None else bool(familiar)
    return Score(probability, distance, threshold, bool(flagged), sha256, judged)


def _parse_all(documents: tuple[str, ...]) -> list[Any]:
    # One call for all: a window has a hundred and more of them.
    parsed: list[Any] = json.loads(f"[{','.join(documents)}]")
    return parsed


def _difference(stored: Transaction, received: Transaction) -> str:
    names = [
        name for name in Transaction.__slots__ if getattr(stored, name) != getattr(received, name)
    ]
    differences = "; ".join(
        f"{name} is {getattr(stored, name)!r} in the store, {getattr(received, name)!r} received"
        for name in names
    )
    return (
        f"transaction {stored.transaction_id!r} is stored with other content: {differences}; "
        "give a new transaction a new id"
    )
