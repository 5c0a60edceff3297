"""Pictures of the alerts' quality, as plotly figures in the colours of the review."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fraudnet.review.agreement import GRADES, confusion
from fraudnet.review.figures import BLUE, GREEN, ORANGE, SKY, TEXT, VERMILLION, styled
from fraudnet.review.pace import Waiting, survival
from fraudnet.review.quality import records
from fraudnet.review.text import escaped
from fraudnet.review.verdicts import VERDICTS
from fraudnet.review.what_if import WhatIf

_BLUE_BAND, _ORANGE_BAND = "rgba(0, 114, 178, 0.22)", "rgba(230, 159, 0, 0.22)"
_SHADE = "rgba(128, 128, 128, 0.15)"
_ROW_PX, _FRAME_PX, _LEVEL_NAME_PX = 26, 130, 110
_LONGEST_NAME = 36
_HOURS = {
    1 / 60: "1 min", 1 / 6: "10 min", 1.0: "1 h", 6.0: "6 h", 24.0: "1 day", 168.0: "1 week",
    672.0: "4 weeks", 8766.0: "1 year",
}  # fmt: skip
_LEAST_INDEX = 1e-3
_SHORTEST_HOURS = 1 / 60  # no time has no place on a logarithmic axis
_PART_MARKS = ((BLUE, "circle"), (GREEN, "square"), (ORANGE, "diamond"))
_SAYS = {
    "shifted": (VERMILLION, "diamond"), "moved": (ORANGE, "square"), "stable": (BLUE, "circle"),
}  # fmt: skip


def precision_figure(
    weekly: pd.DataFrame, overall: pd.DataFrame, promised: float | None
) -> go.Figure:
    """Precision by week with intervals, beside that of all and what the validation promised.

    Args:
        weekly: of `alert_precision`, by week.
        overall: of `alert_precision`, of all.
        promised: 0..1, of the artifact's validation period; None: not known.
    """
    figure = go.Figure()
    shown = weekly[weekly["precision"].notna()]
    hover = [
        f"week of {row['group']}<br>{row['confirmed_fraud']} confirmed, {row['suspicious']} "
        f"suspicious, {row['false_positive']} false, {row['undecided']} undecided"
        for row in records(weekly[weekly["worth"].notna()])
    ]
    decided = weekly[weekly["worth"].notna()]
    figure.add_scatter(
        x=decided["group"], y=decided["worth"], name="worth the alert (confirmed or suspicious)",
        mode="lines+markers", line={"color": SKY, "width": 1.2, "dash": "dot"},
        marker={"symbol": "diamond-open", "size": 9}, text=hover,
        hovertemplate="%{text}<br>worth the alert: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    hover = [f"week of {row['group']}<br>{_frauds(row)}" for row in records(shown)]
    figure.add_scatter(
        x=shown["group"], y=shown["precision"], name="precision (95 % interval)",
        mode="lines+markers", line={"color": BLUE, "width": 2}, marker={"size": 9},
        error_y=_whiskers(shown, "precision", "low", "high"), text=hover,
        hovertemplate="%{text}<br>precision: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(title_text="share of judged alerts", tickformat=".0%", range=[0, 1.03])
    figure.update_xaxes(title_text="week (its Monday, UTC)", type="category")
    styled(figure, "Precision of alerts by week", 400)
    all_weeks = float(overall["precision"].iloc[0])
    _level(figure, all_weeks, f"all weeks {all_weeks:.0%}", BLUE)
    if promised is not None:
        _level(figure, promised, f"validation {promised:.0%}", ORANGE)
    return figure


def parts_figure(parts: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Precision of parts of the alerts, one row a part.

    Args:
        parts: three of `alert_precision`, by what they are divided by.
    """
    figure, rows = go.Figure(), 0
    styles = zip(
        parts.items(), (BLUE, GREEN, ORANGE), ("circle", "square", "diamond"), strict=False
    )
    for (name, frame), colour, symbol in styles:
        shown = frame[frame["precision"].notna()]
        rows += len(shown)
        figure.add_scatter(
            y=[f"{_short(group)} " for group in shown["group"]], x=shown["precision"], name=name,
            mode="markers", marker={"color": colour, "symbol": symbol, "size": 10},
            error_x=_whiskers(shown, "precision", "low", "high"),
            text=[
                _frauds(row)
                for row in records(shown)
            ],
            hovertemplate="%{y}<br>%{text}<br>precision: %{x:.1%}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="precision (95 % interval)", tickformat=".0%", range=[0, 1.03])
    figure.update_yaxes(type="category", autorange="reversed", automargin=True)
    return styled(figure, "Precision of parts of the alerts", _FRAME_PX + _ROW_PX * max(rows, 3))


def agreement_figure(both: pd.DataFrame, first: str, second: str) -> go.Figure:
    """How often two reviewers gave each pair of verdicts; the area of a mark is the count.

    Args:
        both: of `both_judged`.
        first: reviewer.
        second: likewise.
    """
    counts = confusion(both)
    names = [VERDICTS[grade].split(",")[0] for grade in GRADES]
    figure = go.Figure()
    for same, name, colour, symbol in (
        (True, "they agree", BLUE, "circle"), (False, "they differ", VERMILLION, "diamond"),
    ):  # fmt: skip
        at = [(i, j) for i in range(3) for j in range(3) if (i == j) == same and counts[i, j]]
        numbers = [int(counts[i, j]) for i, j in at]
        figure.add_scatter(
            x=[names[j] for _, j in at], y=[names[i] for i, _ in at], name=name,
            mode="markers+text", text=[f"  {number}" for number in numbers],
            textposition="middle right", textfont={"size": 14, "color": TEXT},
            marker={
                "color": colour, "symbol": symbol, "size": numbers, "sizemode": "area",
                "sizeref": counts.max() / 45**2 * 2, "sizemin": 4,
            },
            hovertemplate="%{y} / %{x}: %{text} flags<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(
        title_text=f"verdict of {_short(second)}", categoryarray=names, range=[-0.6, 2.6],
    )  # fmt: skip
    figure.update_yaxes(
        title_text=f"verdict of {_short(first)}", categoryarray=names, range=[2.6, -0.6],
        automargin=True,
    )  # fmt: skip
    return styled(figure, "Flags that both judged", 420)


def alerts_figure(daily: pd.DataFrame, budget: float | None) -> go.Figure:
    """Alerts and transactions for learning a day, with the budget.

    Args:
        daily: of `alerts_per_day`.
        budget: of both together, a day; None: not known.
    """
    figure = go.Figure()
    for name, label, colour, pattern in (
        ("alerts", "alerts", BLUE, ""), ("learning", "chosen for learning", ORANGE, "/"),
    ):  # fmt: skip
        figure.add_bar(
            x=daily.index, y=daily[name], name=label,
            marker={"color": colour, "pattern": {"shape": pattern}, "line": {"width": 0}},
            hovertemplate="%{x|%Y-%m-%d}: %{y} " + label + "<extra></extra>",
        )  # fmt: skip
    if len(daily) >= 7:
        figure.add_scatter(
            x=daily.index, y=daily.sum(axis=1).rolling(7).mean(), name="mean of 7 days",
            mode="lines", line={"color": GREEN, "width": 2},
            hovertemplate="mean of 7 days until %{x|%Y-%m-%d}: %{y:.1f}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.15)
    figure.update_yaxes(title_text="transactions a day", rangemode="tozero")
    figure.update_xaxes(title_text="day of the transaction (UTC)")
    styled(figure, "Alerts a day", 380)
    if budget is not None:
        _level(figure, budget, f"budget {budget:g} a day", VERMILLION)
    return figure


def waiting_figure(waiting: Waiting) -> go.Figure:
    """The share of cases that still wait after so long (Kaplan and Meier), with its interval."""
    curve = survival(waiting)
    curve["hours"] = curve["hours"].clip(lower=_SHORTEST_HOURS)
    start = pd.DataFrame({"hours": [_SHORTEST_HOURS], "waiting": [1.0], "low": [1], "high": [1]})
    curve = pd.concat([start, curve], ignore_index=True)
    figure = go.Figure()
    step: dict[str, Any] = {"shape": "hv", "width": 0}
    edge: dict[str, Any] = {
        "x": curve["hours"], "mode": "lines", "line": step, "hoverinfo": "skip",
        "legendgroup": "interval",
    }  # fmt: skip
    figure.add_scatter(y=curve["low"], showlegend=False, **edge)
    figure.add_scatter(
        y=curve["high"], name="95 % interval", fill="tonexty", fillcolor=_BLUE_BAND, **edge
    )
    figure.add_scatter(
        x=curve["hours"], y=curve["waiting"], name="without a verdict", mode="lines",
        line={"shape": "hv", "width": 2, "color": BLUE},
        hovertemplate="after %{x:.3~g} h %{y:.0%} wait<extra></extra>",
    )  # fmt: skip
    if len(waiting.open_hours):
        ages = np.sort(waiting.open_hours.clip(_SHORTEST_HOURS))
        steps = np.searchsorted(curve["hours"], ages, side="right") - 1
        figure.add_scatter(
            x=ages, y=curve["waiting"].to_numpy()[steps], name="open cases, so far", mode="markers",
            marker={"symbol": "line-ns-open", "size": 9, "color": VERMILLION},
            hovertemplate="open for %{x:.3~g} h<extra></extra>",
        )  # fmt: skip
    for share in (0.5, 0.9):
        if (hours := waiting.until(share)) is not None:
            at = max(hours, _SHORTEST_HOURS)
            figure.add_vline(x=at, line={"color": ORANGE, "dash": "dash", "width": 1.5})
            figure.add_annotation(  # a logarithmic axis takes its place as a logarithm
                x=math.log10(at), xanchor="left", y=1.03, yanchor="top", showarrow=False,
                text=f" {share:.0%} judged", font={"color": TEXT},
            )  # fmt: skip
    figure.update_yaxes(title_text="cases without a verdict", tickformat=".0%", range=[0, 1.03])
    figure.update_xaxes(
        title_text="since the case was opened", type="log",
        tickvals=list(_HOURS), ticktext=list(_HOURS.values()),
    )  # fmt: skip
    return styled(figure, "Time to verdict", 400)


def drift_figure(compared: pd.DataFrame, title: str, moved: float, shifted: float) -> go.Figure:
    """The stability index of each feature, beside what chance alone would give.

    Args:
        compared: of `compare`.
        title: of the figure.
        moved: index from which a feature is no longer stable.
        shifted: index from which it has shifted.
    """
    shown = compared[compared["index"].notna()]
    figure = go.Figure()
    figure.add_scatter(
        y=[_short(name) for name in shown["feature"]],
        x=shown["index_by_chance"].clip(lower=_LEAST_INDEX),
        name="by chance, at most (95 %)", mode="markers",
        marker={"symbol": "line-ns-open", "size": 14, "color": TEXT, "line": {"width": 2}},
        hovertemplate="%{y}: by chance up to %{x:.3f}<extra></extra>",
    )  # fmt: skip
    for says, (colour, symbol) in _SAYS.items():
        own = shown[shown["says"] == says]
        if own.empty:
            continue
        figure.add_scatter(
            y=[_short(name) for name in own["feature"]],
            x=own["index"].clip(lower=_LEAST_INDEX), name=says, mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            customdata=own[["effect", "q"]],
            hovertemplate="%{y}: index %{x:.3f}<br>effect %{customdata[0]:.3f}, "
            "q %{customdata[1]:.2g}<extra></extra>",
        )  # fmt: skip
    for at, label in ((moved, "moved from here"), (shifted, "shifted")):
        figure.add_vline(x=at, line={"color": ORANGE, "dash": "dash", "width": 1.2})
        figure.add_annotation(
            x=math.log10(at), y=-1, text=f" {label}", showarrow=False, font={"color": TEXT},
            xanchor="right" if at == moved else "left",
        )  # fmt: skip
    figure.update_yaxes(
        type="category", categoryarray=[_short(name) for name in shown["feature"]],
        range=[len(shown) - 0.4, -1.5], automargin=True,
    )  # fmt: skip
    figure.update_xaxes(title_text="population stability index", type="log", dtick=1)
    return styled(figure, title, _FRAME_PX + 20 + _ROW_PX * max(len(shown), 4))


def distance_figure(against: pd.DataFrame) -> go.Figure:
    """Shares of transactions between the distances that the training's quantiles mark.

    Args:
        against: of `against_quantiles`.
    """
    limits = against["up_to"].tolist()
    labels = [
        f"{low:.3g} to {high:.3g}" if np.isfinite(high) else f"above {low:.3g}"
        for low, high in zip([0.0, *limits[:-1]], limits, strict=True)
    ]
    figure = go.Figure()
    figure.add_scatter(
        x=labels, y=against["expected"], name="validation, genuine", mode="markers",
        marker={"symbol": "line-ew-open", "size": 22, "color": ORANGE, "line": {"width": 3}},
        hovertemplate="distance %{x}: expected %{y:.2%}<extra></extra>",
    )  # fmt: skip
    shown = against[against["observed"] > 0]  # none has no logarithm
    figure.add_scatter(
        x=[labels[at] for at in shown.index], y=shown["observed"], name="now (95 % interval)",
        mode="markers", marker={"color": BLUE, "size": 10},
        error_y=_whiskers(shown, "observed", "low", "high"),
        hovertemplate="distance %{x}: %{y:.2%}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(title_text="share of transactions", type="log", tickformat="~%", dtick=1)
    figure.update_xaxes(title_text="distance", categoryarray=labels)
    return styled(figure, "Distance against the training", 380)


def what_if_figure(found: WhatIf) -> go.Figure:
    """Alerts a day, precision, recall and money by threshold, the present one marked."""
    table = found.table
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05)
    x = table["threshold"]
    figure.add_scatter(
        x=x, y=table["alerts_per_day"], name="alerts a day", mode="lines", showlegend=False,
        line={"color": BLUE, "width": 2}, row=1, col=1,
        hovertemplate="%{y:.3~g} alerts a day<extra></extra>",
    )  # fmt: skip
    for name, colour, band, dash in (
        ("precision", BLUE, _BLUE_BAND, "solid"), ("recall", ORANGE, _ORANGE_BAND, "dash"),
    ):  # fmt: skip
        if table[name].notna().any():
            _band(figure, table, name, colour, band, dash, ".0%", 2)
    _band(figure, table, "saved", GREEN, "rgba(0, 158, 115, 0.22)", "solid", ",.0f", 3)
    present = found.present
    figure.add_vline(x=present, line={"color": VERMILLION, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=present, y=1, xref="x", yref="y domain", text=f" now {present:.3g}", showarrow=False,
        xanchor="left", yanchor="top", font={"color": TEXT},
    )  # fmt: skip
    if x.min() < present:
        for row in (1, 2, 3):
            figure.add_vrect(
                x0=float(x.min()), x1=present, fillcolor=_SHADE, line={"width": 0}, layer="below",
                row=row, col=1,
            )  # fmt: skip
        figure.add_annotation(
            x=present, y=0, xref="x", yref="y3 domain", text="known from drawn cases alone ",
            showarrow=False, xanchor="right", yanchor="bottom", font={"color": TEXT, "size": 11},
        )  # fmt: skip
    figure.update_yaxes(title_text="alerts a day", rangemode="tozero", row=1)
    figure.update_yaxes(title_text="share", tickformat=".0%", range=[0, 1.03], row=2)
    figure.update_yaxes(title_text="saved a day", row=3)
    figure.update_xaxes(title_text="threshold", row=3)
    figure.update_layout(hovermode="x unified")
    return styled(figure, "What another threshold would bring", 640)


def groups_figure(groups: pd.DataFrame, title: str, axis: str) -> go.Figure:
    """A share of each group with its interval; small groups are open marks.

    Args:
        groups: of `precision_by_group` or `alert_rate_by_group`.
        title: of the figure.
        axis: what the share is.
    """
    figure = go.Figure()
    small = groups["says"].str.startswith("too small")
    unlike = groups["says"] == "differs"
    for chosen, name, colour, symbol in (
        (~small & ~unlike, "alike", BLUE, "circle"),
        (unlike, "differs from the largest", VERMILLION, "diamond"),
        (small, "too small to tell", TEXT, "circle-open"),
    ):
        own = groups[chosen]
        if own.empty:
            continue
        figure.add_scatter(
            y=[_short(group) for group in own["group"]], x=own["share"], name=name, mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            error_x=_whiskers(own, "share", "low", "high"),
            customdata=own[["events", "transactions"]], cliponaxis=False,
            hovertemplate="%{y}: %{x:.2%} (%{customdata[0]} of %{customdata[1]})<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(
        type="category", categoryarray=[_short(group) for group in groups["group"]],
        autorange="reversed", automargin=True,
    )  # fmt: skip
    figure.update_xaxes(title_text=axis, tickformat=".1~%", rangemode="tozero")
    return styled(figure, title, _FRAME_PX + _ROW_PX * max(len(groups), 3))


def _band(
    figure: go.Figure, table: pd.DataFrame, name: str, colour: str, fill: str, dash: str,
    form: str, row: int,
) -> None:  # fmt: skip
    x = table["threshold"]
    edge: dict[str, Any] = {
        "x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False,
        "legendgroup": name, "row": row, "col": 1,
    }  # fmt: skip
    figure.add_scatter(y=table[f"{name}_low"], **edge)
    figure.add_scatter(y=table[f"{name}_high"], fill="tonexty", fillcolor=fill, **edge)
    figure.add_scatter(
        x=x, y=table[name], name=f"{name} (95 % interval)", mode="lines", legendgroup=name,
        line={"color": colour, "width": 2, "dash": dash}, row=row, col=1,
        hovertemplate=f"{name} %{{y:{form}}}<extra></extra>",
    )  # fmt: skip


def _whiskers(frame: pd.DataFrame, value: str, low: str, high: str) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "array": frame[high] - frame[value],
        "arrayminus": frame[value] - frame[low], "thickness": 1.3, "width": 4,
    }  # fmt: skip


def _level(figure: go.Figure, y: float, text: str, colour: str) -> None:
    """A line across, named at its right end where no data lie; after `styled`."""
    figure.add_hline(y=y, line={"color": colour, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=1, xref="paper", xanchor="left", y=y, text=f" {text}", showarrow=False,
        font={"color": TEXT},
    )  # fmt: skip
    figure.update_layout(margin={"r": _LEVEL_NAME_PX})


def _frauds(row: dict[Any, Any]) -> str:
    return f"{row['confirmed_fraud']} of {row['confirmed_fraud'] + row['false_positive']} fraud"


def _short(name: object) -> str:
    """An untrusted name as an axis may show it."""
    text = str(name)
    return escaped(text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}...")
