"""The network trained, and its layers read at the newest position of a window."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from benchmarks.ood_methods import Floats
from benchmarks.ood_shifts import Windows
from benchmarks.speed_data import Fold
from fraudnet.network.describe import describe
from fraudnet.network.network import NetworkConfig, build_network
from fraudnet.training.fitting import TrainingConfig, fit_network
from fraudnet.training.scoring import predict_rows
from fraudnet.windows.chunks import windows_of
from fraudnet.windows.histories import Histories, Ints
from fraudnet.windows.labels import KnownRows

REFERENCES = 20_000
CHOOSING = 2_000
BATCH = 256

Activations = Mapping[str, Floats]


@dataclass(frozen=True)
class Rows:
    """Which rows of the histories stand for what, none in two parts.

    Attributes:
        references: genuine ones of the training period, that statistics are of.
        choosing: others of those, on which a layer is chosen.
        frauds: of the training period.
        genuine: of the later week.
    """

    references: Ints
    choosing: Ints
    frauds: Ints
    genuine: Ints


def draw_rows(fold: Fold, windows: int, seed: int) -> Rows:
    """Rows of the fold at random: at most 20,000 to refer to, 2,000 to choose by."""
    rng = np.random.default_rng(seed)
    training = fold.training
    learnt = np.flatnonzero(training.rows)
    genuine = rng.permutation(learnt[training.is_fraud == 0])
    choosing = min(CHOOSING, len(genuine) // 5)
    later = np.flatnonzero(fold.validation & (fold.histories.is_fraud == 0))
    return Rows(
        references=np.sort(genuine[choosing : choosing + REFERENCES]),
        choosing=np.sort(genuine[:choosing]),
        frauds=learnt[training.is_fraud == 1],
        genuine=np.sort(rng.permutation(later)[:windows]),
    )


class Reading:
    """A trained network, and the activations of its layers at the newest position.

    Args:
        fold: with the vocabularies of the network's inputs.
        training: what it learns from.
        config: how.
    """

    def __init__(self, fold: Fold, training: KnownRows, config: TrainingConfig) -> None:
        keras.utils.clear_session()
        keras.utils.set_random_seed(config.seed)
        network = build_network(NetworkConfig(), fold.histories.specification)
        fit_network(network, training, config)
        self.network = network
        self.histories, self.receptive_field = fold.histories, network.receptive_field
        layers = [layer for layer in describe(network).layers if layer.is_trained]
        self.macs = sum(layer.macs_per_position for layer in layers)
        self.layers = list(network.hidden.output)
        outputs = network.hidden.output | {"logit": network.logit.output}
        self._model = keras.Model(network.logit.input, outputs)
        self._step = tf.function(self._model, jit_compile=True)

    def of_rows(self, rows: Ints) -> Activations:
        """Layer name to [N, C], of rows of the histories in increasing order."""
        wanted = np.zeros(len(self.histories), np.bool_)
        wanted[rows] = True
        return predict_rows(self._model, self.receptive_field, self.histories, wanted)

    def of_windows(self, windows: Windows) -> Activations:
        """Layer name to [N, C], of raw windows [N, R] by name."""
        found: dict[str, list[Floats]] = {}
        count = len(windows["valid"])
        for begin in range(0, count, BATCH):
            chosen = np.arange(begin, begin + BATCH) % count
            answers = self._step({n: tf.constant(v[chosen]) for n, v in windows.items()})
            for name, values in answers.items():
                found.setdefault(name, []).append(values.numpy()[: count - begin, 0])
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def windows(self, rows: Ints, histories: Histories | None = None) -> Windows:
        """The raw windows of rows, of these histories or of others with inputs of the same names.

        An input that the others lack is unknown, 0.
        """
        chunks = windows_of(histories or self.histories, rows, self.receptive_field)
        batch = chunks.gather(np.arange(len(chunks)))
        return {
            i.name: batch.get(i.name, np.zeros_like(batch["second"])).astype(i.dtype)
            for i in self.histories.specification.inputs
        }
