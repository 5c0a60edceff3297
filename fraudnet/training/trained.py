"""A trained network on disk: weights, what they were made by, and windows to check copies with."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fraudnet.configuration import Section, parse_json
from fraudnet.errors import InputError
from fraudnet.evaluation.thresholds import Threshold
from fraudnet.network.network import Network, build_network
from fraudnet.training.experiment import Experiment
from fraudnet.training.sentinel import SentinelFacts

WEIGHTS = "network.weights.h5"
FACTS = "trained.json"
WINDOWS = "windows.npz"

Windows = dict[str, npt.NDArray[np.generic]]


class Facts(Section):
    """What is to be known of a trained network besides its weights; no account is named."""

    experiment: Experiment = Field(description="resolved, vocabularies filled in")
    receptive_field: int
    threshold: Threshold
    calibration: dict[str, float | str | list[float]]
    ood_quantiles: dict[str, float] = Field(description="of genuine validation rows")
    score_quantiles: dict[str, float] = Field(
        default={}, description="of all validation rows; {}: trained before they were kept"
    )
    sentinel: SentinelFacts
    training_data: dict[str, str | int]
    periods: dict[str, str]
    mlflow_run_id: str
    metrics: dict[str, dict[str, float]] = Field(description="period to figures")
    sha256: dict[str, str] = Field(default={}, description="of the files beside it, once saved")


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        network: with fitted weights, calibration and distance.
        facts: how it came about.
        windows: raw windows by input name, [W, R] each, of validation rows.
    """

    network: Network
    facts: Facts
    windows: Windows


def save_trained(trained: Trained, directory: Path) -> None:
    """Write a trained network to a directory, made if it is not there; the facts come last.

    Raises:
        InputError: the directory cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / FACTS).unlink(missing_ok=True)
        trained.network.scores.save_weights(directory / WEIGHTS)
        np.savez_compressed(directory / WINDOWS, **trained.windows)
        digests = {name: _sha256(directory / name) for name in (WEIGHTS, WINDOWS)}
        facts = trained.facts.model_copy(update={"sha256": digests})
        (directory / FACTS).write_text(facts.model_dump_json(indent=2), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{directory}: cannot be written: {error.strerror or error}") from error


def load_trained(directory: Path) -> Trained:
    """Read what `save_trained` wrote.

    Raises:
        InputError: the directory holds no whole trained network, or one of another version.
    """
    facts = load_facts(directory)
    experiment = facts.experiment
    network = build_network(
        experiment.network,
        experiment.features,
        experiment.calibration.knots,
        facts.sentinel.placement,
    )
    if network.receptive_field != facts.receptive_field:
        raise InputError(
            f"{directory}: trained by another version of fraudnet, whose network saw "
            f"{facts.receptive_field} transactions and not {network.receptive_field}; train again"
        )
    try:
        for name in (WEIGHTS, WINDOWS):
            if _sha256(directory / name) != facts.sha256.get(name):
                raise ValueError(f"{name} is not the one that was saved with {FACTS}")
        with warnings.catch_warnings():
            # Keras warns of weights that it cannot place, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            network.scores.load_weights(directory / WEIGHTS)
        with np.load(directory / WINDOWS) as stored:
            windows: Windows = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{directory}: damaged ({reason}); train again") from error
    return Trained(network, facts, windows)


def load_facts(directory: Path) -> Facts:
    """The facts alone, without building the network.

    Raises:
        InputError: as `load_trained`.
    """
    path = directory / FACTS
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{directory}: no trained network there ({FACTS}: {error.strerror}); "
            "give the directory that `fraudnet train --output` wrote"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: damaged ({error}); train again") from error
    return parse_json(Facts, text, str(path))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
