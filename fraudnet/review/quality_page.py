"""What the team lead's notebook shows, one call a section, so that its cells hold no logic."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML

from fraudnet.device.artifact import read_documents
from fraudnet.device.errors import ArtifactError
from fraudnet.errors import InputError
from fraudnet.evaluation.scores import Scores, read_scores
from fraudnet.evaluation.thresholds import AlertConfig
from fraudnet.profile.drift import SHIFTED
from fraudnet.review.agreement import agreement, both_judged, opinions
from fraudnet.review.database import CaseDatabase
from fraudnet.review.drift import (
    FEWEST,
    MOVED,
    against_quantiles,
    compare,
    features,
    first_and_last,
    transactions_of,
)
from fraudnet.review.groups import alert_rate_by_group, precision_by_group
from fraudnet.review.pace import alerts_per_day, waiting_of
from fraudnet.review.places import DEFAULT_DATABASE, find_upwards
from fraudnet.review.quality import (
    alert_precision,
    flags_with_verdicts,
    learning_shares,
    records,
)
from fraudnet.review.quality_figures import (
    agreement_figure,
    alerts_figure,
    distance_figure,
    drift_figure,
    groups_figure,
    parts_figure,
    precision_figure,
    waiting_figure,
)
from fraudnet.review.quality_panel import WhatIfPanel
from fraudnet.review.tables import paragraph, table
from fraudnet.review.text import moment
from fraudnet.review.what_if import what_if

NO_CASES = "There are no cases yet: import a device's store with `fraudnet cases import`."
NO_VERDICTS = "No alert has a verdict yet that says fraud or false positive."
NO_PAIR = "No two reviewers have judged the same flag yet."
_PARTS = {"device_id": "device", "artifact": "artifact", "driver": "first reason"}
_MOST_PARTS = 20  # devices, artifacts, reasons: those of the most alerts
_SAID = paragraph("")  # what is missing is said by the section's first cell
_UNBROKEN = "\N{NO-BREAK SPACE}"
_WEEKS = 4
"""The first and the last weeks that are compared."""


@dataclass(frozen=True)
class Quality:
    """The alerts of a team, read once when a section first asks.

    Attributes:
        database: open.
        contract: of the artifact, as its file says it; None: not given.
        stores: of devices, for what is said of all transactions.
        scores: of the training, as `fraudnet train` logs them; None: not given.
        group: the column of the fairness groups; None: not declared.
        budget: of alerts and transactions for learning together, a day; None: not known.
        now_us: until when open cases wait; None: the clock's.
    """

    database: CaseDatabase
    contract: dict[str, Any] | None = None
    stores: tuple[Path, ...] = ()
    scores: Scores | None = None
    group: str | None = None
    budget: float | None = None
    now_us: int | None = None

    @cached_property
    def flags(self) -> pd.DataFrame:
        """Of `flags_with_verdicts`."""
        return flags_with_verdicts(self.database)

    @cached_property
    def transactions(self) -> pd.DataFrame:
        """Of `transactions_of`."""
        return transactions_of(self.stores)

    @cached_property
    def opinions(self) -> pd.DataFrame:
        """Of `opinions`."""
        return opinions(self.database)

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """Of `agreement`."""
        return agreement(self.opinions)

    def summary(self) -> HTML:
        """How much there is, and the precision so far."""
        if self.flags.empty:
            return paragraph(f"{self.database.name}: {NO_CASES}")
        flags = self.flags
        judged = int((flags["verdict"] != "undecided").sum())
        text = (
            f"{self.database.name}: {int(flags['is_alert'].sum()):,} alerts and "
            f"{int((~flags['is_alert']).sum()):,} transactions chosen for learning, from "
            f"{moment(flags['timestamp'].min())} to {moment(flags['timestamp'].max())} UTC; "
            f"{judged:,} have a verdict."
        )
        overall = alert_precision(flags)
        if overall["precision"].notna().any():
            (row,) = overall.to_dict("records")
            text += (
                f" Precision of the alerts so far: {_share(row, 'precision', 'low', 'high')}; "
                f"worth the alert: {_share(row, 'worth', 'worth_low', 'worth_high')}."
            )
        return paragraph(text)

    def precision_by_week(self) -> go.Figure | HTML:
        """Precision over time, beside what the artifact's validation promised."""
        if missing := self._without_verdicts():
            return missing
        promised = self._threshold().get("precision")
        weekly, overall = alert_precision(self.flags, "week"), alert_precision(self.flags)
        return precision_figure(weekly, overall, promised)

    def precision_by_part(self) -> go.Figure | HTML:
        """Precision by device, artifact and kind of reason."""
        if self._without_verdicts():
            return _SAID
        parts = {
            label: alert_precision(self.flags, name, _MOST_PARTS) for name, label in _PARTS.items()
        }
        return parts_figure(parts)

    def precision_table(self, rows: int = 200) -> HTML:
        """The same in numbers, and what was found among the transactions chosen for learning."""
        if self._without_verdicts():
            return _SAID
        found = [
            alert_precision(self.flags).assign(by=""),
            alert_precision(self.flags, "week").assign(by="week"),
            *(
                alert_precision(self.flags, name, _MOST_PARTS).assign(by=label)
                for name, label in _PARTS.items()
            ),
            learning_shares(self.flags).assign(by="for learning"),
        ]
        return table(_precision_texts(pd.concat(found, ignore_index=True)), rows)

    def agreement_figure(self) -> go.Figure | HTML:
        """The verdicts of the two reviewers who share the most flags."""
        pairs = self.agreement
        if pairs.empty:
            return paragraph(NO_PAIR)
        first, second = str(pairs["first"][0]), str(pairs["second"][0])
        return agreement_figure(both_judged(self.opinions, first, second), first, second)

    def agreement_table(self) -> HTML:
        """Cohen's kappa of each two reviewers."""
        pairs = self.agreement
        if pairs.empty:
            return _SAID
        shown = pd.DataFrame(
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
        return table(shown, len(shown))

    def alerts_per_day(self) -> go.Figure | HTML:
        """Alerts a day against the budget."""
        if self.flags.empty:
            return paragraph(NO_CASES)
        return alerts_figure(alerts_per_day(self.flags), self._budget())

    def waiting_figure(self) -> go.Figure | HTML:
        """How long cases wait for a verdict."""
        if self.flags.empty:
            return _SAID
        return waiting_figure(waiting_of(self.database, self.now_us))

    def waiting_summary(self) -> HTML:
        """How long it is until a verdict, and how old the open cases are."""
        if self.flags.empty:
            return paragraph(NO_CASES)
        waiting = waiting_of(self.database, self.now_us)
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
        return paragraph(f"{text[0].upper()}{text[1:]}.")

    def drift_of_alerts(self) -> go.Figure | HTML:
        """What of the alerts has moved between the first and the last weeks."""
        alerts = self._alerts()
        found = self._drift_of(alerts)
        if isinstance(found, HTML):
            return found
        return drift_figure(found, f"Alerts {_periods(alerts)}", MOVED, SHIFTED)

    def drift_of_alerts_table(self) -> HTML:
        """The same in numbers."""
        found = self._drift_of(self._alerts())
        return _SAID if isinstance(found, HTML) else table(_drift_texts(found), len(found))

    def drift_of_all(self) -> go.Figure | HTML:
        """What of all transactions has moved, where a device's store is given."""
        found = self._drift_of_all()
        if isinstance(found, HTML):
            return found
        periods = _periods(self.transactions, of_training=self.scores is not None)
        return drift_figure(found, f"All transactions {periods}", MOVED, SHIFTED)

    def drift_of_all_table(self) -> HTML:
        """The same in numbers."""
        found = self._drift_of_all()
        return _SAID if isinstance(found, HTML) else table(_drift_texts(found), len(found))

    def distances(self) -> go.Figure | HTML:
        """Distances of all transactions against the artifact's quantiles."""
        if not self.stores or self.contract is None:
            return paragraph(
                "Name a device's store in FRAUDNET_DEVICE_STORES and the artifact in "
                "FRAUDNET_ARTIFACT to compare all distances with those of its training."
            )
        if self.transactions.empty:
            return paragraph("The device's store holds no scored transaction yet.")
        distances = self.transactions["ood_distance"].to_numpy(float)
        return distance_figure(against_quantiles(distances, self.contract["ood_quantiles"]))

    def what_if(self) -> WhatIfPanel | HTML:
        """What other thresholds would bring, with costs to be set."""
        names = ("review_cost", "customer_cost", "loss_given_fraud", "recovered")
        terms = self._threshold().get("terms", {})
        config = AlertConfig(**{name: terms[name] for name in names if name in terms})
        if what_if(self.flags, config) is None:
            return paragraph(NO_CASES if self.flags.empty else NO_VERDICTS)
        return WhatIfPanel(self.flags, config)

    def group_precision(self) -> go.Figure | HTML:
        """Precision of each fairness group."""
        found = self._group_precision()
        if isinstance(found, HTML):
            return found
        return groups_figure(found, "Precision by group", "precision (95 % interval)")

    def group_precision_table(self) -> HTML:
        """The same in numbers."""
        found = self._group_precision()
        return _SAID if isinstance(found, HTML) else table(_group_texts(found), len(found))

    def group_alert_rate(self) -> go.Figure | HTML:
        """Alerts among all transactions of each group, where a device's store is given."""
        if self.group is None or not self.stores:
            return paragraph(
                "Name the column in FRAUDNET_GROUP and a device's store in "
                "FRAUDNET_DEVICE_STORES to see the alerts among all transactions of each group."
            )
        found = alert_rate_by_group(self.transactions, self.group)
        if found is None:
            return paragraph(f"No transaction of the device's store has a column {self.group!r}.")
        return groups_figure(found, "Alerts among all transactions by group", "share flagged")

    def _alerts(self) -> pd.DataFrame:
        return self.flags[self.flags["is_alert"]]

    def _drift_of(self, frame: pd.DataFrame) -> pd.DataFrame | HTML:
        if frame.empty:
            return paragraph(NO_CASES)
        earlier, later = first_and_last(frame["timestamp"], _WEEKS)
        if min(earlier.sum(), later.sum()) < FEWEST:
            return paragraph(
                f"The first weeks hold {earlier.sum():,} and the last {later.sum():,}: "
                f"{FEWEST} of each are needed to tell a drift."
            )
        found = features(frame)
        return compare(found[earlier], found[later])

    def _drift_of_all(self) -> pd.DataFrame | HTML:
        if not self.stores:
            return paragraph(
                "Name a device's store in FRAUDNET_DEVICE_STORES to see what of all its "
                "transactions has moved; FRAUDNET_SCORES, a file of scores that the training "
                "logged, compares them with these."
            )
        if self.scores is None or self.transactions.empty:
            return self._drift_of(self.transactions)
        names = ("timestamp_us", "amount", "fraud_probability", "ood_distance")
        trained = pd.DataFrame({name: getattr(self.scores, name) for name in names})
        trained["timestamp"] = pd.to_datetime(trained.pop("timestamp_us"), unit="us", utc=True)
        trained["columns"] = pd.Series([{}] * len(trained), dtype=object)
        _, later = first_and_last(self.transactions["timestamp"], _WEEKS)
        return compare(features(trained), features(self.transactions[later]))

    def _group_precision(self) -> pd.DataFrame | HTML:
        if self.group is None:
            return paragraph(
                "No fairness group is declared: name a column that comes with the transactions "
                "in FRAUDNET_GROUP."
            )
        if missing := self._without_verdicts():
            return missing
        found = precision_by_group(self.flags, self.group)
        return (
            paragraph(f"No judged alert has a column {self.group!r}.") if found is None else found
        )

    def _without_verdicts(self) -> HTML | None:
        """What to say where there is nothing to count."""
        if self.flags.empty:
            return paragraph(NO_CASES)
        judged = self.flags["is_alert"] & (self.flags["is_fraud"] >= 0)
        return None if judged.any() else paragraph(NO_VERDICTS)

    def _threshold(self) -> dict[str, Any]:
        return dict((self.contract or {}).get("threshold", {}))

    def _budget(self) -> float | None:
        own: float | None = self._threshold().get("terms", {}).get("per_day")
        return own if self.budget is None else self.budget


def open_quality(environment: Mapping[str, str] = os.environ) -> Quality:
    """The page that environment variables name; relative paths as `find_upwards` has them.

    Args:
        environment: FRAUDNET_CASES, the case database, a path or a PostgreSQL URL
            (build/demo/reviews.sqlite if unset); and, each left out if unset: FRAUDNET_ARTIFACT,
            the artifact's file; FRAUDNET_DEVICE_STORES, of devices, separated as in PATH;
            FRAUDNET_SCORES, a file that the training logged under scores/; FRAUDNET_GROUP, a
            column; FRAUDNET_BUDGET, alerts a day (the artifact's if unset).

    Raises:
        InputError: one of them is not there or cannot be used.
    """
    named = environment.get("FRAUDNET_CASES") or str(DEFAULT_DATABASE)
    place = named if "://" in named else _found(named, "FRAUDNET_CASES")
    artifact, scores = (environment.get(f"FRAUDNET_{name}") for name in ("ARTIFACT", "SCORES"))
    stores = filter(None, environment.get("FRAUDNET_DEVICE_STORES", "").split(os.pathsep))
    return Quality(
        CaseDatabase(place),
        _contract(_found(artifact, "FRAUDNET_ARTIFACT")) if artifact else None,
        tuple(_found(each, "FRAUDNET_DEVICE_STORES") for each in stores),
        read_scores(_found(scores, "FRAUDNET_SCORES")) if scores else None,
        environment.get("FRAUDNET_GROUP") or None,
        _budget(environment.get("FRAUDNET_BUDGET")),
    )


def _found(name: str, variable: str) -> Path:
    path = find_upwards(Path(name))
    if path is None:
        raise InputError(
            f"{name}: no such file in {Path.cwd()} or above it; name it in the environment "
            f"variable {variable}"
        )
    return path


def _contract(path: Path) -> dict[str, Any]:
    try:
        documents = read_documents(path)
    except ArtifactError as error:
        raise InputError(str(error)) from error
    return dict(documents["contract.json"])


def _budget(text: str | None) -> float | None:
    if not text:
        return None
    try:
        budget = float(text)
    except ValueError:
        budget = -1.0
    if not 0 < budget < float("inf"):
        raise InputError(f"FRAUDNET_BUDGET is {text!r}; expected alerts a day, such as 30")
    return budget


def _precision_texts(found: pd.DataFrame) -> pd.DataFrame:
    counts = ["alerts", "cases", "confirmed_fraud", "suspicious", "false_positive", "undecided"]
    shown = found[["by", "group", *counts]].rename(columns={"alerts": "transactions"})
    rows = records(found)
    shown["precision"] = [_share(row, "precision", "low", "high") for row in rows]
    shown["worth_the_alert"] = [_share(row, "worth", "worth_low", "worth_high") for row in rows]
    return shown


def _drift_texts(found: pd.DataFrame) -> pd.DataFrame:
    shown = found[["feature", "says", "earlier", "later"]].copy()
    shown["index"] = [_two(value) for value in found["index"]]
    shown["by_chance"] = [_two(value) for value in found["index_by_chance"]]
    shown["effect"] = [_two(value) for value in found["effect"]]
    shown["shift_(interquartile_ranges)"] = [_two(value) for value in found["shift"]]
    shown["q"] = ["-" if value != value else f"{value:.2g}" for value in found["q"]]
    return shown


def _group_texts(found: pd.DataFrame) -> pd.DataFrame:
    shown = found[["group", "transactions", "events"]].rename(
        columns={"transactions": "judged alerts", "events": "frauds"}
    )
    rows = records(found)
    shown["precision"] = [_share(row, "share", "low", "high") for row in rows]
    shown["to_the_largest"] = [_number(row, "ratio", "ratio_low", "ratio_high") for row in rows]
    shown["says"] = found["says"]
    return shown


def _periods(frame: pd.DataFrame, *, of_training: bool = False) -> str:
    """What `first_and_last` compares, in days."""
    timestamps = frame["timestamp"]
    earlier, later = first_and_last(timestamps, _WEEKS)
    begin = "of the training" if of_training else f"until {timestamps[earlier].max():%Y-%m-%d}"
    return f"{begin} against those from {timestamps[later].min():%Y-%m-%d} on"


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
