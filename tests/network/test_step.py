"""One transaction at a time and a state: the same answers as of whole windows."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from fraudnet.network.network import Sentinel
from fraudnet.network.step import Step
from fraudnet.windows.specification import FeatureSpecification
from tests.network.examples import (
    PIECES,
    SMALL,
    SPECIFICATION,
    WITHOUT_CATEGORIES,
    batch,
    random_network,
)

LENGTHS = [1, 60]


def stepped(
    step: Step, inputs: dict[str, Any], specification: FeatureSpecification = SPECIFICATION
) -> dict[str, Any]:
    """Of one account, [1, L] by name, padded in front: answers [L'], a valid transaction each."""
    state, found = np.zeros((1, step.length), np.float32), []
    once = tf.function(step)
    rows = np.stack([inputs[i.name][0] for i in specification.inputs], axis=-1)
    for row in rows[inputs["valid"][0] > 0]:
        outputs, state = once(row[None].astype(np.float32), state)
        found.append({name: float(value[0, 0, 0]) for name, value in outputs.items()})
    return {name: np.array([each[name] for each in found]) for name in found[0]}


@pytest.mark.parametrize("layer", ["", "features", "stem", "block0", "head"])
def test_steps_answer_as_the_network_does_of_the_sequence(layer: str) -> None:
    network = random_network(SMALL, sentinel=Sentinel(layer))
    step = Step(network)
    reach = network.receptive_field - 1
    lengths = LENGTHS if not layer else [30]
    inputs = batch(3, lengths, max(lengths) + reach)
    expected = network.scores(inputs)
    for row, length in enumerate(lengths):
        found = stepped(step, {name: v[row : row + 1] for name, v in inputs.items()})
        for name, values in found.items():
            by_sequence = expected[name].numpy()[row, -length:, 0]
            np.testing.assert_allclose(values, by_sequence, rtol=1e-4, atol=1e-5)


def test_amounts_read_piece_by_piece_are_so_in_steps() -> None:
    network = random_network(PIECES, specification=WITHOUT_CATEGORIES)
    reach = network.receptive_field - 1
    inputs = batch(3, [30], 30 + reach, WITHOUT_CATEGORIES)
    found = stepped(Step(network), inputs, WITHOUT_CATEGORIES)
    for name, expected in network.scores(inputs).items():
        by_sequence = expected.numpy()[0, -30:, 0]
        np.testing.assert_allclose(found[name], by_sequence, rtol=1e-4, atol=1e-5)


def test_a_state_forgets_what_a_window_does_not_see() -> None:
    """Two pasts that differ before the window of the newest transaction only."""
    network = random_network(SMALL)
    step = Step(network)
    inputs = batch(4, [network.receptive_field + 20], network.receptive_field + 20)
    other = {name: v.copy() for name, v in inputs.items()}
    other["amount"][:, :20] *= 7
    one, two = stepped(step, inputs), stepped(step, other)
    assert one["fraud_probability"][-1] == pytest.approx(two["fraud_probability"][-1], abs=1e-6)
    assert one["fraud_probability"][19] != pytest.approx(two["fraud_probability"][19], abs=1e-6)
