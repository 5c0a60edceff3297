"""How good the alerts were so far: every flag with its verdict, and precision with intervals.

Confirmed fraud is fraud and a false positive is genuine, as in the labels that verdicts make;
suspicious says neither, but that the alert was worth its review.
"""

from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import text

from fraudnet.evaluation.bootstrap import Estimate
from fraudnet.review.database import CaseDatabase
from fraudnet.review.sampled import weighted_share
from fraudnet.review.text import document

# The last of a window's transactions is the flag; the columns that it came with.
_COLUMNS_JSON = {
    "sqlite": "CASE WHEN json_valid(window_json) "
    "THEN json_extract(window_json, '$[#-1].columns') END",
    "postgresql": "(window_json::json -> -1) ->> 'columns'",
}
_FLAGS = """
SELECT flag_id, flags.case_id, device_id, flags.account_id, timestamp_us, amount, category,
       fraud_probability, ood_distance, threshold, artifact_sha256, opened_at_us, reason,
       inclusion_probability, reasons, {columns} AS columns_json,
       COALESCE(verdict, 'undecided') AS verdict
FROM flags LEFT JOIN verdicts_in_force ON verdicts_in_force.case_id = flags.case_id
ORDER BY timestamp_us, transaction_id"""
_NUMBERS = (
    "amount", "fraud_probability", "ood_distance", "threshold", "inclusion_probability"
)  # fmt: skip
_SHA_SHOWN = 12  # hexadecimal digits
NOT_LOOKED_FOR = "(not looked for)"


def flags_with_verdicts(database: CaseDatabase) -> pd.DataFrame:
    """Every flag and every transaction that was chosen for learning, oldest first.

    Returns:
        One row a transaction: flag_id, case_id, device_id, account_id, timestamp (UTC), week (its
        Monday, as text), amount, category, fraud_probability, ood_distance, threshold, artifact
        (the hash's first digits), opened_at (UTC), reason (why it entered the queue), is_alert
        (its probability reached the threshold), weight (1 / inclusion probability), driver (the
        field that drove its score most), columns (a mapping: what else came with it), verdict (in
        force) and is_fraud (1, 0, or -1 where the verdict does not say).
    """
    with database.read() as connection:
        columns = _COLUMNS_JSON[connection.dialect.name]
        flags = pd.read_sql_query(text(_FLAGS.format(columns=columns)), connection)
    for name in _NUMBERS:
        flags[name] = flags[name].astype(float)
    flags["timestamp"] = pd.to_datetime(flags.pop("timestamp_us"), unit="us", utc=True)
    flags["opened_at"] = pd.to_datetime(flags.pop("opened_at_us"), unit="us", utc=True)
    flags["week"] = [
        f"{each - pd.Timedelta(days=each.weekday()):%Y-%m-%d}" for each in flags["timestamp"]
    ]
    flags["artifact"] = flags.pop("artifact_sha256").astype(str).str[:_SHA_SHOWN]
    reached = flags["fraud_probability"] >= flags["threshold"]
    flags["is_alert"] = (flags["reason"] == "flagged") | reached
    flags["weight"] = 1 / flags.pop("inclusion_probability")
    flags["driver"] = [_driver(each) for each in flags.pop("reasons")]
    flags["columns"] = flags.pop("columns_json").map(mapping_of)
    verdict = flags["verdict"]
    flags["is_fraud"] = np.where(
        verdict == "confirmed_fraud", 1, np.where(verdict == "false_positive", 0, -1)
    )
    return flags


def alert_precision(
    flags: pd.DataFrame, by: str | None = None, most: int | None = None
) -> pd.DataFrame:
    """Precision of the alerts, of all or by a column.

    Transactions that were chosen for learning without reaching the threshold are no alerts and
    do not count; alerts that were drawn at random count for as many as they stand for. The flags
    of a case share its verdict, so a case is one observation that weighs as its flags do, and
    the intervals are Wilson's at the effective number of cases (see `weighted_share`).

    Args:
        flags: of `flags_with_verdicts`.
        by: a column; None: all are one group.
        most: so many groups, those of the most alerts; None: all.

    Returns:
        One row a group, in the order of its values: group, alerts, cases, confirmed_fraud,
        suspicious, false_positive and undecided (alerts of each), precision with low and high
        (confirmed frauds among those and false positives), worth with worth_low and worth_high
        (confirmed or suspicious among the decided); NaN where no verdict says.
    """
    alerts = flags[flags["is_alert"]]
    if by is None:
        groups = [("all alerts", alerts)] if len(alerts) else []
    else:
        largest = alerts[by].value_counts().index[:most]
        shown = alerts[alerts[by].isin(largest)]
        groups = [(str(name), each) for name, each in shown.groupby(by, sort=True)]
    return pd.DataFrame([_row(name, each) for name, each in groups], columns=_ROW)


def learning_shares(flags: pd.DataFrame) -> pd.DataFrame:
    """How much fraud there is among what was chosen for learning, by why it was chosen.

    Args:
        flags: of `flags_with_verdicts`.

    Returns:
        As `alert_precision`, of the transactions below the threshold; those that were drawn at
        random count for as many as they stand for, so that their share is that of all they were
        drawn from.
    """
    groups = flags[~flags["is_alert"]].groupby("reason", sort=True)
    return pd.DataFrame([_row(str(name), each) for name, each in groups], columns=_ROW)


_ROW = [
    "group", "alerts", "cases", "confirmed_fraud", "suspicious", "false_positive", "undecided",
    "precision", "low", "high", "worth", "worth_low", "worth_high",
]  # fmt: skip


def _row(name: str, alerts: pd.DataFrame) -> list[Any]:
    verdicts = ("confirmed_fraud", "suspicious", "false_positive", "undecided")
    counts = [int((alerts["verdict"] == verdict).sum()) for verdict in verdicts]
    labelled = alerts[alerts["is_fraud"] >= 0]
    decided = alerts[alerts["verdict"] != "undecided"]
    return [
        name, len(alerts), alerts["case_id"].nunique(), *counts,
        *_share(labelled, labelled["is_fraud"] == 1),
        *_share(decided, decided["verdict"] != "false_positive"),
    ]  # fmt: skip


def _share(alerts: pd.DataFrame, holds: "pd.Series[bool]") -> tuple[float, float, float]:
    cases = alerts.assign(holds=holds).groupby("case_id").agg({"holds": "first", "weight": "sum"})
    return ends(weighted_share(cases["holds"].to_numpy(bool), cases["weight"].to_numpy(float)))


def ends(estimate: Estimate | None) -> tuple[float, float, float]:
    """Value, low and high of an estimate; NaN where there is none."""
    if estimate is None:
        return (np.nan, np.nan, np.nan)
    interval = estimate.interval
    low, high = (interval.low, interval.high) if interval else (np.nan, np.nan)
    return (estimate.value, low, high)


def records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows of a frame, by the names of its columns."""
    return frame.to_dict("records")


def _driver(reasons: str | None) -> str:
    """The first of the reasons is what changed the probability most."""
    found = _parsed(reasons)
    first = found[0] if isinstance(found, list) and found else None
    return str(first["field"]) if isinstance(first, dict) and "field" in first else NOT_LOOKED_FOR


def mapping_of(columns: object) -> dict[str, Any]:
    """What a document of columns holds; nothing where it is damaged."""
    found = _parsed(columns)
    return found if isinstance(found, dict) else {}


def _parsed(content: object) -> object:
    """What a device wrote; what is damaged says nothing."""
    try:
        parsed: object = document(content) if isinstance(content, str) else None
    except ValueError:
        return None
    return parsed
