"""How far an input is from genuine ones, by ours; and how well a distance tells them apart.

The larger a distance, the less the input is like what was seen. Every statistic is of genuine
training windows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score, roc_curve

from fraudnet.training.sentinel import Covariance, Familiar

Floats = npt.NDArray[np.floating[Any]]

GENUINE_PASS = 0.95


def auroc(genuine: Floats, shifted: Floats) -> float:
    """Probability that a shifted input is further than a genuine one; a tie counts half.

    Hanley and McNeil 1982, "The Meaning and Use of the Area under a ROC Curve".
    """
    is_shifted = np.repeat([0, 1], [len(genuine), len(shifted)])
    return float(roc_auc_score(is_shifted, np.concatenate([genuine, shifted])))


def fpr95(genuine: Floats, shifted: Floats) -> float:
    """Share of shifted input taken for genuine where 95 per cent of the genuine are.

    Liu et al. 2020, "Energy-based Out-of-distribution Detection", section 4.1: the genuine are the
    positives.
    """
    is_genuine = np.repeat([1, 0], [len(genuine), len(shifted)])
    false, true, _ = roc_curve(is_genuine, -np.concatenate([genuine, shifted]))
    return float(false[np.argmax(true >= GENUINE_PASS)])


@dataclass(frozen=True)
class Distance:
    """A form of the sentinel's, as it comes with the network or by the covariance alone."""

    form: Familiar | Covariance

    @property
    def macs(self) -> int:
        """Multiply-accumulates a position: the projection, each direction and channel weighed."""
        with_limits = isinstance(self.form, Familiar)
        covariance = self.form.covariance if isinstance(self.form, Familiar) else self.form
        channels, directions = covariance.directions.shape
        return channels * directions + directions + channels * (2 if with_limits else 1)

    def __call__(self, activations: Floats) -> npt.NDArray[np.float64]:
        """[N, C] to [N]."""
        return np.asarray(self.form.distance(activations), np.float64)
