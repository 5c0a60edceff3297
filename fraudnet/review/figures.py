"""Pictures of the queue and of a case, as plotly figures.

Backgrounds are transparent and text is a grey that reads on white and on near black, so one figure
serves light and dark themes. Colours are Okabe and Ito's ("Color Universal Design", 2008), and
nothing is told by colour alone. Text from the store is escaped, since plotly renders markup.
"""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fraudnet.review.cases import Case
from fraudnet.review.text import escaped, moment, plain
from fraudnet.review.verdicts import VERDICTS

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION = "#E69F00", "#D55E00"
TEXT = "#7b7b7b"
_GRID = "rgba(128, 128, 128, 0.25)"
BAND = "rgba(86, 180, 233, 0.25)"

_MARKS = {
    "confirmed_fraud": (VERMILLION, "x"),
    "suspicious": (ORANGE, "diamond"),
    "false_positive": (GREEN, "square"),
    "undecided": (BLUE, "circle"),
}

_GAP_TICKS_HOURS = {
    1 / 3600: "1 s", 1 / 60: "1 min", 1 / 6: "10 min", 1.0: "1 h", 6.0: "6 h", 24.0: "1 d",
    168.0: "1 w", 672.0: "4 w",
}  # fmt: skip
_SHORTEST_GAP_HOURS = 1 / 3600  # a gap of 0 has no place on a logarithmic axis

_HOVER = (
    "%{customdata[0]}<br>%{customdata[1]} at %{customdata[2]} (%{customdata[3]})<br>"
    "%{customdata[4]} after the one before<br>probability %{customdata[5]}, "
    "distance %{customdata[6]}<extra></extra>"
)


def queue_figure(queue: pd.DataFrame) -> go.Figure:
    """Probability against amount, one mark a case, by the verdict in force.

    Args:
        queue: what `list_cases` returns.
    """
    figure = go.Figure()
    for verdict, cases in queue.groupby("verdict", sort=False):
        colour, symbol = _MARKS[str(verdict)]
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
    figure.update_yaxes(title_text="amount", **_scale(queue["amount"]))
    return styled(figure, "Cases by probability and amount", 420)


def case_figure(case: Case) -> go.Figure:
    """The window of a case: amounts, gaps, score course and distance over the same time.

    The flagged transaction is marked, and behind the amounts lies what was usual for the account
    until then.
    """
    figure = make_subplots(
        rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.04, row_heights=[0.4, 0.2, 0.2, 0.2]
    )
    _add_usual_band(figure, case.window)
    gaps = case.window["gap_hours"].clip(lower=_SHORTEST_GAP_HOURS)
    _add_course(figure, case.window, case.window["amount"], 1)
    _add_course(figure, case.window, gaps, 2)
    _add_course(figure, case.window, case.window["fraud_probability"], 3)
    _add_course(figure, case.window, case.window["ood_distance"], 4)
    figure.add_hline(
        y=case.threshold, row=3, col=1, line={"color": ORANGE, "dash": "dash", "width": 1.5},
        annotation={"text": f"threshold {case.threshold:.3g}", "font": {"color": TEXT}},
        annotation_position="top left",
    )  # fmt: skip
    figure.update_yaxes(title_text="amount", row=1, **_scale(case.window["amount"]))
    figure.update_yaxes(
        title_text="gap", type="log", row=2,
        tickvals=list(_GAP_TICKS_HOURS), ticktext=list(_GAP_TICKS_HOURS.values()),
    )  # fmt: skip
    figure.update_yaxes(title_text="probability", rangemode="tozero", row=3)
    figure.update_yaxes(title_text="distance", rangemode="tozero", row=4)
    figure.update_xaxes(title_text="time (UTC)", row=4)
    return styled(figure, f"Case {case.case_id}, account {escaped(case.account_id)}", 720)


def usual_band(amounts: "pd.Series[float]", count: int = 30, least: int = 5) -> pd.DataFrame:
    """What was usual just before each transaction: running median and 10 to 90 per cent quantiles.

    Args:
        amounts: oldest first.
        count: how many earlier amounts count, the transaction itself never among them.
        least: with fewer earlier amounts than this, nothing is called usual (NaN).

    Returns:
        Columns low, median, high, one row an amount.
    """
    earlier = amounts.shift(1).rolling(count, min_periods=least)
    levels = {"low": 0.1, "median": 0.5, "high": 0.9}
    return pd.DataFrame({name: earlier.quantile(level) for name, level in levels.items()})


def _add_usual_band(figure: go.Figure, window: pd.DataFrame) -> None:
    band = usual_band(window["amount"])
    times = _times(window)
    edge = {"x": times, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(y=band["low"], showlegend=False, **edge, row=1, col=1)
    figure.add_scatter(
        y=band["high"], name="usual (10 to 90 %)", fill="tonexty", fillcolor=BAND, **edge,
        row=1, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=times, y=band["median"], name="usual (median)", mode="lines", hoverinfo="skip",
        line={"color": SKY, "width": 1.5, "dash": "dot"}, row=1, col=1,
    )  # fmt: skip


def _add_course(
    figure: go.Figure, window: pd.DataFrame, values: "pd.Series[float]", row: int
) -> None:
    hover = [_hover(transaction) for transaction in window.to_dict("records")]
    times = _times(window)
    common = {"hovertemplate": _HOVER, "showlegend": row == 1, "row": row, "col": 1}
    figure.add_scatter(
        x=times, y=values, customdata=hover, name="transactions", mode="lines+markers",
        line={"color": BLUE, "width": 1.2}, marker={"size": 5}, **common,
    )  # fmt: skip
    figure.add_scatter(
        x=times[-1:], y=values[-1:], customdata=hover[-1:], name="flagged", mode="markers",
        marker={"color": VERMILLION, "symbol": "diamond", "size": 13}, **common,
    )  # fmt: skip


def _hover(transaction: dict[Any, Any]) -> list[str]:
    return [
        f"{moment(transaction['timestamp'])} UTC",
        plain(transaction["amount"], "{:,.2f}".format),
        escaped(transaction["counterparty_id"]),
        escaped(transaction["category"]),
        plain(transaction["gap_hours"], "{:,.2f} h".format),
        plain(transaction["fraud_probability"], "{:.3f}".format),
        plain(transaction["ood_distance"], "{:.2f}".format),
    ]


def _times(window: pd.DataFrame) -> "pd.Series[pd.Timestamp]":
    # plotly draws the wall clock it is given
    naive: pd.Series[pd.Timestamp] = window["timestamp"].dt.tz_localize(None)
    return naive


def _scale(amounts: "pd.Series[float]") -> dict[str, Any]:
    """Amounts span orders of magnitude; refunds and zeros have no logarithm."""
    amounts = amounts.dropna()
    if not (amounts > 0).all():
        return {"type": "linear"}
    digits = (1, 2, 5) if amounts.max() < 1000 * amounts.min() else (1,)
    ticks = [digit * 10.0**power for power in range(-3, 13) for digit in digits]
    return {"type": "log", "tickvals": ticks, "tickformat": "~g"}


def styled(figure: go.Figure, title: str, height_px: int) -> go.Figure:
    """The figure as all of the review look: on light and dark themes, without a link to a cloud."""
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
