"""What has moved, as pictures: features, and distances against the training's."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fraudnet.review.figures import BLUE, ORANGE, TEXT, VERMILLION, styled
from fraudnet.review.quality_marks import FRAME_PX, ROW_PX, short, whiskers

_LEAST_INDEX = 1e-3
_SAYS = {
    "shifted": (VERMILLION, "diamond"), "moved": (ORANGE, "square"), "stable": (BLUE, "circle"),
}  # fmt: skip


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
        y=[short(name) for name in shown["feature"]],
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
            y=[short(name) for name in own["feature"]],
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
        type="category", categoryarray=[short(name) for name in shown["feature"]],
        range=[len(shown) - 0.4, -1.5], automargin=True,
    )  # fmt: skip
    figure.update_xaxes(title_text="population stability index", type="log", dtick=1)
    return styled(figure, title, FRAME_PX + 20 + ROW_PX * max(len(shown), 4))


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
        error_y=whiskers(shown, "observed", "low", "high"),
        hovertemplate="distance %{x}: %{y:.2%}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(title_text="share of transactions", type="log", tickformat="~%", dtick=1)
    figure.update_xaxes(title_text="distance", categoryarray=labels)
    return styled(figure, "Distance against the training", 380)
