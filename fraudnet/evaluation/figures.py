"""Figures of a period's scores, as matplotlib draws them."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve

from fraudnet.evaluation.metrics import Scored

# Safe for colour-blind readers (Okabe and Ito 2008).
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"


def figures(scored: Scored, threshold: float, alerts_per_day: float) -> dict[str, Figure]:
    """Precision-recall curve, score histogram and alerts a day, by name.

    Args:
        scored: labelled transactions of a period; the scores are probabilities.
        threshold: from which on a transaction is flagged.
        alerts_per_day: the alert budget.
    """
    return {
        "precision_recall": _precision_recall(scored, threshold),
        "score_histogram": _histogram(scored, threshold),
        "alerts_a_day": _alerts(scored, threshold, alerts_per_day),
    }


def _precision_recall(scored: Scored, threshold: float) -> Figure:
    fraud = scored.is_fraud == 1
    precision, recall, at = precision_recall_curve(fraud, scored.score)
    figure, axes = _canvas("Precision and recall", "recall", "precision")
    area = average_precision_score(fraud, scored.score)
    axes.step(recall, precision, where="post", color=BLUE, label=f"average precision {area:.3f}")
    point = int(np.searchsorted(at, threshold))
    axes.plot(recall[point], precision[point], "o", color=ORANGE, label="at the threshold")
    axes.axhline(fraud.mean(), color=GREY, linestyle=":", label="share of fraud")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return figure


def _histogram(scored: Scored, threshold: float) -> Figure:
    figure, axes = _canvas("Scores", "fraud probability", "transactions")
    edges = np.linspace(0, 1, 41)
    for label, colour, value in (("genuine", BLUE, 0), ("fraud", ORANGE, 1)):
        chosen = scored.score[scored.is_fraud == value]
        axes.hist(chosen, edges.tolist(), color=colour, alpha=0.6, label=label)
    axes.axvline(threshold, color=GREY, linestyle="--", label="threshold")
    axes.set_yscale("log")
    axes.legend()
    return figure


def _alerts(scored: Scored, threshold: float, budget: float) -> Figure:
    day, position = np.unique(scored.day, return_inverse=True)
    flagged = scored.score >= threshold
    fraud = scored.is_fraud == 1
    figure, axes = _canvas("Alerts a day", "day", "flagged transactions")
    moments = day.astype("datetime64[D]")
    right = _count(position, flagged & fraud, len(day))
    axes.bar(moments, right, color=ORANGE, label="fraud")
    axes.bar(
        moments, _count(position, flagged & ~fraud, len(day)), bottom=right, color=BLUE,
        label="genuine",
    )  # fmt: skip
    axes.axhline(budget, color=GREY, linestyle="--", label="budget")
    axes.legend()
    figure.autofmt_xdate()
    return figure


def _count(
    position: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_], days: int
) -> npt.NDArray[np.int64]:
    return np.bincount(position[chosen], minlength=days)


def _canvas(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes
