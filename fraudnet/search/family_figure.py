"""The family as a picture: average precision against cost, predicted MACs against measured."""

from collections.abc import Sequence
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fraudnet.evaluation.figures import BLUE, GREY, ORANGE
from fraudnet.search.family import Member

_SERIES = {"validation": (BLUE, "o-"), "test": (ORANGE, "s--")}


def family_figure(members: Sequence[Member]) -> Figure:
    """Four panels: average precision by MACs, by parameters, by energy; MACs predicted, measured.

    With several seeds a bar shows their standard deviation.
    """
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    costs: dict[str, Sequence[float]] = {
        "multiply-accumulates a score (counted in the .tflite)": [m.measured_macs for m in members],
        "parameters": [m.cost.parameters for m in members],
        "energy of the network a score, µJ (estimated)": [
            m.energy.network_energy_uj.typical for m in members
        ],
    }
    for panel, (name, cost) in zip(axes.flat, costs.items(), strict=False):
        _precision(panel, members, name, cost)
    _prediction(axes.flat[-1], members)
    return figure


def _precision(axes: Axes, members: Sequence[Member], name: str, cost: Sequence[float]) -> None:
    for period, (colour, line) in _SERIES.items():
        values = [m.average_precision[period] for m in members]
        spread = [stdev(v) for v in values] if len(values[0]) > 1 else None
        axes.errorbar(
            cost, [mean(v) for v in values], spread, fmt=line, color=colour, capsize=3, label=period
        )
    for member, x in zip(members, cost, strict=True):
        y = mean(member.average_precision["validation"])
        axes.annotate(member.size, (x, y), xytext=(0, 8), textcoords="offset points", ha="center")
    axes.set_xscale("log")
    axes.margins(0.15)
    axes.set(xlabel=name, ylabel="average precision")
    axes.legend()


def _prediction(axes: Axes, members: Sequence[Member]) -> None:
    predicted, measured = [m.cost.macs for m in members], [m.measured_macs for m in members]
    axes.axline((1, 1), (10, 10), color=GREY, linestyle=":", label="equal")
    axes.plot(predicted, measured, "o", color=BLUE, label="the family")
    for member, x, y in zip(members, predicted, measured, strict=True):
        axes.annotate(member.size, (x, y), xytext=(6, -10), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = (min(predicted) / 2, max(predicted) * 3)
    axes.set(xlim=ends, ylim=ends)
    axes.set(xlabel="multiply-accumulates, predicted", ylabel="counted in the .tflite")
    axes.legend()
