"""Flags of an account that follow each other are one case.

The rule depends on the flags and the verdicts alone, never on the order in which they came: of an
account's flags that no verdict covers, sorted by time, two neighbours are of one case if at most
the database's gap lies between them (single linkage). A case that was decided keeps its flags, and
what is flagged after it opens another. A transaction that was chosen for learning is a case of its
own, since its label must stand for it alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

_OPEN_FLAGS = text("""
SELECT flag_id, transaction_id, timestamp_us, flags.case_id,
       CASE WHEN lease_until_us > :now_us THEN 0 ELSE 1 END AS is_free
FROM flags LEFT JOIN cases USING (case_id) LEFT JOIN verdicts_in_force USING (case_id)
WHERE flags.account_id = :account_id AND reason = 'flagged'
  AND COALESCE(verdict, 'undecided') = 'undecided'
""")


@dataclass(frozen=True)
class OpenFlag:
    """A flag that no verdict covers."""

    flag_id: int
    transaction_id: str
    timestamp_us: int
    case_id: int | None  # None: of none yet
    is_free: int  # 0: of a case that somebody reviews


def group(flags: Sequence[OpenFlag], gap_us: int) -> list[list[OpenFlag]]:
    """The cases that an account's open flags make, in the order of time.

    Args:
        flags: of one account, in any order.
        gap_us: between two neighbours of a case at most, microseconds.
    """
    groups: list[list[OpenFlag]] = []
    for flag in sorted(flags, key=lambda each: (each.timestamp_us, each.transaction_id)):
        if groups and flag.timestamp_us - groups[-1][-1].timestamp_us <= gap_us:
            groups[-1].append(flag)
        else:
            groups.append([flag])
    return groups


def new_case(connection: Connection, account_id: str) -> int:
    """A case without flags."""
    made = connection.execute(
        text("INSERT INTO cases (account_id) VALUES (:account_id) RETURNING case_id"),
        {"account_id": account_id},
    )
    return int(made.scalar_one())


def regroup(connection: Connection, account_id: str, gap_us: int, now_us: int) -> None:
    """Puts an account's open flags into the cases that they make.

    Of the cases that become one, that which somebody reviews stays, else the oldest; the others
    then point to it.

    Args:
        connection: inside a writing transaction.
        account_id: whose.
        gap_us: of the database.
        now_us: the moment leases are compared with.
    """
    rows = connection.execute(_OPEN_FLAGS, {"account_id": account_id, "now_us": now_us})
    flags = [OpenFlag(*row) for row in rows]
    taken: set[int] = set()
    for members in group(flags, gap_us):
        known = {
            (flag.is_free, flag.case_id)
            for flag in members
            if flag.case_id is not None and flag.case_id not in taken
        }
        case_id = min(known)[1] if known else new_case(connection, account_id)
        taken.add(case_id)
        for flag in members:
            if flag.case_id != case_id:
                move_flag(connection, flag.flag_id, case_id)
    for flag in flags:
        if flag.case_id is not None and flag.case_id not in taken:
            _join(connection, flag.case_id, flag.flag_id)


def move_flag(connection: Connection, flag_id: int, case_id: int | None) -> None:
    """Puts a flag into a case; None: into none, until its account is grouped."""
    connection.execute(
        text("UPDATE flags SET case_id = :case_id WHERE flag_id = :flag_id"),
        {"case_id": case_id, "flag_id": flag_id},
    )


def _join(connection: Connection, case_id: int, flag_id: int) -> None:
    """Lets an emptied case point to where its flag went."""
    connection.execute(
        text(
            "UPDATE cases SET joined_to = (SELECT case_id FROM flags WHERE flag_id = :flag_id) "
            "WHERE case_id = :case_id"
        ),
        {"case_id": case_id, "flag_id": flag_id},
    )
