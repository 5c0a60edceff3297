"""The case store: every transaction, its decision and its case, in one SQLite file.

Write-ahead log and full synchronisation: what was committed is there after a kill or a power cut.
"""

import hmac
import json
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fraudnet.device import statements as sql
from fraudnet.device.case_window import window_json
from fraudnet.device.database import Database
from fraudnet.device.erasure import forget, is_unfinished, scrub
from fraudnet.device.errors import ConflictError, StoreError
from fraudnet.device.repair import open_repaired
from fraudnet.device.schema import TABLES, migrate
from fraudnet.device.transactions import Transaction, difference, same_content

AFTER_ALL = 2**63 - 1  # a sequence that none reaches


class Score(NamedTuple):
    """What was decided about a transaction."""

    fraud_probability: float
    ood_distance: float
    threshold: float
    flagged: bool
    artifact_sha256: str
    familiar: bool | None  # None: not judged
    reputation_as_of_us: int | None = None  # of the snapshot whose counts were used
    reasons: str | None = None  # JSON list; None: not looked for
    revises: str | None = None  # JSON list of ids


class Stored(NamedTuple):
    """What the store holds of a transaction."""

    transaction: Transaction
    sequence: int
    reputation: dict[str, int]
    score: Score | None  # None: history only


class Place(NamedTuple):
    """A transaction among those of its account, as a window needs it."""

    timestamp_us: int
    sequence: int
    packed: bytes | None


class Entry(NamedTuple):
    """A transaction in a stretch of an account's history."""

    timestamp_us: int
    sequence: int
    packed: bytes | None
    transaction_id: str
    is_decided: bool
    is_unknown: bool  # its counterparty's counts are
    revises: str | None  # late history: later ones that it would have changed


class Store:
    """A case store, made when it is not there; one that is damaged is repaired first.

    Args:
        path: the SQLite file.
        durable: whether a commit waits for the disk.
        encryption_key: 32 bytes, of SQLCipher; None: plain.
        account_key: secret of the keyed hashes that stand for account ids; None: as they are.

    Raises:
        StoreError: not a case store, of another version, of another account key, or not to be
            opened; so do all methods when SQLite fails.
    """

    def __init__(
        self,
        path: Path,
        durable: bool = True,
        encryption_key: bytes | None = None,
        account_key: bytes | None = None,
    ) -> None:
        self._path = path
        self._database, self.repaired = open_repaired(path, durable, encryption_key)
        self._connection = self._database.connection
        try:
            self._prepare(account_key)
        except BaseException:
            self.close()
            raise

    def _prepare(self, account_key: bytes | None) -> None:
        with self.commit():
            tables = {
                name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")
            }
            if tables and not tables >= TABLES:
                raise StoreError(f"{self._path}: SQLite, but no case store; give another --store")
            try:
                migrate(self._connection)
            except ValueError as error:
                raise StoreError(
                    f"{self._path}: {error}; give another --store, or use the fraudnet that wrote "
                    "it"
                ) from error
            self._check_account_key(account_key, is_new=not tables)
        if is_unfinished(self._database):
            scrub(self._database)
        self._data_version = self._read_data_version()

    def _check_account_key(self, account_key: bytes | None, is_new: bool) -> None:
        # What a key makes of no id: tells one key from another and gives none away.
        shown = hmac.digest(account_key, b"", "sha256").hex() if account_key else None
        if is_new and shown:
            self._connection.execute("INSERT INTO meta VALUES ('account_key', ?)", (shown,))
        if self._meta("account_key") != shown:
            raise StoreError(
                f"{self._path}: its account ids were hashed with another key, or with none; give "
                "the key that it was made with, or another --store"
            )

    def _meta(self, key: str) -> str | None:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row and str(row[0])

    @property
    def database(self) -> Database:
        """The file, for what is kept beside transactions."""
        return self._database

    def close(self) -> None:
        """Closes the file; what was committed stays."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """One SQL transaction: all of what happens inside is stored, or nothing."""
        with self._database.commit():
            yield

    def changed_by_another(self) -> bool:
        """Whether another connection has written since this was last asked; asked in a commit."""
        before, self._data_version = self._data_version, self._read_data_version()
        return before != self._data_version

    def changes(self) -> tuple[int, int]:
        """Moves on with whatever any connection writes; asked in a commit."""
        return self._connection.total_changes, self._read_data_version()

    def _read_data_version(self) -> int:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def find(self, transaction: Transaction) -> Stored | None:
        """Returns what is stored of a transaction, None if it is new.

        Raises:
            ConflictError: its id is stored with other content; the message shows both.
        """
        stored = self.find_id(transaction.transaction_id)
        if stored and not same_content(stored.transaction, transaction):
            raise ConflictError(difference(stored.transaction, transaction))
        return stored

    def find_id(self, transaction_id: str) -> Stored | None:
        """Returns what is stored under an id."""
        row = self._connection.execute(sql.FIND, (transaction_id,)).fetchone()
        return row and self._stored(row)

    def unexplained(self, artifact_sha256: str) -> list[str]:
        """Ids of an artifact's flags whose reasons were not looked for."""
        with self._database.explained():
            rows = self._connection.execute(sql.UNEXPLAINED, (artifact_sha256,))
            return [transaction_id for (transaction_id,) in rows]

    def at(self, sequences: Iterable[int]) -> list[Stored]:
        """Returns what is stored at places, in their order."""
        return [
            self._stored(self._connection.execute(sql.AT, (sequence,)).fetchone())
            for sequence in sequences
        ]

    def all_of(self, account_id: str | None) -> Iterator[Stored]:
        """What is stored of an account, or of all: by account, then in time order."""
        where = "" if account_id is None else "WHERE account_id = ?"
        with self._database.explained():
            for row in self._connection.execute(
                f"SELECT {sql.STORED} {sql.FROM} {where} {sql.IN_ORDER}",
                () if account_id is None else (account_id,),
            ):
                yield self._stored(row)

    def decided_after(self, sequence: int, limit: int) -> list[Stored]:
        """The first decisions of those that arrived after one, at most `limit`."""
        rows = self._connection.execute(sql.DECIDED_AFTER, (sequence, limit)).fetchall()
        return [self._stored(row) for row in rows]

    def _stored(self, row: tuple[Any, ...]) -> Stored:
        transaction_id, account_id, timestamp_us, counterparty_id, amount, columns, *rest = row
        sequence, reputation, *score = rest
        try:
            transaction = Transaction(
                transaction_id, account_id, timestamp_us, counterparty_id, amount,
                json.loads(columns),
            )  # fmt: skip
            return Stored(transaction, sequence, json.loads(reputation), _score(*score))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{self._path}: transaction {transaction_id!r} cannot be read ({error}); delete "
                "it, or move the store away and send all again"
            ) from error

    def before(self, account_id: str, timestamp_us: int, sequence: int, limit: int) -> list[Place]:
        """Returns the account's last `limit` transactions before a place, oldest first.

        Before means by (timestamp, arrival); a new transaction arrives `AFTER_ALL`.
        """
        rows = self._connection.execute(sql.HISTORY, (account_id, timestamp_us, sequence, limit))
        return list(map(Place._make, rows.fetchall()[::-1]))

    def before_then(
        self, account_id: str, timestamp_us: int, sequence: int, limit: int
    ) -> list[Place]:
        """Returns the same, as it was when the transaction of that sequence arrived."""
        values = (account_id, timestamp_us, sequence, sequence, limit)
        return list(map(Place._make, self._connection.execute(sql.HISTORY_THEN, values)))[::-1]

    def after(self, account_id: str, timestamp_us: int, sequence: int, limit: int) -> list[Place]:
        """Returns the account's first `limit` transactions after a place."""
        rows = self._connection.execute(sql.LATER, (account_id, timestamp_us, sequence, limit))
        return list(map(Place._make, rows.fetchall()))

    def newest_us(self, arrivals: int) -> int | None:
        """The latest time among the last arrivals of any account; None: there are none."""
        (found,) = self._connection.execute(
            "SELECT MAX(timestamp_us) FROM (SELECT timestamp_us FROM transactions "
            "ORDER BY sequence DESC LIMIT ?)",
            (arrivals,),
        ).fetchone()
        return None if found is None else int(found)

    def add(
        self,
        transaction: Transaction,
        reputation: Mapping[str, int],
        score: Score | None,
        packed: bytes | None = None,
    ) -> int:
        """Stores a new transaction, with its decision if it has one; returns its sequence."""
        values = (
            transaction.transaction_id,
            transaction.account_id,
            transaction.timestamp_us,
            transaction.counterparty_id,
            transaction.amount,
            json.dumps(transaction.columns),
            json.dumps(reputation),
            packed,
        )
        made = self._connection.execute(
            sql.INSERT, values + (score or (None,) * len(Score._fields))
        )
        assert made.lastrowid is not None
        return made.lastrowid

    def undecided(self) -> tuple[list[str], NDArray[np.int64]]:
        """Accounts with history that was not scored, and the times of all that was not."""
        accounts: dict[str, None] = {}
        moments = array("q")
        with self._database.explained():
            for account_id, moment_us in self._connection.execute(sql.UNDECIDED):
                accounts[account_id] = None
                moments.append(moment_us)
        return list(accounts), np.frombuffer(moments, np.int64).copy()

    def stretch(self, account_id: str, first_us: int, stop_us: int) -> list[Entry]:
        """The account's transactions from a moment on, up to before another."""
        rows = self._connection.execute(sql.STRETCH, (account_id, first_us, stop_us))
        return list(map(Entry._make, rows.fetchall()))

    def decide_many(self, decided: Iterable[tuple[int, Score]]) -> None:
        """Stores decisions by sequence, about history whose packed rows stay as they are."""
        self._connection.executemany(
            sql.DECIDE, ((*score, sequence) for sequence, score in decided)
        )

    def repack(self, sequence: int, reputation: Mapping[str, int], packed: bytes) -> None:
        """Stores counts that were not known before, and the row packed with them."""
        self._connection.execute(
            "UPDATE transactions SET reputation = ?, packed = ? WHERE sequence = ?",
            (json.dumps(reputation), packed, sequence),
        )

    def holds(self, transaction_id: str) -> bool:
        """Whether a transaction is stored under an id."""
        query = "SELECT 1 FROM transactions WHERE transaction_id = ?"
        return self._connection.execute(query, (transaction_id,)).fetchone() is not None

    def places(self, sequences: Iterable[int]) -> list[Place]:
        """Where transactions are, in the order of these sequences."""
        query = "SELECT timestamp_us, sequence, packed FROM transactions WHERE sequence = ?"
        return [Place(*self._connection.execute(query, (s,)).fetchone()) for s in sequences]

    def explain(self, sequence: int, reasons: str) -> None:
        """Stores the reasons of a decision."""
        self._connection.execute(
            "UPDATE transactions SET reasons = ? WHERE sequence = ?", (reasons, sequence)
        )

    def revise(self, sequence: int, revises: str) -> None:
        """Stores which later decisions a late transaction would have changed."""
        self._connection.execute(
            "UPDATE transactions SET revises = ? WHERE sequence = ?", (revises, sequence)
        )

    def open_case(self, transaction: Transaction, sequence: int, length: int) -> None:
        """Opens a case with the last `length` transactions, the stored flagged one included."""
        rows = self._connection.execute(
            sql.CASE_WINDOW,
            (transaction.account_id, transaction.timestamp_us, sequence + 1, length),
        ).fetchall()[::-1]
        self._connection.execute(
            sql.OPEN_CASE,
            (transaction.transaction_id, time.time_ns() // 1000, window_json(rows)),
        )

    def kept_from_us(self, account_id: str) -> int | None:
        """From which moment on the account's history is whole; None: it was never pruned."""
        row = self._connection.execute(
            "SELECT kept_from_us FROM pruned WHERE account_id = ?", (account_id,)
        ).fetchone()
        return row and int(row[0])

    def prune(self, account_id: str, keep: int) -> None:
        """Drops what is older than the account's last `keep` transactions, but for its cases."""
        row = self._connection.execute(
            "SELECT timestamp_us FROM transactions WHERE account_id = ? "
            "ORDER BY timestamp_us DESC, sequence DESC LIMIT 1 OFFSET ?",
            (account_id, keep - 1),
        ).fetchone()
        if row and self._connection.execute(sql.PRUNE, (account_id, row[0])).rowcount:
            self._connection.execute("REPLACE INTO pruned VALUES (?, ?)", (account_id, row[0]))

    def forget(self, account_id: str) -> dict[str, int]:
        """Erases an account, its cases and their verdicts; returns how many there were.

        Raises:
            StoreError: another process reads the store; call it again.
        """
        counts = forget(self._database, account_id)
        scrub(self._database)
        return counts


def _score(probability: float | None, *rest: Any) -> Score | None:  # noqa: ANN401
    if probability is None:
        return None
    distance, threshold, flagged, sha256, familiar, *further = rest
    judged = None if familiar is None else bool(familiar)
    return Score(probability, distance, threshold, bool(flagged), sha256, judged, *further)
