"""The profile's figures, as PNG."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fraudnet.profile.ledger import Ints
from fraudnet.profile.measures import Histogram
from fraudnet.profile.statistics import OverTime

# Safe for colour-blind readers (Okabe and Ito 2008).
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"
_COLOURS = {"genuine": BLUE, "fraud": ORANGE, "unlabelled": GREY}
_AS_WRITTEN = "{x:,g}"
_DOTS_PER_INCH = 150  # shown at 96: sharp on dense screens, too


@dataclass(frozen=True)
class Picture:
    """A PNG, what it shows in one line, and the same for who cannot see it."""

    png: bytes
    caption: str
    alt: str

    @property
    def base64(self) -> str:
        """The PNG as a page embeds it."""
        return base64.b64encode(self.png).decode()


def fraud_rate(data: OverTime) -> Picture | None:
    """Fraud share of the labelled rows over time, with its interval; None without labels."""
    there = data.labelled > 0
    if not there.any():
        return None
    figure, axes = _canvas("", "fraud share of the labelled")
    share = data.frauds[there] / data.labelled[there]
    middle = data.begin[there] + np.timedelta64(12 * data.step_days, "h")
    axes.errorbar(
        middle, share,
        yerr=np.maximum(0.0, [share - data.low[there], data.high[there] - share]),
        fmt="o", markersize=3.5, color=ORANGE, ecolor="#E8A27C", elinewidth=1.2,
    )  # fmt: skip
    overall = data.frauds.sum() / data.labelled.sum()
    axes.axhline(overall, color=GREY, linestyle=":", label=f"overall {overall:.3%}")
    # Intervals of periods with hardly a label would squash all others.
    axes.set_ylim(0, max(1.25 * share.max(), 2 * overall) or data.high[there].max())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="upper right", frameon=False)
    _dates(axes)
    unit = _unit(data)
    alt = (
        f"Fraud share by {unit}: from {share.min():.3%} to {share.max():.3%}, overall "
        f"{overall:.3%}."
    )
    caption = f"Fraud share by {unit}, with 95 % Wilson intervals."
    return picture(figure, caption, alt)


def transactions(data: OverTime) -> Picture:
    """Rows a day over time, and which share of them carries no label."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    begin = data.begin.astype("datetime64[s]")
    ends = np.append(begin, begin[-1] + np.timedelta64(data.last_days, "D"))
    above.stairs(data.rows_a_day, ends, fill=True, color=BLUE)
    above.set_ylabel("transactions a day")
    above.yaxis.set_major_formatter(_AS_WRITTEN)
    unlabelled = 1 - data.labelled / np.maximum(data.rows, 1)
    unlabelled[data.rows == 0] = np.nan
    below.stairs(unlabelled, ends, color=ORANGE, linewidth=1.5, baseline=None)
    below.set(ylabel="unlabelled", ylim=(-0.05, 1.05), xlabel="date, UTC")
    below.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in (above, below):
        _plain(axes)
    _dates(below)
    alt = (
        f"Transactions a day: from {data.rows_a_day.min():,.1f} to {data.rows_a_day.max():,.1f}; "
        f"unlabelled share from {np.nanmin(unlabelled):.1%} to {np.nanmax(unlabelled):.1%}."
    )
    caption = f"Transactions a day and unlabelled share, by {_unit(data)}."
    return picture(figure, caption, alt)


def counts(data: Histogram, x: str, y: str, caption: str) -> Picture:
    """Histogram of counts, both axes logarithmic."""
    figure, axes = _canvas(x, y)
    (values,) = data.counts.values()
    axes.stairs(values, data.edges, fill=True, color=BLUE)
    axes.set(xscale="log", yscale="log", ylim=(0.8, 2.0 * values.max()))
    axes.xaxis.set_major_formatter(_AS_WRITTEN)
    axes.yaxis.set_major_formatter(_AS_WRITTEN)
    return picture(figure, caption, f"{caption} {_range_of(data)}")


def shares(data: Histogram, x: str, caption: str, *, log: bool) -> Picture:
    """Histograms of groups, each as shares of its own values, so that rare ones can be seen."""
    figure, axes = _canvas(x, "share within the group" if len(data.counts) > 1 else "share")
    for name, values in data.counts.items():
        colour = _COLOURS.get(name, BLUE)
        share = values / values.sum()
        label = f"{name}, {values.sum():,}"
        axes.stairs(share, data.edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(share, data.edges, color=colour, linewidth=1.5, label=label)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_AS_WRITTEN)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return picture(figure, caption, f"{caption} {_range_of(data)}")


def _range_of(data: Histogram) -> str:
    def peak(values: Ints) -> str:
        at = int(np.argmax(values))
        return f"{data.edges[at]:,.4g} and {data.edges[at + 1]:,.4g}"

    peaks = "; ".join(f"most {name} between {peak(each)}" for name, each in data.counts.items())
    return f"Values from {data.edges[0]:,.4g} to {data.edges[-1]:,.4g}; {peaks}."


def _unit(data: OverTime) -> str:
    return "day" if data.step_days == 1 else "week"


def _canvas(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10)
    axes.xaxis.label.set_fontsize(11)
    axes.yaxis.label.set_fontsize(11)


def _dates(axes: Axes) -> None:
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    )
    axes.set_xlabel("date, UTC")


def picture(figure: Figure, caption: str, alt: str) -> Picture:
    """A figure as a page shows it; it is drawn without any window."""
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS_PER_INCH)
    return Picture(file.getvalue(), caption, alt)
