"""The signature of one transaction and a state: in both runtimes, beside the window's."""

import json

import numpy as np
import pytest

from fraudnet.artifact.answering import answers_of, installed
from fraudnet.artifact.convert import convert, convert_step
from fraudnet.artifact.flatbuffer import slim
from fraudnet.artifact.quantise import Variant, quantise
from fraudnet.artifact.signatures import SEQUENCE, STEP, WINDOW
from fraudnet.device.artifact import read_documents
from fraudnet.device.errors import ArtifactError
from fraudnet.device.stepping import Stepper
from fraudnet.network.network import Network
from tests.network.examples import SMALL, batch, random_network
from tests.training.world import World


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(SMALL)


@pytest.fixture(scope="module")
def models(network: Network) -> dict[str, bytes]:
    """Of some variants that have a step, both graphs in one; and without."""
    window, step = convert(network), convert_step(network)
    made = {"window alone": slim(window, SEQUENCE)}
    variants: tuple[Variant, ...] = ("float32", "int8_weights")
    for variant in variants:
        one, other = quantise(window, variant, WINDOW, {}), quantise(step, variant, STEP, {})
        made[variant] = slim(one, SEQUENCE, other)
    return made


@pytest.mark.parametrize("runtime", installed())
@pytest.mark.parametrize("variant", ["float32", "int8_weights"])
def test_a_step_answers_as_the_window_that_ends_with_it(
    models: dict[str, bytes], runtime: str, variant: str
) -> None:
    windows = batch(5, [1, 2, 29, 60], 29)
    by_window = answers_of(runtime, models[variant], WINDOW, windows)
    by_step = answers_of(runtime, models[variant], STEP, windows)
    for name, expected in by_window.outputs.items():
        np.testing.assert_allclose(by_step.outputs[name], expected, rtol=1e-4, atol=1e-5)
    assert by_window.outputs["fraud_probability"].std() > 0.01


def test_both_graphs_share_their_weights(network: Network, models: dict[str, bytes]) -> None:
    kernel = network.pointwise["stem"].kernel.numpy().T.tobytes()
    assert models["float32"].count(kernel) == models["window alone"].count(kernel) == 1


def test_a_state_is_left_as_it_is_and_gives_the_same_again(models: dict[str, bytes]) -> None:
    stepper = Stepper(models["float32"], STEP)
    inputs = {name: v[:, -1:] for name, v in batch(6, [5], 29).items()}
    begin = stepper.begin()
    first, after = stepper.step(inputs, begin)
    assert not begin.any()
    assert after.any()
    assert stepper.step(inputs, begin)[0] == first
    assert stepper.step(inputs, after)[0] != first


def test_without_a_step_it_says_so(models: dict[str, bytes]) -> None:
    with pytest.raises(ArtifactError, match="no signature 'step' that runs"):
        Stepper(models["window alone"], STEP)


def test_the_contract_says_what_a_step_takes(world: World) -> None:
    contract = read_documents(world.artifact)["contract.json"]
    stepper = Stepper(world.artifact.read_bytes(), contract["step"]["signature"])
    assert stepper.begin().shape == (1, contract["step"]["length"])
    assert contract["step"]["state"] == "state"
    assert [each["name"] for each in contract["signatures"]] == [WINDOW, SEQUENCE, STEP]
    assert json.dumps(contract["step"])
