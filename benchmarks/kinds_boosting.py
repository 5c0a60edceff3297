"""Hand-made features of simulated transactions: the past of payer and payee."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DAY_S = 86_400


def boosting(seed: int) -> HistGradientBoostingClassifier:
    """The classifier that the features are made for."""
    return HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.06, min_samples_leaf=40, l2_regularization=5,
        random_state=seed,
    )  # fmt: skip


def boosting_features(table: pa.Table, label_delay_days: int) -> Floats:
    """[N, F] features of simulated transactions.

    Args:
        table: as `simulate` makes it, sorted by account and time.
        label_delay_days: whole days until a label counts.
    """
    second = table["timestamp"].cast(pa.int64()).to_numpy() // 1_000_000
    fraud, day = table["is_fraud"].to_numpy().astype(np.int64), second // DAY_S
    return np.column_stack(
        _account_features(table, _codes(table, "account_id"), second)
        + _reputation(_codes(table, "counterparty_id"), day - day.min(), fraud, label_delay_days)
    )


def _codes(table: pa.Table, name: str) -> Ints:
    indices = table[name].combine_chunks().dictionary_encode().indices
    numbers: Ints = indices.to_numpy().astype(np.int64)
    return numbers


def _first_rows(keys: Ints) -> Ints:
    """For each row the first row of its key; rows of a key stand together."""
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return np.repeat(starts, np.diff(starts, append=len(keys)))


def _earlier_sum(values: Floats, first: Ints) -> Floats:
    """The sum over the account's earlier rows."""
    total: Floats = np.concatenate([[0.0], np.cumsum(values)])
    sums: Floats = total[:-1] - total[first]
    return sums


def _times_before(account: Ints, other: Ints) -> Ints:
    """How often the account met the same value before; rows are ordered by account and time."""
    pair = account * (other.max() + 1) + other
    order = np.argsort(pair, kind="stable")
    count = np.empty(len(pair), np.int64)
    count[order] = np.arange(len(pair)) - _first_rows(pair[order])
    return count


def _account_features(table: pa.Table, account: Ints, second: Ints) -> list[NDArray[Any]]:
    first, log_amount = _first_rows(account), np.log(table["amount"].to_numpy())
    row = np.arange(len(account))
    seen = np.maximum(row - first, 1)
    mean = _earlier_sum(log_amount, first) / seen
    deviation = np.sqrt(np.maximum(_earlier_sum(log_amount**2, first) / seen - mean**2, 1e-2))
    features = [log_amount, mean, deviation, (log_amount - mean) / deviation]
    key = account * (1 << 33) + second
    total = np.concatenate([[0.0], np.cumsum(log_amount)])
    for past_s in (600, 3_600, DAY_S):
        oldest = np.maximum(np.searchsorted(key, key - past_s), first)
        count = row + 1 - oldest
        features += [count, (total[row + 1] - total[oldest]) / count - mean]
    for back in (1, 2):
        features.append(np.where(row - first >= back, second - second[row - back], 10**9))
    angle = 2 * np.pi * (second % DAY_S) / DAY_S
    usual = [_earlier_sum(part, first) / seen for part in (np.cos(angle), np.sin(angle))]
    features += [angle, usual[0] * np.cos(angle) + usual[1] * np.sin(angle), np.hypot(*usual)]
    category = _codes(table, "category")
    visits = [_times_before(account, _codes(table, name)) / seen for name in ("place", "category")]
    return [*features, category, *visits]


def _reputation(
    counterparty: Ints, day: Ints, fraud: Ints, label_delay_days: int
) -> list[NDArray[Any]]:
    """Transactions and frauds of 7 and 30 days, as known when labels are late."""
    tables = np.zeros((2, counterparty.max() + 1, day.max() + 2))
    np.add.at(tables[0], (counterparty, day + 1), 1)
    np.add.at(tables[1], (counterparty, day + 1), fraud)
    tables = tables.cumsum(axis=2)
    until = np.maximum(day - label_delay_days, 0)
    features: list[NDArray[Any]] = []
    for days in (7, 30):
        since = np.maximum(until - days, 0)
        count, frauds = tables[:, counterparty, until] - tables[:, counterparty, since]
        features += [count, frauds, frauds / np.maximum(count, 1)]
    return features
