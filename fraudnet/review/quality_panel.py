"""Widgets for what another threshold would bring, with the team's own costs."""

from typing import Any

import ipywidgets as widgets
import pandas as pd

from fraudnet.evaluation.thresholds import AlertConfig
from fraudnet.review.quality import records
from fraudnet.review.shown import output, static_figure
from fraudnet.review.text import escaped
from fraudnet.review.what_if import WhatIf, what_if
from fraudnet.review.what_if_figure import what_if_figure

_LABELS = {
    "review_cost": "Cost of a review",
    "customer_cost": "Cost of a false alert",
    "loss_given_fraud": "Part of a fraud lost",
    "recovered": "Part recovered by an alert",
}
_MOST_MONEY = 1e9


class WhatIfPanel:
    """Fields for what alerts cost and save, and the figure that follows from them.

    Args:
        flags: of `flags_with_verdicts`, such that `what_if` answers.
        terms: to begin with.
    """

    def __init__(self, flags: pd.DataFrame, terms: AlertConfig) -> None:
        self._flags = flags
        self.fields = {name: _field(name, getattr(terms, name)) for name in _LABELS}
        self.text = widgets.HTML()
        self.picture = widgets.Output()
        for field in self.fields.values():
            field.observe(lambda _: self._show(), names="value")
        self._show()
        self.widget = widgets.VBox([widgets.HBox([*self.fields.values()]), self.text, self.picture])
        self.widget.children[0].layout.flex_flow = "row wrap"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:  # noqa: ANN401  (IPython's own)
        bundle: dict[str, Any] = self.widget._repr_mimebundle_(**options)
        figure = static_figure(what_if_figure(self._found))
        costs = "; ".join(
            f"{label}: {self.fields[name].value:g}" for name, label in _LABELS.items()
        )
        return bundle | {"text/html": f"<p>{escaped(costs)}.</p>{self.text.value}{figure}"}

    def _show(self) -> None:
        terms = AlertConfig(**{name: field.value for name, field in self.fields.items()})
        found = what_if(self._flags, terms)
        assert found is not None
        self._found = found
        self.text.value = _listed(described(found, terms))
        self.picture.outputs = (output(what_if_figure(found)),)


def described(found: WhatIf, terms: AlertConfig) -> list[str]:
    """What the figure says, in words."""
    rows = records(found.table)
    now, best = rows[found.at_present], max(rows, key=lambda row: float(row["saved"]))
    costs = terms.review_cost or terms.customer_cost
    lines = [
        f"At the present threshold, {found.present:.3g}: {_told(now)}.",
        f"Most is saved from {best['threshold']:.3g} on: {_told(best)}; "
        f"{best['gain']:,.2f} a day more than now ({best['gain_low']:,.2f} to "
        f"{best['gain_high']:,.2f})."
        if costs
        else "Where alerts cost nothing, flagging more saves more: set what a review costs.",
        f"Estimated from {found.decided:,} labelled transactions of the artifact "
        f"{found.artifact}; intervals hold 95 of 100 times.",
    ]
    if found.drawn:
        lines.append(
            f"Below the present threshold only cases that were drawn at random are known, "
            f"{found.drawn:,} of these: what is said of it, and recall, is uncertain accordingly."
        )
    else:
        lines.append(
            "No case below the present threshold was drawn at random and judged, so nothing is "
            "known of lower thresholds, nor of recall: choose a random share for learning."
        )
    if found.left_out:
        lines.append(f"{found.left_out:,} transactions of other artifacts are left out.")
    return lines


def _listed(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escaped(line)}</li>' for line in lines)}</ul>"


def _told(row: dict[Any, Any]) -> str:
    parts = [f"{row['alerts_per_day']:.3g} alerts a day"]
    for name in ("precision", "recall"):
        if row[name] == row[name]:
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            parts.append(f"{name} {row[name]:.0%} ({low:.0%} to {high:.0%})")
    saved = f"{row['saved']:,.2f} saved a day"
    if row["saved_low"] == row["saved_low"]:
        saved += f" ({row['saved_low']:,.2f} to {row['saved_high']:,.2f})"
    return ", ".join([*parts, saved])


def _field(name: str, value: float) -> widgets.BoundedFloatText:
    is_share = name in ("loss_given_fraud", "recovered")
    return widgets.BoundedFloatText(
        value=value, min=0, max=1 if is_share else _MOST_MONEY, step=0.05 if is_share else 1,
        description=_LABELS[name], style={"description_width": "initial"},
        layout={"width": "17em", "flex": "0 0 auto"}, continuous_update=False,
    )  # fmt: skip
