"""Spectra of the layers, and average precision against work, as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from fraudnet.compression.spectra import Spectrum
from fraudnet.evaluation.figures import BLUE, GREY, ORANGE

_STYLES = {
    "whole": (GREY, "D"),
    "plain": (GREY, "s--"),
    "whitened": (BLUE, "o-"),
    "factored": (ORANGE, "v"),
    "fine-tuned": (ORANGE, "^"),
}


@dataclass(frozen=True)
class Point:
    """A network on the chart.

    Attributes:
        series: whole, plain or whitened (at several shares of the work), factored (as chosen), or
            fine-tuned (the same, fitted a little more).
        macs: multiply-accumulates of one score.
        average_precision: on the validation period.
    """

    series: str
    macs: int
    average_precision: float


def spectrum_figure(name: str, plain: Spectrum, whitened: Spectrum, rank: int | None) -> Figure:
    """The energy that each rank leaves out, of the kernel and of the answers.

    Args:
        name: of the layer.
        plain: of its kernel.
        whitened: of its answers.
        rank: that was chosen; None: it stays whole.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for label, each, colour in (("kernel", plain, GREY), ("answers", whitened, BLUE)):
        ranks = np.arange(len(each.energy))
        left_out = [1 - each.retained(rank) for rank in ranks]
        axes.semilogy(ranks, left_out, color=colour, label=f"energy of the {label}")
    highest = plain.cost.highest_rank
    axes.axvline(highest, color=GREY, linestyle=":", label="no saving beyond")
    if rank is not None:
        axes.axvline(rank, color=ORANGE, linestyle="--", label=f"chosen: {rank}")
    axes.set(
        title=f"{name} ({plain.cost.received} to {plain.cost.given} channels)",
        xlabel="rank", ylabel="share left out", ylim=(1e-6, 1.5),
    )  # fmt: skip
    axes.legend()
    return figure


def work_figure(points: Sequence[Point]) -> Figure:
    """Average precision on the validation period against multiply-accumulates of one score."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for series, (colour, style) in _STYLES.items():
        own = sorted((p for p in points if p.series == series), key=lambda p: p.macs)
        axes.plot(
            [p.macs for p in own], [p.average_precision for p in own], style, color=colour,
            label=series,
        )  # fmt: skip
    axes.set(
        title="What low rank costs",
        xlabel="multiply-accumulates a score", ylabel="average precision, validation period",
    )  # fmt: skip
    axes.legend()
    return figure
