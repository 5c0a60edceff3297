"""Where a training step's time goes: each decision undone, one at a time, and measured."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf

from fraudnet.network import layers
from fraudnet.network import network as networks
from fraudnet.network.network import Network, NetworkConfig, build_network
from fraudnet.training import step
from fraudnet.training.batches import Batch
from fraudnet.windows.chunks import Chunks
from fraudnet.windows.specification import FeatureSpecification

OURS = "ours"
Step = Callable[[Batch], tf.Tensor]


class KerasConv1x1(keras.layers.Conv1D):  # type: ignore[misc]  # Keras has no types
    """1x1 convolution by Keras's general convolution."""

    def __init__(self, filters: int, **kwargs: str) -> None:
        super().__init__(filters, 1, **kwargs)


class KerasDepthwise(keras.layers.DepthwiseConv1D):  # type: ignore[misc]  # Keras has no types
    """Causal depthwise filter by Keras's own layer; positions without their whole past are cut."""

    def __init__(self, kernel_size: int, dilation: int, **kwargs: str) -> None:
        super().__init__(kernel_size, dilation_rate=dilation, padding="valid", **kwargs)
        self.span = (kernel_size - 1) * dilation + 1


@dataclass(frozen=True)
class Variant:
    """A step that differs from ours.

    Attributes:
        name: in what.
        swapped: layers of another kind that the network is built of: module, name, class.
        xla: whether the step is compiled by XLA.
        parts: of the batch, whose gradients are found at the same time.
        vector: whether the weights are one; else a variable each, and the batch is not divided.
    """

    name: str
    swapped: tuple[tuple[Any, str, type[Any]], ...] = ()
    xla: bool = True
    parts: int = step.PARTS
    vector: bool = True


VARIANTS = (
    Variant(OURS),
    Variant("the batch in one part", parts=1),
    Variant("the batch in one part, a variable for each weight", vector=False),
    Variant("without XLA", xla=False),
    Variant("Keras's DepthwiseConv1D", ((networks, "CausalDepthwise", KerasDepthwise),)),
    Variant(
        "Keras's DepthwiseConv1D, without XLA",
        ((networks, "CausalDepthwise", KerasDepthwise),),
        xla=False,
    ),
    Variant(
        "Conv1D of one tap for 1x1",
        ((networks, "Conv1x1", KerasConv1x1), (layers, "Conv1x1", KerasConv1x1)),
    ),
    Variant("element-wise dropout", ((keras.layers, "SpatialDropout1D", keras.layers.Dropout),)),
)
KERAS_LAYERS = (
    (networks, "CausalDepthwise", KerasDepthwise),
    (networks, "Conv1x1", KerasConv1x1),
    (layers, "Conv1x1", KerasConv1x1),
)
FIRST_WRITTEN = Variant("Keras's own layers, without XLA", KERAS_LAYERS, xla=False, vector=False)
WINDOW_VARIANTS = (
    VARIANTS[0],
    FIRST_WRITTEN,
    Variant("Keras's own layers", KERAS_LAYERS, vector=False),
)


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a variant's step: median and quartiles; the first call, in seconds."""

    name: str
    median_ms: float
    lower_ms: float
    upper_ms: float
    times_ours: float
    first_call_s: float


def build_variant(
    variant: Variant, config: NetworkConfig, specification: FeatureSpecification
) -> Network:
    """The network with the variant's layers."""
    with ExitStack() as swapped:
        for module, name, layer in variant.swapped:
            swapped.enter_context(patch.object(module, name, layer))
        return build_network(config, specification)


def training_step(network: Network, variant: Variant) -> Step:
    """A training step as `fit_network` makes it, but for what the variant has otherwise."""
    optimizer = keras.optimizers.AdamW(
        3e-3, weight_decay=1e-4, global_clipnorm=1.0, use_ema=True, ema_momentum=0.99
    )
    if not variant.vector:
        return _a_variable_each(network.logit, optimizer, variant.xla)
    plain = tf.function

    def function(*of: Any, **options: Any) -> Any:  # noqa: ANN401  (whatever it is given)
        return plain(*of, **(options if variant.xla else {}))

    with patch.object(tf, "function", function):
        return step.TrainingStep(network.logit, optimizer, 0, 0.0)


def _a_variable_each(model: keras.Model, optimizer: keras.optimizers.Optimizer, xla: bool) -> Step:
    variables = model.trainable_variables
    optimizer.build(variables)

    def learn(inputs: dict[str, tf.Tensor], label: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logit = model(inputs, training=True)
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logit)
            )
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    compiled: Any = tf.function(learn, jit_compile=xla or None)
    return lambda batch: compiled(batch.inputs, batch.label)


def time_variants(
    chunks: Chunks, variants: Sequence[Variant], batch: int, rounds: int
) -> list[Timing]:
    """Time a step of each variant in turn, so many rounds; the machine's moods meet all alike.

    Args:
        chunks: what a step is made of.
        variants: the first is ours.
        batch: chunks a step.
        rounds: steps of each variant.
    """
    chosen = np.resize(np.arange(len(chunks)), batch)
    specification = chunks.histories.specification
    inputs = {name: tf.constant(values) for name, values in chunks.gather(chosen).items()}
    labels = (chunks.histories.is_fraud[chunks.rows(chosen)] == 1).astype(np.float32)
    label = tf.constant(labels[..., None])
    given = Batch(inputs, label, tf.ones_like(label), labels.size)
    keras.utils.clear_session()
    steps, first = [], []
    for variant in variants:
        keras.utils.set_random_seed(0)
        network = build_variant(variant, NetworkConfig(), specification)
        steps.append(training_step(network, variant))
        with patch.object(step, "PARTS", variant.parts):
            first.append(_seconds(steps[-1], given))
    taken = np.array([[_seconds(each, given) for each in steps] for _ in range(rounds)])
    lower, median, upper = np.quantile(taken * 1e3, (0.25, 0.5, 0.75), axis=0)
    return [
        Timing(v.name, median[i], lower[i], upper[i], median[i] / median[0], first[i])
        for i, v in enumerate(variants)
    ]


def _seconds(learn: Step, batch: Batch) -> float:
    begin = time.perf_counter()
    learn(batch).numpy()
    return time.perf_counter() - begin
