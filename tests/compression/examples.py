"""Layers with random kernels, what they read, and known rows of random histories."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from fraudnet.compression.moments import Moments
from fraudnet.network.layers import Conv1x1
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import Period
from tests.network.examples import history
from tests.network.test_window_is_sequence import joined

Doubles = NDArray[np.float64]


def layer(received: int, given: int, seed: int = 0, decay: float = 1.0) -> Conv1x1:
    """A 1x1 layer whose singular values fall by `decay` from one to the next."""
    rng = np.random.default_rng(seed)
    made = Conv1x1(given)
    made.build((None, None, received))
    left, values, right = np.linalg.svd(rng.normal(size=(received, given)), full_matrices=False)
    values *= decay ** np.arange(len(values))
    made.set_weights([(left * values) @ right, rng.normal(size=given)])
    return made


def activations(rows: int, channels: int, seed: int = 0) -> Doubles:
    """[rows, channels] as after a rectifier: correlated, of unlike sizes, some never active."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(rows, channels)) @ rng.normal(size=(channels, channels))
    active: Doubles = np.maximum(mixed + rng.normal(0, 3, channels), 0)
    active *= 10.0 ** rng.uniform(-2, 1, channels)
    active[:, rng.random(channels) < 0.1] = 0
    return active


def moments(x: Doubles) -> Moments:
    return Moments(x.mean(axis=0), np.cov(x, rowvar=False, bias=True).reshape(2 * x.shape[1:]))


def known(accounts: int, seed: int, share: float = 0.7) -> KnownRows:
    """Some labelled rows of accounts with 1 to 60 transactions, a tenth of them frauds."""
    rng = np.random.default_rng(seed)
    histories = joined([history(rng, n) for n in rng.integers(1, 60, accounts)])
    label = np.where(rng.random(len(histories)) < share, rng.random(len(histories)) < 0.1, -1)
    histories.is_fraud[:] = label
    whole = Period(datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
    return known_rows(histories, whole, whole.end)
