"""The queue of cases by expected loss, and one case with its flags and their windows."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import text

from fraudnet.errors import InputError
from fraudnet.review.database import CaseDatabase
from fraudnet.review.leases import clock_us, find_case
from fraudnet.review.text import document, stored_text

WINDOW_COLUMNS = [
    "transaction_id", "timestamp", "amount", "gap_hours", "counterparty_id", "category",
    "fraud_probability", "ood_distance",
]  # fmt: skip
_FIELDS = {"transaction_id", "timestamp_us", "counterparty_id", "amount"} | {
    "fraud_probability", "ood_distance",
}  # fmt: skip

_DAY_US = 86_400_000_000
_MOST_DAYS = 36_500  # what both databases hold in microseconds

# Expectations add up however much the flags of a case depend on each other.
_QUEUE = """
WITH sums AS (
  SELECT case_id, COUNT(*) AS transactions, SUM(amount) AS amount,
         MAX(fraud_probability) AS fraud_probability, MAX(ood_distance) AS ood_distance,
         SUM(fraud_probability * amount) AS expected_loss, MIN(opened_at_us) AS opened_at_us
  FROM flags GROUP BY case_id),
newest AS (
  SELECT case_id, timestamp_us, counterparty_id, category, reasons, reason, inclusion_probability,
         device_id, ROW_NUMBER() OVER (
           PARTITION BY case_id ORDER BY timestamp_us DESC, transaction_id DESC) AS place
  FROM flags),
queue AS (
  SELECT cases.case_id, account_id, timestamp_us, amount, counterparty_id, category,
         fraud_probability, ood_distance, expected_loss, :now_us - opened_at_us AS age_us,
         COALESCE(verdict, 'undecided') AS verdict, COALESCE(kind, '') AS kind,
         transactions, reasons, reason, inclusion_probability, device_id, assigned_to,
         CASE WHEN lease_until_us > :now_us THEN lease_holder END AS lease_holder, erased_at_us
  FROM cases LEFT JOIN sums USING (case_id)
  LEFT JOIN newest ON newest.case_id = cases.case_id AND newest.place = 1
  LEFT JOIN verdicts_in_force ON verdicts_in_force.case_id = cases.case_id
  WHERE joined_to IS NULL)
SELECT * FROM queue"""
_LIMITS = {
    "verdict": "verdict = :verdict",
    "account_id": "account_id = :account_id",
    "minimum_probability": "fraud_probability >= :minimum_probability",
    "minimum_distance": "ood_distance >= :minimum_distance",
    "minimum_amount": "amount >= :minimum_amount",
    "maximum_age_days": "age_us <= :maximum_age_us",
    "assigned_to": "assigned_to = :assigned_to",
    "reason": "reason = :reason",
}
_COLUMNS = [
    "case_id", "account_id", "timestamp", "amount", "counterparty_id", "category",
    "fraud_probability", "ood_distance", "expected_loss", "age", "verdict", "kind",
    "transactions", "reasons", "reason", "inclusion_probability", "device_id", "assigned_to",
    "lease_holder", "erased_at",
]  # fmt: skip
_NUMBERS = (
    "amount", "fraud_probability", "ood_distance", "expected_loss", "inclusion_probability"
)  # fmt: skip
_TEXTS = (
    "account_id", "counterparty_id", "category", "reasons", "reason", "device_id", "assigned_to",
    "lease_holder",
)  # fmt: skip
_FLAG_COLUMNS = (
    "transaction_id, timestamp_us, amount, counterparty_id, category, fraud_probability, "
    "ood_distance, threshold, familiar, reasons, artifact_sha256, reason, inclusion_probability, "
    "device_id, opened_at_us"
)
_FLAGS = text(
    f"SELECT {_FLAG_COLUMNS}, window_json FROM flags WHERE case_id = :case_id "  # noqa: S608  (names of ours)
    "ORDER BY timestamp_us, transaction_id"
)


@dataclass(frozen=True)
class QueueFilter:
    """Which cases to list; None lets all through.

    A case without a figure (its history was erased) passes no limit on that figure.
    """

    verdict: str | None = None  # the one in force
    account_id: str | None = None
    minimum_probability: float | None = None  # of the case's highest
    minimum_distance: float | None = None  # likewise
    minimum_amount: float | None = None  # of all its transactions together
    maximum_age_days: float | None = None  # since its first flag
    assigned_to: str | None = None
    reason: str | None = None  # why it entered the queue


@dataclass(frozen=True)
class Case:
    """The flags of an account that make one case, with what the scorer saw.

    Attributes:
        case_id: of the case.
        account_id: whose.
        threshold: the newest flag was raised at or above it.
        window: of the newest flag: WINDOW_COLUMNS and the further columns, oldest first, the
            flagged one last.
        flags: oldest first, one row each: transaction_id, timestamp (UTC), amount,
            counterparty_id, category, fraud_probability, ood_distance, threshold, familiar (None:
            not judged), reasons (a list of what drove the score, or None), artifact_sha256, reason
            (why it entered the queue), inclusion_probability, device_id, opened_at (UTC).
        stored: the window's transactions as the device kept them, oldest first; with `reputation`,
            the counts of their counterparties, unless an older fraudnet scored.
    """

    case_id: int
    account_id: str
    threshold: float
    window: pd.DataFrame
    flags: pd.DataFrame
    stored: list[dict[str, Any]]


def list_cases(
    database: CaseDatabase, criteria: QueueFilter | None = None, now_us: int | None = None
) -> pd.DataFrame:
    """The queue, highest expected loss first.

    Args:
        database: open.
        criteria: which cases; all if None.
        now_us: the moment ages count to, microseconds since 1970-01-01 UTC; the clock's if None.

    Returns:
        One row a case: case_id, account_id, timestamp (UTC, of its newest transaction), amount
        (major units, of all), counterparty_id and category (of the newest), fraud_probability and
        ood_distance (the highest), expected_loss (probability x amount, summed), age (Timedelta
        since its first flag), verdict and kind (in force), transactions (how many), reasons (of
        the newest), reason and inclusion_probability (why it entered the queue), device_id (of the
        newest), assigned_to, lease_holder (who reviews it now) and erased_at (UTC); texts that are
        not there are None. An empty queue has the same columns and no rows.

    Raises:
        InputError: a limit is no number, or the database cannot be used.
    """
    criteria = criteria or QueueFilter()
    given = {
        name: stored_text(value) if isinstance(value, str) else value
        for name, value in vars(criteria).items()
        if value is not None
    }
    for name, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name} {value}: expected a number")
    values = given | {"now_us": clock_us(now_us)}
    if criteria.maximum_age_days is not None:
        values["maximum_age_us"] = round(min(criteria.maximum_age_days, _MOST_DAYS) * _DAY_US)
    where = f" WHERE {' AND '.join(_LIMITS[name] for name in given)}" if given else ""
    query = text(f"{_QUEUE}{where} ORDER BY expected_loss DESC NULLS LAST, case_id")
    with database.read() as connection:
        queue = pd.read_sql_query(query, connection, params=values)
    queue["timestamp"] = _utc(queue["timestamp_us"])
    # A device's clock may go ahead of the team's.
    queue["age"] = pd.to_timedelta(queue["age_us"].clip(lower=0), unit="us")
    queue["erased_at"] = _utc(queue["erased_at_us"])
    queue["transactions"] = queue["transactions"].fillna(0).astype("int64")
    for name in _NUMBERS:
        queue[name] = queue[name].astype(float)
    for name in _TEXTS:
        queue[name] = queue[name].astype(object).where(queue[name].notna(), None)
    return queue[_COLUMNS]


def decided_by(database: CaseDatabase) -> dict[str, int]:
    """How many cases each artifact had a part in, by its SHA-256."""
    query = text("SELECT artifact_sha256, COUNT(DISTINCT case_id) FROM flags GROUP BY 1")
    with database.read() as connection:
        return {sha256: int(cases) for sha256, cases in connection.execute(query).all()}


def open_case(database: CaseDatabase, case_id: int) -> Case:
    """One case with its flags and the newest one's window.

    Raises:
        InputError: no such case, it was joined with another, or its history was erased or cannot
            be read.
    """
    with database.read() as connection:
        account_id = find_case(database, connection, case_id)["account_id"]
        flags = pd.read_sql_query(_FLAGS, connection, params={"case_id": case_id})
    where = f"{database.place}: case {case_id}"
    windows = flags.pop("window_json")
    try:
        entries = document(windows.iloc[-1])
        if not entries:
            raise InputError(
                f"{where}: its history was erased on the device; there is none to show"
            )
        window = _window_frame(entries)
        flags["reasons"] = [each and document(each) for each in flags["reasons"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: its window or reasons cannot be read ({error!r})") from error
    flags.insert(1, "timestamp", _utc(flags.pop("timestamp_us")))
    flags["opened_at"] = _utc(flags.pop("opened_at_us"))
    flags["familiar"] = flags["familiar"].astype("boolean")
    return Case(case_id, account_id, float(flags["threshold"].iloc[-1]), window, flags, entries)


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
