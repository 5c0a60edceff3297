"""The nearest familiar windows: where in the sentinel's space a case lies, and what differs."""

from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from fraudnet.network.features import AMOUNT, TIME, Readings
from fraudnet.network.gated import Window
from fraudnet.network.layers import MahalanobisDistance
from fraudnet.network.network import Network
from fraudnet.training.trained import Trained

Floats = npt.NDArray[np.floating[Any]]


def apart(layer: MahalanobisDistance, one: Floats, others: Floats) -> Floats:
    """Mahalanobis distances of activations [C] to others [N, C], by the sentinel's covariance, [N].

    Two windows this far apart lie as far from each other in the whitened space (Lee et al. 2018,
    section 2.1, with a window in place of the mean); limits of channels are of no pair.
    """
    weights = {w.name: keras.ops.convert_to_numpy(w).astype(np.float64) for w in layer.weights}
    difference = others.astype(np.float64) - one
    squared = difference**2 @ weights["precision"]
    if "directions" in weights:
        squared += (difference @ weights["directions"]) ** 2 @ weights["excess"]
    found: Floats = np.sqrt(np.maximum(squared, 0))
    return found


def nearest_windows(trained: Trained, sequence: Window, count: int = 3) -> pd.DataFrame:
    """The nearest windows that pass for genuine, of the account and of the training's sample.

    Those are such as the network does not flag: of the account the transactions before the newest,
    of the sample the windows that training kept (`Trained.windows`).

    Args:
        trained: a network with its sample.
        sequence: the account's raw inputs by name, [L] each, L at least the receptive field,
            newest last, padding first.
        count: of each source at most.

    Returns:
        Rows source (account or sample), index (of an account's: places before the newest; of the
        sample: the window's), distance (to the newest transaction's window), fraud_probability,
        differs (fields, the most different first), nearest first by source.

    Raises:
        ValueError: the sequence is shorter than the receptive field.
    """
    network = trained.network
    length, needed = len(sequence["valid"]), network.receptive_field
    if length < needed:
        raise ValueError(f"the sequence has {length} positions; expected at least {needed}")
    own = _Read.of(network, {name: values[None] for name, values in sequence.items()}, 0)
    sample = _Read.of(network, trained.windows, slice(None))
    places = np.arange(len(own.scores))[::-1]
    earlier = (sequence["valid"][-len(places) :] > 0) & (places > 0)
    limit = trained.facts.threshold.probability
    rows = []
    for source, read, index, allowed in (
        ("account", own, places, earlier),
        ("sample", sample, np.arange(len(sample.scores)), np.ones(len(sample.scores), bool)),
    ):
        genuine = np.flatnonzero(allowed & (read.scores < limit))
        distance = apart(network.distance, own.fingerprints[-1], read.fingerprints[genuine])
        for i in np.argsort(distance, kind="stable")[:count]:
            row = genuine[i]
            unlike = {
                name: _rms(own.fields[name][-1] - theirs[row])
                for name, theirs in read.fields.items()
            }
            fields = tuple(sorted(unlike, key=lambda name: -unlike[name]))
            rows.append((source, int(index[row]), distance[i], read.scores[row], fields))
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = ["source", "index", "distance", "fraud_probability", "differs"]


def _rms(difference: Floats) -> float:
    return float(np.sqrt(np.mean(difference**2)))


@dataclass(frozen=True)
class _Read:
    """Fingerprints [N, C], probabilities [N], and what is read of each field, [N, channels]."""

    fingerprints: Floats
    scores: Floats
    fields: dict[str, Floats]

    @classmethod
    def of(cls, network: Network, inputs: Window, batch: "int | slice") -> Self:
        """All positions of one sequence of a batch, or the newest of each."""
        inputs = dict(inputs)
        fingerprints = _numpy(network.fingerprint(inputs))
        scores = _numpy(network.scores(inputs)["fraud_probability"])[..., 0]
        readings = network.features.readings(inputs)
        fields = _by_field(readings, network.specification.numeric, fingerprints.shape[1])
        where = batch if isinstance(batch, int) else (batch, -1)
        return cls(
            fingerprints[where], scores[where], {name: x[where] for name, x in fields.items()}
        )


def _numpy(x: Any) -> Floats:  # noqa: ANN401  (Keras tensors have no static type)
    found: Floats = keras.ops.convert_to_numpy(x)
    return found


def _by_field(readings: Readings, numeric: tuple[str, ...], positions: int) -> dict[str, Floats]:
    """What the network reads of each field, [B, N, channels], standardised as it is there."""
    parts: dict[str, list[Any]] = {
        AMOUNT: [readings.amount],
        TIME: [readings.gaps[0], *readings.clock],
    }
    for i, name in enumerate(numeric):
        parts[name] = [readings.numeric[0][..., i : i + 1]]
    for names, values in readings.own:
        parts.setdefault(names[-1], []).append(values)
    return {
        name: np.concatenate([_numpy(each)[:, -positions:] for each in values], axis=-1)
        for name, values in parts.items()
    }
