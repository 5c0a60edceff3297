"""The raw window: the last transactions of an account as the arrays that the artifact reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudnet.device.contract import Contract, Input
from fraudnet.device.transactions import DAY_US, LARGEST_NUMBER, Scalar

SECOND_US = 1_000_000
UNKNOWN_COUNT = -1


@dataclass(frozen=True, slots=True)
class History:
    """Transactions of one account, column by column, oldest first."""

    timestamp_us: list[int]
    amount: list[float]
    columns: list[dict[str, Scalar]]
    reputation: list[dict[str, int]]  # counts as known when each was scored; {} = unknown


class Window:
    """The input arrays of one artifact, [1, window_length] each, filled in place.

    Newest transaction last; padding first, zero everywhere.
    """

    def __init__(self, contract: Contract) -> None:
        self.length = contract.window_length
        self.arrays: dict[str, NDArray[np.generic]] = {
            entry.name: np.zeros(entry.shape, entry.dtype) for entry in contract.inputs
        }
        self._encoders = [
            (self.arrays[entry.name][0], _encoder(entry)) for entry in contract.inputs
        ]

    def fill(self, history: History) -> dict[str, NDArray[np.generic]]:
        """Returns the arrays, filled with 1 to `length` transactions; the next call overwrites."""
        padding = self.length - len(history.amount)
        for array, encode in self._encoders:
            array[:padding] = 0
            array[padding:] = encode(history)
        return self.arrays


def _encoder(entry: Input) -> Callable[[History], ArrayLike]:
    match entry.kind:
        case "amount":
            return lambda history: history.amount
        case "day":
            return lambda history: np.array(history.timestamp_us) // DAY_US
        case "second":
            return lambda history: np.array(history.timestamp_us) % DAY_US // SECOND_US
        case "valid":
            return lambda _: 1
        case "categorical":
            return partial(_positions, entry.column, _index(entry.vocabulary))
        case "numeric":
            return partial(_numbers, entry.column)
        case _:
            return partial(_counts, entry.statistic)


def _index(vocabulary: Sequence[str]) -> dict[Scalar, int]:
    return {word: i for i, word in enumerate(vocabulary, start=1)}


def _positions(column: str, index: dict[Scalar, int], history: History) -> list[int]:
    """Positions in the vocabulary from 1; 0 = unknown or null."""
    return [index.get(columns.get(column), 0) for columns in history.columns]


def _numbers(column: str, history: History) -> list[float]:
    """Numbers; null becomes 0, and so does what was stored before an artifact read the column."""
    values = [columns.get(column) for columns in history.columns]
    return [
        value if type(value) in (float, int) and abs(value) <= LARGEST_NUMBER else 0.0  # type: ignore[arg-type, misc]
        for value in values
    ]


def _counts(statistic: str, history: History) -> list[int]:
    return [
        counts.get(statistic, UNKNOWN_COUNT) if counts else UNKNOWN_COUNT
        for counts in history.reputation
    ]
