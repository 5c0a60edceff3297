"""The same network trained densely and on one window a transaction, to the same precision."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.speed_data import Fold
from benchmarks.speed_parts import FIRST_WRITTEN, build_variant
from fraudnet.network.network import Network, NetworkConfig, build_network
from fraudnet.training.batches import Batches
from fraudnet.training.fitting import (
    TrainingConfig,
    fit_network,
    scheduled_optimizer,
    standardise,
)
from fraudnet.training.scoring import predict_rows
from fraudnet.windows.chunks import chunks_over


@dataclass(frozen=True)
class Fit:
    """A finished fit.

    Attributes:
        chunk_length: scored positions a chunk; 1: a window a transaction.
        batch_chunks: chunks a step.
        epochs: passes over the training rows.
        seconds: wall-clock time of the whole fit.
        first_step_s: of its first step, which is compiled before it is run.
        average_precision: of the validation rows.
        transactions_a_second: learnt from after the first step, repeated ones counted.
    """

    chunk_length: int
    batch_chunks: int
    epochs: int
    seconds: float
    first_step_s: float
    average_precision: float
    transactions_a_second: float


@dataclass(frozen=True)
class Race:
    """Dense training, and window training in ever more epochs until it is as good.

    Attributes:
        dense: ours.
        windows: fits on windows, each with a schedule of its own from beginning to end.
        reached: whether the last of them is as good as ours.
        times: seconds of the last divided by ours: how many times faster ours is, or, where it was
            not reached, is at least.
        first_written: as many epochs on windows as the last, written as one may at first.
        first_written_reached: whether it is as good as ours.
        first_written_times: its seconds divided by ours.
    """

    dense: Fit
    windows: list[Fit]
    reached: bool
    times: float
    first_written: Fit
    first_written_reached: bool
    first_written_times: float


def race(
    fold: Fold, config: TrainingConfig, window_batch: int, window_epochs: Sequence[int]
) -> Race:
    """Train densely; then on windows in ever more epochs, until as good or none are left.

    Every fit on windows has the whole schedule to itself, warm-up to cosine's end, so that none is
    judged half-way; what the shorter ones took is not counted against the one that gets there. The
    last is then made again as one may write it at first.

    Args:
        fold: what is learnt and judged by.
        config: of the dense training.
        window_batch: windows a step.
        window_epochs: of each fit on windows, rising.
    """
    dense = fit(fold, config)
    windowed = config.model_copy(update={"chunk_length": 1, "batch_chunks": window_batch})
    windows: list[Fit] = []
    for epochs in window_epochs:
        windowed = windowed.model_copy(update={"epochs": epochs})
        windows.append(fit(fold, windowed))
        if windows[-1].average_precision >= dense.average_precision:
            break
    written = fit(fold, windowed, first_written=True)
    return Race(
        dense,
        windows,
        windows[-1].average_precision >= dense.average_precision,
        windows[-1].seconds / dense.seconds,
        written,
        written.average_precision >= dense.average_precision,
        written.seconds / dense.seconds,
    )


def fit(fold: Fold, config: TrainingConfig, first_written: bool = False) -> Fit:
    """Train a network of the default size, and score the validation rows.

    Args:
        fold: what is learnt and judged by.
        config: of the training.
        first_written: as `trained` says.
    """
    first, begin = FirstStep(), time.perf_counter()
    network = trained(fold, config, NetworkConfig(), first_written, first)
    seconds = time.perf_counter() - begin
    answers = predict_rows(network.logit, network.receptive_field, fold.histories, fold.validation)
    labels = fold.histories.is_fraud[fold.validation]
    learnt = float(fold.training.rows.sum()) * config.epochs
    return Fit(
        chunk_length=config.chunk_length,
        batch_chunks=config.batch_chunks,
        epochs=config.epochs,
        seconds=seconds,
        first_step_s=first.seconds,
        average_precision=float(average_precision_score(labels, answers["logit"][:, 0])),
        transactions_a_second=learnt / (seconds - first.seconds),
    )


def trained(
    fold: Fold,
    config: TrainingConfig,
    size: NetworkConfig,
    first_written: bool,
    first: "FirstStep",
) -> Network:
    """A trained network.

    Args:
        fold: what is learnt from.
        config: of the training; cross-entropy, and no days to stop by.
        size: of the network.
        first_written: by Keras's own layers and its `Model.fit`, from the same weights on.
        first: is told of each step.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    network = build_network(size, fold.histories.specification)
    if not first_written:
        fit_network(network, fold.training, config, [first])
        return network
    written = build_variant(FIRST_WRITTEN, size, fold.histories.specification)
    pairs = zip(written.logit.trainable_variables, network.logit.trainable_variables, strict=True)
    for variable, initial in pairs:
        variable.assign(np.reshape(initial, variable.shape))
    _fit_by_keras(written, fold, config, first)
    return written


def _fit_by_keras(network: Network, fold: Fold, config: TrainingConfig, first: "FirstStep") -> None:
    """Without XLA, which `Model.fit` asks for by itself: the layers' steps take longer with it."""
    known, model = fold.training, network.logit
    standardise(network, known)
    chunks = chunks_over(fold.histories, known.rows, network.receptive_field, config.chunk_length)
    batches = Batches(
        chunks,
        known,
        config.batch_chunks,
        config.seed,
        config.fraud_weight,
        config.unknown_reputation,
    )
    steps = math.ceil(len(chunks) / config.batch_chunks)
    model.compile(
        scheduled_optimizer(config, steps * config.epochs),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    told = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: first.step(0)  # noqa: ARG005  (Keras names them)
    )
    first.begin(config.epochs, 0, 0)
    model.fit(
        ((b.inputs, b.label, b.weight) for e in range(config.epochs) for b in batches.epoch(e)),
        epochs=config.epochs,
        steps_per_epoch=steps,
        shuffle=False,  # a generator cannot be, and Keras would warn
        verbose=0,
        callbacks=[told],
    )


class FirstStep:
    """How long the first step of a fit took: it is compiled before it is run."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begin = 0.0

    def begin(self, epochs: int, transactions: int, first: int) -> None:  # noqa: ARG002
        """Look at the clock."""
        self._begin = time.perf_counter()

    def step(self, transactions: int) -> None:  # noqa: ARG002
        """Look at it again, once."""
        self.seconds = self.seconds or time.perf_counter() - self._begin

    def epoch(self, number: int, loss: float, average_precision: float | None) -> None:
        """Nothing more to see."""

    def end(self) -> None:
        """Nor now."""
