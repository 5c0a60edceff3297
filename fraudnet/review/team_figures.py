"""How the team reviews, as pictures: agreement, alerts a day, time to verdict."""

import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fraudnet.review.agreement import GRADES, confusion
from fraudnet.review.figures import BLUE, GREEN, ORANGE, TEXT, VERMILLION, styled
from fraudnet.review.pace import Waiting, survival
from fraudnet.review.quality_marks import BLUE_BAND, level_line, short
from fraudnet.review.verdicts import VERDICTS

_HOURS = {
    1 / 60: "1 min", 1 / 6: "10 min", 1.0: "1 h", 6.0: "6 h", 24.0: "1 day", 168.0: "1 week",
    672.0: "4 weeks", 8766.0: "1 year",
}  # fmt: skip
_SHORTEST_HOURS = 1 / 60  # no time has no place on a logarithmic axis


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
        title_text=f"verdict of {short(second)}", categoryarray=names, range=[-0.6, 2.6],
    )  # fmt: skip
    figure.update_yaxes(
        title_text=f"verdict of {short(first)}", categoryarray=names, range=[2.6, -0.6],
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
        level_line(figure, budget, f"budget {budget:g} a day", VERMILLION)
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
        y=curve["high"], name="95 % interval", fill="tonexty", fillcolor=BLUE_BAND, **edge
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
