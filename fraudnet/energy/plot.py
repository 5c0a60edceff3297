"""An estimate as a picture: what each layer takes, and battery against the rate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fraudnet.energy.estimate import estimate_counted, estimate_day
from fraudnet.energy.report import Report
from fraudnet.errors import InputError
from fraudnet.evaluation.figures import BLUE, GREY, ORANGE

_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7")
_RATES = np.logspace(0, 6, 61)


def write_plot(report: Report, path: Path) -> None:
    """Write the picture; the file's ending says in which format.

    Raises:
        InputError: it cannot be written, or matplotlib knows no such format.
    """
    try:
        energy_figure(report).savefig(path, dpi=150)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}".replace("\n", " ")) from error


def energy_figure(report: Report) -> Figure:
    """Two panels: stacked bars by layer, and the battery a day against inferences a day.

    The bars are energy in the counted tier alone; with a measured latency, which no layer has a
    share of, they are amounts of work.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    layers, rates = figure.subplots(1, 2)
    _layers(layers, report)
    _rates(rates, report)
    figure.suptitle(f"{Path(report.file).name} on {report.profile.name}, {report.estimate.tier}")
    return figure


def parts_by_layer(report: Report) -> dict[str, list[float]]:
    """Part of the work to a value for each layer, in the order of execution.

    In the counted tier typical energy in microjoules; with a measured latency, which no layer has a
    share of, numbers of operations.
    """
    count = report.count
    if report.estimate.tier == "measured":
        return {
            "multiply-accumulates": [float(one.macs) for one in count.operators],
            "element operations": [float(one.elementwise) for one in count.operators],
        }
    each = [
        estimate_counted(
            replace(count, operators=(one,)), report.profile, report.estimate.operation
        ).network
        for one in count.operators
    ]
    return {
        part.name: [layer[i].energy_uj.typical for layer in each]
        for i, part in enumerate(report.estimate.network)
    }


def _layers(axes: Axes, report: Report) -> None:
    parts = parts_by_layer(report)
    if report.estimate.tier == "counted":
        axes.set(ylabel="energy of the network, µJ (typical, counted)")
    else:
        axes.set(ylabel="operations (counted; no energy)")
    bottom = np.zeros(len(report.count.operators))
    for (name, values), colour in zip(parts.items(), _COLOURS, strict=False):
        axes.bar(np.arange(len(values)), values, bottom=bottom, label=name, color=colour, width=1)
        bottom += values
    axes.set(xlabel="layer, in the order of execution")
    axes.legend()


def _rates(axes: Axes, report: Report) -> None:
    battery = report.profile.battery
    days = [estimate_day(report.estimate, float(rate), battery) for rate in _RATES]
    shown = [day.battery_percent or day.energy_j for day in days]
    low, high = [each.low for each in shown], [each.high for each in shown]
    axes.fill_between(_RATES, low, high, color=BLUE, alpha=0.2, label="low to high")
    axes.plot(_RATES, [each.typical for each in shown], color=BLUE, label="typical")
    at = report.day.battery_percent or report.day.energy_j
    if report.day.inferences and at.typical:
        axes.plot(report.day.inferences, at.typical, "o", color=BLUE)
    if report.budget_percent is not None and battery:
        axes.axhline(report.budget_percent, color=ORANGE, linestyle="--", label="budget")
    axes.axvline(report.day.inferences or 1, color=GREY, linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="inferences a day")
    axes.set(ylabel="battery a day, %" if battery else "energy a day, J (no battery)")
    axes.legend()
