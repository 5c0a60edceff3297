"""The signature of one transaction and a state: in both runtimes, beside the window's."""

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from fraudnet.artifact.convert import convert, convert_step
from fraudnet.artifact.flatbuffer import slim
from fraudnet.artifact.quantise import Variant, quantise
from fraudnet.artifact.signatures import SEQUENCE, STEP, WINDOW
from fraudnet.artifact.stepwise import stepwise
from fraudnet.device.artifact import open_artifact, read_documents
from fraudnet.device.contract import Contract
from fraudnet.device.errors import ArtifactError
from fraudnet.device.stepping import Stepper
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Past, Window
from fraudnet.latency.answering import answers_of, installed
from fraudnet.network.network import Network
from tests.network.examples import SMALL, SPECIFICATION, batch, random_network
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
    windows = {i.name: windows[i.name] for i in SPECIFICATION.inputs}
    by_window = answers_of(runtime, models[variant], WINDOW, windows)
    by_step = stepwise(runtime, models[variant], windows)
    for name, expected in by_window.outputs.items():
        np.testing.assert_allclose(by_step.outputs[name], expected, rtol=1e-4, atol=1e-5)
    assert by_window.outputs["fraud_probability"].std() > 0.01


def test_both_graphs_share_their_weights(network: Network, models: dict[str, bytes]) -> None:
    kernel = network.pointwise["stem"].kernel.numpy().T.tobytes()
    assert models["float32"].count(kernel) == models["window alone"].count(kernel) == 1


def history(contract: Contract, count: int) -> list[tuple[Transaction, dict[str, int]]]:
    """Random transactions an hour apart, with unknown categories, nulls and unknown reputation."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        columns = {
            entry.column: [*entry.vocabulary, "never seen", None][
                rng.integers(len(entry.vocabulary) + 2)
            ]
            if entry.vocabulary
            else [float(rng.normal()), None][rng.integers(2)]
            for entry in contract.inputs
            if entry.column
        }
        counts = {e.statistic: int(rng.integers(9)) for e in contract.inputs if e.statistic}
        moment_us = 1_745_000_000_123_456 + 3_600_000_000 * number
        amount = float(rng.lognormal(3, 1))
        made = Transaction(str(number), "a", moment_us, "c", amount, columns)
        found.append((made, counts if rng.random() < 0.7 else {}))
    return found


def test_a_device_that_keeps_a_state_decides_as_one_that_keeps_windows(world: World) -> None:
    artifact = open_artifact(world.artifact)
    window = Window(artifact.contract)
    past, stepper = Past(window, [], None), Stepper(artifact.model, artifact.contract)
    state = stepper.begin()
    for transaction, counts in history(artifact.contract, 12):
        before = state.copy()
        answer, after = stepper.step(transaction, counts, state)
        expected = artifact.network.run(past.window(window.pack(transaction, counts)))
        past.keep(transaction.timestamp_us)
        assert answer == pytest.approx(expected, rel=1e-4, abs=1e-5)
        np.testing.assert_array_equal(state, before)
        state = after


def test_without_a_step_it_says_so(world: World, models: dict[str, bytes]) -> None:
    contract = open_artifact(world.artifact).contract
    with pytest.raises(ArtifactError, match="signature 'step' does not run"):
        Stepper(models["window alone"], contract)
    with pytest.raises(ArtifactError, match="the artifact has no step"):
        Stepper(models["window alone"], replace(contract, step=None))


def test_the_contract_says_what_a_step_takes(world: World) -> None:
    contract = read_documents(world.artifact)["contract.json"]
    runner = Interpreter(str(world.artifact)).get_signature_runner(contract["step"]["signature"])
    shapes = {name: d["shape"].tolist() for name, d in runner.get_input_details().items()}
    length = contract["step"]["length"]
    assert shapes == {"transaction": [1, len(contract["inputs"])], "state": [1, length]}
    assert runner.get_output_details()["state"]["shape"].tolist() == [1, length]
    assert [each["name"] for each in contract["signatures"]] == [WINDOW, SEQUENCE, STEP]
