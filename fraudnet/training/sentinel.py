"""The sentinel: where the distance from the familiar is taken, how it is fitted, when it alarms."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.metrics import roc_auc_score

from fraudnet.configuration import Section
from fraudnet.network.describe import describe
from fraudnet.network.layers import MahalanobisDistance
from fraudnet.network.network import Network, Sentinel
from fraudnet.windows.specification import FeatureSpecification

MOST_SHARE = 0.03
"""Of the network's multiply-accumulates a position: the distance takes less, the weights of its
directions and channels included."""
LEAST_SHRINKAGE = 1e-3
"""Directions take away what the precision of all gave; with variances further apart than this
leaves them, little but rounding would be left in float32."""
LEAST_RIDGE = 1e-12
"""Where activations never change, so that their inverse is finite."""
WITHIN_LIMIT = 0.999
"""Share of the genuine that a channel's limit holds."""
LEAST_LIMIT = 1e-3
"""Of the mean limit: what a channel that hardly ever changes may change by."""
REACH, REACHED = 4, 0.99
"""A limit exceeded by its own size weighs as much as this many distances that this share of the
genuine stay under."""
BATCH_WINDOWS = 250
MINUTE, DAY = 60, 86_400
JUMP = 7 * 3600

Floats = npt.NDArray[np.floating[Any]]
Windows = dict[str, npt.NDArray[Any]]
Activations = dict[str, npt.NDArray[np.float32]]
Form = Literal["full", "channel"]


class SentinelConfig(Section):
    """How what the network has never seen the like of is told from the familiar."""

    layer: str = Field(
        default="auto",
        pattern=r"^(auto|features|stem|head|block(0|[1-9]\d*))$",
        description="whose activations the distance is taken of: features, stem, block0, block1 "
        "... or head; auto: chosen with the form, on validation rows",
    )
    form: Literal["auto", "full", "channel"] = Field(
        default="auto",
        description="full: a covariance of all channels, in as many directions as take under 3 per "
        "cent of the network's multiply-accumulates; channel: each channel's variance alone",
    )
    shrinkage: float = Field(
        default=0.01,
        ge=LEAST_SHRINKAGE,
        le=1,
        description="share of the mean variance that is added to every variance",
    )
    false_alarm_rate: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="share of genuine validation transactions that are called unfamiliar",
    )


class SentinelFacts(Section):
    """The sentinel of a trained network."""

    layer: str
    form: Form
    rank: int = Field(description="directions of the covariance")
    shrinkage: float
    false_alarm_rate: float
    distance_threshold: float = Field(description="above it a transaction is unfamiliar")
    auroc: dict[str, float] = Field(description="of each kind of shift, by the chosen one")
    mean_auroc: dict[str, float] = Field(description="of each layer and form that was compared")

    @property
    def placement(self) -> Sentinel:
        """What the graph is built by."""
        return Sentinel(self.layer, self.rank)


@dataclass(frozen=True)
class Covariance:
    """An inverse covariance: mean and precision [C], directions [C, k], excess [k]."""

    mean: Floats
    precision: Floats
    directions: Floats
    excess: Floats

    def distance(self, activations: Floats) -> Floats:
        """Mahalanobis distances of activations [N, C] in double precision, [N]."""
        apart = activations.astype(np.float64) - self.mean
        squared = apart**2 @ self.precision + (apart @ self.directions) ** 2 @ self.excess
        found: Floats = np.sqrt(np.maximum(squared, 0))
        return found


@dataclass(frozen=True)
class Familiar:
    """Parameters of `MahalanobisDistance`: a covariance, limits [C], what exceeding them weighs.

    The limit of a channel is what 999 in 1,000 genuine activations stay within, measured from their
    mean.
    """

    covariance: Covariance
    limits: Floats
    reach: float

    def distance(self, activations: Floats) -> Floats:
        """Distances of activations [N, C] in double precision, [N]."""
        apart = np.abs(activations.astype(np.float64) - self.covariance.mean)
        beyond = np.maximum(apart / self.limits - 1, 0).sum(axis=1)
        found: Floats = self.covariance.distance(activations) + self.reach * beyond
        return found

    def put_into(self, layer: MahalanobisDistance) -> None:
        """Set a layer of as many directions to these parameters."""
        layer.mean.assign(self.covariance.mean)
        layer.precision.assign(self.covariance.precision)
        layer.per_limit.assign(1 / self.limits)
        layer.reach.assign([self.reach])
        if len(self.covariance.excess):
            layer.directions.assign(self.covariance.directions)
            layer.excess.assign(self.covariance.excess)


def fit_limits(activations: Floats, covariance: Covariance) -> Familiar:
    """Limits of genuine training activations [N, C], beside their covariance."""
    apart = np.abs(activations.astype(np.float64) - covariance.mean)
    limits = np.quantile(apart, WITHIN_LIMIT, axis=0)
    limits = np.maximum(limits, max(LEAST_LIMIT * float(limits.mean()), LEAST_RIDGE))
    reached = float(np.quantile(covariance.distance(activations), REACHED))
    return Familiar(covariance, limits, REACH * reached)


def fit_full(activations: Floats, rank: int, shrinkage: float) -> Covariance:
    """The covariance of genuine training activations, shrunk, in some directions of its own.

    Shrinkage is towards a multiple of the identity, by a share of the covariance's own mean
    variance (Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
    matrices", section 2, with a fixed share): Sigma + s tr(Sigma) / C I, so that no scale matters.

    The directions left out share one variance, their mean. Which are left out is the most likely
    choice: neighbours in the spectrum whose variances differ least, in the logarithm of their
    arithmetic over their geometric mean (Welling, Agakov and Williams 2003, "Extreme Components
    Analysis", section 3; only the smallest: Tipping and Bishop 1999, "Probabilistic Principal
    Component Analysis", section 3.2).

    Args:
        activations: [N, C].
        rank: directions, at most C.
        shrinkage: s.
    """
    rows = activations.astype(np.float64)
    covariance = np.atleast_2d(np.cov(rows, rowvar=False))
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, 0) + _ridge(np.diag(covariance), shrinkage)
    left_out = len(variances) - rank
    kept = np.ones(len(variances), bool)
    common = 0.0
    if left_out:
        blocks = np.lib.stride_tricks.sliding_window_view(variances, left_out)
        unlike = np.log(blocks.mean(axis=1)) - np.log(blocks).mean(axis=1)
        begin = int(np.argmin(unlike))
        kept[begin : begin + left_out] = False
        common = 1 / float(blocks[begin].mean())
    return Covariance(
        mean=rows.mean(axis=0),
        precision=np.full(len(variances), common),
        directions=directions[:, kept],
        excess=1 / variances[kept] - common,
    )


def fit_channels(activations: Floats, shrinkage: float) -> Covariance:
    """The variance of each channel, shrunk as by `fit_full`, of activations [N, C]."""
    rows = activations.astype(np.float64)
    variances = rows.var(axis=0, ddof=1)
    precision = 1 / (variances + _ridge(variances, shrinkage))
    return Covariance(rows.mean(axis=0), precision, np.zeros((len(variances), 0)), np.zeros(0))


def _ridge(variances: Floats, shrinkage: float) -> float:
    return max(shrinkage * float(variances.mean()), LEAST_RIDGE)


@dataclass(frozen=True)
class Candidate:
    """A layer and a form, fitted, with the area under the ROC curve of each kind of shift."""

    layer: str
    form: Form
    familiar: Familiar
    auroc: dict[str, float]

    @property
    def name(self) -> str:
        """Layer and form."""
        return f"{self.layer}_{self.form}"

    @property
    def mean_auroc(self) -> float:
        """Over the kinds of shift."""
        return float(np.mean(list(self.auroc.values())))


def candidates(
    network: Network, genuine: Activations, windows: Windows, config: SentinelConfig
) -> list[Candidate]:
    """Every layer and form that the configuration leaves open, the best at telling shifts first.

    Each is fitted to genuine training activations. What it is worth is the mean, over the kinds of
    shift, of the area under the ROC curve of its distance: genuine validation windows with the
    shift (`shifted`) against the same windows without. No row of the test period is seen, and no
    label but that the windows are genuine.

    Args:
        network: with trained weights.
        genuine: [N, C] of training rows, by layer (`Network.hidden`).
        windows: raw inputs of genuine validation rows by name, [W, R] each.
        config: a layer or a form that it names is the only one.
    """
    as_they_are = _activations(network, windows)
    away = {
        kind: _activations(network, changed)
        for kind, changed in shifted(windows, network.specification)
    }
    found = []
    for layer, rows in genuine.items():
        if config.layer not in ("auto", layer):
            continue
        covariances: dict[Form, Covariance] = {
            "full": fit_full(rows, most_directions(network, rows.shape[1]), config.shrinkage),
            "channel": fit_channels(rows, config.shrinkage),
        }
        for form, covariance in covariances.items():
            if config.form not in ("auto", form):
                continue
            familiar = fit_limits(rows, covariance)
            near = familiar.distance(as_they_are[layer])
            auroc = {
                kind: _auroc(near, familiar.distance(hidden[layer]))
                for kind, hidden in away.items()
            }
            found.append(Candidate(layer, form, familiar, auroc))
    return sorted(found, key=lambda each: -each.mean_auroc)


def shifted(windows: Windows, specification: FeatureSpecification) -> Iterator[tuple[str, Windows]]:
    """Windows as faults and changes of the world would make them, each kind with its name.

    Amounts in another unit (x 100); a clock 7 hours ahead; every amount the newest one's, as of a
    field that is stuck; every gap a minute; and reputation counts of 0 throughout, as of a snapshot
    that reads the unknown as none, where the network reads reputation.

    Args:
        windows: raw inputs by name, [W, R] each; padding stays as it is.
        specification: of the inputs.
    """
    is_valid = windows["valid"] > 0
    amount, day, second = (windows[name] for name in ("amount", "day", "second"))

    def at(days: npt.NDArray[Any], seconds: npt.NDArray[Any]) -> Windows:
        days = days + seconds // DAY
        return {
            "day": np.where(is_valid, days, day).astype(day.dtype),
            "second": np.where(is_valid, seconds % DAY, second).astype(second.dtype),
        }

    yield "amounts", windows | {"amount": amount * np.float32(100)}
    yield "clock", windows | at(day, second + JUMP)
    yield "stuck_amount", windows | {"amount": np.where(is_valid, amount[:, -1:], amount)}
    before = np.arange(amount.shape[1])[::-1] * MINUTE
    yield "gaps", windows | at(day[:, -1:], second[:, -1:] - before)
    counts = [each.name for each in specification.inputs if each.kind == "reputation"]
    if counts:
        yield "reputation", windows | {name: np.zeros_like(windows[name]) for name in counts}


def most_directions(network: Network, channels: int) -> int:
    """Directions with which the distance takes under `MOST_SHARE` of all work; at least one."""
    layers = describe(network).layers
    macs = sum(each.macs_per_position for each in layers if each.name != network.distance.name)
    # Strictly under, also where it divides evenly.
    count = int(np.ceil((MOST_SHARE * macs - 2 * channels) / (channels + 1))) - 1
    return min(max(count, 1), channels)


def widest(network: Network, config: SentinelConfig) -> Sentinel:
    """What costs the most of what the configuration leaves open, in the last block if it is open.

    Args:
        network: with its distance anywhere.
        config: of the sentinel.
    """
    layer = f"block{len(network.config.dilations) - 1}" if config.layer == "auto" else config.layer
    channels = network.hidden.output[layer].shape[-1]
    return Sentinel(layer, 0 if config.form == "channel" else most_directions(network, channels))


def _activations(network: Network, windows: Windows) -> Activations:
    count = len(windows["valid"])
    parts = []
    for begin in range(0, count, BATCH_WINDOWS):
        part = {name: values[begin : begin + BATCH_WINDOWS] for name, values in windows.items()}
        parts.append({name: x.numpy()[:, -1] for name, x in network.hidden(part).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _auroc(near: Floats, far: Floats) -> float:
    is_far = np.repeat([0, 1], [len(near), len(far)])
    return float(roc_auc_score(is_far, np.concatenate([near, far])))
