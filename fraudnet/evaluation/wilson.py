"""Intervals of a share that was counted."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Floats = npt.NDArray[np.floating[Any]]


def wilson_interval(share: Floats, count: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper ends of the interval of a share.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    Args:
        share: [N] of successes.
        count: [N] trials, at least one each.
        level: of confidence.
    """
    z = norm.ppf((1 + level) / 2)
    middle = share + z**2 / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return np.maximum((middle - half) / scale, 0), np.minimum((middle + half) / scale, 1)
