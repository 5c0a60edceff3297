"""A step is the optimizer's on the gradient of the mean loss, whatever it is divided into."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from fraudnet.network.network import Network, NetworkConfig, build_network
from fraudnet.training.batches import Batch
from fraudnet.training.step import TrainingStep
from tests.network.examples import SPECIFICATION, batch

pytestmark = pytest.mark.xdist_group("fitting")

LENGTH = 3
CONFIG = NetworkConfig(width=4, dilations=(1,), squeeze_window=2, normal_window=2, embedding=2)


def network(dropout: float = 0.0) -> Network:
    keras.utils.set_random_seed(3)
    return build_network(CONFIG.model_copy(update={"dropout": dropout, "head": 32}), SPECIFICATION)


def optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=0.05)


def batches(chunks: int, count: int, length: int) -> list[Batch]:
    """Of random inputs, labels and weights."""
    rng = np.random.default_rng(0)
    made = []
    for seed in range(count):
        inputs = batch(seed, [length] * chunks, length)
        label, weight = rng.random((2, chunks, LENGTH, 1)).astype(np.float32)
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        made.append(Batch(tensors, tf.constant(label.round()), tf.constant(weight), chunks))
    return made


def learnt(
    of: Network, given: Sequence[Batch], seed: int = 0, focal_gamma: float = 0.0
) -> tuple[list[float], list[np.ndarray[Any, Any]]]:
    step = TrainingStep(of.logit, optimizer(), seed, focal_gamma)
    losses = [float(step(each)) for each in given]
    step.put_back()
    return losses, [weight.numpy() for weight in of.logit.trainable_weights]


@pytest.mark.parametrize(("chunks", "focal_gamma"), [(1, 0.0), (5, 0.0), (4, 2.0)])
def test_it_is_the_step_of_keras_on_the_whole_batch(chunks: int, focal_gamma: float) -> None:
    ours, theirs = network(), network()
    given = batches(chunks, 3, ours.receptive_field - 1 + LENGTH)
    losses, weights = learnt(ours, given, focal_gamma=focal_gamma)
    variables, plain = theirs.logit.trainable_variables, optimizer()
    crossentropy = keras.losses.BinaryFocalCrossentropy(
        gamma=focal_gamma, from_logits=True, reduction=None
    )
    for each, loss in zip(given, losses, strict=True):
        with tf.GradientTape() as tape:
            found = crossentropy(each.label, theirs.logit(each.inputs, training=True))
            expected = tf.reduce_mean(each.weight[..., 0] * found)
        plain.apply(tape.gradient(expected, variables), variables)
        assert loss == pytest.approx(float(expected), rel=1e-4)
    for found, variable in zip(weights, variables, strict=True):
        np.testing.assert_allclose(found, variable.numpy(), rtol=1e-3, atol=1e-5)


def test_dropout_is_of_the_seed_the_step_and_the_part() -> None:
    of = network(dropout=0.5)
    (one,) = batches(1, 1, of.receptive_field - 1 + LENGTH)
    twice = Batch(
        {name: tf.concat([values] * 2, 0) for name, values in one.inputs.items()},
        tf.concat([one.label] * 2, 0),
        tf.concat([one.weight] * 2, 0),
        2,
    )
    losses, weights = learnt(network(dropout=0.5), [one, one])
    again, same = learnt(network(dropout=0.5), [one, one])
    assert losses == again
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, same, strict=True))
    step = TrainingStep(of.logit, optimizer(), 0, 0.0)
    before = step.weights.numpy()
    first = float(step(one))
    step.weights.assign(before)
    assert float(step(one)) != pytest.approx(first, rel=1e-4)
    assert learnt(network(dropout=0.5), [one], seed=1)[0] != losses[:1]
    # The first part of a batch is dropped as one alone is; its twin, in the second, otherwise.
    assert learnt(network(dropout=0.5), [twice])[0] != pytest.approx(losses[:1], rel=1e-4)


def test_the_model_changes_when_it_is_told_to() -> None:
    of = network()
    before = [weight.numpy() for weight in of.logit.trainable_weights]
    step = TrainingStep(of.logit, optimizer(), 0, 0.0)
    step(batches(2, 1, of.receptive_field - 1 + LENGTH)[0])
    for old, weight in zip(before, of.logit.trainable_weights, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())
    step.put_back()
    for old, weight in zip(before, of.logit.trainable_weights, strict=True):
        assert np.any(old != weight.numpy())
