"""Histograms of times, on logarithmic axes: the tail is what one looks for."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fraudnet.errors import InputError
from fraudnet.latency.percentiles import percentiles

BINS = 80


def write_histograms(
    path: Path, panels: Mapping[str, Mapping[str, npt.NDArray[np.float64]]]
) -> None:
    """A panel each, a line a sample, with its p99 in the legend.

    Args:
        path: of the picture; its ending says the format.
        panels: times in microseconds, [N], by label, by the panel's title.

    Raises:
        InputError: it cannot be written there.
    """
    figure = Figure(figsize=(9, 3.6 * len(panels)), layout="constrained")
    for axes, (title, samples) in zip(
        np.atleast_1d(figure.subplots(len(panels))), panels.items(), strict=True
    ):
        every = np.concatenate(list(samples.values()))
        edges = np.geomspace(max(every.min(), 1e-3) * 0.98, every.max() * 1.02, BINS + 1)
        for label, times in samples.items():
            counts, _ = np.histogram(times, edges)
            p99 = percentiles(times)["p99_us"]
            shown = "" if p99 is None else f" (p99 {p99:,.0f} µs)"
            axes.stairs(counts / len(times), edges, label=f"{label}{shown}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set(title=title, xlabel="microseconds", ylabel="share of the times")
        axes.legend(fontsize="small")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:  # ValueError: an ending that is no format
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be written: {reason}; name a .png file") from error
