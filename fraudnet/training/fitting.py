"""Fit the network's weights: dense supervision over chunks of account histories."""

import math
from collections.abc import Iterator
from typing import Any

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
    weight_averaging: float = Field(
        default=0.99, ge=0, lt=1, description="momentum of the weights' running mean a step; 0: none"
    )


def fit_network(
    network: Network,
    histories: Histories,
    wanted: npt.NDArray[np.bool_],
    config: TrainingConfig,
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> Chunks:
    """Fit standardisation and weights on the wanted rows; the rows before them are context.

    Cross-entropy at every wanted position of every chunk, AdamW (Loshchilov and Hutter 2019,
    "Decoupled Weight Decay Regularization", algorithm 2), the rate rising linearly and falling as
    a cosine, the weights averaged over the last steps. One compiled step of static shapes serves
    all batches.

    Args:
        network: changed in place.
        histories: N rows.
        wanted: [N] labelled rows of the training period.
        config: how.
        callbacks: Keras callbacks for progress and tracking.

    Returns:
        The chunks that were trained on.

    Raises:
        InputError: no wanted row is a fraud, or none is genuine.
    """
    if len(set(np.unique(histories.is_fraud[wanted])) & {0, 1}) < 2:
        raise InputError(
            "the training period holds no fraud or no genuine transaction; a classifier needs both: "
            "lengthen the period, or check the labels"
        )
    _standardise(network, histories, wanted)
    chunks = chunks_over(histories, wanted, network.receptive_field, config.chunk_length)
    steps = math.ceil(len(chunks) / config.batch_chunks)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, round(steps * config.epochs * (1 - config.warmup_share))),
        warmup_target=config.learning_rate,
        warmup_steps=round(steps * config.epochs * config.warmup_share),
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        clipnorm=1.0,
        use_ema=config.weight_averaging > 0,
        ema_momentum=config.weight_averaging,
    )
    network.logit.compile(
        optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=True
    )
    network.logit.fit(
        _dataset(chunks, wanted, config),
        epochs=config.epochs,
        steps_per_epoch=steps,
        callbacks=callbacks,
        shuffle=False,  # the batches are
        verbose=0,
    )
    return chunks


def _standardise(network: Network, histories: Histories, wanted: npt.NDArray[np.bool_]) -> None:
    columns = {name: values[wanted] for name, values in histories.columns.items()}
    gap = np.diff(histories.timestamp_us, prepend=histories.timestamp_us[:1]) // 1_000_000
    follows = np.diff(histories.account, prepend=-1) == 0
    gaps = gap[wanted & follows]
    network.features.fit(columns, np.log1p(gaps) if len(gaps) else np.zeros(1))


def _dataset(
    chunks: Chunks, wanted: npt.NDArray[np.bool_], config: TrainingConfig
) -> tf.data.Dataset:
    """Batches of static shapes, shuffled anew each epoch: inputs, labels, weights."""
    size, length = config.batch_chunks, config.chunk_length
    first = chunks.gather(np.zeros(size, np.int64))
    signature = (
        {name: tf.TensorSpec(values.shape, values.dtype) for name, values in first.items()},
        tf.TensorSpec((size, length, 1), tf.float32),
        tf.TensorSpec((size, length, 1), tf.float32),
    )

    def endless() -> Iterator[tuple[dict[str, Any], Any, Any]]:
        for epoch in range(config.epochs):
            for chosen in chunks.batches(size, seed=config.seed * 1_000_003 + epoch):
                yield _batch(chunks, wanted, np.resize(chosen, size), len(chosen))

    return tf.data.Dataset.from_generator(endless, output_signature=signature).prefetch(4)


def _batch(
    chunks: Chunks, wanted: npt.NDArray[np.bool_], chosen: npt.NDArray[np.int64], distinct: int
) -> tuple[dict[str, Any], Any, Any]:
    rows = chunks.rows(chosen)
    weight = ((rows >= 0) & wanted[rows]).astype(np.float32)
    # A short last batch is filled up with repeated chunks, which count for nothing.
    weight[distinct:] = 0.0
    # Every step is the mean over its transactions, however many of its positions are padding.
    weight /= max(float(weight.mean()), 1e-6)
    label = (chunks.histories.is_fraud[rows] == 1).astype(np.float32)
    return chunks.gather(chosen), label[..., None], weight[..., None]
