"""The same network trained densely and on one window a transaction, to the same precision."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
from sklearn.metrics import average_precision_score

from benchmarks.speed_data import Fold
from fraudnet.network.network import NetworkConfig, build_network
from fraudnet.training.fitting import TrainingConfig, fit_network
from fraudnet.training.scoring import predict_rows


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
    """

    dense: Fit
    windows: list[Fit]
    reached: bool
    times: float


def race(fold: Fold, config: TrainingConfig, window_batch: int, most_times: float) -> Race:
    """Train densely; then on windows in 1, 2, 4, ... epochs, within a multiple of the dense time.

    Every fit on windows has the whole schedule to itself, warm-up to cosine's end, so that none is
    judged half-way; what the shorter ones took is not counted against the one that gets there.

    Args:
        fold: what is learnt and judged by.
        config: of the dense training.
        window_batch: windows a step.
        most_times: the dense time times this is the most that a fit on windows may take.
    """
    dense = fit(fold, config)
    windowed = config.model_copy(update={"chunk_length": 1, "batch_chunks": window_batch})
    windows: list[Fit] = []
    for epochs in _epochs(windows, dense.seconds * most_times):
        windows.append(fit(fold, windowed.model_copy(update={"epochs": epochs})))
        if windows[-1].average_precision >= dense.average_precision:
            break
    last = windows[-1]
    reached = last.average_precision >= dense.average_precision
    return Race(dense, windows, reached, last.seconds / dense.seconds)


def _epochs(done: list[Fit], limit_s: float) -> Iterator[int]:
    """One epoch, then twice as many each time, at the end as many as the limit has room for."""
    yield 1
    while True:
        last = done[-1]
        room = int(limit_s / (last.seconds / last.epochs))
        if room <= last.epochs:
            return
        yield min(2 * last.epochs, room)


def fit(fold: Fold, config: TrainingConfig) -> Fit:
    """Train the network as it comes, and score the validation rows."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    network = build_network(NetworkConfig(), fold.histories.specification)
    first, begin = FirstStep(), time.perf_counter()
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
