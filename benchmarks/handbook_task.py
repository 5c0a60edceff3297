"""What a model of the Handbook protocol is given, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from fraudnet.windows.histories import Histories
from fraudnet.windows.labels import KnownRows

Floats = npt.NDArray[np.float32]
Column = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Settings = Mapping[str, float]

DELAY_DAYS = 7  # until a label is known


@dataclass(frozen=True)
class Trial:
    """A fold to tune on: all of it is over, and labelled, when the earliest test begins.

    Attributes:
        histories: N rows, the same as the task's.
        training: rows to fit on, with the labels known when the validation began.
        validation: rows to score, a label delay later, with their labels.
    """

    histories: Histories
    training: KnownRows
    validation: KnownRows


@dataclass(frozen=True)
class Task:
    """What a model is given.

    Attributes:
        histories: N rows.
        training: the rows that may be fitted on, with their labels.
        test: [N] the W rows to score; their labels are not to be read.
        training_days: length of the training period.
        seed: of everything random.
        trials: to tune on, the latest first; the same for all tasks of a length of training.
    """

    histories: Histories
    training: KnownRows
    test: Mask
    training_days: int
    seed: int
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a model gives back.

    Attributes:
        score: [W] of the test rows in the order of the histories; the higher, the likelier fraud.
        train_seconds: wall-clock time of the fit.
        parameters: numbers in the network, those that are not trained included; None for trees.
        tune_seconds: wall-clock time of the choice of settings, which serves all folds and seeds of
            a length of training; None where nothing is tuned.
        settings: what was chosen; None where nothing is tuned.
    """

    score: Floats
    train_seconds: float
    parameters: int | None
    tune_seconds: float | None = None
    settings: Settings | None = None


Model = Callable[[Task], Answer]

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A costly function of an object, whose last answer is kept for as long as it is asked again.

    Args:
        compute: the function; an object is known again by its identity.
    """

    def __init__(self, compute: Callable[[K], V]) -> None:
        self._compute = compute
        self._last: tuple[K, V] | None = None

    def __call__(self, key: K) -> V:
        """The function's answer."""
        if self._last is None or self._last[0] is not key:
            self._last = key, self._compute(key)
        return self._last[1]
