"""What analysts decided: who, when, which verdict and why; appended, never changed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from sqlalchemy import Connection, text

from fraudnet.errors import InputError
from fraudnet.review.database import CaseDatabase
from fraudnet.review.grouping import move_flag, regroup
from fraudnet.review.leases import Lease, clock_us, find_case, named, refuse_unless_free
from fraudnet.review.text import stored_text

VERDICTS = {
    "confirmed_fraud": "Confirmed fraud",
    "suspicious": "Suspicious, worth the alert",
    "false_positive": "False positive",
    "undecided": "Undecided",
}

_LONGEST_NOTE, _LONGEST_KIND = 10_000, 100  # characters

_INSERT = text("""
INSERT INTO verdicts (case_id, verdict, kind, note, reviewer, decided_at_us, undoes, origin)
VALUES (:case_id, :verdict, :kind, :note, :reviewer, :decided_at_us, :undoes, :origin)
RETURNING verdict_id
""")
_IN_FORCE = text("SELECT * FROM verdicts_in_force WHERE case_id = :case_id")
_FLAGS = text(
    "SELECT flag_id, transaction_id, account_id FROM flags WHERE case_id = :case_id "
    "ORDER BY timestamp_us, transaction_id"
)
_COVER = text("INSERT INTO verdict_flags (verdict_id, flag_id) VALUES (:verdict_id, :flag_id)")
# A verdict that is given ends the review, and counts as one where no lease was taken for it.
_END_REVIEW = text("""
UPDATE cases SET lease_holder = NULL, lease_until_us = NULL,
  lease_number = lease_number + CASE WHEN lease_holder = :reviewer THEN 0 ELSE :by_another END
WHERE case_id = :case_id
""")
_TRAIL = """
SELECT verdicts.verdict_id, verdicts.case_id, decided_at_us, verdict, kind, note, reviewer, undoes,
       (SELECT COUNT(*) FROM verdict_flags WHERE verdict_flags.verdict_id = verdicts.verdict_id)
       AS transactions
FROM verdicts"""


@dataclass(frozen=True)
class Given:
    """A verdict as it is stored."""

    verdict: str
    reviewer: str
    decided_at_us: int
    note: str = ""
    kind: str = ""
    undoes: int | None = None
    origin: str | None = None  # where it was given, if in a device's own store


def record_verdict(
    database: CaseDatabase,
    case_id: int,
    verdict: str,
    reviewer: str,
    note: str = "",
    *,
    kind: str = "",
    lease: Lease | None = None,
    transaction_ids: Sequence[str] | None = None,
    now_us: int | None = None,
) -> int:
    """Append a verdict, which is then the one in force; it ends the review.

    Args:
        database: open.
        case_id: of the case.
        verdict: a key of `VERDICTS`.
        reviewer: who gives it.
        note: why, in a few words.
        kind: of fraud, where it is confirmed.
        lease: with which the case was taken. None: as if it were taken now.
        transaction_ids: of those that the verdict covers, the ones that were looked at; what else
            came into the case meanwhile makes another. None: all that are in it.
        now_us: the moment, microseconds since 1970-01-01 UTC; the clock's if None.

    Returns:
        The verdict's number.

    Raises:
        InputError: an unknown verdict, a kind without confirmed fraud, a note or kind that is too
            long, no reviewer named, somebody else's review, or a case that is not there, was
            joined with another or erased; nothing is stored.
    """
    if verdict not in VERDICTS:
        raise InputError(f"verdict {verdict!r}: expected one of {', '.join(VERDICTS)}")
    if kind and verdict != "confirmed_fraud":
        raise InputError(f"kind {kind!r}: only confirmed fraud has one; leave it out")
    for what, said, most in (("note", note, _LONGEST_NOTE), ("kind", kind, _LONGEST_KIND)):
        if len(said) > most:
            raise InputError(f"{what}: {len(said):,} characters; give at most {most:,}")
    name, moment_us = named(reviewer), clock_us(now_us)
    with database.write() as connection:
        case = find_case(database, connection, case_id)
        refuse_unless_free(database, case, name, lease, moment_us)
        flags = {row.transaction_id: row.flag_id for row in _flags_of(connection, case_id)}
        chosen = list(flags) if transaction_ids is None else list(dict.fromkeys(transaction_ids))
        if not chosen or (strange := [each for each in chosen if each not in flags]):
            what = f"transaction {strange[0]!r}" if chosen else "no transaction"
            raise InputError(
                f"{database.place}: case {case_id}: {what} is covered that is in it; expected "
                "one or more of its own, no verdict was stored"
            )
        given = Given(
            verdict,
            name,
            _after_others(connection, case_id, moment_us),
            stored_text(note.strip()),
            stored_text(kind.strip()),
        )
        number = append(
            connection, case_id, given, [flags[each] for each in chosen], database.gap_us
        )
        _end_review(connection, case_id, name, lease)
    return number


def undo_verdict(
    database: CaseDatabase,
    case_id: int,
    reviewer: str,
    *,
    lease: Lease | None = None,
    now_us: int | None = None,
) -> int:
    """Take back the verdict in force by a further row, 'undecided', that names what it undoes.

    Returns:
        The number of that row.

    Raises:
        InputError: as for `record_verdict`, or the case has no verdict to take back.
    """
    name, moment_us = named(reviewer), clock_us(now_us)
    with database.write() as connection:
        case = find_case(database, connection, case_id)
        refuse_unless_free(database, case, name, lease, moment_us)
        undone = connection.execute(_IN_FORCE, {"case_id": case_id}).one_or_none()
        if undone is None or undone.verdict == "undecided":
            raise InputError(f"{database.place}: case {case_id} has no verdict to undo")
        given = Given(
            "undecided",
            name,
            _after_others(connection, case_id, moment_us),
            f"undoes verdict {undone.verdict_id} ({undone.verdict} by {undone.reviewer})",
            undoes=undone.verdict_id,
        )
        flag_ids = [row.flag_id for row in _flags_of(connection, case_id)]
        number = append(connection, case_id, given, flag_ids, database.gap_us)
        _end_review(connection, case_id, name, lease)
    return number


def append(
    connection: Connection, case_id: int, given: Given, flag_ids: Iterable[int], gap_us: int
) -> int:
    """Store a verdict of a case that covers some of its flags; the account is grouped anew.

    Args:
        connection: inside a writing transaction.
        case_id: of the case.
        given: the verdict.
        flag_ids: that it covers.
        gap_us: of the database.

    Returns:
        The verdict's number.
    """
    number = int(connection.execute(_INSERT, {"case_id": case_id, **asdict(given)}).scalar_one())
    covered = set(flag_ids)
    connection.execute(
        _COVER, [{"verdict_id": number, "flag_id": flag_id} for flag_id in sorted(covered)]
    )
    flags = _flags_of(connection, case_id)
    if given.verdict != "undecided":
        for flag in flags:
            if flag.flag_id not in covered:
                move_flag(connection, flag.flag_id, None)
    regroup(connection, flags[0].account_id, gap_us, given.decided_at_us)
    return number


def audit_trail(database: CaseDatabase, case_id: int | None = None) -> pd.DataFrame:
    """Every verdict ever given, oldest first; of one case if it is named.

    Returns:
        One row a verdict: verdict_id, case_id, decided_at (UTC), verdict, kind, note, reviewer,
        undoes (the number of the verdict that it takes back), transactions (how many it covers).
    """
    where = "" if case_id is None else " WHERE verdicts.case_id = :case_id"
    query = text(f"{_TRAIL}{where} ORDER BY verdict_id")
    with database.read() as connection:
        trail = pd.read_sql_query(query, connection, params={"case_id": case_id})
    moments = pd.to_datetime(trail.pop("decided_at_us"), unit="us", utc=True)
    trail.insert(2, "decided_at", moments)
    trail["undoes"] = trail["undoes"].astype("Int64")
    return trail


def _flags_of(connection: Connection, case_id: int) -> Sequence[Any]:
    return connection.execute(_FLAGS, {"case_id": case_id}).all()


def _after_others(connection: Connection, case_id: int, now_us: int) -> int:
    """The moment, or just after the verdict in force where that one's clock went ahead."""
    newest = connection.execute(_IN_FORCE, {"case_id": case_id}).one_or_none()
    return now_us if newest is None else max(now_us, newest.decided_at_us + 1)


def _end_review(connection: Connection, case_id: int, reviewer: str, lease: Lease | None) -> None:
    by_another = 1 if lease is None else 0
    connection.execute(
        _END_REVIEW, {"case_id": case_id, "reviewer": reviewer, "by_another": by_another}
    )
