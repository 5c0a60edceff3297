"""How many of the alerts are fraud, as pictures: over time, of parts, of groups of customers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from fraudnet.review.figures import BLUE, GREEN, ORANGE, SKY, TEXT, VERMILLION, styled
from fraudnet.review.quality import records
from fraudnet.review.quality_marks import FRAME_PX, ROW_PX, level_line, short, whiskers


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
        error_y=whiskers(shown, "precision", "low", "high"), text=hover,
        hovertemplate="%{text}<br>precision: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(title_text="share of judged alerts", tickformat=".0%", range=[0, 1.03])
    figure.update_xaxes(title_text="week (its Monday, UTC)", type="category")
    styled(figure, "Precision of alerts by week", 400)
    all_weeks = float(overall["precision"].iloc[0])
    level_line(figure, all_weeks, f"all weeks {all_weeks:.0%}", BLUE)
    if promised is not None:
        level_line(figure, promised, f"validation {promised:.0%}", ORANGE)
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
            y=[f"{short(group)} " for group in shown["group"]], x=shown["precision"], name=name,
            mode="markers", marker={"color": colour, "symbol": symbol, "size": 10},
            error_x=whiskers(shown, "precision", "low", "high"),
            text=[
                _frauds(row)
                for row in records(shown)
            ],
            hovertemplate="%{y}<br>%{text}<br>precision: %{x:.1%}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="precision (95 % interval)", tickformat=".0%", range=[0, 1.03])
    figure.update_yaxes(type="category", autorange="reversed", automargin=True)
    return styled(figure, "Precision of parts of the alerts", FRAME_PX + ROW_PX * max(rows, 3))


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
            y=[short(group) for group in own["group"]], x=own["share"], name=name, mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            error_x=whiskers(own, "share", "low", "high"),
            customdata=own[["events", "transactions"]], cliponaxis=False,
            hovertemplate="%{y}: %{x:.2%} (%{customdata[0]} of %{customdata[1]})<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(
        type="category", categoryarray=[short(group) for group in groups["group"]],
        autorange="reversed", automargin=True,
    )  # fmt: skip
    figure.update_xaxes(title_text=axis, tickformat=".1~%", rangemode="tozero")
    return styled(figure, title, FRAME_PX + ROW_PX * max(len(groups), 3))


def _frauds(row: dict[Any, Any]) -> str:
    return f"{row['confirmed_fraud']} of {row['confirmed_fraud'] + row['false_positive']} fraud"
