"""What a device's store gives to the team: its flags with their windows, and older verdicts."""

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fraudnet.device.case_window import window_json
from fraudnet.device.database import binding, unlock
from fraudnet.device.schema import MIGRATIONS, READABLE_VERSIONS
from fraudnet.device.statements import CASE_WINDOW
from fraudnet.errors import InputError
from fraudnet.review.text import stored_text

_MAGIC = b"SQLite format 3\0"
CHOSEN_WINDOW = 160  # transactions that are shown of one that has no case on the device
_ID_ONCE_MADE = 12  # hexadecimal digits of an id that is derived


@dataclass(frozen=True)
class Flag:
    """A transaction on its way into the queue, with what the analyst needs of it.

    Attributes:
        transaction_id: of the transaction.
        account_id: as the device keeps it, which may be a keyed hash.
        timestamp_us: of the transaction, microseconds since 1970-01-01 UTC.
        amount: major units.
        counterparty_id: or None.
        category: or None.
        fraud_probability: as the device decided.
        ood_distance: likewise.
        threshold: that it was compared with.
        familiar: whether the artifact knew its like; None: not judged.
        reasons: JSON list; None: not looked for.
        artifact_sha256: what decided.
        opened_at_us: when it was put forward, microseconds since 1970-01-01 UTC.
        window_json: JSON list of the window's transactions, this one last.
        reason: why it enters the queue: 'flagged', or chosen for learning: 'uncertain',
            'unfamiliar' or 'random'.
        inclusion_probability: with which it was chosen, in (0, 1]; 1 where it was flagged.
    """

    transaction_id: str
    account_id: str
    timestamp_us: int
    amount: float
    counterparty_id: str | None
    category: str | None
    fraud_probability: float
    ood_distance: float
    threshold: float
    familiar: bool | None
    reasons: str | None
    artifact_sha256: str
    opened_at_us: int
    window_json: str
    reason: str = "flagged"
    inclusion_probability: float = 1.0


@dataclass(frozen=True)
class Scored:
    """What a device decided on a transaction."""

    transaction_id: str
    fraud_probability: float
    ood_distance: float
    threshold: float
    flagged: int


@dataclass(frozen=True)
class OldVerdict:
    """A verdict that was given in the device's own store, before there was a team's."""

    verdict_id: int
    transaction_id: str
    verdict: str
    note: str
    reviewer: str
    decided_at_us: int


class DeviceStore:
    """A device's store, only read.

    Args:
        path: the SQLite file that `fraudnet score --store` wrote.
        device_id: of the device; None: the id that the store holds, or one that is derived from
            its first case where an older fraudnet wrote it.
        encryption_key: 32 bytes, of SQLCipher; a plain store is read without.

    Raises:
        InputError: no such file, no device's store, of a newer fraudnet, or encrypted and no key
            or another's was given.
        DeviceInputError: no binding of SQLCipher is installed.
    """

    def __init__(
        self, path: Path, device_id: str | None = None, encryption_key: bytes | None = None
    ) -> None:
        self.path = path
        self._encryption_key = None if self._is_plain(encryption_key) else encryption_key
        self._module = binding(self._encryption_key)
        with self._connect() as connection:
            self._check(connection)
            self.account_key = self._meta(connection, "account_key")
            self.device_id = stored_text(device_id or self._own_id(connection))
            self.has_verdicts = "verdicts" in self._tables(connection)

    def flagged(self) -> dict[str, float]:
        """Fraud probability of each transaction that was flagged, in the order of the cases."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT transaction_id, fraud_probability "
                "FROM cases JOIN transactions USING (transaction_id) "
                "WHERE fraud_probability IS NOT NULL ORDER BY case_id"
            )
            return dict(rows)

    def flags(self, transaction_ids: Sequence[str]) -> list[Flag]:
        """The flags of some transactions, in their order.

        Raises:
            InputError: one of them cannot be read.
        """
        with self._connect() as connection:
            query = self._query(
                connection, "opened_at_us, window", "cases JOIN transactions USING (transaction_id)"
            )
            return [
                self._flag(connection.execute(query, (transaction_id,)).fetchone())
                for transaction_id in transaction_ids
            ]

    def scored(self, begin_us: int, end_us: int) -> list[Scored]:
        """All that was scored of a period [begin, end), in the order in which it arrived."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT transaction_id, fraud_probability, ood_distance, threshold, flagged "
                "FROM transactions WHERE timestamp_us >= ? AND timestamp_us < ? "
                "AND fraud_probability IS NOT NULL ORDER BY sequence",
                (begin_us, end_us),
            )
            scored = [Scored(*row) for row in rows]
        for each in scored:
            numbers = (each.fraud_probability, each.ood_distance, each.threshold)
            self._finite(each.transaction_id, numbers)
        return scored

    def unflagged(self, transaction_ids: Sequence[str], now_us: int) -> list[Flag]:
        """Transactions without a case, in their order, put forward now.

        Raises:
            InputError: one of them cannot be read.
        """
        with self._connect() as connection:
            query = self._query(connection, "sequence", "transactions")
            flags = []
            for transaction_id in transaction_ids:
                *content, sequence = connection.execute(query, (transaction_id,)).fetchone()
                before = content[1], content[2], sequence + 1, CHOSEN_WINDOW
                window = connection.execute(CASE_WINDOW, before).fetchall()[::-1]
                flags.append(self._flag((*content, now_us, window_json(window))))
            return flags

    def latest_scored(self, most: int) -> list[tuple[str, int, float, str, float, float, int, str]]:
        """The latest transactions that were scored, flagged or not, at most so many.

        Returns:
            account_id, timestamp_us, amount, columns (JSON), fraud_probability, ood_distance,
            flagged (1 or 0) and transaction_id of each.
        """
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT account_id, timestamp_us, amount, columns, fraud_probability, "
                "ood_distance, flagged, transaction_id FROM transactions "
                "WHERE fraud_probability IS NOT NULL ORDER BY timestamp_us DESC LIMIT ?",
                (most,),
            ).fetchall()
        for _, _, amount, _, probability, distance, _, transaction_id in rows:
            self._finite(transaction_id, (amount, probability, distance))
        return rows

    def verdicts(self) -> list[OldVerdict]:
        """Verdicts of an older review, in the order in which they were given."""
        if not self.has_verdicts:
            return []
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT verdict_id, transaction_id, verdict, verdicts.note, reviewer, "
                "decided_at_us FROM verdicts JOIN cases USING (case_id) ORDER BY verdict_id"
            )
            return [OldVerdict(*row) for row in rows]

    @staticmethod
    def _query(connection: sqlite3.Connection, further: str, source: str) -> str:
        """Selects what a flag is made of by its transaction's id, and further columns."""
        columns = {
            name for (name,) in connection.execute(
                "SELECT name FROM pragma_table_info('transactions')"
            )
        }  # fmt: skip
        familiar, reasons = (
            name if name in columns else "NULL" for name in ("familiar", "reasons")
        )
        return (  # names of ours alone
            "SELECT transaction_id, account_id, timestamp_us, amount, counterparty_id, "  # noqa: S608
            "columns, fraud_probability, ood_distance, threshold, "
            f"{familiar}, {reasons}, artifact_sha256, {further} "
            f"FROM {source} WHERE transaction_id = ?"
        )

    def _flag(self, row: tuple[Any, ...]) -> Flag:
        transaction_id, account_id, timestamp_us, amount, counterparty_id, columns, *rest = row
        probability, distance, threshold, familiar, reasons, *further = rest
        self._finite(transaction_id, (amount, probability, distance, threshold))
        try:
            category = json.loads(str(columns)).get("category")
            json.loads(further[-1], parse_constant=_refuse_constant)  # the window
        except (AttributeError, RecursionError, TypeError, ValueError) as error:
            raise self._damaged("the columns or the window", transaction_id, error) from error
        return Flag(
            transaction_id, account_id, timestamp_us, amount,
            counterparty_id,
            None if category is None else str(category),
            probability, distance, threshold,
            None if familiar is None else bool(familiar),
            reasons, *further,
        )  # fmt: skip

    def _finite(self, transaction_id: str, numbers: Sequence[Any]) -> None:
        """Refuses what is no number: it would spoil the sums of all."""
        for number in numbers:
            if not isinstance(number, int | float) or not math.isfinite(number):
                raise self._damaged("a number", transaction_id, f"{number!r}")

    def _damaged(self, what: str, transaction_id: str, why: object) -> InputError:
        return InputError(
            f"{self.path}: {what} of transaction {transaction_id!r} cannot be read ({why}); the "
            "store is damaged: score again into a new one"
        )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            # Not mode=ro, which would leave its log behind, beside the file.
            uri = f"{self.path.absolute().as_uri()}?mode=rw"
            with closing(self._module.connect(uri, uri=True)) as connection:
                unlock(connection, self.path, self._encryption_key)
                connection.execute("PRAGMA query_only = ON")
                yield connection
        except self._module.Error as error:
            other_key = "" if self._encryption_key is None else "; is the key another store's?"
            raise InputError(
                f"{self.path}: cannot be read as a device's store ({error}){other_key}"
            ) from error

    def _is_plain(self, encryption_key: bytes | None) -> bool:
        try:
            with self.path.open("rb") as file:
                is_plain = file.read(len(_MAGIC)) == _MAGIC
        except OSError as error:
            raise InputError(
                f"{self.path}: {error.strerror}; give the file that `fraudnet score --store` wrote"
            ) from error
        if not is_plain and encryption_key is None:
            raise InputError(
                f"{self.path}: is encrypted, or no SQLite file; expected the file that "
                "`fraudnet score --store` wrote: give an encrypted one's key in "
                "FRAUDNET_ENCRYPTION_KEY, or a file with --encryption-key"
            )
        return is_plain

    def _check(self, connection: sqlite3.Connection) -> None:
        tables = self._tables(connection)
        if "flags" in tables:
            raise InputError(f"{self.path}: is a team's case database, not a device's store")
        if missing := {"meta", "transactions", "cases"} - tables:
            raise InputError(
                f"{self.path}: not a device's store (no table {', '.join(sorted(missing))}); "
                "expected the file that `fraudnet score --store` writes"
            )
        version = self._meta(connection, "schema_version")
        done = (
            {name for (name,) in connection.execute("SELECT name FROM migrations")}
            if "migrations" in tables
            else set()
        )
        further = sorted(done - MIGRATIONS.keys())
        if version not in READABLE_VERSIONS or further:
            found = f"the migration {further[0]!r}" if further else f"schema version {version}"
            raise InputError(
                f"{self.path}: has {found}, which this fraudnet does not know; "
                "upgrade with `pip install --upgrade fraudnet`"
            )

    def _own_id(self, connection: sqlite3.Connection) -> str:
        if own := self._meta(connection, "device_id"):
            return own
        first = connection.execute(
            "SELECT transaction_id, opened_at_us FROM cases ORDER BY case_id LIMIT 1"
        ).fetchone()
        return f"unnamed-{sha256(repr(first).encode()).hexdigest()[:_ID_ONCE_MADE]}"

    @staticmethod
    def _tables(connection: sqlite3.Connection) -> set[str]:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        return {name for (name,) in connection.execute(query)}

    @staticmethod
    def _meta(connection: sqlite3.Connection, key: str) -> str | None:
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row and str(row[0])


def _refuse_constant(name: str) -> None:
    """NaN and infinities, which Python's JSON has and PostgreSQL's has not."""
    raise ValueError(name)
