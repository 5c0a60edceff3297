"""What was said so far: kinds of fraud, and a reviewer's latest verdict, which can be undone."""

from dataclasses import dataclass

from sqlalchemy import text

from fraudnet.errors import InputError
from fraudnet.review.database import CaseDatabase
from fraudnet.review.leases import release, take
from fraudnet.review.text import stored_text
from fraudnet.review.verdicts import undo_verdict

_LATEST = text("""
SELECT verdict_id, cases.case_id, verdict
FROM verdicts_in_force JOIN cases USING (case_id)
WHERE reviewer = :reviewer AND erased_at_us IS NULL AND verdict <> 'undecided'
ORDER BY decided_at_us DESC, verdict_id DESC LIMIT 1
""")
_NOW = text("SELECT COALESCE(joined_to, case_id) FROM cases WHERE case_id = :case_id")
_IN_FORCE = text("SELECT verdict_id, reviewer FROM verdicts_in_force WHERE case_id = :case_id")


@dataclass(frozen=True)
class LatestVerdict:
    """In force, and more than 'undecided'."""

    verdict_id: int
    case_id: int
    verdict: str


def known_kinds(database: CaseDatabase) -> list[str]:
    """Kinds of fraud that verdicts have named, in alphabetical order."""
    query = text("SELECT DISTINCT kind FROM verdicts WHERE kind <> '' ORDER BY kind")
    with database.read() as connection:
        return list(connection.execute(query).scalars())


def latest_verdict(database: CaseDatabase, reviewer: str) -> LatestVerdict | None:
    """A reviewer's latest verdict that is in force and can be taken back; None: there is none."""
    with database.read() as connection:
        row = connection.execute(_LATEST, {"reviewer": stored_text(reviewer)}).one_or_none()
    return None if row is None else LatestVerdict(*row)


def undo(database: CaseDatabase, latest: LatestVerdict, reviewer: str) -> int:
    """Takes a reviewer's verdict back, unless somebody gave another since.

    The case is leased before it is looked at, so that nobody gives one in between.

    Returns:
        The case that its flags are now of: what came since may have been joined with it.

    Raises:
        InputError: somebody else did, or reviews the case now; nothing is stored.
    """
    lease = take(database, latest.case_id, reviewer)
    named = {"case_id": latest.case_id}
    with database.read() as connection:
        now = connection.execute(_IN_FORCE, named).one()
    if now.verdict_id != latest.verdict_id:
        release(database, latest.case_id, reviewer)
        raise InputError(
            f"{database.place}: case {latest.case_id}: {now.reviewer} gave a verdict after yours; "
            "nothing was undone: open the case and look"
        )
    undo_verdict(database, latest.case_id, reviewer, lease=lease)
    with database.read() as connection:
        return int(connection.execute(_NOW, named).scalar_one())
