"""The same network trained densely and on one window a transaction, to the same precision."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
from sklearn.metrics import average_precision_score

from benchmarks.speed_data import Fold
from benchmarks.speed_parts import FIRST_WRITTEN, VARIANTS, Variant, build_variant
from fraudnet.network.network import Network, NetworkConfig
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
        seconds: wall-clock time of the fit after its first step.
        first_step_s: of its first step, which is compiled before it is run.
        average_precision: of the validation rows.
        transactions_a_second: learnt from, repeated ones counted.
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
        first_written: as many epochs on windows as the last, as one may first write them.
        first_written_times: its seconds divided by ours.
    """

    dense: Fit
    windows: list[Fit]
    reached: bool
    times: float
    first_written: Fit
    first_written_times: float


def race(
    fold: Fold, config: TrainingConfig, window_batch: int, window_epochs: int, most_times: float
) -> Race:
    """Train densely; then on windows in ever more epochs, within a multiple of the dense time.

    Every fit on windows has the whole schedule to itself, warm-up to cosine's end, so that none is
    judged half-way; what the shorter ones took is not counted against the one that gets there. The
    last is then made again as one may first write it, however long that takes.

    Args:
        fold: what is learnt and judged by.
        config: of the dense training.
        window_batch: windows a step.
        window_epochs: of the first fit on windows; of the next twice as many, and so on.
        most_times: the dense time times this is the most that a fit on windows in steps like the
            dense ones may take.
    """
    dense = fit(fold, config)
    windowed = config.model_copy(update={"chunk_length": 1, "batch_chunks": window_batch})
    windows: list[Fit] = []
    for epochs in _epochs(windows, window_epochs, dense.seconds * most_times):
        windowed = windowed.model_copy(update={"epochs": epochs})
        windows.append(fit(fold, windowed))
        if windows[-1].average_precision >= dense.average_precision:
            break
    last = windows[-1]
    written = fit(fold, windowed, FIRST_WRITTEN)
    return Race(
        dense,
        windows,
        last.average_precision >= dense.average_precision,
        last.seconds / dense.seconds,
        written,
        written.seconds / dense.seconds,
    )


def _epochs(done: list[Fit], first: int, limit_s: float) -> Iterator[int]:
    """So many, then twice as many each time, at the end as many as the limit has room for."""
    yield first
    while True:
        last = done[-1]
        room = int(limit_s / (last.seconds / last.epochs))
        if room <= last.epochs:
            return
        yield min(2 * last.epochs, room)


def fit(fold: Fold, config: TrainingConfig, variant: Variant = VARIANTS[0]) -> Fit:
    """Train the network as it comes, or as one may first write it, and score the validation rows.

    Args:
        fold: what is learnt and judged by.
        config: of the training.
        variant: ours or `FIRST_WRITTEN`, whose layers are Keras's own, and whose weights are fitted
            by its `Model.fit`.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    network = build_variant(variant, NetworkConfig(), fold.histories.specification)
    first, begin = FirstStep(), time.perf_counter()
    if variant is FIRST_WRITTEN:
        _fit_by_keras(network, fold, config, first)
    else:
        fit_network(network, fold.training, config, [first])
    seconds = time.perf_counter() - begin - first.seconds
    answers = predict_rows(network.logit, network.receptive_field, fold.histories, fold.validation)
    labels = fold.histories.is_fraud[fold.validation]
    return Fit(
        chunk_length=config.chunk_length,
        batch_chunks=config.batch_chunks,
        epochs=config.epochs,
        seconds=seconds,
        first_step_s=first.seconds,
        average_precision=float(average_precision_score(labels, answers["logit"][:, 0])),
        transactions_a_second=float(fold.training.rows.sum()) * config.epochs / seconds,
    )


def _fit_by_keras(network: Network, fold: Fold, config: TrainingConfig, first: "FirstStep") -> None:
    """Without XLA, which `Model.fit` asks for by itself, but these layers are slower with it."""
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
        shuffle=False,
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
