"""Each layer against the naive loop over positions that its description amounts to."""

from collections.abc import Sequence

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fraudnet.network.layers import (
    Calibration,
    CausalDepthwise,
    CausalSqueezeExcitation,
    Conv1x1,
    MahalanobisDistance,
    PartOfValid,
    Shortcut,
    newest,
    windowed_sum,
)

Floats = NDArray[np.float64]


def normal(*shape: int, seed: int = 0) -> Floats:
    # Numbers that float32 holds, so that the references start from the same ones.
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32).astype(np.float64)


def randomise(layer: keras.layers.Layer) -> list[Floats]:
    values = [normal(*w.shape, seed=1 + i) for i, w in enumerate(layer.weights)]
    layer.set_weights(values)
    return values


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def assert_close(found: object, expected: Floats, tolerance: float = 1e-5) -> None:
    found = np.asarray(found)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dropped", [0, 1, 6])
def test_newest_keeps_the_last_positions(dropped: int) -> None:
    x = normal(2, 7, 3)
    assert_close(newest(x, dropped), x[:, dropped:])


@pytest.mark.parametrize("window", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("further", [0, 1, 29])
def test_windowed_sum(window: int, further: int) -> None:
    x = normal(2, window + further, 3)
    sums = [x[:, t - window + 1 : t + 1].sum(axis=1) for t in range(window - 1, window + further)]
    assert_close(windowed_sum(x.astype(np.float32), window), np.stack(sums, axis=1))


def test_windowed_sum_rounds_alike_wherever_the_window_stands() -> None:
    x = normal(1, 200, 3).astype(np.float32) * 1e3
    whole = np.asarray(windowed_sum(x, 64))
    for end in range(64, 201):
        np.testing.assert_array_equal(
            windowed_sum(x[:, end - 64 : end], 64)[:, 0], whole[:, end - 64]
        )


@pytest.mark.parametrize("activation", [None, "relu"])
def test_conv1x1_is_one_matrix_product_a_position(activation: str | None) -> None:
    layer = Conv1x1(5, activation=activation)
    x = normal(2, 7, 3)
    layer.build(x.shape)
    kernel, bias = randomise(layer)
    expected = np.stack([x[:, t] @ kernel + bias for t in range(7)], axis=1)
    assert_close(layer(x), np.maximum(expected, 0) if activation else expected)


@pytest.mark.parametrize(("use_bias", "parameters"), [(True, 3 * 5 + 5), (False, 3 * 5)])
def test_conv1x1_parameters(use_bias: bool, parameters: int) -> None:
    layer = Conv1x1(5, use_bias=use_bias)
    layer.build((None, None, 3))
    assert layer.count_params() == parameters


@pytest.mark.parametrize("taps", [2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 8])
@pytest.mark.parametrize("further", [0, 1, 20])
def test_causal_depthwise(taps: int, dilation: int, further: int) -> None:
    layer = CausalDepthwise(taps, dilation)
    before = (taps - 1) * dilation
    x = normal(2, before + 1 + further, 3)
    layer.build(x.shape)
    kernel, bias = randomise(layer)
    expected = np.zeros((2, 1 + further, 3)) + bias
    for t in range(before, before + 1 + further):
        for i in range(taps):
            expected[:, t - before] += kernel[i] * x[:, t - (taps - 1 - i) * dilation]
    assert_close(layer(x), expected)
    assert layer.span == before + 1
    assert layer.count_params() == (taps + 1) * 3


@pytest.mark.parametrize("window", [2, 4, 16])
def test_causal_squeeze_excitation(window: int) -> None:
    length, channels, reduced = 40, 6, 2
    layer = CausalSqueezeExcitation(window, reduced)
    x = normal(4, length, channels)
    valid = np.ones((4, length, 1))
    for account, padding in enumerate((0, 1, 25, length)):
        valid[account, :padding] = 0
    layer.build(x.shape)
    w1, b1, w2, b2 = randomise(layer)
    expected = np.zeros((4, length - window + 1, channels))
    for account in range(4):
        for t in range(window - 1, length):
            past = range(t - window + 1, t + 1)
            seen = [x[account, i] for i in past if valid[account, i, 0]]
            squeezed = np.mean(seen, axis=0) if seen else np.zeros(channels)
            gate = sigmoid(np.maximum(squeezed @ w1 + b1, 0) @ w2 + b2)
            expected[account, t - window + 1] = x[account, t] * gate
    part = PartOfValid(window)(valid)
    assert_close(layer(x, valid, part), expected)


def test_part_of_valid_of_nothing_is_one() -> None:
    assert_close(PartOfValid(4)(np.zeros((1, 5, 1))), np.ones((1, 2, 1)))


@pytest.mark.parametrize("positions", [1, 5])
def test_shortcut_adds_the_newest_positions(positions: int) -> None:
    x, y = normal(2, 3 + positions, 4), normal(2, positions, 4, seed=1)
    assert_close(Shortcut(3)(x, y), x[:, 3:] + y)


def test_causal_squeeze_excitation_parameters() -> None:
    layer = CausalSqueezeExcitation(16, 4)
    layer.build((None, None, 24))
    assert layer.reduce.count_params() == 24 * 4 + 4
    assert layer.excite.count_params() == 4 * 24 + 24
    assert layer.count_params() == layer.reduce.count_params() + layer.excite.count_params()


def test_mahalanobis_distance() -> None:
    layer = MahalanobisDistance()
    genuine = normal(500, 6) @ normal(6, 6, seed=1) + normal(6, seed=2)
    mean, inverse = genuine.mean(axis=0), np.linalg.inv(np.cov(genuine.T))
    layer.build((None, None, 6))
    layer.mean.assign(mean)
    precision, directions = np.linalg.eigh(inverse)
    layer.precision.assign(np.zeros(6))
    layer.directions.assign(directions)
    layer.excess.assign(precision)
    x = 3 * normal(2, 7, 6, seed=3)
    expected = [[[np.sqrt((h - mean) @ inverse @ (h - mean))] for h in row] for row in x]
    assert_close(layer(x), np.array(expected), 1e-4)
    assert_close(layer(mean[None, None]), np.zeros((1, 1, 1)), 1e-4)


def test_mahalanobis_distance_of_channels_apart_has_no_product() -> None:
    layer = MahalanobisDistance(0)
    layer.build((None, None, 6))
    layer.precision.assign(np.arange(1.0, 7.0))
    x = normal(2, 7, 6)
    expected = [[[sum((c + 1) * h[c] ** 2 for c in range(6)) ** 0.5] for h in row] for row in x]
    assert_close(layer(x), np.array(expected))
    assert not {"directions", "excess"} & {weight.name for weight in layer.weights}


def test_what_is_beyond_its_limit_is_further() -> None:
    layer = MahalanobisDistance(0)
    layer.build((None, None, 3))
    layer.mean.assign([1.0, 0.0, -1.0])
    layer.per_limit.assign([0.5, 1.0, 2.0])  # limits 2, 1, 1/2
    layer.reach.assign([10.0])
    x = np.array([[[3.0, -1.0, -0.5], [4.0, -1.0, -2.0], [1.0, 0.0, 1.0]]])
    # 4 + 1 + 1/4; 9 + 1 + 1, half a limit and a whole one; 4, three limits.
    assert_close(layer(x), np.array([[[5.25**0.5], [11**0.5 + 15], [2 + 30]]]))


def test_mahalanobis_distance_is_euclidean_before_it_is_fitted() -> None:
    x = normal(2, 7, 6)
    assert_close(MahalanobisDistance()(x), np.linalg.norm(x, axis=-1, keepdims=True))


def test_platt_calibration() -> None:
    layer = Calibration()
    x = 5 * normal(2, 7, 1)
    assert_close(layer(x), sigmoid(x))
    layer.slopes.assign([0.7])
    layer.intercept.assign(-1.3)
    assert_close(layer(x), sigmoid(0.7 * x - 1.3))


def piecewise(knots: Sequence[float], slopes: Sequence[float], intercept: float, z: float) -> float:
    """Log-odds by walking from the first knot to z, piece by piece."""
    if z < knots[0]:
        return intercept - slopes[0] * (knots[0] - z)
    log_odds = intercept
    for begin, end, slope in zip(knots, [*knots[1:], np.inf], slopes[1:], strict=True):
        log_odds += slope * max(0.0, min(z, end) - begin)
    return log_odds


def calibration(knots: Sequence[float], slopes: Sequence[float], intercept: float) -> Calibration:
    layer = Calibration(len(knots))
    layer.build((None, None, 1))
    layer.knots.assign(knots)
    layer.slopes.assign(slopes)
    layer.intercept.assign(intercept)
    return layer


def test_calibration_with_knots_is_piecewise_linear_before_the_sigmoid() -> None:
    knots, slopes = [-3.0, -1.0, 0.5, 0.5, 4.0], [0.5, 0.1, 2.0, 9.0, 0.7, 1.5]
    x = 5 * normal(20, 7, 1)
    expected = [piecewise(knots, slopes, -2.0, z) for z in x.ravel()]
    layer = calibration(knots, slopes, -2.0)
    assert_close(layer(x), sigmoid(np.reshape(expected, x.shape)))
    assert (x < -3).any()
    assert (x > 4).any()


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=16),
    st.integers(0, 2**32 - 1),
)
def test_calibration_never_falls_in_floating_point(knots: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = calibration(sorted(knots), rng.lognormal(0, 3, len(knots) + 1).tolist(), rng.normal())
    near = np.add.outer(np.array(knots, np.float32), np.float32(1e-6) * np.arange(-5, 6)).ravel()
    z = np.sort(np.concatenate([rng.normal(0, 15, 200).astype(np.float32), near]))
    # The sigmoid of TensorFlow itself falls by one rounding here and there.
    assert (np.diff(np.ravel(layer.log_odds(z[None, :, None]))) >= 0).all()


def test_calibration_is_the_sigmoid_before_it_is_fitted() -> None:
    x = 5 * normal(2, 7, 1)
    assert_close(Calibration(16)(x), sigmoid(x))


@pytest.mark.parametrize(
    ("layer", "weights"),
    [
        (MahalanobisDistance(), 6),
        (MahalanobisDistance(0), 4),
        (Calibration(), 2),
        (Calibration(3), 3),
    ],
)
def test_fitted_parts_are_not_trained(layer: keras.layers.Layer, weights: int) -> None:
    layer.build((None, None, 1))
    assert layer.trainable_weights == []
    assert len(layer.weights) == weights
