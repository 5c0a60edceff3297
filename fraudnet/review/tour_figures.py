"""Pictures of the tour, as plotly figures of plain values; colours and text as in `figures`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from plotly.subplots import make_subplots

from fraudnet.energy.estimate import estimate_day
from fraudnet.energy.plot import parts_by_layer
from fraudnet.energy.report import Report
from fraudnet.review.figures import BLUE, GREEN, ORANGE, SKY, VERMILLION, styled
from fraudnet.review.text import escaped

PURPLE, GREY = "#CC79A7", "#8a8a8a"
_COLOURS = (VERMILLION, ORANGE, GREEN, PURPLE, BLUE, SKY)
_SYMBOLS = ("x", "diamond", "square", "triangle-up", "cross", "star")
_GENUINE_SHOWN = 2_000

Results = Mapping[str, Any]


def transactions_figure(table: pa.Table) -> go.Figure:
    """Amount against the hour, frauds by kind over a sample of the genuine.

    Args:
        table: canonical transactions with `fraud_kind`, null or empty for genuine ones.
    """
    figure = go.Figure()
    hour = pc.cast(table["timestamp"], pa.int64()).to_numpy() // 1_000_000 % 86_400 / 3600
    amount, kind = table["amount"].to_numpy(), np.asarray(pc.fill_null(table["fraud_kind"], ""))
    genuine = np.flatnonzero(kind == "")
    step = max(1, len(genuine) // _GENUINE_SHOWN)
    named: list[tuple[str, npt.NDArray[np.int64], dict[str, Any]]] = [
        (
            f"genuine (1 in {step})",
            genuine[::step],
            {"color": GREY, "size": 4, "opacity": 0.45},
        )
    ]
    kinds = sorted(set(kind.tolist()) - {""})
    for number, name in enumerate(kinds):
        marker = {"color": _COLOURS[number % 6], "symbol": _SYMBOLS[number % 6], "size": 8}
        named.append((name, np.flatnonzero(kind == name), marker))
    for name, rows, marker in named:
        figure.add_scatter(
            x=hour[rows], y=amount[rows], mode="markers", name=_words(name), marker=marker,
            hovertemplate="%{y:,.2f} at %{x:.1f} h",
        )  # fmt: skip
    figure.update_xaxes(title_text="hour of the day (UTC)", range=[0, 24], dtick=3)
    figure.update_yaxes(title_text="amount", type="log", dtick=1, tickformat="~g")
    return styled(figure, "What was paid, and when", 460)


def windows_figure(windows: Results) -> go.Figure:
    """The rows of a window that say most: one kind of transaction at a time, by a menu.

    Args:
        windows: by kind, `amount`, `gap_hours` and `counterparty_frauds`, [R] each, newest last.
    """
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    rows = (
        ("amount", "amount", "%{y:,.2f}"),
        ("gap_hours", "hours since<br>the one before", "%{y:.3g} h"),
        ("counterparty_frauds", "frauds known of<br>the counterparty", "%{y}"),
    )
    for name, window in windows.items():
        position = np.arange(len(window["amount"])) - len(window["amount"]) + 1
        for row, (column, _, hover) in enumerate(rows, start=1):
            values = np.asarray(window[column], float)
            if column == "gap_hours":
                values = np.maximum(values, 1 / 3600)  # a gap of 0 has no place on the axis
                values[0] = np.nan  # what came before is not in the window
            colours = [BLUE] * (len(values) - 1) + [VERMILLION]
            figure.add_bar(
                x=position, y=values, marker={"color": colours, "line": {"width": 0}},
                visible=name == next(iter(windows)), showlegend=False, hovertemplate=hover,
                name=_words(name), row=row, col=1,
            )  # fmt: skip
    for row, (_, title, _) in enumerate(rows, start=1):
        figure.update_yaxes(title_text=title, row=row)
    for row in (1, 2):
        figure.update_yaxes(type="log", dtick=1, tickformat="~g", row=row)
    figure.update_yaxes(rangemode="tozero", row=3)
    figure.update_xaxes(title_text="transactions ago (0: the one to be judged)", row=3)
    buttons = [
        {
            "label": _words(shown),
            "method": "update",
            "args": [{"visible": [name == shown for name in windows for _ in rows]}],
        }
        for shown in windows
    ]
    return _with_menu(styled(figure, "One window, as the network reads it", 560), buttons)


def learning_figure(epochs: Sequence[Results]) -> go.Figure:
    """The loss after each pass over the training period."""
    figure = go.Figure()
    figure.add_scatter(
        x=[each["number"] for each in epochs], y=[each["loss"] for each in epochs],
        mode="lines+markers", line={"color": BLUE, "width": 2}, marker={"size": 5},
        hovertemplate="pass %{x}: %{y:.4f}<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title_text="pass over the training period", rangemode="tozero")
    ticks = [digit * 10.0**power for power in range(-4, 2) for digit in (1, 2, 5)]
    figure.update_yaxes(title_text="loss", type="log", tickvals=ticks, tickformat="~g")
    return styled(figure, "Learning", 360)


def spectra_figure(spectra: Results) -> go.Figure:
    """Share of each 1x1 layer's answers that a rank leaves out, against the rank's share of all."""
    figure = go.Figure()
    part_colours = {
        "stem": VERMILLION, "expand": BLUE, "reduce": ORANGE, "excite": PURPLE, "project": GREEN,
        "head": SKY,
    }  # fmt: skip
    blocks = sorted({name.split("_")[0] for name in spectra if "_" in name})
    dashes = ("solid", "dash", "dot", "dashdot")
    for name, left_out in spectra.items():
        number = blocks.index(name.split("_")[0]) if "_" in name else 0
        rank = np.arange(len(left_out))
        figure.add_scatter(
            x=rank / len(left_out), y=np.maximum(left_out, 1e-6), customdata=rank, mode="lines",
            name=_words(name), line={
                "color": part_colours[name.split("_")[-1]], "dash": dashes[number % 4], "width": 2,
            },
            hovertemplate="rank %{customdata} leaves out %{y:.2%}",
        )  # fmt: skip
    figure.add_hline(y=0.01, line={"color": GREY, "dash": "dot", "width": 1.5})
    _note(figure, "1 % left out", x=1.0, y=-2.0, xanchor="right", yanchor="bottom")
    figure.update_xaxes(title_text="rank, as a share of the whole", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(
        title_text="share of the answers left out", type="log", range=[-4, 0.1],
        tickvals=[1e-4, 1e-3, 1e-2, 1e-1, 1], ticktext=["0.01 %", "0.1 %", "1 %", "10 %", "100 %"],
    )  # fmt: skip
    return styled(figure, "Spectra of the 1x1 layers", 440)


def reliability_figure(reliability: Results) -> go.Figure:
    """Share of fraud against the probability that was said, with 95 % intervals."""
    figure = go.Figure()
    figure.add_scatter(
        x=[1e-4, 1], y=[1e-4, 1], mode="lines", name="as good as its word", hoverinfo="skip",
        line={"color": GREY, "dash": "dot", "width": 1.5},
    )  # fmt: skip
    for name, label, colour, symbol in (
        ("uncalibrated", "before calibration", ORANGE, "circle-open"),
        ("calibrated", "after", BLUE, "circle"),
    ):
        if name not in reliability:
            continue
        bins = {key: np.asarray(values) for key, values in reliability[name].items()}
        figure.add_scatter(
            x=bins["predicted"], y=bins["observed"], name=label, mode="lines+markers",
            marker={"symbol": symbol, "size": 8, "color": colour},
            line={"color": colour, "width": 1.5},
            error_y={
                "type": "data", "array": bins["high"] - bins["observed"],
                "arrayminus": bins["observed"] - bins["low"], "width": 3, "thickness": 1,
            },
            hovertemplate="said %{x:.2%}, was %{y:.2%}",
        )  # fmt: skip
    ticks = {"tickvals": [1e-4, 1e-3, 1e-2, 0.1, 1], "type": "log", "range": [-4, 0.05]}
    ticks["ticktext"] = ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"]
    figure.update_xaxes(title_text="mean probability that was said", **ticks)
    figure.update_yaxes(title_text="share that was fraud", **ticks)
    return styled(figure, "Are the probabilities true?", 460)


def distance_figure(distances: Results) -> go.Figure:
    """Histograms of the distance by sort of transaction, as shares of each, and the threshold."""
    figure = go.Figure()
    threshold, of = distances["threshold"], distances["of"]
    values = {name: np.log10(np.maximum(each, 1e-2)) for name, each in of.items()}
    everything = np.concatenate(list(values.values()))
    low, high = np.floor(everything.min() * 10) / 10, np.ceil(everything.max() * 10) / 10
    edges = np.linspace(low, high, 61)
    middle = 10 ** ((edges[1:] + edges[:-1]) / 2)
    for (name, own), colour, dash in zip(
        values.items(), (BLUE, VERMILLION, GREEN, ORANGE), ("solid", "dash", "dot", "dashdot"),
        strict=False,
    ):  # fmt: skip
        share = np.histogram(own, edges)[0] / len(own)
        beyond = float((own > np.log10(threshold)).mean())
        figure.add_scatter(
            x=middle, y=share, name=f"{escaped(name)}: {beyond:.0%} beyond", mode="lines",
            line={"color": colour, "shape": "hvh", "width": 2, "dash": dash}, fill="tozeroy",
            hovertemplate="distance %{x:.2f}: %{y:.1%} of them",
        )  # fmt: skip
    figure.add_vline(x=threshold, line={"color": GREY, "dash": "dash", "width": 1.5})
    _note(figure, "unfamiliar beyond", x=float(np.log10(threshold)), y=1.0, yref="paper")
    ticks = [digit * 10.0**power for power in range(-2, 9) for digit in (1, 2, 5)]
    figure.update_xaxes(
        title_text="distance from the familiar", type="log", tickvals=ticks, tickformat="~g",
        range=[low, high],
    )  # fmt: skip
    figure.update_yaxes(title_text="share of each sort", tickformat=".0%", rangemode="tozero")
    return styled(figure, "How far from the familiar", 420)


def energy_figure(report: Report) -> go.Figure:
    """What each layer takes, and what a day takes of the battery, as the report estimates."""
    figure = make_subplots(cols=2, rows=1, horizontal_spacing=0.12)
    names = [each.name.lower() for each in report.count.operators]
    parts = parts_by_layer(report)
    for (part, values), colour in zip(parts.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=False):
        figure.add_bar(
            x=np.arange(len(values)), y=values, name=part, customdata=names,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="%{customdata}: %{y:.3g} µJ", row=1, col=1,
        )  # fmt: skip
    _add_battery(figure, report)
    figure.update_xaxes(title_text="operator, in the order of execution", row=1, col=1)
    figure.update_yaxes(title_text="energy an inference, µJ", row=1, col=1)
    title = f"Energy on a {escaped(report.profile.name)} ({report.estimate.tier})"
    styled(figure, title, 440)
    return figure.update_layout(barmode="stack", bargap=0, legend={"traceorder": "normal"})


def _add_battery(figure: go.Figure, report: Report) -> None:
    rates, battery = np.logspace(1, 6, 51), report.profile.battery
    days = [estimate_day(report.estimate, float(rate), battery) for rate in rates]
    taken = [day.battery_percent for day in days if day.battery_percent]
    edge = {"x": rates, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    place = {"row": 1, "col": 2}
    figure.add_scatter(y=[each.low for each in taken], showlegend=False, **edge, **place)
    figure.add_scatter(
        y=[each.high for each in taken], name="low to high", fill="tonexty",
        fillcolor="rgba(86, 180, 233, 0.25)", **edge, **place,
    )  # fmt: skip
    figure.add_scatter(
        x=rates, y=[each.typical for each in taken], name="battery a day, typical", mode="lines",
        line={"color": SKY, "width": 2}, **place,
        hovertemplate="%{x:,.0f} transactions a day: %{y:.3g} % of the battery",
    )  # fmt: skip
    if report.day.battery_percent:
        figure.add_scatter(
            x=[report.day.inferences], y=[report.day.battery_percent.typical], mode="markers",
            name=f"{report.day.inferences:,.0f} a day", **place,
            marker={"color": VERMILLION, "symbol": "diamond", "size": 11},
            hovertemplate="%{y:.3g} % of the battery",
        )  # fmt: skip
    figure.update_xaxes(title_text="transactions a day", type="log", dtick=1, row=1, col=2)
    figure.update_yaxes(
        title_text="battery a day, %", type="log", dtick=1, tickformat="~g", row=1, col=2
    )


def _note(figure: go.Figure, text: str, **place: Any) -> None:  # noqa: ANN401  (plotly's own)
    """A remark; on a logarithmic axis its place is the logarithm, unlike that of a line."""
    left = {"xanchor": "left", "yanchor": "top"}
    figure.add_annotation(text=text, showarrow=False, xshift=4, **(left | place))


def _words(name: str) -> str:
    return escaped(name).replace("_", " ")


def _with_menu(figure: go.Figure, buttons: list[dict[str, Any]]) -> go.Figure:
    figure.update_layout(
        updatemenus=[
            {
                "buttons": buttons, "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom",
                "pad": {"b": 6}, "bgcolor": "#ffffff", "bordercolor": GREY,
                "font": {"color": "#222222"},
            }
        ]
    )  # fmt: skip
    return figure
