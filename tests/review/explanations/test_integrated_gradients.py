"""Integrated gradients against finite differences, one gate at a time."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.network.gated import Gated
from fraudnet.review.explanations.integrated_gradients import (
    TOLERANCE,
    Attribution,
    IntegratedGradients,
)
from tests.network.examples import SMALL, Array, Inputs, history, random_network, window

NETWORK = random_network(SMALL)
METHOD = IntegratedGradients(NETWORK)
LENGTH = NETWORK.receptive_field


def seen(seed: int, length: int) -> Inputs:
    return window(history(np.random.default_rng(seed), length), LENGTH)


def naive(inputs: Inputs, steps: int, chosen: Array, apart: float = 0.02) -> Array:
    """A Riemann sum of central differences, of the chosen gates."""
    gated = Gated(NETWORK)
    logits = tf.function(gated)
    ends, shape = gated.ends(inputs), (gated.length, len(gated.fields))
    nudges = apart * np.eye(shape[0] * shape[1], dtype=np.float32)[chosen].reshape(-1, *shape)
    total = np.zeros(len(chosen))
    for step in range(steps):
        at = (step + 0.5) / steps + np.concatenate([nudges, -nudges]) / 2
        above, below = np.split(logits(at.astype(np.float32), ends).numpy(), 2)
        total += (above - below) / apart
    return total / steps


def test_same_as_a_riemann_sum_of_differences() -> None:
    inputs = seen(20, 20)  # padded by 9
    found = METHOD.attribute(inputs)
    values = found.values.ravel()
    chosen = np.concatenate([np.abs(values).argsort()[-12:], np.arange(5, values.size, 16)])
    expected = naive(inputs, found.steps, chosen)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(values[chosen], expected, atol=0.05 * scale)
    assert np.abs(values[chosen] - expected).mean() < 0.01 * scale


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2 * LENGTH))
def test_complete_and_nothing_of_padding(seed: int, length: int) -> None:
    inputs = seen(seed, length)
    found = METHOD.attribute(inputs)
    difference = found.logit - found.usual_logit
    assert found.logit == pytest.approx(
        float(NETWORK.logit({n: v[None] for n, v in inputs.items()})[0, 0, 0]), abs=1e-5
    )
    assert found.values.sum() == pytest.approx(difference, rel=TOLERANCE, abs=1e-3)
    padded = inputs["valid"] == 0
    assert not found.values[padded].any()


def test_gradient_x_input_is_the_slope_at_the_window() -> None:
    inputs = seen(8, 40)
    gated, found = Gated(NETWORK), METHOD.gradient_x_input(inputs)
    ends, apart = gated.ends(inputs), 1e-2
    gates = np.ones((2, *found.values.shape), np.float32)
    place, field = np.unravel_index(np.abs(found.values).argmax(), found.values.shape)
    gates[:, place, field] += np.array([apart / 2, -apart / 2], np.float32)
    above, below = gated(gates, ends).numpy()
    assert found.values[place, field] == pytest.approx((above - below) / apart, rel=0.05)


def test_ranked_names_places_and_fields() -> None:
    values = np.array([[0.0, 0.0], [3.0, -1.0], [0.5, 2.0]])
    found = Attribution(("amount", "time"), values, 1.0, -3.5, 32)
    assert found.missed == pytest.approx(0)
    assert found.top_place == 2
    assert found.by_transaction.tolist() == [0, 2, 2.5]
    top = found.ranked().head(3).itertuples(index=False, name=None)
    assert list(top) == [(1, "amount", 3.0), (0, "time", 2.0), (0, "amount", 0.5)]
