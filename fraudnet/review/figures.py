"""What all pictures of the review share, and the picture of the queue, as plotly figures.

Backgrounds are transparent and text is a grey that reads on white and on near black, so one figure
serves light and dark themes. Colours are Okabe and Ito's ("Color Universal Design", 2008), and
nothing is told by colour alone. Text from the store is escaped, since plotly renders markup.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from fraudnet.review.text import escaped
from fraudnet.review.verdicts import VERDICTS

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
TEXT = "#7b7b7b"
BAND = "rgba(86, 180, 233, 0.25)"
_GRID = "rgba(128, 128, 128, 0.25)"

MARKS = {
    "confirmed_fraud": (VERMILLION, "x"),
    "suspicious": (ORANGE, "diamond"),
    "false_positive": (GREEN, "square"),
    "undecided": (BLUE, "circle"),
}
"""Colour and symbol of each verdict."""


def queue_figure(queue: pd.DataFrame) -> go.Figure:
    """Probability against amount, one mark a case, by the verdict in force.

    Args:
        queue: what `list_cases` returns.
    """
    figure = go.Figure()
    for verdict, cases in queue.groupby("verdict", sort=False):
        colour, symbol = MARKS[str(verdict)]
        figure.add_scatter(
            x=cases["fraud_probability"],
            y=cases["amount"],
            mode="markers",
            name=VERDICTS[str(verdict)],
            marker={"color": colour, "symbol": symbol, "size": 10},
            customdata=[
                [case.case_id, escaped(case.account_id), escaped(case.counterparty_id),
                 f"{case.expected_loss:,.2f}"]
                for case in cases.itertuples()
            ],
            hovertemplate="case %{customdata[0]}, account %{customdata[1]}<br>%{y:,.2f} at "
            "%{customdata[2]}<br>probability %{x:.3f}, expected loss %{customdata[3]}"
            "<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="fraud probability")
    figure.update_yaxes(title_text="amount", **amount_scale(queue["amount"]))
    return styled(figure, "Cases by probability and amount", 420)


def amount_scale(amounts: "pd.Series[float]") -> dict[str, Any]:
    """Amounts span orders of magnitude; refunds and zeros have no logarithm."""
    amounts = amounts.dropna()
    if not (amounts > 0).all():
        return {"type": "linear"}
    digits = (1, 2, 5) if amounts.max() < 1000 * amounts.min() else (1,)
    ticks = [digit * 10.0**power for power in range(-3, 13) for digit in digits]
    return {"type": "log", "tickvals": ticks, "tickformat": "~g"}


def styled(figure: go.Figure, title: str, height_px: int) -> go.Figure:
    """The same figure in the colours and with the margins of all."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0, "xref": "paper", "y": 0.99},
        height=height_px,
        font={"color": TEXT, "size": 12},
        margin={"l": 70, "r": 20, "t": 70, "b": 50},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        modebar={
            "bgcolor": "rgba(0, 0, 0, 0)",
            "color": TEXT,
            "activecolor": BLUE,
            "remove": ["sendChartToCloud", "select2d", "lasso2d"],  # customers' data stay here
        },
        hoverlabel={"bgcolor": "#222222", "font": {"color": "#ffffff"}, "align": "left"},
    )
    figure.update_xaxes(gridcolor=_GRID, zeroline=False)
    figure.update_yaxes(gridcolor=_GRID, zeroline=False)
    return figure
