"""Intervals, histograms, quantiles and frequent values, as the profile's sections use them."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from fraudnet.profile.ledger import Bools, Floats, Ints, Labels, Numbers

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_MOST_FREQUENT = 10
_BINS = 50


def wilson_interval(
    successes: Ints, trials: Ints, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Score interval of a share (Wilson 1927, "Probable inference", JASA 22, 209-212).

    Args:
        successes: [T] counts.
        trials: [T] counts.
        confidence: 0..1.

    Returns:
        [T] lower and upper ends, 0..1; 0 and 1 where there are no trials.
    """
    z2 = norm.ppf((1 + confidence) / 2) ** 2
    n = np.maximum(trials, 1)
    centre = (successes + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (successes * (n - successes) / n + z2 / 4)) / (n + z2)
    # At shares of 0 and 1 the ends are exactly these, which rounding would miss.
    low = np.where(successes == 0, 0.0, centre - half)
    high = np.where(successes >= trials, 1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Histogram:
    """How many values of each group [B] lie between edges [B + 1], the last edge included."""

    edges: Floats
    counts: dict[str, Ints]


def histogram(groups: dict[str, Numbers], *, log: bool) -> Histogram | None:
    """Histogram of groups of values over their common range; None where there are no values.

    Args:
        groups: finite values of each; all positive where `log`.
        log: the bins are equally wide in the values' logarithm.
    """
    groups = {name: values.astype(float) for name, values in groups.items() if len(values)}
    if not groups:
        return None
    low = min(values.min() for values in groups.values())
    high = max(values.max() for values in groups.values())
    if low < high:
        edges = (np.geomspace if log else np.linspace)(low, high, _BINS + 1)
    else:
        edges = np.array([low / 1.1, low * 1.1] if log else [low - 0.5, low + 0.5])
    counts = {name: np.histogram(values, edges)[0] for name, values in groups.items()}
    return Histogram(edges, counts)


def histogram_of_counts(name: str, counts: Ints) -> Histogram:
    """Histogram of counts [N >= 1] from 1; the edges are whole and about equally far in logarithm.

    The last edge is one more than the highest count.
    """
    edges = np.unique(np.geomspace(1, counts.max() + 1, _BINS + 1).round())
    return Histogram(edges, {name: np.histogram(counts, edges)[0]})


def quantiles(groups: dict[str, Numbers]) -> dict[str, Floats]:
    """Each group's values at `QUANTILES`; a group without values is left out."""
    return {name: np.quantile(values, QUANTILES) for name, values in groups.items() if len(values)}


@dataclass(frozen=True)
class Frequent:
    """A value with its rows, those of them that are labelled, and the frauds among these."""

    value: str | float
    rows: int
    labelled: int
    frauds: int


def frequent(values: Numbers, codes: Ints, is_fraud: Labels) -> list[Frequent]:
    """The most frequent values, ties in the order of `values`.

    Args:
        values: [V] what the codes stand for, text or numbers.
        codes: [N] positions in `values`, -1 for null.
        is_fraud: [N] 1, 0 or -1 (unlabelled).
    """

    def counts(chosen: Bools) -> Ints:
        return np.bincount(codes[chosen], minlength=len(values))

    there = codes >= 0
    rows, labelled = counts(there), counts(there & (is_fraud >= 0))
    frauds = counts(there & (is_fraud == 1))
    top = np.argsort(-rows, kind="stable")[:_MOST_FREQUENT]
    return [
        Frequent(value, int(rows[i]), int(labelled[i]), int(frauds[i]))
        for value, i in zip(values[top].tolist(), top, strict=True)
    ]
