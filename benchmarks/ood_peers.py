"""How far an input is from genuine ones, by peers from the literature.

The larger a distance, the less the input is like what was seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from benchmarks.ood_methods import Floats

Scorer = Callable[[Floats], npt.NDArray[np.float64]]

NEIGHBOURS = 50
SHRINKAGE = 1e-3  # share of the mean variance


@dataclass(frozen=True)
class Mahalanobis:
    """Squared Mahalanobis distance with the whole covariance, shrunk by a share of its trace.

    Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples", section
    2.1, one class.
    """

    mean: Floats
    inverse: Floats

    @property
    def macs(self) -> int:
        """Multiply-adds a position: a whitening and its squares."""
        channels = len(self.mean)
        return channels * channels + channels

    def __call__(self, activations: Floats) -> npt.NDArray[np.float64]:
        """[N, C] to [N]."""
        centred = activations.astype(np.float64) - self.mean
        found: npt.NDArray[np.float64] = np.einsum("nc,cd,nd->n", centred, self.inverse, centred)
        return found


def fit_mahalanobis(activations: Floats) -> Mahalanobis:
    """Mean and inverse covariance of genuine windows, [N, C]."""
    rows = activations.astype(np.float64)
    covariance = np.atleast_2d(np.cov(rows, rowvar=False))
    shrinkage = max(SHRINKAGE * float(np.trace(covariance)) / len(covariance), 1e-12)
    inverse = np.linalg.inv(covariance + shrinkage * np.eye(len(covariance)))
    return Mahalanobis(rows.mean(axis=0), inverse)


@dataclass(frozen=True)
class Relative:
    """Distance from the nearest class less that from everything.

    Ren et al. 2021, "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection",
    equation 3: the classes share a covariance, the background has its own. With the genuine alone
    the two would be the same, so this method, and it only, is fitted on training frauds as well.
    """

    classes: tuple[Mahalanobis, ...]
    background: Mahalanobis

    @property
    def macs(self) -> int:
        """Multiply-adds a position; the classes share one projection."""
        channels = len(self.background.mean)
        return 2 * channels**2 + (1 + len(self.classes)) * channels

    def __call__(self, activations: Floats) -> npt.NDArray[np.float64]:
        """[N, C] to [N]."""
        nearest = np.min([each(activations) for each in self.classes], axis=0)
        found: npt.NDArray[np.float64] = nearest - self.background(activations)
        return found


def fit_relative(genuine: Floats, fraud: Floats) -> Relative:
    """The two classes of training windows, [N, C] and [M, C]."""
    together = np.concatenate([genuine, fraud])
    centred = np.concatenate([each - each.mean(axis=0) for each in (genuine, fraud)])
    inverse = fit_mahalanobis(centred).inverse
    means = (each.mean(axis=0, dtype=np.float64) for each in (genuine, fraud))
    return Relative(tuple(Mahalanobis(m, inverse) for m in means), fit_mahalanobis(together))


@dataclass(frozen=True)
class Nearest:
    """Distance to the 50th nearest genuine window, all of them scaled to length 1.

    Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors", section 3.
    """

    neighbours: NearestNeighbors

    @property
    def macs(self) -> int:
        """Multiply-adds a position: one inner product a reference."""
        return int(self.neighbours.n_samples_fit_ * self.neighbours.n_features_in_)

    def __call__(self, activations: Floats) -> npt.NDArray[np.float64]:
        """[N, C] to [N]."""
        found, _ = self.neighbours.kneighbors(_unit(activations))
        return np.asarray(found[:, -1], np.float64)


def fit_nearest(activations: Floats) -> Nearest:
    """The genuine windows that are referred to, [N, C]."""
    count = min(NEIGHBOURS, len(activations))
    return Nearest(NearestNeighbors(n_neighbors=count, algorithm="brute").fit(_unit(activations)))


def _unit(activations: Floats) -> Floats:
    length = np.linalg.norm(activations, axis=1, keepdims=True)
    unit: Floats = activations / np.maximum(length, np.finfo(np.float32).tiny)
    return unit


def uncertainty(logit: Floats) -> npt.NDArray[np.float64]:
    """1 - max(p, 1 - p), p being the sigmoid of the logit, [N].

    Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples", section 2.
    """
    found: npt.NDArray[np.float64] = expit(-np.abs(logit.astype(np.float64)))
    return found


def energy(logit: Floats) -> npt.NDArray[np.float64]:
    """-log(1 + e^z): the free energy of the two logits 0 and z, [N].

    Liu et al. 2020, "Energy-based Out-of-distribution Detection", equation 4, temperature 1.
    """
    found: npt.NDArray[np.float64] = -np.logaddexp(0.0, logit.astype(np.float64))
    return found


def fit_forest(windows: Floats, seed: int) -> Scorer:
    """An isolation forest on raw windows, [N, T x inputs].

    Liu, Ting and Zhou 2008, "Isolation Forest", section 4: 100 trees of 256 windows each, hence at
    most 100 x 8 comparisons a window, and no multiply-add.
    """
    forest = IsolationForest(random_state=seed).fit(windows)

    def distance(asked: Floats) -> npt.NDArray[np.float64]:
        return -np.asarray(forest.score_samples(asked), np.float64)

    return distance
