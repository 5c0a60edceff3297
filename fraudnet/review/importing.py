"""Flags of many devices come into the team's database: once each, whatever is repeated."""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore, Flag, OldVerdict
from fraudnet.review.grouping import new_case, regroup
from fraudnet.review.leases import clock_us
from fraudnet.review.text import stored_text
from fraudnet.review.verdicts import Given, append

_BATCH = 200  # flags a commit: a lock of a moment for those who decide meanwhile

_DEVICE = text("""
INSERT INTO devices (device_id, account_key, imported_at_us)
VALUES (:device_id, :account_key, :now_us)
ON CONFLICT (device_id) DO UPDATE SET imported_at_us = :now_us
""")
_STORED = text(
    "SELECT account_id, timestamp_us, amount, counterparty_id, device_id, fraud_probability "
    "FROM flags WHERE transaction_id = :transaction_id"
)
_SCORED = text("SELECT transaction_id, fraud_probability FROM flags WHERE device_id = :device_id")
_NAMES = (*Flag.__dataclass_fields__, "case_id", "device_id", "imported_at_us")
_INSERT = text(
    f"INSERT INTO flags ({', '.join(_NAMES)}) VALUES ({', '.join(f':{n}' for n in _NAMES)})"  # noqa: S608  (names of ours)
)
_FORGOTTEN = text("SELECT 1 FROM forgotten WHERE account_hash = :account_hash")
_CASE_OF = text(
    "SELECT flag_id, case_id FROM flags "
    "WHERE transaction_id = :transaction_id AND device_id = :device_id"
)


@dataclass(frozen=True)
class OtherScore:
    """A transaction that was flagged twice, and not by the same score; the first stays."""

    transaction_id: str
    fraud_probability: float
    first_device_id: str
    first_fraud_probability: float


@dataclass
class Imported:
    """What became of what a store holds.

    Attributes:
        flags: that were new.
        known: that were there before.
        conflicting: transaction ids that are there with another account, time, amount or
            counterparty; the first that came stays.
        forgotten: flags of accounts that were erased from the database, left out.
        other_scores: of those that were there before with another score, of this device or of
            another.
        verdicts: older verdicts of the store that were new.
        account_ids_hashed: whether the store holds keyed hashes in their place.
    """

    flags: int
    known: int
    conflicting: list[str]
    forgotten: int
    other_scores: list[OtherScore] = field(default_factory=list)
    verdicts: int = 0
    account_ids_hashed: bool = False


def import_store(database: CaseDatabase, store: DeviceStore, now_us: int | None = None) -> Imported:
    """Take in what a device's store has flagged, and verdicts that were given in it.

    The store is only read. What is there already is left as it is, so that importing again, or
    after an interruption, brings what is new.

    Args:
        database: open.
        store: of the device.
        now_us: the moment, microseconds since 1970-01-01 UTC; the clock's if None.

    Raises:
        InputError: the store or the database cannot be used.
    """
    with database.read() as connection:
        rows = connection.execute(_SCORED, {"device_id": store.device_id}).all()
        there = {row.transaction_id: row.fraud_probability for row in rows}
    flagged = store.flagged()
    new = [each for each, score in flagged.items() if there.get(stored_text(each)) != score]
    flags = (flag for some in _batches(new) for flag in store.flags(some))
    imported = add_flags(database, store.device_id, flags, store.account_key, now_us)
    imported.known += len(flagged) - len(new)
    imported.verdicts = _add_verdicts(database, store.device_id, store.verdicts())
    imported.account_ids_hashed = store.account_key is not None
    return imported


def add_flags(
    database: CaseDatabase,
    device_id: str,
    flags: Iterable[Flag],
    account_key: str | None = None,
    now_us: int | None = None,
) -> Imported:
    """Put flags, or transactions that were chosen for learning, into the queue, once each.

    Args:
        database: open.
        device_id: where they are from.
        flags: in any order.
        account_key: what tells the key of hashed account ids from others; None: they are plain.
        now_us: the moment, microseconds since 1970-01-01 UTC; the clock's if None.

    Raises:
        InputError: the database cannot be used.
    """
    moment_us = clock_us(now_us)
    erasure_key = bytes.fromhex(database.meta("erasure_key"))
    imported = Imported(0, 0, [], 0)
    device = {"device_id": device_id, "account_key": account_key, "now_us": moment_us}
    for batch in _batches(flags):
        with database.write() as connection:
            connection.execute(_DEVICE, device)
            accounts = {  # in the order of the flags, so that the cases have it too
                flag.account_id: None
                for flag in map(_storable, batch)
                if _add(connection, flag, device_id, moment_us, erasure_key, imported)
            }
            for account_id in accounts:
                regroup(connection, account_id, database.gap_us, moment_us)
    return imported


def account_hash(account_id: str, erasure_key: bytes) -> str:
    """What is kept of an account that was erased: HMAC-SHA256 (RFC 2104), in hexadecimal."""
    return hmac.digest(erasure_key, account_id.encode(), hashlib.sha256).hex()


def _add(
    connection: Connection,
    flag: Flag,
    device_id: str,
    now_us: int,
    erasure_key: bytes,
    imported: Imported,
) -> bool:
    hashed = {"account_hash": account_hash(flag.account_id, erasure_key)}
    if connection.execute(_FORGOTTEN, hashed).scalar():
        imported.forgotten += 1
        return False
    named = {"transaction_id": flag.transaction_id}
    stored = connection.execute(_STORED, named).one_or_none()
    if stored is not None:
        *there, first_device_id, first_probability = stored
        content = [flag.account_id, flag.timestamp_us, flag.amount, flag.counterparty_id]
        if there != content:
            imported.conflicting.append(flag.transaction_id)
            return False
        imported.known += 1
        if first_probability != flag.fraud_probability:
            other = flag.transaction_id, flag.fraud_probability, first_device_id, first_probability
            imported.other_scores.append(OtherScore(*other))
        return False
    is_grouped = flag.reason == "flagged"
    case_id = None if is_grouped else new_case(connection, flag.account_id)
    values = asdict(flag) | {"case_id": case_id, "device_id": device_id, "imported_at_us": now_us}
    values["familiar"] = None if flag.familiar is None else int(flag.familiar)
    connection.execute(_INSERT, values)
    imported.flags += 1
    return is_grouped


def _add_verdicts(database: CaseDatabase, device_id: str, verdicts: Sequence[OldVerdict]) -> int:
    added = 0
    with database.read() as connection:
        query = text("SELECT origin FROM verdicts WHERE origin IS NOT NULL")
        there = set(connection.execute(query).scalars())
    new = [each for each in verdicts if _origin(device_id, each) not in there]
    for batch in _batches(new):
        with database.write() as connection:
            for old in batch:
                named = {
                    "transaction_id": stored_text(old.transaction_id), "device_id": device_id
                }  # fmt: skip
                found = connection.execute(_CASE_OF, named).one_or_none()
                if found is None:
                    continue
                given = Given(
                    old.verdict, stored_text(old.reviewer), old.decided_at_us,
                    stored_text(old.note), origin=_origin(device_id, old),
                )  # fmt: skip
                append(connection, found.case_id, given, [found.flag_id], database.gap_us)
                added += 1
    return added


def _origin(device_id: str, verdict: OldVerdict) -> str:
    return f"{device_id}:{verdict.verdict_id}"


def _storable(flag: Flag) -> Flag:
    texts: dict[str, Any] = {
        name: stored_text(value) for name, value in vars(flag).items() if isinstance(value, str)
    }
    return replace(flag, **texts)


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(items)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
