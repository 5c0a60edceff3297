"""Piecewise-linear functions of the amount, against numpy's interpolation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.network.amounts import REACH, AmountWithin
from fraudnet.network.network import NetworkConfig, build_network
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification

PIECES, CHANNELS, CATEGORIES = 8, 3, 4


@pytest.fixture(scope="module")
def layer() -> AmountWithin:
    made = AmountWithin(CATEGORIES, PIECES, CHANNELS)
    made.build()
    values = np.random.default_rng(0).normal(size=(CATEGORIES * (PIECES + 1), CHANNELS))
    made.nodes.set_weights([values])
    return made


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.floats(-20, 20, width=32), st.integers(0, CATEGORIES - 1)),
        min_size=1, max_size=20,
    )
)  # fmt: skip
def test_is_numpys_interpolation_between_the_nodes(
    layer: AmountWithin, pairs: list[tuple[float, int]]
) -> None:
    amount = np.array([a for a, _ in pairs], np.float32)
    category = np.array([c for _, c in pairs], np.int32)
    found = np.asarray(layer(amount[None, :, None], category[None]))[0]
    table = np.asarray(layer.nodes.get_weights()[0]).reshape(CATEGORIES, PIECES + 1, CHANNELS)
    nodes = np.linspace(-REACH, REACH, PIECES + 1)
    for row, (a, c) in zip(found, pairs, strict=True):
        expected = [np.interp(a, nodes, table[c, :, channel]) for channel in range(CHANNELS)]
        np.testing.assert_allclose(row, expected, atol=2e-5)


def test_without_categories_all_amounts_share_a_table() -> None:
    made = AmountWithin(1, PIECES, CHANNELS)
    made.build()
    table = np.random.default_rng(1).normal(size=(PIECES + 1, CHANNELS))
    made.nodes.set_weights([table])
    amount = np.linspace(-REACH - 1, REACH + 1, 101, dtype=np.float32)
    nodes = np.linspace(-REACH, REACH, PIECES + 1)
    expected = np.stack([np.interp(amount, nodes, column) for column in table.T], axis=1)
    np.testing.assert_allclose(np.asarray(made(amount[None, :, None]))[0], expected, atol=2e-5)


@pytest.mark.parametrize(("vocabulary", "tables"), [(("a", "b"), 3), (None, 1)])
def test_is_read_only_where_it_is_asked_for(
    vocabulary: tuple[str, ...] | None, tables: int
) -> None:
    words = () if vocabulary is None else (("category", vocabulary),)
    specification = FeatureSpecification(
        categorical=tuple(CategoricalColumn(column=c, vocabulary=v) for c, v in words)
    )
    counts = [
        build_network(NetworkConfig(amount_pieces=pieces), specification).logit.count_params()
        for pieces in (0, 10)
    ]
    embedding, width = NetworkConfig().embedding, NetworkConfig().width
    assert counts[1] - counts[0] == tables * 11 * embedding + embedding * width
