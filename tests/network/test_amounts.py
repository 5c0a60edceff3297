"""Piecewise-linear functions of the amount, against numpy's interpolation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.network.amounts import REACH, AmountWithin, ends_of_pieces, place
from fraudnet.network.features import signed_log_numpy
from fraudnet.network.network import NetworkConfig, build_network
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification

PIECES, CHANNELS, CATEGORIES = 8, 3, 4
ENDS = ends_of_pieces(PIECES, 2.0, 1.5).astype(np.float32)  # from -54 to 2,980


def made(categories: int, seed: int) -> AmountWithin:
    layer = AmountWithin(categories, PIECES, CHANNELS)
    layer.build()
    values = np.random.default_rng(seed).normal(size=(categories * (PIECES + 1), CHANNELS))
    layer.nodes.set_weights([values])
    return layer


LAYER, ONE_TABLE = made(CATEGORIES, 0), made(1, 1)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.floats(-100, 5000, width=32) | st.sampled_from(list(ENDS)),
            st.integers(0, CATEGORIES - 1),
        ),
        min_size=1, max_size=20,
    )
)  # fmt: skip
def test_is_numpys_interpolation_between_the_ends(pairs: list[tuple[float, int]]) -> None:
    amount = np.array([a for a, _ in pairs], np.float32)
    category = np.array([c for _, c in pairs], np.int32)
    found = np.asarray(LAYER(*place(amount[None, :, None], ENDS), category[None]))[0]
    table = np.asarray(LAYER.nodes.get_weights()[0]).reshape(CATEGORIES, PIECES + 1, CHANNELS)
    for row, (a, c) in zip(found, pairs, strict=True):
        expected = [np.interp(a, ENDS, table[c, :, channel]) for channel in range(CHANNELS)]
        np.testing.assert_allclose(row, expected, atol=2e-6)


def test_without_categories_all_amounts_share_a_table() -> None:
    table = np.asarray(ONE_TABLE.nodes.get_weights()[0])
    amount = np.geomspace(1, 10_000, 101, dtype=np.float32) - 60
    expected = np.stack([np.interp(amount, ENDS, column) for column in table.T], axis=1)
    found = np.asarray(ONE_TABLE(*place(amount[None, :, None], ENDS)))[0]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_place_is_exact_to_a_few_ten_millionths_of_a_piece() -> None:
    """A logarithm's last bit is worth 4e-6 of one, which steep pieces turn into other scores."""
    ends = ends_of_pieces(64, 3.6, 1.1).astype(np.float32)
    amount = np.arange(1, 250_000, 7).astype(np.float32) / 100
    piece, share = place(amount[None, :, None], ends)
    found = np.asarray(piece)[0] + np.asarray(share, np.float64)[0, :, 0]
    np.testing.assert_allclose(found, np.interp(amount, ends, np.arange(65.0)), atol=3e-7, rtol=0)


@pytest.mark.parametrize(("mean", "deviation"), [(2.0, 1.5), (0.0, 1e-3), (60.0, 20.0)])
def test_the_ends_are_evenly_spaced_in_the_logarithm(mean: float, deviation: float) -> None:
    ends = ends_of_pieces(PIECES, mean, deviation)
    logs = mean + deviation * np.linspace(-REACH, REACH, PIECES + 1)
    np.testing.assert_allclose(signed_log_numpy(ends), np.minimum(logs, 85), rtol=1e-9)
    assert np.isfinite(ends.astype(np.float32)).all()


def test_smooth_functions_are_sums_of_what_is_learnt_about_their_mean() -> None:
    layer = AmountWithin(CATEGORIES, PIECES, CHANNELS, smooth=True)
    layer.build()
    assert not np.asarray(layer.nodes.get_weights()[0]).any()
    rises = np.random.default_rng(2).normal(size=(CATEGORIES, PIECES + 1, CHANNELS))
    layer.nodes.set_weights([rises.reshape(-1, CHANNELS)])
    expected = rises.copy()
    for end in range(1, PIECES + 1):
        expected[:, end] += expected[:, end - 1]
    expected -= expected.mean(1, keepdims=True)
    found = np.asarray(layer.values()).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    amount = np.geomspace(1, 10_000, 101, dtype=np.float32) - 60
    category = np.full((1, 101), 2, np.int32)
    said = np.asarray(layer(*place(amount[None, :, None], ENDS), category))[0]
    lines = np.stack([np.interp(amount, ENDS, line) for line in expected[2].T], axis=1)
    np.testing.assert_allclose(said, lines, atol=1e-5)


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
    assert counts[1] - counts[0] == tables * 11 * embedding + embedding * width + 11
