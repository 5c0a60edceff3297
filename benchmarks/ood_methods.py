"""How far an input is from genuine ones: ours, and peers from the literature.

The larger a distance, the less the input is like what was seen. Every statistic is of genuine
training windows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

Floats = npt.NDArray[np.floating[Any]]
Distance = Callable[[Floats], npt.NDArray[np.float64]]

SHRINKAGE = 1e-3  # share of the mean variance, as in fraudnet.training.calibration
NEIGHBOURS = 50
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
class Truncated:
    """Squared Mahalanobis distance by the k leading directions, the rest as one variance.

    The covariance is U diag(l_1 .. l_k, s, .., s) U', s being the mean of the smaller eigenvalues
    (Tipping and Bishop 1999, "Probabilistic Principal Component Analysis", equations 7 and 8), so
    that (h - m)' C^-1 (h - m) = |h - m|^2 / s - sum of (1/s - 1/l_i) (u_i'(h - m))^2. The
    eigenvalues are those of the covariance shrunk by a share of its trace (Ledoit and Wolf 2004, "A
    well-conditioned estimator", equation 5, with a fixed share).

    Attributes:
        mean: [C].
        directions: [C, k].
        variances: [k] along them.
        rest: s, the variance along each other direction.
    """

    mean: Floats
    directions: Floats
    variances: Floats
    rest: float

    @property
    def macs(self) -> int:
        """Multiply-adds a position: projection, its squares, the square of the length."""
        channels, count = self.directions.shape
        return channels * count + count + channels

    def __call__(self, activations: Floats) -> npt.NDArray[np.float64]:
        """[N, C] to [N]."""
        centred = activations.astype(np.float64) - self.mean
        along = np.square(centred @ self.directions)
        gain = 1 / self.rest - 1 / self.variances
        found: npt.NDArray[np.float64] = np.square(centred).sum(axis=1) / self.rest - along @ gain
        return found


def fit_truncated(activations: Floats, most_macs: float) -> Truncated:
    """The form with as many directions as fit into so many multiply-adds.

    Args:
        activations: [N, C] of genuine windows.
        most_macs: a position; for less than one direction there is one.
    """
    rows = activations.astype(np.float64)
    channels = rows.shape[1]
    covariance = np.atleast_2d(np.cov(rows, rowvar=False))
    covariance += shrinkage_of(covariance) * np.eye(channels)
    variances, directions = np.linalg.eigh(covariance)
    count = int((most_macs - channels) // (channels + 1))
    count = min(max(1, count), channels)
    rest = variances[: channels - count]
    return Truncated(
        mean=rows.mean(axis=0),
        directions=directions[:, channels - count :],
        variances=variances[channels - count :],
        rest=float(rest.mean()) if len(rest) else float(variances[0]),
    )


def shrinkage_of(covariance: Floats) -> float:
    """What is added to every variance: a share of their mean, so that no scale matters."""
    return max(SHRINKAGE * float(np.trace(covariance)) / len(covariance), 1e-12)


@dataclass(frozen=True)
class Channelwise:
    """Sum over channels of squared deviations from the mean, each in its own variance.

    The Mahalanobis distance of a diagonal covariance: 2 C multiply-adds.
    """

    mean: Floats
    variance: Floats

    @property
    def macs(self) -> int:
        """Multiply-adds a position."""
        return 2 * len(self.mean)

    def __call__(self, activations: Floats) -> npt.NDArray[np.float64]:
        """[N, C] to [N]."""
        centred = activations.astype(np.float64) - self.mean
        found: npt.NDArray[np.float64] = (np.square(centred) / self.variance).sum(axis=1)
        return found


def fit_channelwise(activations: Floats) -> Channelwise:
    """Mean and variance of each channel of genuine windows, [N, C]."""
    rows = activations.astype(np.float64)
    variance = rows.var(axis=0)
    return Channelwise(rows.mean(axis=0), variance + max(SHRINKAGE * variance.mean(), 1e-12))


@dataclass(frozen=True)
class Mahalanobis:
    """Squared Mahalanobis distance with the whole covariance, shrunk as `Truncated`'s is.

    Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples", section
    2.1, one class: what `ood_distance` is the root of.
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
    inverse = np.linalg.inv(covariance + shrinkage_of(covariance) * np.eye(len(covariance)))
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


def fit_forest(windows: Floats, seed: int) -> Distance:
    """An isolation forest on raw windows, [N, T x inputs].

    Liu, Ting and Zhou 2008, "Isolation Forest", section 4: 100 trees of 256 windows each, hence at
    most 100 x 8 comparisons a window, and no multiply-add.
    """
    forest = IsolationForest(random_state=seed).fit(windows)

    def distance(asked: Floats) -> npt.NDArray[np.float64]:
        return -np.asarray(forest.score_samples(asked), np.float64)

    return distance
