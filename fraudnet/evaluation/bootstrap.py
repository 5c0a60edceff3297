"""Intervals over accounts: whole accounts are drawn anew, for their rows are alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pandas import DataFrame

from fraudnet.evaluation.metrics import Ints

LEVEL = 0.95
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Where a figure lies in 95 of 100 samples of accounts."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, where that can be told."""

    value: float
    interval: Interval | None


def resampled(accounts: int, resamples: int, seed: int) -> Iterator[Ints]:
    """[A] how often each account is drawn when A of A are drawn with replacement, time after time.

    The bootstrap of whole clusters (Davison and Hinkley 1997, "Bootstrap Methods and their
    Application", section 3.8). The same seed gives the same draws, so that two figures of the same
    accounts can be compared draw by draw.

    Args:
        accounts: A.
        resamples: how many times.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, accounts, accounts), minlength=accounts)


def interval_of(values: Iterable[float] | Array) -> Interval | None:
    """The percentile interval (Efron and Tibshirani 1993, chapter 13) of a figure's resamples.

    Args:
        values: one a resample; NaN where the figure was not defined.

    Returns:
        None where it was not defined in most of them.
    """
    given = np.asarray([*values], np.float64)
    defined = given[~np.isnan(given)]
    if 2 * len(defined) <= len(given):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def bounds(draws: Iterable[dict[str, float]]) -> dict[str, float]:
    """`NAME_low` and `NAME_high` of every figure that most draws define.

    Args:
        draws: figures by name, a dictionary a resample; those that are not defined are NaN or
            left out.
    """
    found = DataFrame([*draws])
    intervals = {str(name): interval_of(values.to_numpy()) for name, values in found.items()}
    return {
        f"{name}_{end}": getattr(interval, end)
        for name, interval in intervals.items()
        if interval
        for end in ("low", "high")
    }
