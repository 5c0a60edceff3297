"""Whether probabilities are what they say, before and after calibration."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.metrics import brier_score_loss, log_loss

from fraudnet.evaluation.bootstrap import bounds, resampled
from fraudnet.evaluation.figures import BLUE, GREY, ORANGE
from fraudnet.evaluation.metrics import Ints
from fraudnet.evaluation.wilson import wilson_interval

ERROR_BINS = 20
DIAGRAM_BINS = 12

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Predicted:
    """Labelled transactions and what was said of them, [N] each.

    Attributes:
        is_fraud: 1 or 0.
        weight: how many transactions each stands for, 1 unless they are a sample.
        uncalibrated: probability as the weights were trained, sigmoid(logit).
        calibrated: probability after calibration; None where it could not be measured.
    """

    is_fraud: Labels
    weight: Floats
    uncalibrated: Floats
    calibrated: Floats | None


@dataclass(frozen=True)
class Bins:
    """Transactions of like probability, [bins] each.

    Attributes:
        predicted: mean probability.
        observed: share of fraud.
        mass: sum of weights.
        count: transactions that are worth as much as these unequal weights (Kish 1965, section
            8.2: the squared sum of the weights by the sum of their squares).
    """

    predicted: Floats
    observed: Floats
    mass: Floats
    count: Floats


def binned(probability: Floats, is_fraud: Labels, weight: Floats, mass: Floats, bins: int) -> Bins:
    """Transactions in the order of their probability, in bins of equal mass; ties stay together.

    Args:
        probability: [N].
        is_fraud: [N] 1 or 0.
        weight: [N].
        mass: [N] what the bins hold alike.
        bins: at most so many; those that ties leave empty are left out.
    """
    values, tie = np.unique(probability.astype(np.float64), return_inverse=True)
    masses = np.bincount(tie, mass)
    middle = np.cumsum(masses) - masses / 2
    bin_ = np.minimum(bins * middle / masses.sum(), bins - 1).astype(np.int64)[tie]
    total = np.bincount(bin_, weight).astype(np.float64)
    kept = total > 0
    total = total[kept]
    return Bins(
        predicted=np.bincount(bin_, weight * values[tie])[kept] / total,
        observed=np.bincount(bin_, weight * is_fraud)[kept] / total,
        mass=total,
        count=total**2 / np.bincount(bin_, weight**2)[kept],
    )


def expected_calibration_error(
    probability: Floats, is_fraud: Labels, weight: Floats | None = None, bins: int = ERROR_BINS
) -> float:
    """Mean distance of the share of fraud from the mean probability, over bins of equal mass.

    Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", section 4;
    with bins of as many transactions each, not of equal width, as Nixon et al. 2019, "Measuring
    Calibration in Deep Learning", section 3: nearly all probabilities are near 0.

    Args:
        probability: [N].
        is_fraud: [N] 1 or 0.
        weight: [N], 1 if left out.
        bins: how many.
    """
    weight = np.ones(len(probability)) if weight is None else weight
    found = binned(probability, is_fraud, weight, weight, bins)
    return float(np.average(np.abs(found.observed - found.predicted), weights=found.mass))


def calibration_figures(predicted: Predicted) -> dict[str, float]:
    """Expected calibration error, Brier score and log loss, after and before (`_uncalibrated`).

    Those after are left out where they were not measured.
    """
    is_fraud, weight = predicted.is_fraud, predicted.weight
    figures: dict[str, float] = {}
    for ending, probability in _both(predicted):
        figures |= {
            f"expected_calibration_error{ending}": expected_calibration_error(
                probability, is_fraud, weight
            ),
            f"brier_score{ending}": float(
                brier_score_loss(is_fraud, probability, sample_weight=weight)
            ),
            f"log_loss{ending}": float(log_loss(is_fraud, probability, sample_weight=weight)),
        }
    return figures


def calibration_intervals(
    predicted: Predicted, account: Ints, resamples: int, seed: int
) -> dict[str, float]:
    """`NAME_low` and `NAME_high` of Brier score and log loss: 95 % intervals over accounts.

    The calibration error has none: noise makes it larger (Roelofs et al. 2022, "Mitigating Bias in
    Calibration Error Estimation", section 4), so that resamples lie above the sample.

    Args:
        predicted: N transactions.
        account: [N] codes.
        resamples: of the accounts.
        seed: of the draws.
    """
    codes, account = np.unique(account, return_inverse=True)
    whole = np.bincount(account, predicted.weight)
    losses = {}
    for ending, probability in _both(predicted):
        square = (probability - predicted.is_fraud) ** 2
        least = np.finfo(probability.dtype).eps  # as scikit-learn's log_loss
        truth = np.where(predicted.is_fraud == 1, probability, 1 - probability)
        log = -np.log(np.clip(truth, least, 1 - least))
        for name, loss in ((f"brier_score{ending}", square), (f"log_loss{ending}", log)):
            losses[name] = np.bincount(account, predicted.weight * loss)
    draws = resampled(len(codes), resamples, seed)
    return bounds(
        {name: float(times @ loss / (times @ whole)) for name, loss in losses.items()}
        for times in draws
    )


def _both(predicted: Predicted) -> list[tuple[str, Floats]]:
    """Probabilities after and before calibration, by the ending of their figures' names."""
    pairs = (("", predicted.calibrated), ("_uncalibrated", predicted.uncalibrated))
    return [(ending, values) for ending, values in pairs if values is not None]


def reliability_diagram(predicted: Predicted) -> Figure:
    """Share of fraud against mean probability, with 95 % intervals, before and after calibration.

    The bins hold equal numbers of predicted frauds (equal sums of the probability), since bins of
    equally many transactions would all but one lie at the lower end.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(
        title="Calibration", xlabel="mean predicted probability", ylabel="share of fraud",
        xlim=(0, 1), ylim=(0, 1),
    )  # fmt: skip
    axes.set_xscale("symlog", linthresh=1e-3)
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="perfect")
    for probability, colour, style, label in (
        (predicted.uncalibrated, ORANGE, "o:", "before"),
        (predicted.calibrated, BLUE, "o-", "after"),
    ):
        if probability is None:
            continue
        weight = predicted.weight
        found = binned(probability, predicted.is_fraud, weight, weight * probability, DIAGRAM_BINS)
        lower, upper = wilson_interval(found.observed, found.count)
        axes.errorbar(
            found.predicted, found.observed,
            yerr=np.clip([found.observed - lower, upper - found.observed], 0, None),
            fmt=style, color=colour, markersize=4, capsize=2, elinewidth=0.8, label=label,
        )  # fmt: skip
    axes.legend()
    return figure
