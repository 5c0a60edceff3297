"""Moments of what layers read, against each row's own window run by itself."""

import keras
import numpy as np
import pytest

from fraudnet.compression.moments import input_moments
from fraudnet.network.network import Network
from fraudnet.windows.chunks import windows_of
from fraudnet.windows.labels import KnownRows
from tests.compression.examples import Doubles, known
from tests.network.examples import SMALL, random_network


@pytest.fixture(scope="module")
def case() -> tuple[Network, KnownRows]:
    return random_network(SMALL, seed=2), known(30, seed=4)


def read_by(network: Network, rows: KnownRows, name: str) -> Doubles:
    """[W, C] what a layer reads at each row, from the row's window alone."""
    chosen = np.flatnonzero(rows.rows)
    windows = windows_of(rows.histories, chosen, network.receptive_field)
    inputs = windows.gather(np.arange(len(chosen)))
    layer = network.scores.get_layer(name)
    read = keras.Model(network.scores.input, layer.input)(inputs)
    if not name.endswith("_squeeze"):
        return np.asarray(read, np.float64)[:, -1]
    x, valid = (np.asarray(each, np.float64)[:, -layer.window :] for each in read[:2])
    mean: Doubles = (x * valid).sum(axis=1) / np.maximum(valid.sum(axis=1), 1)
    return mean


@pytest.mark.parametrize(
    ("layer", "owner"),
    [
        ("stem", "stem"),
        ("block0_expand", "block0_expand"),
        ("block1_project", "block1_project"),
        ("block0_squeeze_reduce", "block0_squeeze"),
        ("block1_squeeze_excite", "block1_squeeze"),
        ("head", "head"),
    ],
)
def test_moments_are_of_each_known_row_once_and_of_frauds_as_much_as_of_genuine_ones(
    case: tuple[Network, KnownRows], layer: str, owner: str
) -> None:
    network, rows = case
    x = read_by(network, rows, owner)
    if layer.endswith("excite"):
        kernel, bias = network.pointwise[f"{owner}_reduce"].get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    found = input_moments(network, rows)[layer]
    weight = np.where(rows.is_fraud, 0.5 / rows.is_fraud.sum(), 0.5 / (1 - rows.is_fraud).sum())
    np.testing.assert_allclose(found.mean, weight @ x, atol=1e-5 * np.abs(x).max())
    expected = np.cov(x, rowvar=False, ddof=0, aweights=weight)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-4 * expected.max())


def test_there_are_moments_of_every_layer(case: tuple[Network, KnownRows]) -> None:
    network, rows = case
    found = input_moments(network, rows)
    assert list(found) == list(network.pointwise)
    for name, layer in network.pointwise.items():
        received = layer.kernel.shape[0]
        assert found[name].mean.shape == (received,)
        assert found[name].covariance.shape == (received, received)
