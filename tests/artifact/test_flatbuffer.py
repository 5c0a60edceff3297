"""The same graph in fewer bytes: nothing that a runtime answers changes."""

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from fraudnet.artifact.convert import convert
from fraudnet.artifact.flatbuffer import slim
from fraudnet.artifact.signatures import SEQUENCE, WINDOW
from fraudnet.energy.counting import count_bytes
from fraudnet.network.network import Network
from tests.network.examples import SMALL, batch, random_network


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(SMALL)


@pytest.fixture(scope="module")
def converted(network: Network) -> bytes:
    return convert(network)


@pytest.fixture(scope="module")
def slimmed(converted: bytes) -> bytes:
    return slim(converted, SEQUENCE)


def ask(model: bytes, signature: str, windows: dict[str, Any]) -> dict[str, Any]:
    runner = Interpreter(model_content=model, num_threads=1).get_signature_runner(signature)
    return {name: values.copy() for name, values in runner(**windows).items()}


def test_it_is_much_smaller(converted: bytes, slimmed: bytes) -> None:
    assert len(slimmed) < 0.75 * len(converted)


def test_doing_it_again_gives_the_same_bytes(converted: bytes, slimmed: bytes) -> None:
    assert slim(converted, SEQUENCE) == slimmed


def test_answers_are_the_same_bits(network: Network, converted: bytes, slimmed: bytes) -> None:
    windows = batch(2, [network.receptive_field], network.receptive_field)
    before, after = (ask(model, WINDOW, windows) for model in (converted, slimmed))
    assert before.keys() == after.keys()
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def test_work_and_operators_are_the_same(converted: bytes, slimmed: bytes) -> None:
    before, after = count_bytes(converted, "before"), count_bytes(slimmed, "after")
    assert after.macs == before.macs
    assert after.elementwise == before.elementwise
    assert after.peak_live_activation_bytes == before.peak_live_activation_bytes


@pytest.mark.parametrize("further", [0, 1, 40])
def test_the_sequence_says_at_each_position_what_its_window_says(
    network: Network, slimmed: bytes, further: int
) -> None:
    length = network.receptive_field
    sequence = batch(3, [length // 2 + further], length + further)
    found = ask(slimmed, SEQUENCE, sequence)
    assert {values.shape for values in found.values()} == {(1, 1 + further)}
    expected = network.scores(sequence)
    for name, values in found.items():
        np.testing.assert_allclose(values[0], expected[name].numpy()[0, :, 0], rtol=1e-4, atol=1e-5)
    for end in {0, further // 2, further}:
        window = {name: values[:, end : end + length] for name, values in sequence.items()}
        for name, values in ask(slimmed, WINDOW, window).items():
            np.testing.assert_allclose(values[0, 0], found[name][0, end], rtol=1e-5, atol=1e-6)


def test_both_signatures_are_one_graph(slimmed: bytes) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(slimmed), 0))
    assert len(model.subgraphs) == 1
    assert [each.signatureKey.decode() for each in model.signatureDefs] == [WINDOW, SEQUENCE]
    first = Interpreter(model_content=slimmed).get_input_details()
    assert len(first) == len(model.signatureDefs[0].inputs)
