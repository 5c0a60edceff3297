"""Figures of all transactions from the verdicts on a few, by how likely each was to be chosen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import gamma

from fraudnet.errors import InputError
from fraudnet.evaluation.bootstrap import LEVEL, Estimate, Interval
from fraudnet.evaluation.wilson import wilson_interval

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Reviewed:
    """Transactions that were chosen to be looked at, n of N.

    Attributes:
        is_fraud: [n] by their verdicts: 1, 0, or -1 where there is none.
        inclusion_probability: [n] with which each was to be chosen.
        alerted: [n] whether it is an alert of whom the figures are about.
        population: N, all that could have been chosen; None: as many as those chosen stand for.
    """

    is_fraud: npt.NDArray[np.int8]
    inclusion_probability: Floats
    alerted: Mask
    population: int | None = None


@dataclass(frozen=True)
class SampledFigures:
    """Shares 0..1 among all N transactions, with intervals of 95 per cent.

    Attributes:
        recall: of the frauds, those alerted.
        precision: of the alerts, the frauds; None where nothing was alerted.
        prevalence: of all transactions, the frauds.
    """

    recall: Estimate | None
    precision: Estimate | None
    prevalence: Estimate


def sampled_figures(reviewed: Reviewed) -> SampledFigures:
    """Recall, precision and prevalence, corrected for how the transactions were chosen.

    Each counts for as many as it stands for, 1 / inclusion probability (Horvitz and Thompson 1952,
    "A Generalization of Sampling Without Replacement From a Finite Universe", section 3); shares of
    two estimated totals after Hajek 1971. One without a verdict hands its weight to those of its
    kind, alerted or not, certain or drawn (Oh and Scheuren 1983, "Weighting Adjustment for Unit
    Nonresponse"). Verdicts are taken for the truth: where one in fifty of the genuine is called a
    fraud, the prevalence is overestimated by up to a fiftieth.

    The intervals of recall and prevalence are about the N transactions and say what the draw leaves
    open: a weighted count of rare frauds after Fay and Feuer 1997, "Confidence Intervals for
    Directly Standardized Rates: A Method Based on the Gamma Distribution", which holds where none
    was found, too. That of precision is Wilson's at the effective number of alerts (Kish 1965,
    "Survey Sampling", section 11.2).

    Args:
        reviewed: of a period; one whose choice left something out must hold some drawn at random.

    Raises:
        InputError: nothing was drawn at random, though not all was chosen, or none of a kind has a
            verdict.
    """
    is_fraud, weight, alerted, certain = _decided(reviewed)
    caught = _total(weight * (is_fraud & alerted), certain, weight[alerted & ~certain])
    missed = _total(weight * (is_fraud & ~alerted), certain, weight[~alerted & ~certain])
    frauds = _total(weight * is_fraud, certain, weight[~certain])
    population = reviewed.population or float(weight.sum())
    return SampledFigures(
        recall=_share_of(caught, missed),
        precision=weighted_share(is_fraud[alerted], weight[alerted]),
        prevalence=_scaled(frauds, 1 / population),
    )


def _decided(reviewed: Reviewed) -> tuple[Mask, Floats, Mask, Mask]:
    """Of those with a verdict: is_fraud, weight, alerted, certain, [m] each."""
    certain = reviewed.inclusion_probability >= 1
    if certain.all() and len(certain) != reviewed.population:
        raise InputError(
            f"none of the {len(certain)} chosen was drawn at random, so they say nothing of the "
            "others; choose some with a random share (fraudnet cases choose --random)"
        )
    decided = reviewed.is_fraud >= 0
    weight = 1 / reviewed.inclusion_probability
    for kind in np.unique(np.stack([certain, reviewed.alerted], axis=1), axis=0):
        own = (certain == kind[0]) & (reviewed.alerted == kind[1])
        if not (own & decided).any():
            what = f"{'' if kind[1] else 'not '}alerted and {'certain' if kind[0] else 'random'}"
            raise InputError(f"none of the {own.sum()} chosen that are {what} has a verdict yet")
        weight[own] *= weight[own].sum() / weight[own & decided].sum()
    return (
        reviewed.is_fraud[decided] == 1,
        weight[decided],
        reviewed.alerted[decided],
        certain[decided],
    )


def _total(weighted: Floats, certain: Mask, drawn: Floats) -> Estimate:
    """A weighted count: the certain part as it is, the drawn part with its interval."""
    sure, found = float(weighted[certain].sum()), weighted[~certain]
    total, variance = float(found.sum()), float((found**2).sum())
    low = high = 0.0
    if variance:
        low = gamma.ppf((1 - LEVEL) / 2, total**2 / variance, scale=variance / total)
    if len(drawn):
        one_more, spread = total + drawn.max(), variance + drawn.max() ** 2
        high = gamma.ppf((1 + LEVEL) / 2, one_more**2 / spread, scale=spread / one_more)
    return Estimate(sure + total, Interval(sure + float(low), sure + float(high)))


def _share_of(part: Estimate, rest: Estimate) -> Estimate | None:
    """What share of both the part is; its interval goes from one's low end to the other's high."""
    assert part.interval is not None
    assert rest.interval is not None
    if not part.value + rest.value:
        return None
    return Estimate(
        part.value / (part.value + rest.value),
        Interval(
            part.interval.low / max(part.interval.low + rest.interval.high, 1e-300),
            part.interval.high / max(part.interval.high + rest.interval.low, 1e-300),
        ),
    )


def weighted_share(is_fraud: Mask, weight: Floats) -> Estimate | None:
    """The share of frauds, with Wilson's interval at the effective number (see `sampled_figures`).

    Args:
        is_fraud: [n].
        weight: [n] how many each stands for.

    Returns:
        None where n is 0.
    """
    if not len(weight):
        return None
    share = np.average(is_fraud, weights=weight)
    effective = weight.sum() ** 2 / (weight**2).sum()
    low, high = wilson_interval(np.array([share]), np.array([effective]), LEVEL)
    return Estimate(float(share), Interval(float(low[0]), float(high[0])))


def _scaled(total: Estimate, factor: float) -> Estimate:
    assert total.interval is not None
    return Estimate(
        total.value * factor,
        Interval(total.interval.low * factor, min(1.0, total.interval.high * factor)),
    )
