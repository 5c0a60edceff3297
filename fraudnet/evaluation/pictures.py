"""Pictures of the report, beside those that every period has."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import roc_curve

from fraudnet.evaluation.calibration import reliability_diagram
from fraudnet.evaluation.detection import FirstDetections
from fraudnet.evaluation.figures import BLUE, GREY, ORANGE, figures
from fraudnet.evaluation.report import Sample
from fraudnet.evaluation.slices import Slice
from fraudnet.profile.figures import Picture, picture

_TELLS = {
    "precision_recall": "Precision against recall, over all thresholds.",
    "calibration": "Share of fraud against the probability, before and after calibration.",
    "score_histogram": "Scores of frauds and of genuine transactions.",
    "alerts_a_day": "Flagged transactions a day against the alert budget.",
}


def period_pictures(sample: Sample) -> dict[str, Picture]:
    """The figures that every period has, by name, and the low end of the ROC curve."""
    drawn = figures(sample.scored, sample.threshold, sample.alerts_per_day)
    drawn["calibration"] = reliability_diagram(sample.predicted)
    found = {name: picture(drawn[name], tells, tells) for name, tells in _TELLS.items()}
    return found | {"roc": _roc(sample)}


def _roc(sample: Sample) -> Picture:
    fraud = sample.scored.is_fraud == 1
    false_positive_rate, recall, _ = roc_curve(fraud, sample.scored.score)
    figure, axes = _canvas("false positive rate", "recall")
    axes.step(false_positive_rate, recall, where="post", color=BLUE)
    flagged = sample.scored.score >= sample.threshold
    point = (flagged & ~fraud).sum() / (~fraud).sum(), (flagged & fraud).sum() / fraud.sum()
    axes.plot(*point, "o", color=ORANGE, label="at the threshold")
    axes.axvline(0.01, color=GREY, linestyle=":", label="1 % false positives")
    axes.set(xlim=(1e-5, 1), ylim=(0, 1.02))
    axes.set_xscale("symlog", linthresh=1e-4)
    axes.legend(frameon=False)
    caption = "Recall against the false positive rate, which is drawn on a logarithmic axis."
    return picture(
        figure, caption, f"{caption} At the threshold {point[0]:.4%} and {point[1]:.1%}."
    )


def detection_hours(detections: FirstDetections) -> Picture | None:
    """Share of the compromised accounts that are detected by an hour; None where none is."""
    hours = np.sort(detections.hours[~detections.never])
    if not len(hours):
        return None
    figure, axes = _canvas("hours since the account's first fraud", "accounts detected")
    share = np.arange(1, len(hours) + 1) / len(detections.hours)
    end = max(1.0, float(hours[-1]) * 1.05)
    axes.step(np.concatenate([[0], hours, [end]]), np.concatenate([[0], share, share[-1:]]),
              where="post", color=BLUE)  # fmt: skip
    axes.set(xlim=(0, end), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    caption = "Compromised accounts that are detected, by the time since their first fraud."
    return picture(figure, caption, f"{caption} In the end {share[-1]:.1%}.")


def distance_histogram(sample: Sample) -> Picture:
    """Distances from the familiar, of frauds and of genuine transactions, and the threshold.

    Beyond the last bin, which ends where a thousandth is left, all distances are counted in it.
    """
    threshold = sample.distance_threshold
    end = max(1.5 * threshold, float(np.quantile(sample.distance, 0.999)))
    edges = np.linspace(0, end, 61)
    figure, axes = _canvas("distance from the familiar", "transactions")
    tells = []
    for name, colour, value in (("genuine", BLUE, 0), ("fraud", ORANGE, 1)):
        own = sample.distance[sample.scored.is_fraud == value]
        axes.hist(np.minimum(own, end), edges.tolist(), color=colour, alpha=0.6, label=name)
        tells.append(f"{(own > threshold).mean():.2%} of {name}")
    axes.axvline(threshold, color=GREY, linestyle="--", label="threshold")
    axes.set(xlim=(0, end), yscale="log")
    axes.legend(frameon=False)
    caption = "Distances of frauds and of genuine transactions; the last bin holds all beyond it."
    return picture(
        figure, caption, f"{caption} Above the threshold are {' and '.join(tells)} ones."
    )


def slice_recall(slices: list[Slice], overall: float) -> Picture | None:
    """Recall at the threshold of each slice, with its interval; None where none has a fraud."""
    shown = [each for each in slices if "recall" in each.figures][::-1]
    if not shown:
        return None
    figure = Figure(figsize=(8, 1.2 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    _plain(axes)
    for at, each in enumerate(shown):
        recall = each.figures["recall"]
        if recall.interval:
            axes.plot([recall.interval.low, recall.interval.high], [at, at], color=BLUE)
        axes.plot(recall.value, at, "o", color=BLUE)
    axes.axvline(overall, color=GREY, linestyle=":", label=f"all {overall:.1%}")
    axes.set_yticks(range(len(shown)), [_plain_text(each.value) for each in shown])
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(shown) - 0.4), xlabel="recall at the threshold")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False)
    caption = f"Recall by {shown[0].grouping}, with 95 % intervals where they can be told."
    values = ", ".join(f"{each.value} {each.figures['recall'].value:.1%}" for each in shown[::-1])
    return picture(figure, caption, f"{caption} {values}.")


def _plain_text(value: str) -> str:
    """Short, and without what matplotlib takes for mathematics."""
    return value[:30].replace("$", r"\$")


def _canvas(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
