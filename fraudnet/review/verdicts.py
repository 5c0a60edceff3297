"""What analysts decided: who, when, which verdict and why; appended, never changed."""

import time

import pandas as pd

from fraudnet.errors import InputError
from fraudnet.review.store import CaseStore

VERDICTS = {
    "confirmed_fraud": "Confirmed fraud",
    "suspicious": "Suspicious, worth the alert",
    "false_positive": "False positive",
    "undecided": "Undecided",
}

_RECORD = """
INSERT INTO verdicts (case_id, verdict, note, reviewer, decided_at_us)
SELECT case_id, :verdict, :note, :reviewer, :now_us FROM cases WHERE case_id = :case_id
"""

# One statement, so that what is undone is what was in force at that very moment.
_UNDO = """
INSERT INTO verdicts (case_id, verdict, note, reviewer, decided_at_us)
SELECT case_id, 'undecided', 'undoes verdict ' || verdict_id || ' (' || verdict || ' by '
       || reviewer || ')', :reviewer, :now_us
FROM verdicts
WHERE verdict_id = (SELECT MAX(verdict_id) FROM verdicts WHERE case_id = :case_id)
  AND verdict <> 'undecided'
"""


def record_verdict(
    store: CaseStore, case_id: int, verdict: str, reviewer: str, note: str = ""
) -> None:
    """Append a verdict, which is then the one in force.

    Raises:
        InputError: an unknown verdict, no reviewer named, or no such case; nothing is stored.
    """
    if verdict not in VERDICTS:
        raise InputError(f"verdict {verdict!r}: expected one of {', '.join(VERDICTS)}")
    values = {"verdict": verdict, "note": note.strip()}
    if not _append(store, _RECORD, case_id, reviewer, values):
        raise InputError(f"{store.path}: case {case_id} is not there; no verdict was stored")


def undo_verdict(store: CaseStore, case_id: int, reviewer: str) -> None:
    """Take back the verdict in force by a further row, 'undecided', that names what it undoes.

    Raises:
        InputError: no reviewer named, or the case has no verdict to take back.
    """
    if not _append(store, _UNDO, case_id, reviewer, {}):
        raise InputError(f"{store.path}: case {case_id} has no verdict to undo")


def audit_trail(store: CaseStore) -> pd.DataFrame:
    """Every verdict ever given, oldest first.

    Returns:
        One row a verdict: verdict_id, case_id, decided_at (UTC), verdict, note, reviewer.
    """
    with store.connect() as connection:
        trail = pd.read_sql_query(
            "SELECT verdict_id, case_id, decided_at_us, verdict, note, reviewer "
            "FROM verdicts ORDER BY verdict_id",
            connection,
        )
    moments = pd.to_datetime(trail.pop("decided_at_us"), unit="us", utc=True)
    trail.insert(2, "decided_at", moments)
    return trail


def _append(
    store: CaseStore, statement: str, case_id: int, reviewer: str, values: dict[str, str]
) -> bool:
    if not reviewer.strip():
        raise InputError("reviewer: empty; a verdict needs the name of who gives it")
    now_us = time.time_ns() // 1000
    named = values | {"case_id": case_id, "reviewer": reviewer.strip(), "now_us": now_us}
    with store.connect() as connection:
        return connection.execute(statement, named).rowcount == 1
