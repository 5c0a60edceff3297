"""A case is one analyst's while it is reviewed: a lease that expires, and a standing assignment.

Whoever takes a free case gets the next number of its lease. A verdict that is given with a lease
is stored only while nobody took the case since (Kleppmann, Designing Data-Intensive Applications,
2017, chapter 8, "fencing tokens"), so that an analyst who was away too long never overrides unseen
work.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, text

from fraudnet.errors import InputError
from fraudnet.review.database import CaseDatabase
from fraudnet.review.text import moment_us
from fraudnet.transactions.untrusted import JOINERS, printable

LEASE_MINUTES = 15.0
LONGEST_NAME = 100  # characters of a reviewer's

_MINUTE_US = 60_000_000
_HIGHEST = 2**63 - 1  # that either database can look for; none is 0

# Compare and set: of two at once, one changes the row and the other does not.
_TAKE = text("""
UPDATE cases SET
  lease_number = lease_number + CASE WHEN lease_holder = :reviewer THEN 0 ELSE 1 END,
  lease_holder = :reviewer, lease_until_us = :until_us
WHERE case_id = :case_id
  AND (lease_holder IS NULL OR lease_holder = :reviewer OR lease_until_us <= :now_us)
RETURNING lease_number
""")
_RELEASE = text("""
UPDATE cases SET lease_holder = NULL, lease_until_us = NULL
WHERE case_id = :case_id AND lease_holder = :reviewer
""")


@dataclass(frozen=True)
class Lease:
    """A case is `reviewer`'s until `until_us`, microseconds since 1970-01-01 UTC."""

    case_id: int
    reviewer: str
    number: int
    until_us: int


def take(
    database: CaseDatabase,
    case_id: int,
    reviewer: str,
    minutes: float = LEASE_MINUTES,
    now_us: int | None = None,
) -> Lease:
    """Takes a case for review, or holds it longer; one whose lease has run out can be taken.

    Args:
        database: open.
        case_id: of the case.
        reviewer: who takes it.
        minutes: until the lease runs out.
        now_us: the moment, microseconds since 1970-01-01 UTC; the clock's if None.

    Raises:
        InputError: somebody else reviews it, and until when; no reviewer is named; the case is not
            there, was joined with another, or was erased.
    """
    moment = clock_us(now_us)
    name = named(reviewer)
    until_us = moment + round(minutes * _MINUTE_US)
    values = {"case_id": case_id, "reviewer": name, "until_us": until_us, "now_us": moment}
    with database.write() as connection:
        case = find_case(database, connection, case_id)
        number = connection.execute(_TAKE, values).scalar()
        if number is None:
            raise InputError(f"{database.place}: {_held(case)}")
    return Lease(case_id, name, int(number), until_us)


def release(database: CaseDatabase, case_id: int, reviewer: str) -> None:
    """Ends a reviewer's lease of a case, for others to take it.

    Raises:
        InputError: the case is not theirs, or not there.
    """
    values = {"case_id": case_id, "reviewer": named(reviewer)}
    with database.write() as connection:
        case = find_case(database, connection, case_id)
        if connection.execute(_RELEASE, values).rowcount != 1:
            whose = f"{case['lease_holder']}'s" if case["lease_holder"] else "nobody's"
            raise InputError(
                f"{database.place}: case {case_id} is {whose}, not {reviewer}'s; it stays as it is"
            )


def assign(database: CaseDatabase, case_id: int, reviewer: str | None) -> None:
    """Says whose work a case is; None: anybody's. It locks nothing, `take` does.

    Raises:
        InputError: the case is not there, was joined with another, or was erased.
    """
    values = {"case_id": case_id, "reviewer": None if reviewer is None else named(reviewer)}
    with database.write() as connection:
        find_case(database, connection, case_id)
        connection.execute(
            text("UPDATE cases SET assigned_to = :reviewer WHERE case_id = :case_id"), values
        )


def refuse_unless_free(
    database: CaseDatabase, case: RowMapping, reviewer: str, lease: Lease | None, now_us: int
) -> None:
    """Refuses what somebody else's review of the case stands against.

    Raises:
        InputError: with a lease, somebody else took the case since; without one, somebody else
            reviews it now.
    """
    if lease is not None:
        if case["lease_number"] != lease.number or lease.case_id != case["case_id"]:
            who = case["lease_holder"] or "somebody else"
            raise InputError(
                f"{database.place}: case {case['case_id']} was taken by {who} after your time ran "
                "out; nothing was stored: look at it again, then decide"
            )
    elif case["lease_holder"] not in (None, reviewer) and case["lease_until_us"] > now_us:
        raise InputError(f"{database.place}: {_held(case)}; nothing was stored")


def find_case(database: CaseDatabase, connection: Connection, case_id: int) -> RowMapping:
    """The row of a case that can be worked on.

    Raises:
        InputError: it is not there, was joined with another, or was erased.
    """
    query = text("SELECT * FROM cases WHERE case_id = :case_id")
    values = {"case_id": case_id if abs(case_id) <= _HIGHEST else 0}
    case = connection.execute(query, values).mappings().one_or_none()
    where = f"{database.place}: case {case_id}"
    if case is None:
        bounds = text("SELECT MIN(case_id), MAX(case_id) FROM cases")
        low, high = connection.execute(bounds).one()
        known = "the queue is empty" if low is None else f"cases go from {low} to {high}"
        raise InputError(f"{where} is not there; {known}")
    if case["erased_at_us"] is not None:
        raise InputError(
            f"{where}: its history was erased on {moment_us(case['erased_at_us'])} UTC; there is "
            "none to show and none to decide"
        )
    if case["joined_to"] is not None:
        raise InputError(
            f"{where} was joined with case {case['joined_to']} when a flag came in between; "
            f"open that one"
        )
    return case


def named(reviewer: str) -> str:
    """A reviewer's name without blanks around it.

    Raises:
        InputError: nothing is left, it is too long, or it holds signs that are not to be seen.
    """
    name = reviewer.strip()
    if not name.strip(JOINERS):
        raise InputError("reviewer: empty; give the name of who reviews")
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"reviewer: {len(name):,} characters; give a name of at most {LONGEST_NAME}"
        )
    if unseen := [sign for sign in name if printable(sign) != sign]:
        raise InputError(
            f"reviewer: holds U+{ord(unseen[0]):04X}, which is not to be seen; give a name of "
            "letters, spaces and signs"
        )
    return name


def clock_us(now_us: int | None) -> int:
    """A moment, or the clock's if None; microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000 if now_us is None else now_us


def _held(case: RowMapping) -> str:
    return (
        f"case {case['case_id']} is being reviewed by {case['lease_holder']} until "
        f"{moment_us(case['lease_until_us'])} UTC"
    )
