"""Hand-made history of a card, as boosting is usually given it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.windows.histories import Histories
from fraudnet.windows.reputation import sorted_order

DAY_US = 86_400_000_000
WINDOWS_DAYS = (1 / 24, 1, 7, 30)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Features of N transactions.

    Attributes:
        values: [N, F] float32.
        categorical: positions of the columns that hold codes.
    """

    values: Floats
    categorical: tuple[int, ...]


def plain_features(histories: Histories) -> Table:
    """What a transaction shows of itself: its categories, amount, hour and day of the week."""
    specification = histories.specification
    codes = [histories.columns[column.column] for column in specification.categorical]
    second = histories.timestamp_us // 1_000_000
    # 1970 began on a Thursday; Monday is 0.
    shown = [histories.amount, second % 86_400 / 3600, (second // 86_400 + 3) % 7]
    return Table(_stack([*codes, *shown]), tuple(range(len(codes))))


def history_features(histories: Histories) -> Table:
    """`plain_features`, and what the card did before.

    Over an hour, a day, a week and 30 days: count, sum, mean and largest share of the mean, of all
    transactions and of those of the first category, the transaction itself included; seconds since
    the last one and the one before; the amount against mean and deviation of all earlier ones, of
    the card and of the card within the category.
    """
    plain = plain_features(histories)
    columns: list[Column] = list(plain.values.T)
    card = histories.account
    keys = [card]
    if plain.categorical:
        code = plain.values[:, 0].astype(np.int64)
        keys.append(card * (int(code.max()) + 1) + code)
    for key in keys:
        order = sorted_order(key, histories.timestamp_us)
        of_key = _history(key[order], histories.timestamp_us[order], histories.amount[order])
        for values in of_key:
            back = np.empty(len(values), np.float32)
            back[order] = values
            columns.append(back)
    return Table(_stack(columns), plain.categorical)


def _history(key: Ints, time_us: Ints, amount: npt.NDArray[np.float64]) -> list[Column]:
    """Columns for rows sorted by key and time."""
    first_row = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    first = np.repeat(first_row, np.diff(first_row, append=len(key)))
    row = np.arange(len(key))
    before = row - first
    # Keys far apart in time can be searched as one.
    rank = np.cumsum(before == 0) - 1
    span = int(time_us.max() - time_us.min() + max(WINDOWS_DAYS) * DAY_US) + 1
    moment = rank * span + time_us - time_us.min()
    spent = np.concatenate(([0.0], np.cumsum(amount)))
    columns: list[Column] = []
    for days in WINDOWS_DAYS:
        begin = np.searchsorted(moment, moment - round(days * DAY_US), side="right")
        count = row + 1 - begin
        total = spent[row + 1] - spent[begin]
        columns += [count, total, total / count, amount * count / np.maximum(total, 0.01)]
    for back in (1, 2):
        gap = (time_us - time_us[np.maximum(row - back, 0)]) / 1e6
        columns.append(np.where(before >= back, gap, np.nan))
    log = np.log1p(np.abs(amount))
    sums, squares = (np.concatenate(([0.0], np.cumsum(log**power))) for power in (1, 2))
    some = np.maximum(before, 1)
    mean = (sums[row] - sums[first]) / some
    deviation = np.sqrt(np.maximum((squares[row] - squares[first]) / some - mean**2, 1e-2))
    columns += [before, mean, deviation, np.where(before > 0, (log - mean) / deviation, 0.0)]
    return columns


def _stack(columns: list[Column]) -> Floats:
    return np.stack([column.astype(np.float32) for column in columns], axis=1)
