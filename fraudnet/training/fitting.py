"""Fit the network's weights: dense supervision over chunks of account histories."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from pydantic import Field

from fraudnet.configuration import Section
from fraudnet.errors import InputError
from fraudnet.network.network import Network
from fraudnet.windows.chunks import Chunks, chunks_over
from fraudnet.windows.histories import Histories
from fraudnet.windows.labels import KnownRows
from fraudnet.windows.reputation import UNKNOWN_COUNT

Batch = tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]
"""Inputs, labels, weights."""


class TrainingConfig(Section):
    """How the weights are fitted."""

    seed: int = Field(default=0, ge=0, description="of weights, shuffling and dropout")
    epochs: int = Field(default=12, ge=1, description="passes over the training period")
    batch_chunks: int = Field(default=32, ge=1, description="chunks a step")
    chunk_length: int = Field(
        default=128, ge=1, description="scored positions a chunk, after its context"
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="peak, reached after the warm-up")
    warmup_share: float = Field(
        default=0.1, ge=0, lt=1, description="share of all steps in which the rate rises"
    )
    weight_decay: float = Field(default=1e-4, ge=0, description="of AdamW, decoupled")
    fraud_weight: float = Field(
        default=1.0,
        gt=0,
        description="weight of a fraud in the loss, of a genuine transaction 1; calibration is on "
        "natural shares, so it corrects for it",
    )
    unknown_reputation: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of chunks without reputation, for devices that have no snapshot",
    )
    weight_averaging: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="momentum of the weights' running mean a step; 0: none",
    )


class Progress(Protocol):
    """What is told of a fit as it goes on."""

    def begin(self, epochs: int, steps: int) -> None:
        """The fit begins: so many epochs of so many steps."""

    def step(self) -> None:
        """A step is done."""

    def epoch(self, number: int, loss: float) -> None:
        """An epoch, from 0, is done; the mean loss of its steps."""

    def end(self) -> None:
        """The fit is over, or was given up."""


def fit_network(
    network: Network,
    known: KnownRows,
    config: TrainingConfig,
    progress: Progress | None = None,
) -> Chunks:
    """Fit standardisation and weights on known rows; the rows before them are context.

    Cross-entropy at every such position of every chunk, AdamW (Loshchilov and Hutter 2019,
    "Decoupled Weight Decay Regularization", algorithm 2), the rate rising linearly and falling as
    a cosine, the weights averaged over the last steps.

    Args:
        network: changed in place.
        known: the training period's rows, with the labels that had arrived.
        config: how.
        progress: who is told.

    Returns:
        The chunks that were trained on.

    Raises:
        InputError: no row is a fraud, or none is genuine.
    """
    histories, wanted = known.histories, known.rows
    if len(np.unique(known.is_fraud)) < 2:
        raise InputError(
            "the training period holds no fraud or no genuine transaction; a classifier needs "
            "both: lengthen the period, or check the labels"
        )
    _standardise(network, histories, wanted)
    chunks = chunks_over(histories, wanted, network.receptive_field, config.chunk_length)
    steps = math.ceil(len(chunks) / config.batch_chunks)
    optimizer = _optimizer(config, steps * config.epochs)
    step = _compiled_step(network.logit, optimizer)
    if progress:
        progress.begin(config.epochs, steps)
    try:
        for epoch in range(config.epochs):
            losses = []
            for batch in _one_ahead(_batches(chunks, wanted, config, epoch)):
                losses.append(step(*batch))
                if progress:
                    progress.step()
            if progress:
                progress.epoch(epoch, float(np.mean(losses)))
    finally:
        if progress:
            progress.end()
    optimizer.finalize_variable_values(network.logit.trainable_variables)
    return chunks


def _standardise(network: Network, histories: Histories, wanted: npt.NDArray[np.bool_]) -> None:
    columns = {name: values[wanted] for name, values in histories.columns.items()}
    second = histories.timestamp_us // 1_000_000
    gap = np.diff(second, prepend=second[:1])
    follows = np.diff(histories.account, prepend=-1) == 0
    gaps = gap[wanted & follows]
    network.features.fit(columns, np.log1p(gaps) if len(gaps) else np.zeros(1))


def _optimizer(config: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, round(steps * (1 - config.warmup_share))),
        warmup_target=config.learning_rate,
        warmup_steps=round(steps * config.warmup_share),
    )
    return keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        clipnorm=1.0,
        use_ema=config.weight_averaging > 0,
        ema_momentum=config.weight_averaging,
    )


def _compiled_step(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[..., Any]:
    """One step for batches of one static shape: inputs, labels, weights to the loss.

    Not `Model.fit`, which compiles twice as long, and whose data pipeline has the memory given
    back to the system, and taken again, at every step.
    """
    variables = model.trainable_variables
    optimizer.build(variables)

    def step(inputs: dict[str, tf.Tensor], label: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logit = model(inputs, training=True)
            loss = tf.reduce_mean(
                weight * tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logit)
            )
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return tf.function(step, jit_compile=True)  # type: ignore[no-any-return]


def _one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches, the next one gathered while the network learns from this one."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _batches(
    chunks: Chunks, wanted: npt.NDArray[np.bool_], config: TrainingConfig, epoch: int
) -> Iterator[Batch]:
    """An epoch's batches, all of one shape, in an order of its own: inputs, labels, weights."""
    rng = np.random.default_rng((config.seed, epoch))
    specification = chunks.histories.specification
    reputation = [i.name for i in specification.inputs if i.kind == "reputation"]
    for chosen in chunks.batches(config.batch_chunks, seed=int(rng.integers(2**32))):
        filled = np.resize(chosen, config.batch_chunks)
        rows = chunks.rows(filled)
        label = (chunks.histories.is_fraud[rows] == 1).astype(np.float32)
        weight = ((rows >= 0) & wanted[rows]) * np.where(label, config.fraud_weight, 1.0)
        # A short last batch is filled up with repeated chunks, which count for nothing.
        weight[len(chosen) :] = 0.0
        # Every step is the mean over its transactions, however many of its positions are padding.
        weight = (weight / max(float(weight.mean()), 1e-6)).astype(np.float32)
        inputs = chunks.gather(filled)
        unknown = rng.random(config.batch_chunks) < config.unknown_reputation
        for name in reputation:
            inputs[name][unknown] = UNKNOWN_COUNT
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        yield tensors, tf.constant(label[..., None]), tf.constant(weight[..., None])
