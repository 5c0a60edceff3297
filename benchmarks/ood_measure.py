"""Every method, its layer chosen on the training period, on every shift of a later week."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import ood_methods as methods
from benchmarks import ood_peers as peers
from benchmarks.ood_methods import Distance, Floats
from benchmarks.ood_peers import Mahalanobis, Nearest, Relative
from benchmarks.ood_reading import Activations, Reading, Rows
from benchmarks.ood_shifts import Windows, as_if_now, shifts_of
from benchmarks.speed_data import Fold
from fraudnet.training.sentinel import (
    Covariance,
    SentinelConfig,
    fit_channels,
    fit_full,
    fit_limits,
    most_directions,
)

FULL, CHANNEL = "ours, full", "ours, channel"
WITHOUT_LIMITS = {FULL: "without limits, full", CHANNEL: "without limits, channel"}

OnLayer = Distance | Mahalanobis | Relative | Nearest


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

    @property
    def mean(self) -> float:
        """Over the shifts, of the chosen layer."""
        return _mean(self.auroc[self.layer])


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
        forms: dict[str, dict[str, Distance]] = {}
        for layer in reading.layers:
            for name, covariance in _covariances(reading, genuine[layer]).items():
                limited = fit_limits(genuine[layer], covariance)
                forms.setdefault(name, {})[layer] = Distance(limited)
                forms.setdefault(WITHOUT_LIMITS[name], {})[layer] = Distance(covariance)
        self.choices = {name: _choose(form, chosen, shifted) for name, form in forms.items()}
        layer = self.choices[self.ours].layer
        frauds = reading.of_rows(rows.frauds)[layer]
        last = max(n for n in reading.layers if n.startswith("block"))
        self._on_layers: dict[str, tuple[str, OnLayer]] = {
            **{n: (c.layer, forms[n][c.layer]) for n, c in self.choices.items()},
            "Mahalanobis": (last, peers.fit_mahalanobis(genuine[last])),
            "relative Mahalanobis": (layer, peers.fit_relative(genuine[layer], frauds)),
            "nearest neighbours": (layer, peers.fit_nearest(genuine[layer])),
        }
        self.macs = {name: method.macs for name, (_, method) in self._on_layers.items()}
        self.macs |= {"uncertainty": 0, "energy": 0}
        self._forest = None
        if seed is not None:
            self._forest = peers.fit_forest(_flat(reading.windows(rows.references)), seed)
            self.macs["isolation forest"] = 0

    @property
    def ours(self) -> str:
        """The form of ours that does best, on average, on the shifts of the training period."""
        return max((FULL, CHANNEL), key=lambda name: self.choices[name].mean)

    @property
    def layers(self) -> dict[str, str]:
        """The layer that a method reads, by its name."""
        return {name: layer for name, (layer, _) in self._on_layers.items()}

    def distances(
        self, activations: Activations, windows: Windows | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Method to [N], of activations and, for the isolation forest, raw windows."""
        found = {n: method(activations[name]) for n, (name, method) in self._on_layers.items()}
        logit = activations["logit"][:, 0]
        found |= {"uncertainty": peers.uncertainty(logit), "energy": peers.energy(logit)}
        if self._forest is not None and windows is not None:
            found["isolation forest"] = self._forest(_flat(windows))
        return found


def _covariances(reading: Reading, genuine: Floats) -> dict[str, Covariance]:
    rank = most_directions(reading.network, genuine.shape[1])
    shrinkage = SentinelConfig().shrinkage
    return {
        FULL: fit_full(genuine, rank, shrinkage),
        CHANNEL: fit_channels(genuine, shrinkage),
    }


def _flat(windows: Windows) -> Floats:
    return np.concatenate([windows[n].astype(np.float32) for n in sorted(windows)], axis=1)


def _choose(
    fitted: Mapping[str, OnLayer],
    genuine: Activations,
    shifted: Mapping[str, Activations],
) -> Choice:
    near = {layer: distance(genuine[layer]) for layer, distance in fitted.items()}
    found = {
        layer: {
            shift: methods.auroc(near[layer], distance(activations[layer]))
            for shift, activations in shifted.items()
        }
        for layer, distance in fitted.items()
    }
    return Choice(max(found, key=lambda layer: _mean(found[layer])), found)


def _mean(auroc: Mapping[str, float]) -> float:
    return float(np.mean(list(auroc.values())))


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
    shifted: dict[str, Windows] = {
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
