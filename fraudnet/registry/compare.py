"""Two runs beside each other: figures, intervals of their differences, configuration, data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sklearn.metrics import average_precision_score, precision_recall_curve

from fraudnet.errors import InputError
from fraudnet.evaluation.comparison import (
    Bootstrap,
    Difference,
    paired_differences,
    why_not_paired,
)
from fraudnet.evaluation.figures import BLUE, GREY, ORANGE
from fraudnet.evaluation.scores import Scores
from fraudnet.training.runs import Figures

SHOWN = 60
"""Characters of a configuration value in the table."""


@dataclass(frozen=True)
class Comparison:
    """Run B beside run A.

    Attributes:
        first: run A.
        second: run B.
        bootstrap: how the intervals were made.
        differences: B - A of the figures that have an interval; empty where they cannot be paired.
        not_paired: why they cannot, or None.
    """

    first: Figures
    second: Figures
    bootstrap: Bootstrap
    differences: dict[str, Difference]
    not_paired: str | None

    @property
    def figures(self) -> dict[str, tuple[float | None, float | None]]:
        """All figures of either, A's and B's; None where one lacks it."""
        a, b = self.first.values, self.second.values
        return {name: (a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b])}

    @property
    def configuration(self) -> dict[str, tuple[str | None, str | None]]:
        """The keys in which the configurations differ, A's and B's values."""
        a, b = self.first.run.data.params, self.second.run.data.params
        keys = sorted(a.keys() | b.keys())
        return {key: (a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)}


def compare(
    first: Figures, second: Figures, bootstrap: Bootstrap, *, allow_other_data: bool = False
) -> Comparison:
    """Compare two runs on the same rows of the same data.

    Args:
        first: run A.
        second: run B.
        bootstrap: how the intervals are made.
        allow_other_data: compare without intervals what was not measured on the same rows.

    Raises:
        InputError: they were not measured on the same rows, and that is not allowed.
    """
    reason = why_not_comparable(first, second)
    if reason is None:
        return Comparison(first, second, bootstrap, differences(first, second, bootstrap), None)
    if not allow_other_data:
        raise InputError(
            f"{first.label} and {second.label} cannot be compared: {reason}; measure both on the "
            "same data, or see their figures without intervals: --allow-other-data"
        )
    return Comparison(first, second, bootstrap, {}, reason)


def why_not_comparable(first: Figures, second: Figures) -> str | None:
    """What keeps two runs from being compared row by row, or None."""
    for each in (first, second):
        if each.scores is None:
            return f"{each.label} has no scores of the {each.period} period"
    return why_not_paired(*_scores(first, second))


def differences(first: Figures, second: Figures, bootstrap: Bootstrap) -> dict[str, Difference]:
    """Differences of two runs that can be compared, second minus first, with their intervals.

    Raises:
        InputError: there is no fraud among the rows.
    """
    return paired_differences(*_scores(first, second), bootstrap)


def _scores(first: Figures, second: Figures) -> tuple[Scores, Scores]:
    assert first.scores is not None
    assert second.scores is not None
    return first.scores, second.scores


def as_dictionary(comparison: Comparison) -> dict[str, Any]:
    """All of a comparison, for JSON."""

    def run(of: Figures) -> dict[str, Any]:
        scores = of.scores
        return {
            "run_id": of.run.info.run_id,
            "name": of.run.info.run_name,
            "fingerprint": scores and scores.fingerprint,
            "span": scores and scores.period,
            "threshold": scores and scores.threshold,
        }

    return {
        "period": comparison.first.period,
        "a": run(comparison.first),
        "b": run(comparison.second),
        "figures": {
            name: {"a": a, "b": b, "difference": None if a is None or b is None else b - a}
            for name, (a, b) in comparison.figures.items()
        },
        "intervals": {
            name: {**asdict(each), "difference": each.value}
            for name, each in comparison.differences.items()
        },
        "bootstrap": asdict(comparison.bootstrap),
        "not_paired": comparison.not_paired,
        "configuration": {k: {"a": a, "b": b} for k, (a, b) in comparison.configuration.items()},
    }


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Tables of the figures and of the configuration; which data; why there is no interval."""
    first, second = comparison.first, comparison.second
    level = f"{100 * comparison.bootstrap.confidence:g} % interval"
    table = Table("", "A", "B", "B - A", level, title=f"{first.period} period")
    for name, (a, b) in comparison.figures.items():
        difference = "" if a is None or b is None else f"{b - a:+.4g}"
        interval = ""
        if name in comparison.differences:
            found = comparison.differences[name]
            interval = f"{found.low:+.4g} .. {found.high:+.4g}"
        table.add_row(name.replace("_", " "), _number(a), _number(b), difference, interval)
    console.print(table)
    for letter, each in (("A", first), ("B", second)):
        scores = each.scores
        data = f"data {scores.fingerprint}, {scores.period}" if scores else "no scores"
        console.print(f"{letter}: {each.label}, {data}", soft_wrap=True, highlight=False)
    if comparison.not_paired:
        console.print(f"no intervals: {comparison.not_paired}", soft_wrap=True, highlight=False)
    _print_configuration(comparison.configuration, console)


def _print_configuration(
    configuration: Mapping[str, tuple[str | None, str | None]], console: Console
) -> None:
    if not configuration:
        console.print("the configurations are the same")
        return
    table = Table("key", "A", "B", title="where the configurations differ")
    for key, values in configuration.items():
        table.add_row(key, *("" if v is None else escape(_cut(v)) for v in values))
    console.print(table)


def precision_recall(first: Figures, second: Figures) -> Figure:
    """The precision-recall curves of both, one over the other.

    Raises:
        InputError: a run has no scores, or no fraud among them.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(title=f"{first.period} period", xlabel="recall", ylabel="precision")
    for letter, each, colour in (("A", first, BLUE), ("B", second, ORANGE)):
        if each.scores is None or not each.scores.is_fraud.any():
            raise InputError(f"{each.label} has no scores with frauds, so no curve can be drawn")
        fraud, score = each.scores.is_fraud == 1, each.scores.fraud_probability
        precision, recall, _ = precision_recall_curve(fraud, score)
        area = average_precision_score(fraud, score)
        label = f"{letter}: {each.label}, average precision {area:.3f}"
        axes.step(recall, precision, where="post", color=colour, label=label)
        axes.axhline(fraud.mean(), color=GREY, linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return figure


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
