"""The window of a case over time: what was paid, how soon after, for what and to whom."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fraudnet.review.cases import Case
from fraudnet.review.figures import (
    BAND,
    BLUE,
    ORANGE,
    SKY,
    TEXT,
    VERMILLION,
    amount_scale,
    styled,
)
from fraudnet.review.text import brief, escaped, moment, plain

_GAP_TICKS_HOURS = {
    1 / 3600: "1 s", 1 / 60: "1 min", 1 / 6: "10 min", 1.0: "1 h", 6.0: "6 h", 24.0: "1 d",
    168.0: "1 w", 672.0: "4 w",
}  # fmt: skip
_SHORTEST_GAP_HOURS = 1 / 3600  # a gap of 0 has no place on a logarithmic axis
_LANES = 8  # counterparties, or categories, that have a lane of their own
_LABEL_WIDTH = 20
_FIRST_TIME = "first time there"

_HOVER = (
    "%{customdata[0]}<br>%{customdata[1]} at %{customdata[2]} (%{customdata[3]})<br>"
    "%{customdata[4]} after the one before<br>probability %{customdata[5]}, "
    "distance %{customdata[6]}<extra></extra>"
)


def timeline_figure(case: Case) -> go.Figure:
    """Amount, gap, category and counterparty of the window's transactions over the same time.

    The flagged ones are marked, behind amounts and gaps lies what was usual for the account until
    then, and a counterparty that the window had not seen before is drawn hollow.
    """
    window = case.window
    lanes = {name: _lanes(window[name], case) for name in ("category", "counterparty_id")}
    heights = [200, 110, *(24 * max(len(labels), 2) for _, labels in lanes.values())]
    figure = make_subplots(
        rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.03, row_heights=heights
    )
    gaps = window["gap_hours"].clip(lower=_SHORTEST_GAP_HOURS)
    for row, values in ((1, window["amount"]), (2, gaps)):
        _add_usual_band(figure, window, values, row)
        _add_marks(figure, case, values, row, "lines+markers")
    for row, (name, (places, labels)) in enumerate(lanes.items(), start=3):
        _add_marks(figure, case, places, row, "markers")
        figure.update_yaxes(
            title_text=name.removesuffix("_id"), row=row, tickvals=list(range(len(labels))),
            ticktext=[escaped(label) for label in labels], range=[-0.6, len(labels) - 0.4],
        )  # fmt: skip
    _mark_first_times(figure, case, lanes["counterparty_id"][0])
    figure.update_yaxes(title_text="amount", row=1, **amount_scale(window["amount"]))
    figure.update_yaxes(
        title_text="gap", type="log", row=2,
        tickvals=list(_GAP_TICKS_HOURS), ticktext=list(_GAP_TICKS_HOURS.values()),
    )  # fmt: skip
    figure.update_xaxes(title_text="time (UTC)", row=4)
    title = f"Case {case.case_id}, account {escaped(brief(case.account_id, 40))}"
    styled(figure, title, 150 + sum(heights))
    figure.update_layout(margin={"l": 150})
    return figure


def course_figure(case: Case) -> go.Figure:
    """How probability and distance went in the window, with the threshold of the newest flag.

    What the device was given as history alone has neither.
    """
    case = replace(case, window=case.window[case.window["fraud_probability"].notna()])
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    _add_marks(figure, case, case.window["fraud_probability"], 1, "lines+markers")
    _add_marks(figure, case, case.window["ood_distance"], 2, "lines+markers")
    figure.add_hline(
        y=case.threshold, row=1, col=1, line={"color": ORANGE, "dash": "dash", "width": 1.5},
        annotation={"text": f"threshold {case.threshold:.3g}", "font": {"color": TEXT}},
        annotation_position="top left",
    )  # fmt: skip
    figure.update_yaxes(title_text="probability", rangemode="tozero", row=1)
    figure.update_yaxes(title_text="distance", rangemode="tozero", row=2)
    figure.update_xaxes(title_text="time (UTC)", row=2)
    return styled(figure, "What the scorer said of each transaction", 420)


def usual_band(values: "pd.Series[float]", count: int = 30, least: int = 5) -> pd.DataFrame:
    """What was usual just before each transaction: running median and 10 to 90 per cent quantiles.

    Args:
        values: oldest first.
        count: how many earlier values count, the transaction's own never among them.
        least: with fewer earlier values than this, nothing is called usual (NaN).

    Returns:
        Columns low, median, high, one row a value.
    """
    earlier = values.shift(1).rolling(count, min_periods=least)
    levels = {"low": 0.1, "median": 0.5, "high": 0.9}
    return pd.DataFrame({name: earlier.quantile(level) for name, level in levels.items()})


def _lanes(values: "pd.Series[Any]", case: Case) -> "tuple[pd.Series[Any], list[str]]":
    """A lane for each of the flagged transactions' values and the most frequent others.

    Returns:
        The lane of each transaction, and what each is called, lowest first.
    """
    texts = values.map(plain)
    flagged = list(dict.fromkeys(texts[_is_flagged(case)]))[::-1]
    others = [text for text in texts.value_counts().index if text not in flagged]
    chosen = [*flagged, *others][:_LANES]
    rest = [] if len(flagged) + len(others) <= _LANES else ["all others"]
    lane = {text: len(chosen) + len(rest) - 1 - place for place, text in enumerate(chosen)}
    places = pd.Series([lane.get(text, 0) for text in texts], index=texts.index)
    return places, [*rest, *(brief(text, _LABEL_WIDTH) for text in chosen[::-1])]


def _mark_first_times(figure: go.Figure, case: Case, places: "pd.Series[Any]") -> None:
    is_first = ~case.window["counterparty_id"].duplicated()
    is_first &= case.window["counterparty_id"].notna()
    shown = case.window[is_first]
    figure.add_scatter(
        x=_times(shown), y=places[is_first], mode="markers", name=_FIRST_TIME, hoverinfo="skip",
        marker={"symbol": "circle-open", "size": 9, "color": ORANGE, "line": {"width": 1.5}},
        row=4, col=1,
    )  # fmt: skip


def _add_usual_band(
    figure: go.Figure, window: pd.DataFrame, values: "pd.Series[float]", row: int
) -> None:
    band, times = usual_band(values), _times(window)
    edge = {"x": times, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    at = {"row": row, "col": 1}
    figure.add_scatter(y=band["low"], showlegend=False, **edge, **at)
    figure.add_scatter(
        y=band["high"], name="usual (10 to 90 %)", fill="tonexty", fillcolor=BAND,
        showlegend=row == 1, **edge, **at,
    )  # fmt: skip
    figure.add_scatter(
        x=times, y=band["median"], name="usual (median)", mode="lines", hoverinfo="skip",
        line={"color": SKY, "width": 1.5, "dash": "dot"}, showlegend=row == 1, **at,
    )  # fmt: skip


def _add_marks(
    figure: go.Figure, case: Case, values: "pd.Series[Any]", row: int, mode: str
) -> None:
    """All transactions of the window, and once more those that the case is about."""
    hover = [_hover(transaction) for transaction in case.window.to_dict("records")]
    times, flagged = _times(case.window), _is_flagged(case)
    common = {"hovertemplate": _HOVER, "showlegend": row == 1, "row": row, "col": 1}
    figure.add_scatter(
        x=times, y=values, customdata=hover, name="transactions", mode=mode,
        line={"color": BLUE, "width": 1.2}, marker={"size": 5, "color": BLUE}, **common,
    )  # fmt: skip
    figure.add_scatter(
        x=times[flagged], y=values[flagged], name="flagged", mode="markers",
        customdata=[each for each, is_flagged in zip(hover, flagged, strict=True) if is_flagged],
        marker={"color": VERMILLION, "symbol": "diamond", "size": 12}, **common,
    )  # fmt: skip


def _is_flagged(case: Case) -> "pd.Series[bool]":
    return case.window["transaction_id"].isin(case.flags["transaction_id"])


def _hover(transaction: dict[Any, Any]) -> Sequence[str]:
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
