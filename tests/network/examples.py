"""Random histories, and networks whose every weight is random, for the tests of the network."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fraudnet.network.network import Network, NetworkConfig, Sentinel, build_network
from fraudnet.windows.specification import (
    EPISODE,
    CategoricalColumn,
    FeatureSpecification,
    Reputation,
)

Array = NDArray[Any]
Floats = NDArray[np.float32]
Inputs = dict[str, Array]

SPECIFICATION = FeatureSpecification(
    categorical=(
        CategoricalColumn(column="category", vocabulary=("food", "fuel", "travel")),
        CategoricalColumn(column="channel", vocabulary=("online", "terminal")),
    ),
    numeric=("distance",),
    reputation=Reputation(windows_days=(1, 7)),
)
WITHOUT_CATEGORIES = FeatureSpecification(reputation=Reputation(windows_days=(1, 7)))
SMALL = NetworkConfig(
    width=8, dilations=(1, 2), squeeze_window=4, normal_window=8, embedding=3, head=8
)
PIECES = SMALL.model_copy(update={"amount_pieces": 5})
SMOOTH = PIECES.model_copy(update={"smooth_amounts": True})
LOW_RANK = SMALL.model_copy(
    update={
        "ranks": {
            "stem": 5, "block0_expand": 3, "block0_squeeze_reduce": 2, "block0_squeeze_excite": 1,
            "block1_project": 4, "head": 2,
        }
    }
)  # fmt: skip


def history(
    rng: np.random.Generator, length: int, specification: FeatureSpecification = SPECIFICATION
) -> Inputs:
    """One account, [length] each: ties, refunds, outliers, unknown categories and counts."""
    gaps = rng.exponential(1, length) * 10 ** rng.uniform(0, 6, length)
    gaps[rng.random(length) < 0.2] = 0
    time = 1_700_000_000 + int(rng.integers(10**7)) + np.cumsum(gaps.astype(np.int64))
    amount = rng.lognormal(3, 1.5, length) * np.where(rng.random(length) < 0.1, -1, 1)
    amount[rng.random(length) < 0.01] = 1e9
    is_unknown = rng.random(length) < 0.2
    total = rng.poisson(rng.exponential(20, length))
    columns: Inputs = {
        "amount": amount.astype(np.float32),
        "day": (time // 86_400).astype(np.int32),
        "second": (time % 86_400).astype(np.int32),
        "valid": np.ones(length, np.float32),
    }
    for i in specification.inputs:
        if i.vocabulary is not None:
            columns[i.name] = rng.integers(0, len(i.vocabulary) + 1, length, np.int32)
        elif i.kind == "numeric":
            columns[i.name] = rng.normal(0, 20, length).astype(np.float32)
        elif i.statistic in EPISODE:
            hours = rng.integers(1, 24 * (i.days or 0) + 1, length)
            there = (rng.random(length) < 0.5) & ~is_unknown
            columns[i.name] = np.where(is_unknown, -1, hours * there).astype(np.float32)
        elif i.kind == "reputation":
            total = total if i.statistic == "fraud" else total * 2
            count = rng.binomial(total, 0.1) if i.statistic == "fraud" else total
            columns[i.name] = np.where(is_unknown, -1, count).astype(np.float32)
    return columns


def window(columns: Inputs, length: int) -> Inputs:
    """The newest `length` transactions, zeros in front where there are fewer, [length] each."""
    shown = {name: values[-length:] for name, values in columns.items()}
    return {
        name: np.concatenate((np.zeros(length - len(values), values.dtype), values))
        for name, values in shown.items()
    }


def stacked(windows: Sequence[Inputs]) -> Inputs:
    return {name: np.stack([w[name] for w in windows]) for name in windows[0]}


def batch(
    seed: int,
    lengths: Sequence[int],
    length: int,
    specification: FeatureSpecification = SPECIFICATION,
) -> Inputs:
    """Windows of random histories, [len(lengths), length] each."""
    rng = np.random.default_rng(seed)
    return stacked([window(history(rng, n, specification), length) for n in lengths])


def random_network(
    config: NetworkConfig,
    seed: int = 0,
    specification: FeatureSpecification = SPECIFICATION,
    calibration_knots: int = 0,
    sentinel: Sentinel = Sentinel(),  # noqa: B008
) -> Network:
    """All weights random, fitted parts included; probabilities far from 0 and 1."""
    keras.utils.set_random_seed(seed)
    network = build_network(config, specification, calibration_knots, sentinel)
    rng = np.random.default_rng(seed)
    for weight in network.scores.weights:
        kind, shape = weight.path.split("/")[-1], tuple(weight.shape)
        if kind in ("deviation",):
            weight.assign(rng.uniform(0.6, 1.8, shape))
        elif kind in ("bias", "mean"):
            weight.assign(rng.normal(0, 0.4, shape))
    size = 2 + len(specification.numeric)
    network.features.standardise(np.linspace(2.0, 5.0, size), np.linspace(1.5, 2.5, size))
    channels, rank = network.distance.directions.shape
    network.distance.directions.assign(rng.normal(0, channels**-0.5, (channels, rank)))
    network.distance.excess.assign(rng.uniform(0.5, 2, rank))
    network.distance.per_limit.assign(rng.uniform(0.5, 2, channels))
    network.distance.reach.assign([2.0])
    lengths = rng.integers(1, 2 * network.receptive_field, 50)
    windows = [history(rng, n, specification) for n in lengths]
    logit = network.logit(stacked([window(w, network.receptive_field) for w in windows])).numpy()
    slopes = 1.5 / logit.std() * np.append(rng.uniform(0.2, 2, calibration_knots), 1)
    network.calibration.slopes.assign(slopes)
    if calibration_knots:
        network.calibration.knots.assign(
            np.quantile(logit, np.linspace(0.03, 0.97, calibration_knots))
        )
        network.calibration.intercept.assign(-2)
    else:
        network.calibration.intercept.assign(-1.5 * logit.mean() / logit.std())
    return network


class Scores:
    """Probability and distance of inputs [B, L], each [B, L - R + 1]."""

    def __init__(self, model: Callable[[Inputs], dict[str, tf.Tensor]]) -> None:
        self._model = model

    def __call__(self, inputs: Inputs) -> tuple[Floats, Floats]:
        outputs = self._model(inputs)
        probability = outputs["fraud_probability"].numpy()[..., 0]
        return probability, outputs["ood_distance"].numpy()[..., 0]
