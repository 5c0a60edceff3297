"""Fewer bits for the 1x1 layers, and for nothing else; in both runtimes."""

import pytest
from ai_edge_litert import schema_py_generated as schema

from fraudnet.artifact.convert import convert
from fraudnet.artifact.flatbuffer import slim
from fraudnet.artifact.quantise import VARIANTS, Variant, quantise
from fraudnet.artifact.signatures import SEQUENCE, WINDOW
from fraudnet.device.errors import DeviceInputError
from fraudnet.latency.answering import NotLoaded, answers_of, installed, version_of
from fraudnet.network.network import Network
from fraudnet.training.trained import Windows
from tests.artifact.runtimes import need
from tests.network.examples import (
    PIECES,
    SMALL,
    WITHOUT_CATEGORIES,
    batch,
    random_network,
)

INT8, FLOAT16 = schema.TensorType.INT8, schema.TensorType.FLOAT16
NEAR = {"float32": 1e-5, "float16": 2e-3, "int8_weights": 0.05, "int8": 0.15}
COUNT = 60


@pytest.fixture(scope="module", params=["the logarithm of amounts", "pieces of amounts too"])
def network(request: pytest.FixtureRequest) -> Network:
    if request.param == "the logarithm of amounts":
        return random_network(SMALL, seed=5)
    return random_network(PIECES, seed=5, specification=WITHOUT_CATEGORIES)


@pytest.fixture(scope="module")
def windows(network: Network) -> Windows:
    return batch(4, range(1, 1 + COUNT), network.receptive_field, network.specification)


@pytest.fixture(scope="module")
def variants(network: Network, windows: Windows) -> dict[Variant, bytes]:
    model = convert(network)
    return {v: slim(quantise(model, v, WINDOW, windows), SEQUENCE) for v in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_every_variant_is_near_keras(
    network: Network, windows: Windows, variants: dict[Variant, bytes], variant: Variant,
    runtime: str,
) -> None:  # fmt: skip
    need(runtime)
    found = answers_of(runtime, variants[variant], WINDOW, windows)
    expected = network.scores(windows)["fraud_probability"].numpy()[:, 0, 0]
    assert found.outputs["fraud_probability"] == pytest.approx(expected, abs=NEAR[variant])
    assert expected.std() > 0.1
    assert found.latency_us.shape == (COUNT,)
    assert (found.latency_us > 0).all()


def weights(model: bytes, of: int) -> list[tuple[int, ...]]:
    """Shapes of the constants of a type."""
    root = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(model), 0))
    return [
        tuple(t.shape)
        for t in root.subgraphs[0].tensors
        if t.type == of and t.buffer and root.buffers[t.buffer].data is not None
    ]


def test_only_the_1x1_layers_change(variants: dict[Variant, bytes]) -> None:
    blocks = len(SMALL.dilations)
    wanted = 2 + 4 * blocks  # stem, head; expand, project and the squeeze's two
    assert weights(variants["float32"], INT8) == weights(variants["float32"], FLOAT16) == []
    kinds: dict[Variant, int] = {"float16": FLOAT16, "int8_weights": INT8, "int8": INT8}
    for variant, kind in kinds.items():
        matrices = [shape for shape in weights(variants[variant], kind) if len(shape) == 2]
        assert len(matrices) == wanted - (variant == "float16")  # whose stem stays
        assert (1, SMALL.head) not in matrices  # the last layer's


def test_features_are_not_rounded(network: Network, variants: dict[Variant, bytes]) -> None:
    """In int8 the stem's weights have a scale an output channel, which a product in floats can."""
    model = schema.Model.GetRootAs(bytearray(variants["int8"]), 0)
    graph = schema.ModelT.InitFromObj(model).subgraphs[0]
    scales = {
        tuple(t.shape): len(t.quantization.scale)
        for t in graph.tensors
        if t.type == INT8 and t.buffer and model.Buffers(t.buffer).DataLength()
    }
    stem, head = (network.scores.get_layer(n).weights[0].shape for n in ("stem", "head"))
    assert scales[stem[::-1]] == SMALL.width
    assert scales[head[::-1]] == 1


def test_smaller_types_take_fewer_bytes(variants: dict[Variant, bytes]) -> None:
    sizes = {variant: len(model) for variant, model in variants.items()}
    assert sizes["float16"] < sizes["float32"]
    assert sizes["int8_weights"] < sizes["float32"]


def test_one_layer_alone(network: Network, windows: Windows) -> None:
    model = quantise(convert(network), "int8_weights", WINDOW, windows, r"/head(_\d+)?/")
    assert weights(model, INT8) == [(SMALL.head, SMALL.width)]


def test_a_model_that_does_not_load_is_said(windows: Windows) -> None:
    with pytest.raises(NotLoaded, match=r"^ends with status -?\d+: "):
        answers_of("ai_edge_litert", b"\0\0\0\0TFL3" + bytes(100), WINDOW, windows)


def test_runtimes_have_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAUDNET_TFLITE_RUNTIME", raising=False)
    assert version_of("ai_edge_litert").startswith("ai-edge-litert ")
    assert "ai_edge_litert" in installed()
    monkeypatch.setenv("FRAUDNET_TFLITE_RUNTIME", "none_such")
    with pytest.raises(DeviceInputError, match="no TFLite runtime is installed"):
        installed()
