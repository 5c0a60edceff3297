"""What a score depends on: the R newest transactions, no older one and no later one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fraudnet.network.network import Network, NetworkConfig
from tests.network.examples import (
    SMALL,
    SPECIFICATION,
    Floats,
    Inputs,
    Scores,
    batch,
    random_network,
)

CONFIGS = {
    "default": NetworkConfig(),
    "small": SMALL,
    "one block": SMALL.model_copy(update={"dilations": (1,), "normal_window": 32}),
    "normal shorter than the lags": SMALL.model_copy(update={"normal_window": 2}),
    "normal as long as the lags": SMALL.model_copy(update={"normal_window": 16}),
    "long filter": SMALL.model_copy(update={"kernel_size": 5, "dilations": (3,)}),
    "two taps, uneven dilations": SMALL.model_copy(
        update={"kernel_size": 2, "dilations": (5, 1), "squeeze_window": 2}
    ),
    "wide squeeze": SMALL.model_copy(update={"dilations": (1,), "squeeze_window": 32}),
}


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=list(CONFIGS))
def network(request: pytest.FixtureRequest) -> Network:
    return random_network(request.param)


def perturbed(inputs: Inputs, position: int) -> Inputs:
    """Everything that is known of one transaction is another."""
    changed = {name: values.copy() for name, values in inputs.items()}
    for i in SPECIFICATION.inputs:
        column = changed[i.name][:, position]
        if i.kind == "categorical":
            column[:] = (column + 1) % (len(i.vocabulary or ()) + 1)
        elif i.kind == "day":
            column -= 2000
        elif i.kind != "valid":
            column[:] = column * -3 + 40
    return changed


def test_one_score_of_a_window_of_that_length(network: Network) -> None:
    scores = Scores(network.scores)
    length = network.receptive_field
    for further in (0, 1, 7):
        for values in scores(batch(0, [length], length + further)):
            assert values.shape == (1, 1 + further)


def test_only_the_scores_within_reach_change(network: Network) -> None:
    reach = network.receptive_field
    changed_at = reach + 4
    inputs = batch(1, [2 * reach + 10] * 40, 2 * reach + 10)
    before = Scores(network.scores)(inputs)
    after = Scores(network.scores)(perturbed(inputs, changed_at))
    for old, new in zip(before, after, strict=True):
        first = changed_at - (reach - 1)
        np.testing.assert_array_equal(old[:, :first], new[:, :first])
        np.testing.assert_array_equal(old[:, first + reach :], new[:, first + reach :])
        assert np.abs(old[:, first] - new[:, first]).max() > 1e-3
        last = first + reach - 1
        if reach < 100:  # further back, rounding hides it: see the gradient below
            assert (old[:, last] != new[:, last]).any()


def test_a_later_transaction_changes_no_earlier_score(network: Network) -> None:
    reach = network.receptive_field
    scores = Scores(network.scores)
    inputs = batch(2, [reach + 12] * 8, reach + 12)
    before = scores(inputs)
    for later in range(1, 13):
        changed = inputs
        for position in range(reach - 1 + later, reach + 12):
            changed = perturbed(changed, position)
        for old, new in zip(before, scores(changed), strict=True):
            np.testing.assert_array_equal(old[:, :later], new[:, :later])
            assert (old[:, later] != new[:, later]).all()


def test_the_oldest_position_reaches_the_score(network: Network) -> None:
    """By the gradient, which shows influence that rounding hides in a difference of scores."""
    reach = network.receptive_field
    inputs = batch(3, [reach + 1] * 20, reach + 1)
    valid = tf.constant(inputs["valid"])
    for output in (network.logit, network.fingerprint):
        influence = np.abs(gradient(output, inputs, valid)).max(axis=0)
        assert influence[0] == 0
        assert influence[1] > 0


def gradient(model: keras.Model, inputs: Inputs, valid: tf.Tensor) -> Floats:
    """Of the newest score by whether each transaction is there."""
    tensors = {name: tf.constant(values) for name, values in inputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(valid)
        score = tf.reduce_sum(model({**tensors, "valid": valid})[:, -1] ** 2)
    found: Floats = tape.gradient(score, valid).numpy()
    return found
