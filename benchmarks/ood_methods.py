"""How far an input is from genuine ones, by ours; and how well a distance tells them apart.

The larger a distance, the less the input is like what was seen. Every statistic is of genuine
training windows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score, roc_curve

Floats = npt.NDArray[np.floating[Any]]

SHRINKAGE = 1e-3  # share of the mean variance, as in fraudnet.training.calibration
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
class TwoLayers:
    """The larger of two layers' truncated distances: shallow ones see the clock, deep ones fraud.

    Channels are divided by their deviations first. What is compared is the logarithm of each
    distance in deviations from its mean, so that neither layer outweighs the other (layers are
    combined by Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution
    Samples", section 2.2, by a sum whose weights need shifted input; the largest needs none).

    Attributes:
        parts: of each layer.
        scales: [C] deviation of each channel, by layer.
        levels: mean and deviation of the logarithms of the distances, by layer.
    """

    parts: tuple[Truncated, ...]
    scales: tuple[Floats, ...]
    levels: tuple[tuple[float, float], ...]

    @property
    def macs(self) -> int:
        """Multiply-adds a position: of the parts, of the scales and of the comparison."""
        return sum(
            part.macs + len(scale) + 1 for part, scale in zip(self.parts, self.scales, strict=True)
        )

    def __call__(self, activations: Floats) -> npt.NDArray[np.float64]:
        """The layers' activations side by side, [N, C1 + C2], to [N]."""
        found = []
        begin = 0
        for part, scale, (mean, deviation) in zip(
            self.parts, self.scales, self.levels, strict=True
        ):
            own = activations[:, begin : begin + len(scale)] / scale
            found.append((_log(part(own)) - mean) / deviation)
            begin += len(scale)
        largest: npt.NDArray[np.float64] = np.max(found, axis=0)
        return largest


def fit_two_layers(activations: tuple[Floats, Floats], most_macs: float) -> TwoLayers:
    """Half of the multiply-adds to each layer's activations of genuine windows, [N, C]."""
    parts, scales, levels = [], [], []
    for rows in activations:
        variance = rows.var(axis=0, dtype=np.float64)
        scale = np.sqrt(variance + max(SHRINKAGE * float(variance.mean()), 1e-12))
        part = fit_truncated(rows / scale, most_macs / 2 - len(scale) - 1)
        logs = _log(part(rows / scale))
        parts.append(part)
        scales.append(scale)
        levels.append((float(logs.mean()), float(max(logs.std(), 1e-6))))
    return TwoLayers(tuple(parts), tuple(scales), tuple(levels))


def _log(distance: Floats) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = np.log(np.maximum(distance, 1e-9))
    return logs


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
