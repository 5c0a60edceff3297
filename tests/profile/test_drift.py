"""Drift between periods: indices against their definitions, planted drift against plain loops."""

import math

import numpy as np
import pandas as pd
import pytest

from fraudnet.profile.drift import (
    category_bins,
    compared_periods,
    drift_of,
    index_by_chance,
    number_bins,
    population_stability_index,
)
from fraudnet.profile.ledger import ledger_of
from fraudnet.windows.periods import SplitConfig, split_by_time
from tests.profile.made import DAY_US, FIRST_US, columns, recipe, table


def test_the_stability_index_is_the_sum_of_its_definition() -> None:
    training, test = np.array([50, 30, 20, 0, 0]), np.array([10, 10, 70, 10, 0])
    p = [50.5 / 102, 30.5 / 102, 20.5 / 102, 0.5 / 102]
    q = [10.5 / 102, 10.5 / 102, 70.5 / 102, 10.5 / 102]
    expected = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert population_stability_index(training, test) == pytest.approx(expected)
    assert population_stability_index(training, 3 * training) == pytest.approx(0.0, abs=1e-3)
    assert population_stability_index(training, test) == pytest.approx(
        population_stability_index(test, training)
    )


def test_samples_without_drift_stay_below_the_index_by_chance_95_times_of_100() -> None:
    random = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    pairs = [
        (random.multinomial(5000, shares), random.multinomial(2000, shares)) for _ in range(2000)
    ]
    below = [population_stability_index(*pair) < index_by_chance(*pair) for pair in pairs]
    assert np.mean(below) == pytest.approx(0.95, abs=0.015)


def test_numbers_are_binned_by_the_training_rows_alone() -> None:
    random = np.random.default_rng(1)
    values = np.append(random.lognormal(0, 1, 500), [np.nan, -1e9, 1e9])
    training = np.arange(len(values)) < 300
    bins = number_bins(values, training, 10)
    edges = sorted(set(pd.Series(values[training]).quantile([i / 10 for i in range(1, 10)])))
    for value, found in zip(values, bins, strict=True):
        assert found == (-1 if math.isnan(value) else sum(edge <= value for edge in edges))
    assert np.bincount(bins[training]).tolist() == [30] * 10

    few = np.array([1.0, 2.0, 2.0, 5.0, 3.0, np.nan, 9.0])
    assert number_bins(few, np.arange(7) < 4).tolist() == [0, 1, 1, 2, 3, -1, 3]
    assert number_bins(np.full(3, np.nan), np.ones(3, bool)).tolist() == [-1, -1, -1]


def test_rare_categories_are_counted_together_and_unseen_ones_apart() -> None:
    codes = np.array([*range(60), 0, 1, -1, 60, 59])
    bins, unseen = category_bins(codes, np.arange(len(codes)) < 63)
    assert bins.tolist() == [*range(50), *[50] * 10, 0, 1, -1, 51, 50]
    assert np.flatnonzero(unseen).tolist() == [63]


def test_drift_is_found_where_it_was_planted() -> None:
    made = columns(6000, 4)
    split = split_by_time(made["timestamp"], SplitConfig())
    in_training, in_test = (p.contains(made["timestamp"]) for p in (split.training, split.test))
    later = made["timestamp"] >= FIRST_US + 50 * DAY_US
    made["amount"] = np.where(later, 2.0, 1.0) * made["amount"]
    made["category"] = np.where(later & (np.arange(6000) % 4 == 0), "games", made["category"])
    made["category"] = [None if i % 3 == 0 else str(c) for i, c in enumerate(made["category"])]
    made["account_id"] = np.where(later & (np.arange(6000) % 5 == 0), "new", made["account_id"])
    made["score"] = np.random.default_rng(5).random(6000)
    ledger = ledger_of(table(made))
    given = recipe(numeric=["score"])
    drift = drift_of(ledger, given, compared_periods(ledger.timestamp_us, SplitConfig()))
    assert (drift.training_rows, drift.test_rows) == (in_training.sum(), in_test.sum())
    assert drift.note == ""
    found = {each.column: each for each in drift.columns}
    assert {name for name, each in found.items() if each.index > 2 * each.index_by_chance} == {
        "amount",
        "category",
        "hours since the account's last",
    }
    training, test = (np.sort(made["amount"][mask]) for mask in (in_training, in_test))
    steps = [(training <= x).mean() - (test <= x).mean() for x in made["amount"]]
    assert found["amount"].ks == pytest.approx(max(map(abs, steps)))
    assert found["category"].null_test == pytest.approx(1 / 3, abs=0.01)
    # Where the data begin, every account has its first row, which no gap goes with.
    there = ledger.gap_us >= 0
    training, test = (ledger.gap_us[mask & there] for mask in (in_training, in_test))
    steps = [(training <= x).mean() - (test <= x).mean() for x in ledger.gap_us]
    assert found["hours since the account's last"].ks == pytest.approx(max(map(abs, steps)))
    games = [each == "games" for each in np.array(made["category"])[in_test] if each]
    assert found["category"].unseen_share == pytest.approx(np.mean(games))

    accounts, counterparties = drift.newcomers
    early = made["timestamp"] < split.test.begin.timestamp() * 1e6
    known = set(made["account_id"][early])
    here = list(made["account_id"][in_test])
    assert accounts.seen == len(set(here))
    assert accounts.new == len(set(here) - known)
    assert accounts.row_share == pytest.approx(np.mean([each not in known for each in here]))
    assert counterparties.new == 0


def test_a_span_too_short_for_the_split_is_halved_and_said_so() -> None:
    made = columns(101, 5, days=5)
    compared = compared_periods(made["timestamp"], SplitConfig())
    assert compared is not None
    assert "the data span 5 days" in compared.note
    assert compared.in_training.sum() == 50
    assert (compared.in_training ^ compared.in_test).all()
    assert max(made["timestamp"][compared.in_training]) < min(made["timestamp"][compared.in_test])
    assert compared_periods(np.full(9, FIRST_US), SplitConfig()) is None
    nearly_all = np.array([FIRST_US] * 9 + [FIRST_US + 1])
    halves = compared_periods(nearly_all, SplitConfig())
    assert halves is not None
    assert halves.in_test.tolist() == [False] * 9 + [True]
