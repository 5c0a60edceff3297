"""The network trained, its layers read, every method on every shift."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks import ood_methods as methods
from benchmarks.ood_methods import (
    Channelwise,
    Floats,
    Mahalanobis,
    Nearest,
    Relative,
    Truncated,
)
from benchmarks.ood_shifts import as_if_now, shifts_of
from benchmarks.speed_data import Fold
from fraudnet.network.describe import describe
from fraudnet.network.layers import newest
from fraudnet.network.network import NetworkConfig, build_network
from fraudnet.training.fitting import TrainingConfig, fit_network
from fraudnet.training.scoring import predict_rows
from fraudnet.windows.chunks import Batch, windows_of
from fraudnet.windows.histories import Histories, Ints
from fraudnet.windows.labels import KnownRows

REFERENCES = 20_000
CHOOSING = 2_000
MOST_SHARE = 0.03  # of the network's multiply-adds a position
BATCH = 256
OURS, OURS_CHANNELWISE = "ours, truncated", "ours, channelwise"

Activations = Mapping[str, Floats]
OnLayer = Truncated | Channelwise | Mahalanobis | Relative | Nearest


@dataclass(frozen=True)
class Row:
    """One method on one shift.

    Attributes:
        method: its name.
        shift: its name.
        auroc: of shifted windows against genuine ones of the same week.
        fpr95: share of the shifted that pass where 95 per cent of the genuine do.
        windows: shifted ones.
    """

    method: str
    shift: str
    auroc: float
    fpr95: float
    windows: int


@dataclass(frozen=True)
class Choice:
    """The layer that a method of ours reads, chosen on windows of the training period.

    Attributes:
        layer: of the highest mean.
        auroc: by layer, then by shift.
    """

    layer: str
    auroc: dict[str, dict[str, float]]


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
        self.histories, self.receptive_field = fold.histories, network.receptive_field
        layers = [layer for layer in describe(network).layers if layer.is_trained]
        self.macs = sum(layer.macs_per_position for layer in layers)
        span = {layer.name: layer.receptive_field for layer in layers}
        outputs = {}
        for name in _names(network.config):
            output = network.logit.get_layer(name).output
            if isinstance(output, list | tuple):  # features, and which positions are valid
                output = output[0]
            own = span[name.replace("shortcut", "project")]
            outputs[name] = newest(output, network.receptive_field - own)
        self._model = keras.Model(network.logit.input, outputs)
        self._step = tf.function(self._model, jit_compile=True)

    def of_rows(self, rows: Ints) -> Activations:
        """Layer name to [N, C], of rows of the histories in increasing order."""
        wanted = np.zeros(len(self.histories), np.bool_)
        wanted[rows] = True
        return predict_rows(self._model, self.receptive_field, self.histories, wanted)

    def of_windows(self, windows: Batch) -> Activations:
        """Layer name to [N, C], of raw windows [N, R] by name."""
        found: dict[str, list[Floats]] = {}
        count = len(windows["valid"])
        for begin in range(0, count, BATCH):
            chosen = np.arange(begin, begin + BATCH) % count
            answers = self._step({n: tf.constant(v[chosen]) for n, v in windows.items()})
            for name, values in answers.items():
                found.setdefault(name, []).append(values.numpy()[: count - begin, 0])
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def windows(self, rows: Ints, histories: Histories | None = None) -> Batch:
        """The raw windows of rows, of these histories or of others with inputs of the same names.

        An input that the others lack is unknown, 0.
        """
        chunks = windows_of(histories or self.histories, rows, self.receptive_field)
        batch = chunks.gather(np.arange(len(chunks)))
        return {
            i.name: batch.get(i.name, np.zeros_like(batch["second"])).astype(i.dtype)
            for i in self.histories.specification.inputs
        }


def _names(config: NetworkConfig) -> list[str]:
    blocks = range(len(config.dilations))
    middle = [f"block{n}_{part}" for n in blocks for part in ("project", "shortcut")]
    return ["features", "stem", *middle, "head", "logit"]


class Detectors:
    """Every method, fitted on windows of the training period.

    Args:
        reading: of the trained network.
        rows: of the training period; the later week is not looked at.
        seed: of the isolation forest; None: without it.
    """

    def __init__(self, reading: Reading, rows: Rows, seed: int | None) -> None:
        genuine, chosen = reading.of_rows(rows.references), reading.of_rows(rows.choosing)
        raw = reading.windows(rows.choosing)
        shifts = shifts_of(reading.histories.specification)
        shifted = {name: reading.of_windows(shift(raw)) for name, shift in shifts.items()}
        most = MOST_SHARE * reading.macs
        layers = [name for name in genuine if name != "logit"]
        truncated = {n: methods.fit_truncated(genuine[n], most) for n in layers}
        channelwise = {n: methods.fit_channelwise(genuine[n]) for n in layers}
        self.choices = {
            OURS: _choose(truncated, chosen, shifted),
            OURS_CHANNELWISE: _choose(channelwise, chosen, shifted),
        }
        layer = self.choices[OURS].layer
        own = self.choices[OURS_CHANNELWISE].layer
        frauds = reading.of_rows(rows.frauds)[layer]
        last = max(n for n in layers if n.endswith("shortcut"))
        self._on_layers: dict[str, tuple[str, OnLayer]] = {
            OURS: (layer, truncated[layer]),
            OURS_CHANNELWISE: (own, channelwise[own]),
            "Mahalanobis": (last, methods.fit_mahalanobis(genuine[last])),
            "relative Mahalanobis": (layer, methods.fit_relative(genuine[layer], frauds)),
            "nearest neighbours": (layer, methods.fit_nearest(genuine[layer])),
        }
        self.macs = {name: method.macs for name, (_, method) in self._on_layers.items()}
        self.macs |= {"uncertainty": 0, "energy": 0}
        self._forest = None
        if seed is not None:
            self._forest = methods.fit_forest(_flat(reading.windows(rows.references)), seed)
            self.macs["isolation forest"] = 0

    @property
    def layers(self) -> dict[str, str]:
        """The layer that a method reads, by its name."""
        return {name: layer for name, (layer, _) in self._on_layers.items()}

    def distances(
        self, activations: Activations, windows: Batch | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Method to [N], of activations and, for the isolation forest, raw windows."""
        found = {n: method(activations[layer]) for n, (layer, method) in self._on_layers.items()}
        logit = activations["logit"][:, 0]
        found |= {"uncertainty": methods.uncertainty(logit), "energy": methods.energy(logit)}
        if self._forest is not None and windows is not None:
            found["isolation forest"] = self._forest(_flat(windows))
        return found


def _flat(windows: Batch) -> Floats:
    return np.concatenate([windows[n].astype(np.float32) for n in sorted(windows)], axis=1)


def _choose(
    fitted: Mapping[str, Truncated | Channelwise],
    genuine: Activations,
    shifted: Mapping[str, Activations],
) -> Choice:
    found = {
        layer: {
            shift: methods.auroc(distance(genuine[layer]), distance(activations[layer]))
            for shift, activations in shifted.items()
        }
        for layer, distance in fitted.items()
    }
    best = max(found, key=lambda layer: float(np.mean(list(found[layer].values()))))
    return Choice(best, found)


def measure(
    reading: Reading, detectors: Detectors, rows: Rows, fold: Fold, other: Fold | None
) -> list[Row]:
    """Every method on every shift of the later week, on other customers, on frauds and by kind.

    Args:
        reading: of the trained network.
        detectors: fitted.
        rows: whose `genuine` are shifted.
        fold: that the frauds are of.
        other: another data set, whose customers are taken; None: that shift is left out.
    """
    raw = reading.windows(rows.genuine)
    shifted: dict[str, Batch] = {
        name: shift(raw) for name, shift in shifts_of(fold.histories.specification).items()
    }
    if other is not None:
        theirs = np.flatnonzero(other.validation & (other.histories.is_fraud == 0))
        drawn = np.random.default_rng(0).permutation(theirs)[: len(rows.genuine)]
        windows = reading.windows(drawn, other.histories)
        shifted["other customers"] = as_if_now(windows, int(raw["day"][:, -1].max()))
    frauds = np.flatnonzero(fold.validation & (fold.histories.is_fraud == 1))
    shifted["fraud"] = reading.windows(frauds)
    kinds = fold.kind[frauds]
    for kind in np.unique(kinds[kinds != ""]):
        shifted[f"fraud: {kind}"] = reading.windows(frauds[kinds == kind])
    near = detectors.distances(reading.of_windows(raw), raw)
    found = []
    for shift, windows in shifted.items():
        far = detectors.distances(reading.of_windows(windows), windows)
        found += [_row(method, shift, near[method], far[method]) for method in near]
    return found


def _row(method: str, shift: str, near: Floats, far: Floats) -> Row:
    return Row(method, shift, methods.auroc(near, far), methods.fpr95(near, far), len(far))


def as_dict(choices: Mapping[str, Choice]) -> dict[str, Any]:
    """For the file of figures."""
    return {name: {"layer": c.layer, "auroc": c.auroc} for name, c in choices.items()}
