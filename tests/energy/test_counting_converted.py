"""Counts of models that the converter makes, against formulas worked out by hand."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from fraudnet.artifact.convert import convert
from fraudnet.energy.counting import count_bytes
from tests.network.examples import SMALL, random_network


def converted(layer: keras.Layer, shape: tuple[int, ...]) -> bytes:
    """One layer at batch size 1 as a .tflite file, its variables frozen to constants."""
    layer.build((1, *shape))
    spec = tf.TensorSpec((1, *shape), tf.float32)
    function = tf.function(layer.call, input_signature=[spec], autograph=False)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    content: bytes = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    return content


CASES: dict[str, tuple[Callable[[], keras.Layer], tuple[int, ...], str, int]] = {
    "dense": (lambda: keras.layers.Dense(7), (5,), "FULLY_CONNECTED", 5 * 7),
    "dense over positions": (
        lambda: keras.layers.Dense(7), (11, 5), "FULLY_CONNECTED", 11 * 5 * 7,
    ),
    "convolution over time": (
        lambda: keras.layers.Conv1D(6, 3, padding="causal"), (20, 4), "CONV_2D", 20 * 6 * 3 * 4,
    ),
    "convolution, valid, strided": (
        lambda: keras.layers.Conv2D(8, (3, 2), strides=2),
        (11, 9, 5), "CONV_2D", (5 * 4) * 8 * (3 * 2) * 5,
    ),
    "depthwise, strided": (
        lambda: keras.layers.DepthwiseConv2D(3, strides=2, padding="same"),
        (10, 8, 6), "DEPTHWISE_CONV_2D", (5 * 4) * 6 * (3 * 3),
    ),
    "depthwise, dilated, multiplied": (
        lambda: keras.layers.DepthwiseConv2D(3, dilation_rate=2, depth_multiplier=2),
        (12, 10, 3), "DEPTHWISE_CONV_2D", (8 * 6) * (3 * 2) * (3 * 3),
    ),
    "transposed": (
        lambda: keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        (5, 6, 2), "TRANSPOSE_CONV", (5 * 6) * 2 * (3 * 3) * 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_macs_by_hand(case: str) -> None:
    make, shape, operator, macs = CASES[case]
    count = count_bytes(converted(make(), shape), case)
    assert count.macs_by_operator[operator] == macs
    assert count.macs == macs
    assert count.uncounted == ()


def test_parameters_and_activations_of_a_dense_layer() -> None:
    # The converter drops a bias of zeros.
    dense = keras.layers.Dense(7, bias_initializer="ones")
    count = count_bytes(converted(dense, (5,)), "dense")
    assert count.parameter_bytes == 4 * (5 * 7 + 7)
    assert (count.activation_bytes_read, count.activation_bytes_written) == (4 * 5, 4 * 7)
    assert count.peak_live_activation_bytes == 4 * (5 + 7)


def test_our_network_has_the_layers_that_the_runtime_reads() -> None:
    """Names, shapes and bytes of each layer, and from them work, as TensorFlow Lite tells them."""
    content = convert(random_network(SMALL, seed=0))
    interpreter = Interpreter(model_content=content)
    tensors = {each["index"]: each for each in interpreter.get_tensor_details()}
    counted = count_bytes(content, "ours").operators
    layers = [each for each in interpreter._get_ops_details() if each["op_name"] != "DELEGATE"]
    assert [one.name for one in counted] == [each["op_name"] for each in layers]
    for one, layer in zip(counted, layers, strict=True):
        outputs = [tensors[index] for index in layer["outputs"]]
        assert one.output_shape == tuple(outputs[0]["shape"])
        sizes = [np.prod(each["shape"]) * np.dtype(each["dtype"]).itemsize for each in outputs]
        assert one.activation_bytes_written == sum(sizes)
        if one.name == "FULLY_CONNECTED":
            weights = tensors[layer["inputs"][1]]["shape"]
            assert one.macs == np.prod(outputs[0]["shape"]) * weights[1]
            assert weights[0] == one.output_shape[-1]


class TwoForms(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Two signatures that share weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.ones((4, 3)))

    @tf.function(input_signature=[tf.TensorSpec((10, 4), tf.float32)], autograph=False)  # type: ignore[untyped-decorator]
    def window(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"score": tf.matmul(rows, self.weights)}

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)], autograph=False)  # type: ignore[untyped-decorator]
    def step(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"score": tf.matmul(row, self.weights)}


def test_each_signature_counts_its_own_subgraph() -> None:
    model = TwoForms()
    functions = [model.window.get_concrete_function(), model.step.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(functions, model)
    content = converter.convert()
    assert count_bytes(content, "two", signature="window").macs == 10 * 4 * 3
    assert count_bytes(content, "two", signature="step").macs == 4 * 3
    assert count_bytes(content, "two").macs in (10 * 4 * 3, 4 * 3)
