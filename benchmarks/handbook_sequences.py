"""The Handbook's sequential networks (chapter 7, "Sequential models"), in Keras."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.handbook_task import Answer, Column, Floats, Remembered, Settings, Task, Trial
from fraudnet.windows.histories import Histories

if TYPE_CHECKING:
    # TensorFlow takes seconds to load, and trees do without.
    import keras

LENGTH = 5  # transactions, the one to score the last of them
WIDTH = 100  # of the LSTM's state; filters of the convolutions
HIDDEN = 500  # of the layer between sequence and answer
DROPOUT = 0.2
LEARNING_RATE = 1e-3
BATCH = 256
MOST_EPOCHS = 20
PATIENCE = 3  # epochs without a better average precision
SCORED_AT_ONCE = 8192


def build_lstm(features: int) -> "keras.Model":
    """An LSTM over the sequence, whose last state a layer of 500 reads.

    Args:
        features: of a transaction.

    Returns:
        [B, 5, features] to a logit [B, 1].
    """
    from keras import layers

    return _network(features, [layers.LSTM(WIDTH, unroll=True)])


def build_cnn(features: int) -> "keras.Model":
    """Two convolutions of kernel 2 over the sequence, their highest answers read by a layer of 500.

    Neither is followed by an activation: the Handbook's are not.

    Args:
        features: of a transaction.

    Returns:
        [B, 5, features] to a logit [B, 1].
    """
    from keras import layers

    stages: list[keras.layers.Layer] = []
    for _ in range(2):
        stages += [layers.Conv1D(WIDTH, 2, padding="causal"), layers.Dropout(DROPOUT)]
    return _network(features, [*stages, layers.GlobalMaxPooling1D()])


def _network(features: int, stages: "list[keras.layers.Layer]") -> "keras.Model":
    import keras
    from keras import layers

    return keras.Sequential(
        [
            layers.Input((LENGTH, features)),
            *stages,
            layers.Dense(HIDDEN, activation="relu"),
            layers.Dropout(DROPOUT),
            layers.Dense(1),
        ]
    )


class SequenceNetwork:
    """A network over a customer's last five transactions, in the Handbook's features.

    Settings from the Handbook's grids: Adam, rate 0.001, batches of 256, dropout 0.2, width 100,
    at most 20 epochs. The number of epochs is that after which the average precision on the latest
    trial was best, three epochs without a better one ending the search: a period of 7 days with its
    delay has no room for a validation part within it, and so the whole period is fitted on. One
    choice, made with seed 0, serves all folds and seeds of a length of training.

    Args:
        build: a network of so many features.
        features: [N, F] of histories.
    """

    def __init__(
        self,
        build: "Callable[[int], keras.Model]",
        features: Callable[[Histories], Floats],
    ) -> None:
        self._build = build
        self._features = features
        self._tuned = Remembered(self._tune)

    def __call__(self, task: Task) -> Answer:
        """Tune if that is not done yet, fit on the training rows, score the test rows."""
        settings, tune_seconds = self._tuned(task.trials)
        sequences = Sequences(task.histories, self._features(task.histories), task.training.rows)
        begin = time.perf_counter()
        network = self._new(sequences.width, task.seed)
        inputs = sequences.of(task.training.rows)
        _fit(network, inputs, task.training.is_fraud, int(settings["epochs"]))
        seconds = time.perf_counter() - begin
        score = _score(network, sequences.of(task.test))
        return Answer(score, seconds, network.count_params(), tune_seconds, settings)

    def _tune(self, trials: tuple[Trial, ...]) -> tuple[Settings, float]:
        """The best number of epochs, and the seconds that finding it took."""
        latest = trials[0]
        training, validation = latest.training, latest.validation
        sequences = Sequences(latest.histories, self._features(latest.histories), training.rows)
        begin = time.perf_counter()
        network = self._new(sequences.width, 0)
        inputs, unseen = sequences.of(training.rows), sequences.of(validation.rows)
        precisions: list[float] = []
        while len(precisions) < MOST_EPOCHS and _best(precisions) > len(precisions) - PATIENCE:
            _fit(network, inputs, training.is_fraud, 1)
            score = _score(network, unseen)
            precisions.append(float(average_precision_score(validation.is_fraud, score)))
        return {"epochs": _best(precisions)}, time.perf_counter() - begin

    def _new(self, features: int, seed: int) -> "keras.Model":
        import keras

        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        network = self._build(features)
        network.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            jit_compile=False,  # XLA takes six times as long for an epoch of these on a CPU
        )
        return network


class Sequences:
    """Each transaction with the four before it of its account, standardised.

    Args:
        histories: N rows.
        features: [N, F] of them.
        fitted_on: [N] the rows whose mean and deviation standardise; what is missing before an
            account's first transaction reads as their mean.
    """

    def __init__(self, histories: Histories, features: Floats, fitted_on: Column) -> None:
        known = features[fitted_on]
        deviation = known.std(axis=0)
        deviation[deviation == 0] = 1
        self._features = (features - known.mean(axis=0)) / deviation
        self._first = histories.offsets[histories.account]

    @property
    def width(self) -> int:
        """F."""
        return int(self._features.shape[1])

    def of(self, wanted: Column) -> Floats:
        """[W, 5, F] of the wanted rows (a mask of N), oldest transaction first."""
        rows = np.flatnonzero(wanted)[:, None] + np.arange(1 - LENGTH, 1)
        there = rows >= self._first[wanted][:, None]
        found: Floats = self._features[np.where(there, rows, 0)]
        return np.where(there[..., None], found, np.float32(0))


def _best(precisions: list[float]) -> int:
    """Number, from 1, of the epoch of the highest average precision; 0 before the first."""
    return int(np.argmax(precisions)) + 1 if precisions else 0


def _fit(network: "keras.Model", inputs: Floats, is_fraud: Column, epochs: int) -> None:
    label = is_fraud.astype(np.float32)[:, None]
    network.fit(inputs, label, batch_size=BATCH, epochs=epochs, verbose=0)


def _score(network: "keras.Model", inputs: Floats) -> Floats:
    answers: Floats = network.predict(inputs, batch_size=SCORED_AT_ONCE, verbose=0)
    return answers[:, 0]
