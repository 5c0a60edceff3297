"""An account is forgotten: its flags and windows, and what was said of them in words."""

from dataclasses import dataclass

from sqlalchemy import text

from fraudnet.errors import InputError
from fraudnet.review.database import CaseDatabase
from fraudnet.review.importing import account_hash
from fraudnet.review.leases import clock_us
from fraudnet.review.text import stored_text

_STEPS = {
    "cases": """
UPDATE cases SET account_id = NULL, erased_at_us = :now_us, assigned_to = NULL,
  lease_holder = NULL, lease_until_us = NULL WHERE account_id = :account_id""",
    "covers": """
DELETE FROM verdict_flags
WHERE flag_id IN (SELECT flag_id FROM flags WHERE account_id = :account_id)""",
    "flags": "DELETE FROM flags WHERE account_id = :account_id",
    "verdicts": """
UPDATE verdicts SET note = '' WHERE case_id IN (
  SELECT case_id FROM cases WHERE erased_at_us = :now_us)""",
}
_REMEMBER = text("""
INSERT INTO forgotten (account_hash, forgotten_at_us) VALUES (:account_hash, :now_us)
ON CONFLICT (account_hash) DO NOTHING
""")


@dataclass(frozen=True)
class Forgotten:
    """How much was erased."""

    cases: int
    flags: int
    verdicts: int  # whose notes went


def forget_account(database: CaseDatabase, account_id: str, now_us: int | None = None) -> Forgotten:
    """Erase an account, and never take it in again.

    Of its cases there remain the number, the verdicts without their notes, and the moment of the
    erasure, for the counts of the team's work; of the account a keyed hash, so that an import does
    not bring it back. SQLite's file is written anew; PostgreSQL's tables are vacuumed, its
    write-ahead log and backups are its operator's.

    Args:
        database: open.
        account_id: as the database holds it; of a device that hashes them, the hash.
        now_us: the moment, microseconds since 1970-01-01 UTC; the clock's if None.

    Raises:
        InputError: the account is empty, or the database cannot be used.
    """
    key = bytes.fromhex(database.meta("erasure_key"))
    account = stored_text(account_id)
    if not account.strip():
        raise InputError("account: empty; give its id as `fraudnet cases list` shows it")
    values = {"account_id": account, "now_us": clock_us(now_us)}
    hashed = {"account_hash": account_hash(account, key), "now_us": values["now_us"]}
    with database.write() as connection:
        counts = {
            name: connection.execute(text(step), _used(step, values)).rowcount
            for name, step in _STEPS.items()
        }
        connection.execute(_REMEMBER, hashed)
    database.vacuum()
    return Forgotten(counts["cases"], counts["flags"], counts["verdicts"])


def _used(statement: str, values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if f":{name}" in statement}
