"""The Handbook's oracle: against all hypotheses, and against a world drawn by its rules."""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmarks.handbook_oracle import _posterior, fraud_probability
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.reputation import DAY_US
from fraudnet.windows.specification import FeatureSpecification, Reputation

ACCOUNTS, TERMINALS, DAYS = 1000, 4000, 150
Array = NDArray[np.floating[Any] | np.integer[Any]]
REPUTATION = Reputation(refresh="transaction")


def simulated(seed: int) -> tuple[pa.Table, Array]:
    """Chapter 3 of the Handbook: transactions of some accounts, and which fraud each is."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(5, 100, ACCOUNTS)
    count = rng.poisson(rng.uniform(0, 4, ACCOUNTS)[:, None], (ACCOUNTS, DAYS))
    account, day = (axis.repeat(count.ravel()) for axis in np.indices(count.shape).reshape(2, -1))
    amount = rng.normal(mean[account], mean[account] / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean[account]), amount)
    terminal = rng.integers(0, TERMINALS, len(day))
    scenario = np.where(amount > 220, 1, 0)
    for start in range(DAYS):
        lasting = (day >= start) & (day < start + 28)
        scenario[lasting & np.isin(terminal, rng.choice(TERMINALS, 2, replace=False))] = 2
    for start in range(DAYS):
        lasting = (day >= start) & (day < start + 14)
        theirs = np.flatnonzero(lasting & np.isin(account, rng.choice(ACCOUNTS, 3, replace=False)))
        taken = rng.choice(theirs, len(theirs) // 3, replace=False)
        amount[taken] *= 5
        scenario[taken] = 3
    second = np.clip(rng.normal(43_200, 20_000, len(day)), 0, 86_399)
    time = pa.array((day * 86_400 + second).astype(np.int64) * 1_000_000)
    columns = {
        "transaction_id": pa.array([str(i) for i in range(len(day))]),
        "timestamp": time.cast(pa.timestamp("us", tz="UTC")),
        "account_id": pa.array([f"a{i}" for i in account]),
        "counterparty_id": pa.array([f"t{i}" for i in terminal]),
        "amount": pa.array(amount),
        "is_fraud": pa.array((scenario > 0).astype(np.int8)),
    }
    return pa.table(columns), scenario


@cache
def world() -> tuple[Histories, Array, Array]:
    """Histories, each row's scenario and its probability."""
    table, scenario = simulated(3)
    histories = build_histories(table, FeatureSpecification(reputation=REPUTATION), 7.0)
    return histories, scenario[histories.source_row], fraud_probability(histories)


@pytest.mark.parametrize(("least", "most"), [(0, 0.01), (0.01, 0.1), (0.1, 0.5), (0.5, 1.01)])
def test_as_many_are_frauds_as_it_says(least: float, most: float) -> None:
    histories, _, probability = world()
    settled = histories.timestamp_us > 60 * DAY_US
    some = settled & (probability >= least) & (probability < most)
    frauds = (histories.is_fraud[some] == 1).sum()
    expected = probability[some].sum()
    spread = np.sqrt((probability[some] * (1 - probability[some])).sum())
    # Frauds of a terminal or an account come together, about ten at a time.
    assert abs(frauds - expected) < 4 * np.sqrt(10) * spread + 0.1 * expected


def test_amounts_above_the_limit_are_certain() -> None:
    histories, _, probability = world()
    assert (probability[histories.amount > 220] == 1).all()


def test_it_is_ahead_of_the_share_of_known_frauds_of_the_terminal() -> None:
    histories, scenario, probability = world()
    settled = (histories.timestamp_us > 60 * DAY_US) & ((scenario == 0) | (scenario == 2))
    is_fraud = histories.is_fraud[settled] == 1
    columns = [histories.columns[f"counterparty_{what}_30d"] for what in ("fraud", "count")]
    share = (columns[0] / np.maximum(columns[1], 1))[settled]
    ahead = average_precision_score(is_fraud, probability[settled])
    assert ahead > average_precision_score(is_fraud, share) + 0.1


def test_labels_that_have_not_arrived_change_nothing() -> None:
    table, _ = simulated(3)
    histories, _, probability = world()
    last = DAYS - 10
    late = table["timestamp"].cast(pa.int64()).to_numpy() >= (last - 7) * DAY_US
    label = table["is_fraud"].to_numpy()
    turned = pa.array(np.where(late, 1 - label, label).astype(np.int8))
    at = table.column_names.index("is_fraud")
    other = build_histories(
        table.set_column(at, "is_fraud", turned), FeatureSpecification(reputation=REPUTATION), 7.0
    )
    before = histories.timestamp_us < last * DAY_US
    assert np.array_equal(other.source_row, histories.source_row)
    found = fraud_probability(other)
    assert np.array_equal(found[before], probability[before])
    assert not np.array_equal(found, probability)


def test_a_terminal_compromised_again_stays_so() -> None:
    """Frauds on forty days in a row: two compromises, the second within the first."""
    day = np.arange(60)
    fraud = (day >= 10) & (day < 50)
    known = np.concatenate(([0.0], np.cumsum(np.where(fraud, 8.0, -60.0))))
    found = _posterior(day, np.maximum(day - 7, 0), known, np.zeros(61), 0.0002, 28)
    assert (found[19:37] > 0.9).all()
    assert (found[46:50] > 0.3).all()  # frauds of day 38 are known on day 45
    assert (found[58:] < 0.01).all()  # the genuine row of day 50 is known on day 57


@given(data=st.data(), days=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_posterior_same_as_one_hypothesis_after_the_other(data: st.DataObject, days: int) -> None:
    size = data.draw(st.integers(1, 6))
    whole = st.lists(st.integers(0, 7), min_size=size, max_size=size)
    real = st.lists(st.floats(-3, 3), min_size=size, max_size=size)
    day = np.sort(data.draw(whole))
    arrived = np.array([min(i, n) for i, n in enumerate(sorted(data.draw(whole)))])
    known, unlabelled = np.array(data.draw(real)), np.array(data.draw(real))
    sums = [np.concatenate(([0.0], np.cumsum(each))) for each in (known, unlabelled)]
    found = _posterior(day, arrived, sums[0], sums[1], 0.01, days)
    for at in range(size):
        weights = [0.0, 0.0]  # idle on the row's day, and compromised
        for begun in product([False, True], repeat=int(day[at]) + 1):
            weight = float(np.prod(np.where(begun, 0.01, 0.99)))
            lasting = [any(begun[max(0, d - days + 1) : d + 1]) for d in range(len(begun))]
            for i in range(at):
                if lasting[day[i]]:
                    weight *= np.exp(known[i] if i < arrived[at] else unlabelled[i])
            weights[lasting[-1]] += weight
        assert found[at] == pytest.approx(weights[1] / sum(weights), rel=1e-9)
