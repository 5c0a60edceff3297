"""The alerts' quality in words and numbers, as the page's tables and sentences hold them."""

from typing import Any

import pandas as pd

from fraudnet.review.pace import Waiting
from fraudnet.review.quality import records

_UNBROKEN = "\N{NO-BREAK SPACE}"


def precision_said(overall: pd.DataFrame) -> str:
    """A sentence of `alert_precision` of all; nothing where no verdict says."""
    if not overall["precision"].notna().any():
        return ""
    (row,) = records(overall)
    return (
        f" Precision of the alerts so far: {_share(row, 'precision', 'low', 'high')}; "
        f"worth the alert: {_share(row, 'worth', 'worth_low', 'worth_high')}."
    )


def precision_texts(found: pd.DataFrame) -> pd.DataFrame:
    """Of `alert_precision`, with a column `by`."""
    counts = ["alerts", "cases", "confirmed_fraud", "suspicious", "false_positive", "undecided"]
    shown = found[["by", "group", *counts]].rename(columns={"alerts": "transactions"})
    rows = records(found)
    shown["precision"] = [_share(row, "precision", "low", "high") for row in rows]
    shown["worth_the_alert"] = [_share(row, "worth", "worth_low", "worth_high") for row in rows]
    return shown


def agreement_texts(pairs: pd.DataFrame) -> pd.DataFrame:
    """Of `agreement`."""
    return pd.DataFrame(
        {
            "first": pairs["first"],
            "second": pairs["second"],
            "flags both judged": pairs["flags"],
            "accounts": pairs["accounts"],
            "same verdict": [f"{value:.0%}" for value in pairs["agree"]],
            "kappa": [_number(row, "kappa", "low", "high") for row in records(pairs)],
            "kappa, worth the alert or not": [_two(value) for value in pairs["worth_kappa"]],
        }
    )


def waiting_said(waiting: Waiting) -> str:
    """How long it is until a verdict, and how old the open cases are."""
    parts = [
        _reached("half of the cases have a verdict", waiting.until(0.5)),
        _reached("nine in ten have one", waiting.until(0.9)),
    ]
    if len(waiting.open_hours):
        ages = pd.Series(waiting.open_hours)
        parts.append(
            f"{len(ages):,} are open, half of them for {_hours(float(ages.median()))} or "
            f"longer, the oldest for {_hours(float(ages.max()))}"
        )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def drift_texts(found: pd.DataFrame) -> pd.DataFrame:
    """Of `compare`."""
    shown = found[["feature", "says", "earlier", "later"]].copy()
    shown["index"] = [_two(value) for value in found["index"]]
    shown["by_chance"] = [_two(value) for value in found["index_by_chance"]]
    shown["effect"] = [_two(value) for value in found["effect"]]
    shown["shift_(interquartile_ranges)"] = [_two(value) for value in found["shift"]]
    shown["q"] = ["-" if value != value else f"{value:.2g}" for value in found["q"]]
    return shown


def group_texts(found: pd.DataFrame) -> pd.DataFrame:
    """Of `precision_by_group`."""
    shown = found[["group", "transactions", "events"]].rename(
        columns={"transactions": "judged alerts", "events": "frauds"}
    )
    rows = records(found)
    shown["precision"] = [_share(row, "share", "low", "high") for row in rows]
    shown["to_the_largest"] = [_number(row, "ratio", "ratio_low", "ratio_high") for row in rows]
    shown["says"] = found["says"]
    return shown


def _share(row: dict[Any, Any], value: str, low: str, high: str) -> str:
    if row[value] != row[value]:
        return "-"
    return f"{row[value]:.0%} ({row[low]:.0%} to {row[high]:.0%})".replace(" ", _UNBROKEN)


def _number(row: dict[Any, Any], value: str, low: str, high: str) -> str:
    if row[low] != row[low]:
        return _two(row[value])
    return f"{row[value]:.2f} ({row[low]:.2f} to {row[high]:.2f})".replace(" ", _UNBROKEN)


def _two(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"


def _reached(what: str, hours: float | None) -> str:
    return f"not yet: {what}" if hours is None else f"{what} after {_hours(hours)}"


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:.1f} days"
