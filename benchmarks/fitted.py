"""Models fitted to known rows of histories, scored on others, timed."""

# TensorFlow takes seconds to load, and the peers do without: what needs it is imported where used.
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fraudnet.windows.histories import Histories
from fraudnet.windows.labels import KnownRows

if TYPE_CHECKING:
    from fraudnet.training.experiment import Experiment

Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Task:
    """What a model is given.

    Attributes:
        histories: N rows.
        training: the rows that may be fitted on, with their labels.
        test: [N] the W rows to score; their labels are not to be read.
        seed: of everything random.
        experiment: architecture and training of the network.
    """

    histories: Histories
    training: KnownRows
    test: Mask
    seed: int
    experiment: Experiment


@dataclass(frozen=True)
class Answer:
    """What a model gives back.

    Attributes:
        score: [W] of the test rows in the order of the histories; the higher, the likelier fraud.
        train_seconds: wall-clock time of the fit.
        parameters: numbers in the network; None for what is none.
    """

    score: Scores
    train_seconds: float
    parameters: int | None = None


def shipped_experiment(name: str, overrides: Sequence[str]) -> Experiment:
    """A shipped experiment, some of its keys overridden by "section.key=value".

    Raises:
        InputError: a key is unknown or its value not as expected.
    """
    from fraudnet.training.experiment import load_experiment

    return load_experiment(name, overrides)


def fit_fraudnet(task: Task) -> Answer:
    """The network of the experiment.

    Raises:
        InputError: the training rows hold no fraud or no genuine transaction.
    """
    import keras

    from fraudnet.network.network import build_network
    from fraudnet.training.fitting import fit_network
    from fraudnet.training.scoring import predict_rows

    keras.utils.clear_session()
    keras.utils.set_random_seed(task.seed)
    network = build_network(task.experiment.network, task.histories.specification)
    config = task.experiment.training.model_copy(update={"seed": task.seed})
    begin = time.perf_counter()
    fit_network(network, task.training, config)
    seconds = time.perf_counter() - begin
    logit = network.logit
    answers = predict_rows(logit, network.receptive_field, task.histories, task.test)
    return Answer(answers["logit"][:, 0], seconds, logit.count_params())
