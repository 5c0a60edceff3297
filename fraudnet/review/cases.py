"""Flagged cases: the queue by expected loss, and one case with its window."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from fraudnet.errors import InputError
from fraudnet.review.store import CaseStore

WINDOW_COLUMNS = [
    "transaction_id", "timestamp", "amount", "gap_hours", "counterparty_id", "category",
    "fraud_probability", "ood_distance",
]  # fmt: skip
_FIELDS = {"transaction_id", "timestamp_us", "counterparty_id", "amount"} | {
    "fraud_probability", "ood_distance",
}  # fmt: skip

_DAY_US = 86_400_000_000

# A verdict that was undone is a newer row 'undecided', so the newest row is the one in force.
_QUEUE = """
SELECT case_id, account_id, timestamp_us, amount, counterparty_id, category, fraud_probability,
       ood_distance, fraud_probability * amount AS expected_loss, :now_us - opened_at_us AS age_us,
       verdict
FROM (SELECT cases.*, transactions.*, json_extract(columns, '$.category') AS category,
        COALESCE((SELECT verdict FROM verdicts WHERE verdicts.case_id = cases.case_id
                  ORDER BY verdict_id DESC LIMIT 1), 'undecided') AS verdict
      FROM cases LEFT JOIN transactions USING (transaction_id))
WHERE (:verdict IS NULL OR verdict = :verdict)
  AND (:account_id IS NULL OR account_id = :account_id)
  AND (:minimum_probability IS NULL OR fraud_probability >= :minimum_probability)
  AND (:minimum_distance IS NULL OR ood_distance >= :minimum_distance)
  AND (:minimum_amount IS NULL OR amount >= :minimum_amount)
  AND (:maximum_age_days IS NULL OR :now_us - opened_at_us <= :maximum_age_days * :day_us)
ORDER BY expected_loss DESC NULLS LAST, case_id
"""


@dataclass(frozen=True)
class QueueFilter:
    """Which cases to list; None lets all through.

    A case without a figure (its transaction was erased) passes no limit on that figure.
    """

    verdict: str | None = None  # the one in force
    account_id: str | None = None
    minimum_probability: float | None = None
    minimum_distance: float | None = None
    minimum_amount: float | None = None
    maximum_age_days: float | None = None  # since the case was opened


@dataclass(frozen=True)
class Case:
    """One flagged transaction with what the scorer saw."""

    case_id: int
    account_id: str
    threshold: float | None  # the flag was raised at or above it
    window: pd.DataFrame  # WINDOW_COLUMNS and the further columns, oldest first, flagged one last


def list_cases(
    store: CaseStore, criteria: QueueFilter | None = None, now_us: int | None = None
) -> pd.DataFrame:
    """The queue, highest expected loss first.

    Args:
        store: an open case store.
        criteria: which cases; all if None.
        now_us: the moment ages count to, microseconds since 1970-01-01 UTC; the clock's if None.

    Returns:
        One row a case: case_id, account_id, timestamp (UTC), amount (major units),
        counterparty_id, category, fraud_probability, ood_distance, expected_loss (probability x
        amount), age (Timedelta since the case was opened), verdict (the one in force). An empty
        queue has the same columns and no rows.
    """
    moment_us = time.time_ns() // 1000 if now_us is None else now_us
    parameters = asdict(criteria or QueueFilter()) | {"now_us": moment_us, "day_us": _DAY_US}
    with store.connect() as connection:
        queue = pd.read_sql_query(_QUEUE, connection, params=parameters)
    queue.insert(2, "timestamp", _utc(queue.pop("timestamp_us")))
    queue.insert(9, "age", pd.to_timedelta(queue.pop("age_us"), unit="us"))
    return queue


def open_case(store: CaseStore, case_id: int) -> Case:
    """One case with its window.

    Raises:
        InputError: no such case, or its history was erased or cannot be read.
    """
    where = f"{store.path}: case {case_id}"
    with store.connect() as connection:
        row = connection.execute(
            "SELECT account_id, threshold, window FROM cases "
            "LEFT JOIN transactions USING (transaction_id) WHERE case_id = ?",
            (case_id,),
        ).fetchone()
        if row is None:
            low, high = connection.execute(
                "SELECT MIN(case_id), MAX(case_id) FROM cases"
            ).fetchone()
            known = "the store has no cases" if low is None else f"cases go from {low} to {high}"
            raise InputError(f"{where} is not there; {known}")
    account_id, threshold, window = row
    if account_id is None or window == "[]":
        raise InputError(f"{where}: its history was erased from the store; there is none to show")
    try:
        return Case(case_id, account_id, threshold, _window_frame(json.loads(window)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: its window cannot be read ({error!r})") from error


def _window_frame(entries: list[dict[str, Any]]) -> pd.DataFrame:
    # A further column named like one of ours gives way to ours.
    rows = [{**entry["columns"], **{name: entry[name] for name in _FIELDS}} for entry in entries]
    window = pd.DataFrame.from_records(rows)
    window["timestamp"] = _utc(window.pop("timestamp_us"))
    window["gap_hours"] = window["timestamp"].diff().dt.total_seconds() / 3600
    for name in ("amount", "fraud_probability", "ood_distance"):
        window[name] = window[name].astype(float)
    further = [name for name in window.columns if name not in WINDOW_COLUMNS]
    return window.reindex(columns=[*WINDOW_COLUMNS, *further])


def _utc(moments_us: "pd.Series[Any]") -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(moments_us, unit="us", utc=True)
