"""What the team lead's notebook shows, one call a section, so that its cells hold no logic."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML

from fraudnet.evaluation.scores import Scores
from fraudnet.evaluation.thresholds import AlertConfig
from fraudnet.profile.drift import SHIFTED
from fraudnet.review.agreement import agreement, both_judged, opinions
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.drift import (
    FEWEST,
    MOVED,
    against_quantiles,
    compare,
    features,
    first_and_last,
    transactions_of,
)
from fraudnet.review.drift_figures import distance_figure, drift_figure
from fraudnet.review.groups import alert_rate_by_group, precision_by_group
from fraudnet.review.pace import alerts_per_day, waiting_of
from fraudnet.review.precision_figures import groups_figure, parts_figure, precision_figure
from fraudnet.review.quality import (
    alert_precision,
    flags_with_verdicts,
    learning_shares,
)
from fraudnet.review.quality_panel import WhatIfPanel
from fraudnet.review.quality_texts import (
    agreement_texts,
    drift_texts,
    group_texts,
    precision_said,
    precision_texts,
    waiting_said,
)
from fraudnet.review.tables import paragraph, table
from fraudnet.review.team_figures import agreement_figure, alerts_figure, waiting_figure
from fraudnet.review.text import moment
from fraudnet.review.what_if import what_if

NO_CASES = "There are no cases yet: import a device's store with `fraudnet cases import`."
NO_VERDICTS = "No alert has a verdict yet that says fraud or false positive."
NO_PAIR = "No two reviewers have judged the same flag yet."
_PARTS = {"device_id": "device", "artifact": "artifact", "driver": "first reason"}
_MOST_PARTS = 20  # devices, artifacts, reasons: those of the most alerts
_SAID = paragraph("")  # what is missing is said by the section's first cell
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
    stores: tuple[DeviceStore, ...] = ()
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
        return paragraph(
            f"{self.database.name}: {int(flags['is_alert'].sum()):,} alerts and "
            f"{int((~flags['is_alert']).sum()):,} transactions chosen for learning, from "
            f"{moment(flags['timestamp'].min())} to {moment(flags['timestamp'].max())} UTC; "
            f"{judged:,} have a verdict.{precision_said(alert_precision(flags))}"
        )

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
        return table(precision_texts(pd.concat(found, ignore_index=True)), rows)

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
        return table(agreement_texts(pairs), len(pairs))

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
        return paragraph(waiting_said(waiting_of(self.database, self.now_us)))

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
        return _SAID if isinstance(found, HTML) else table(drift_texts(found), len(found))

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
        return _SAID if isinstance(found, HTML) else table(drift_texts(found), len(found))

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
        return _SAID if isinstance(found, HTML) else table(group_texts(found), len(found))

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


def _periods(frame: pd.DataFrame, *, of_training: bool = False) -> str:
    """What `first_and_last` compares, in days."""
    timestamps = frame["timestamp"]
    earlier, later = first_and_last(timestamps, _WEEKS)
    begin = "of the training" if of_training else f"until {timestamps[earlier].max():%Y-%m-%d}"
    return f"{begin} against those from {timestamps[later].min():%Y-%m-%d} on"
