"""From the trained Keras network to a TFLite flatbuffer: frozen, one raw window in."""

import tempfile

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from fraudnet.artifact.signatures import STEP, WINDOW
from fraudnet.device.stepping import STATE, TRANSACTION
from fraudnet.errors import CheckFailed
from fraudnet.network.network import Network
from fraudnet.network.step import Step


def convert(network: Network) -> bytes:
    """The network as a float32 flatbuffer with the one signature `score_window`.

    Inputs are [1, R] by the specification's names, outputs `fraud_probability` and `ood_distance`,
    [1, 1] each. Variables become constants before conversion: the converter would otherwise leave
    nodes that read them, and those answer NaN.

    Raises:
        CheckFailed: the graph needs an operator that is not built into TFLite.
    """
    return _converted(frozen_module(network).score_window, WINDOW)


def convert_step(network: Network) -> bytes:
    """The network as a float32 flatbuffer with the one signature `step`.

    Inputs are `transaction` [1, I], the specification's as float32 in its order, and `state`
    [1, S]; outputs those of `convert` and `state`, the one after (`Step`).

    Raises:
        CheckFailed: the graph needs an operator that is not built into TFLite.
    """
    step = Step(network)
    lengths = {TRANSACTION: len(network.specification.inputs), STATE: step.length}
    specs = {name: tf.TensorSpec((1, n), tf.float32, name) for name, n in lengths.items()}

    def one(transaction: tf.Tensor, state: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs, after = step(transaction, state)
        found = {name: tf.reduce_sum(value, axis=2) for name, value in outputs.items()}
        return found | {STATE: after}

    return _converted(_frozen(tf.function(one).get_concrete_function(**specs), specs), STEP)


def _converted(function: "tf.types.experimental.ConcreteFunction", signature: str) -> bytes:
    module = tf.Module()
    module.function = function
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(module, directory, signatures={signature: function})
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        try:
            return bytes(converter.convert())
        except tf.errors.OpError as error:
            raise CheckFailed(f"the network cannot be converted: {error.message}") from error


def frozen_module(network: Network) -> tf.Module:
    """The function of one window, `score_window`, its variables being constants."""
    shape = (1, network.receptive_field)
    specs = {i.name: tf.TensorSpec(shape, i.dtype, i.name) for i in network.specification.inputs}

    def window(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network.scores(inputs, training=False)
        # The sum over one channel drops it; a reshape would fix the number of positions.
        return {name: tf.reduce_sum(value, axis=2) for name, value in outputs.items()}

    module = tf.Module()
    module.score_window = _frozen(tf.function(window).get_concrete_function(**specs), specs)
    return module


def _frozen(
    function: "tf.types.experimental.ConcreteFunction", specs: dict[str, tf.TensorSpec]
) -> "tf.types.experimental.ConcreteFunction":
    """The same function with its variables as constants, and its inputs and outputs still named."""
    names = sorted(function.structured_outputs)  # as the graph's outputs are
    graph = convert_variables_to_constants_v2(function)
    placed = [tensor.name for tensor in graph.inputs]
    definition = graph.graph.as_graph_def()
    outputs = [tensor.name for tensor in graph.outputs]

    def call(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        given = {name: inputs[name.split(":")[0]] for name in placed}
        found = tf.graph_util.import_graph_def(definition, given, outputs)
        return dict(zip(names, found, strict=True))

    return tf.function(call).get_concrete_function(**specs)
