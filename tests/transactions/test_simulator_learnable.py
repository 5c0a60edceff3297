"""Who knows the account's history and the counterparty's reputation finds every kind."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from fraudnet.transactions.simulator import SimulatorConfig, simulate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DAY_S = 86_400
LABEL_DELAY_DAYS = 7
ALERT_BUDGET = 0.007


def codes(table: pa.Table, name: str) -> Ints:
    indices = table[name].combine_chunks().dictionary_encode().indices
    numbers: Ints = indices.to_numpy().astype(np.int64)
    return numbers


def first_rows(keys: Ints) -> Ints:
    """For each row the first row of its key; rows of a key stand together."""
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return np.repeat(starts, np.diff(starts, append=len(keys)))


def earlier_sum(values: Floats, first: Ints) -> Floats:
    """The sum over the account's earlier rows."""
    total: Floats = np.concatenate([[0.0], np.cumsum(values)])
    sums: Floats = total[:-1] - total[first]
    return sums


def times_before(account: Ints, other: Ints) -> Ints:
    """How often the account met the same value before; rows are ordered by account and time."""
    pair = account * (other.max() + 1) + other
    order = np.argsort(pair, kind="stable")
    count = np.empty(len(pair), np.int64)
    count[order] = np.arange(len(pair)) - first_rows(pair[order])
    return count


def account_features(table: pa.Table, account: Ints, second: Ints) -> list[NDArray[Any]]:
    first, log_amount = first_rows(account), np.log(table["amount"].to_numpy())
    row = np.arange(len(account))
    seen = np.maximum(row - first, 1)
    mean = earlier_sum(log_amount, first) / seen
    deviation = np.sqrt(np.maximum(earlier_sum(log_amount**2, first) / seen - mean**2, 1e-2))
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
    usual = [earlier_sum(part, first) / seen for part in (np.cos(angle), np.sin(angle))]
    features += [angle, usual[0] * np.cos(angle) + usual[1] * np.sin(angle), np.hypot(*usual)]
    category = codes(table, "category")
    visits = [times_before(account, codes(table, name)) / seen for name in ("place", "category")]
    return [*features, category, *visits]


def reputation(counterparty: Ints, day: Ints, fraud: Ints) -> list[Floats]:
    """Transactions and frauds of 7 and 30 days, as known when labels are a week late."""
    tables = np.zeros((2, counterparty.max() + 1, day.max() + 2))
    np.add.at(tables[0], (counterparty, day + 1), 1)
    np.add.at(tables[1], (counterparty, day + 1), fraud)
    tables = tables.cumsum(axis=2)
    until = np.maximum(day - LABEL_DELAY_DAYS, 0)
    features: list[Floats] = []
    for days in (7, 30):
        since = np.maximum(until - days, 0)
        count, frauds = tables[:, counterparty, until] - tables[:, counterparty, since]
        features += [count, frauds, frauds / np.maximum(count, 1)]
    return features


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 13])
def test_history_and_reputation_find_every_kind(seed: int) -> None:
    table = simulate(SimulatorConfig(seed=seed)).sort_by(
        [("account_id", "ascending"), ("transaction_id", "ascending")]
    )
    second = table["timestamp"].cast(pa.int64()).to_numpy() // 1_000_000
    fraud, day = table["is_fraud"].to_numpy().astype(np.int64), second // DAY_S
    day = day - day.min()
    features = np.column_stack(
        account_features(table, codes(table, "account_id"), second)
        + reputation(codes(table, "counterparty_id"), day, fraud)
    )
    learn, test = (day >= 14) & (day < 76), day >= 76 + LABEL_DELAY_DAYS
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.06, min_samples_leaf=40, l2_regularization=5, random_state=0
    ).fit(features[learn], fraud[learn])
    score = model.predict_proba(features[test])[:, 1]
    average_precision = average_precision_score(fraud[test], score)
    alert = score > np.quantile(score, 1 - ALERT_BUDGET)
    kinds = np.array(table["fraud_kind"].to_pylist(), dtype=object)[test]
    found = {kind: alert[kinds == kind].mean().round(2) for kind in set(kinds) - {None}}
    print(f"seed {seed}: average precision {average_precision:.3f}, recall by kind {found}")
    assert len(found) == 6
    assert average_precision >= 0.5
    assert min(found.values()) > 0.25
