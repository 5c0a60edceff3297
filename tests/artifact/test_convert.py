"""The flatbuffer: builtin operators alone, the signature first, and the same function as Keras."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from fraudnet.artifact.convert import convert, convert_step
from fraudnet.artifact.flatbuffer import slim
from fraudnet.artifact.lengthwise import lengthwise
from fraudnet.artifact.signatures import SEQUENCE
from fraudnet.artifact.verify import with_edge_cases
from fraudnet.device.runtime import Network as Runtime
from fraudnet.energy.counting import count_bytes
from fraudnet.network.network import Network, NetworkConfig, pointwise_names
from fraudnet.windows.specification import FeatureSpecification
from tests.artifact.runtimes import answers_of
from tests.network.examples import (
    PIECES,
    SMALL,
    SMOOTH,
    SPECIFICATION,
    WITHOUT_CATEGORIES,
    batch,
    random_network,
)
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")

NAMES = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
DTYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}


@pytest.fixture(scope="module")
def flatbuffer(world: World) -> bytes:
    return convert(world.trained.network)


@pytest.fixture(scope="module")
def model(flatbuffer: bytes) -> Any:  # noqa: ANN401  (generated, without types)
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))


def operators(model: schema.ModelT) -> list[str]:
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return [NAMES[codes[each.opcodeIndex]] for part in model.subgraphs for each in part.operators]


def test_every_operator_is_built_in(model: schema.ModelT) -> None:
    assert all(code.customCode is None for code in model.operatorCodes)
    found = set(operators(model))
    assert "FULLY_CONNECTED" in found
    assert not found & {"CUSTOM", "DELEGATE", "CALL_ONCE", "IF", "WHILE"}
    assert not [name for name in found if "VARIABLE" in name or "VAR_HANDLE" in name]
    assert not [name for name in found if name.startswith(("STABLEHLO", "FLEX"))]


def test_there_is_one_graph_and_no_state(model: schema.ModelT) -> None:
    (graph,) = model.subgraphs
    assert not any(tensor.isVariable for tensor in graph.tensors)


def test_the_one_signature_is_named_after_what_it_does(model: schema.ModelT) -> None:
    (signature,) = model.signatureDefs
    assert signature.signatureKey == b"score_window"


def test_the_inputs_are_those_of_the_specification(world: World, model: schema.ModelT) -> None:
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    tensors = {each.name.decode(): graph.tensors[each.tensorIndex] for each in signature.inputs}
    length = world.trained.facts.receptive_field
    assert {name: (tensor.type, tensor.shape.tolist()) for name, tensor in tensors.items()} == {
        each.name: (DTYPES[each.dtype], [1, length])
        for each in world.trained.facts.experiment.features.inputs
    }
    assert len(tensors) == len(graph.inputs) == 17


def test_the_outputs_are_probability_and_distance(model: schema.ModelT) -> None:
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    tensors = {each.name.decode(): graph.tensors[each.tensorIndex] for each in signature.outputs}
    assert {name: (tensor.type, tensor.shape.tolist()) for name, tensor in tensors.items()} == {
        name: (schema.TensorType.FLOAT32, [1, 1]) for name in ("fraud_probability", "ood_distance")
    }


def test_the_same_network_gives_the_same_bytes(world: World, flatbuffer: bytes) -> None:
    assert world.artifact.read_bytes().startswith(
        slim(flatbuffer, SEQUENCE, convert_step(world.trained.network))
    )


@pytest.fixture(scope="module")
def piecewise() -> tuple[Network, bytes]:
    """A network with an isotonic calibration, and its flatbuffer."""
    network = random_network(SMALL, seed=3, calibration_knots=16)
    return network, convert(network)


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_an_isotonic_calibration_is_answered_as_by_keras(
    piecewise: tuple[Network, bytes], runtime: str, tmp_path: Path
) -> None:
    network, content = piecewise
    windows = batch(5, range(1, 200), network.receptive_field)
    logit = network.logit(windows).numpy()[:, 0, 0]
    reached = np.unique(np.searchsorted(network.calibration.knots.numpy(), logit))
    assert len(reached) == 17
    expected = network.scores(windows)["fraud_probability"].numpy()[:, 0, 0]
    (tmp_path / "model.tflite").write_bytes(content)
    found = answers_of(runtime, tmp_path / "model.tflite", windows)
    assert found["fraud_probability"] == pytest.approx(expected, abs=1e-5)
    assert expected.std() > 0.1


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
@pytest.mark.parametrize("config", [PIECES, SMOOTH], ids=["each alone", "smooth"])
@pytest.mark.parametrize("of", [SPECIFICATION, WITHOUT_CATEGORIES], ids=["categories", "none"])
def test_amounts_read_piece_by_piece_are_answered_as_by_keras(
    of: FeatureSpecification, config: NetworkConfig, runtime: str, tmp_path: Path
) -> None:
    network = random_network(config, 7, of)
    windows = batch(6, range(1, 200), network.receptive_field, of)
    expected = network.scores(windows)["fraud_probability"].numpy()[:, 0, 0]
    (tmp_path / "model.tflite").write_bytes(convert(network))
    found = answers_of(runtime, tmp_path / "model.tflite", windows)
    assert found["fraud_probability"] == pytest.approx(expected, abs=1e-5)
    assert expected.std() > 0.1


@pytest.mark.parametrize("of", [SPECIFICATION, WITHOUT_CATEGORIES])
def test_pieces_of_amounts_leave_the_length_open(of: FeatureSpecification) -> None:
    """A sequence is answered at each position that has a whole window before it."""
    network = random_network(PIECES, 7, of)
    sequence = batch(6, [400], network.receptive_field + 4, of)
    expected = network.scores(sequence)["fraud_probability"].numpy()[0, :, 0]
    positions = sequence["valid"].shape[1]
    runtime = Runtime(slim(convert(network), SEQUENCE), SEQUENCE, positions=positions)
    found = runtime.run_sequence(sequence)["fraud_probability"]
    assert np.ravel(found) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_low_rank_layers_leave_the_length_open(runtime: str) -> None:
    ranks = dict.fromkeys(pointwise_names(len(SMALL.dilations)), 2)
    network = random_network(SMALL.model_copy(update={"ranks": ranks}), 7)
    windows = batch(6, [1, 5, 60, 200], network.receptive_field)
    expected = network.scores(windows)["fraud_probability"].numpy()[:, 0, 0]
    found = lengthwise(runtime, slim(convert(network), SEQUENCE), windows).outputs
    assert found["fraud_probability"] == pytest.approx(expected, abs=1e-5)
    assert expected.std() > 0.01


def test_the_work_of_an_isotonic_calibration_is_counted(
    piecewise: tuple[Network, bytes],
) -> None:
    _, content = piecewise
    plain = count_bytes(convert(random_network(SMALL, seed=3)), "plain")
    found = count_bytes(content, "isotonic")
    assert found.macs == plain.macs
    # Each of 17 pieces: a difference, two comparisons, a product, an addend.
    assert found.elementwise - plain.elementwise == pytest.approx(5 * 17, abs=3)


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_every_window_is_answered_as_by_keras(
    world: World, flatbuffer: bytes, runtime: str, tmp_path: Path
) -> None:
    network = world.trained.network
    windows = with_edge_cases(world.trained.windows, network.specification.inputs)
    expected: dict[str, NDArray[np.float32]] = {
        name: values.numpy()[:, 0, 0] for name, values in network.scores(windows).items()
    }
    (tmp_path / "model.tflite").write_bytes(flatbuffer)
    found = answers_of(runtime, tmp_path / "model.tflite", windows)
    assert found["fraud_probability"] == pytest.approx(expected["fraud_probability"], abs=1e-5)
    assert found["ood_distance"] == pytest.approx(expected["ood_distance"], rel=1e-3)
    assert expected["fraud_probability"].std() > 0.01
