"""The oracle: its densities against draws of the simulator, its filter against all hypotheses."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.kinds_breaches import breach_probabilities
from benchmarks.kinds_oracle import oracle_log_odds
from benchmarks.kinds_rules import (
    IS_FRAUD,
    PATTERNS,
    Floats,
    OrdinaryChoice,
    Seen,
    World,
    amount_densities,
    hour_densities,
)
from benchmarks.kinds_runs import Runs, Trips, _densities, run_probabilities
from fraudnet.transactions.simulated_fraud import FRAUD_KINDS, Stage, draw_runs
from fraudnet.transactions.simulated_population import CATEGORY_NAMES, DAY_S, PLACES
from fraudnet.transactions.simulator import SimulatorConfig, simulate

CONFIG = SimulatorConfig(accounts=60, counterparties=150, days=90, fraud_share=0.02, seed=5)
SPREE = 3  # of PATTERNS


@cache
def world() -> World:
    return World.of(CONFIG)


@cache
def table() -> pa.Table:
    made = simulate(CONFIG)
    return made.sort_by([("account_id", "ascending"), ("transaction_id", "ascending")])


@cache
def seen() -> Seen:
    return Seen.of(world(), table())


@cache
def run() -> Floats:
    return run_probabilities(world(), seen())


def test_the_world_is_the_one_that_is_simulated() -> None:
    category = world().people.counterparties.category[seen().counterparty]
    assert [CATEGORY_NAMES[c] for c in category] == table()["category"].to_pylist()
    place = world().people.counterparties.place[seen().counterparty]
    assert [f"P{p:02d}" for p in place] == table()["place"].to_pylist()


@pytest.mark.parametrize("number", range(len(PATTERNS)))
def test_a_runs_densities_are_those_of_its_draws(number: int) -> None:
    """Where a density says that a share of draws lies, it lies."""
    pattern, people = PATTERNS[number], world().people
    stage = Stage(people, 10_000, np.random.default_rng(number))
    drawn = draw_runs(pattern, 0, 20_000, stage)
    below = np.quantile(np.log(drawn.amount), (0.1, 0.5, 0.9))
    # Averaged over the draws' accounts and counterparties, the density of the log amount.
    grid = np.linspace(-8, 14, 1200)
    some = np.random.default_rng(1).integers(len(drawn.account), size=150)
    density = np.mean(
        [
            amount_densities(
                world(),
                np.full(len(grid), drawn.account[i]),
                np.full(len(grid), drawn.counterparty[i]),
                np.exp(grid),
            )[:, 1 + number]
            for i in some
        ],
        axis=0,
    )
    mass = np.cumsum(density) * (grid[1] - grid[0])
    assert mass[-1] == pytest.approx(1, abs=0.01)
    assert np.interp(below, grid, mass) == pytest.approx([0.1, 0.5, 0.9], abs=0.08)


@pytest.mark.parametrize("number", range(1 + len(PATTERNS)))
def test_the_seconds_of_a_day_sum_to_one(number: int) -> None:
    second = np.arange(0, DAY_S, 20)
    for account in range(5):
        found = hour_densities(world(), np.full(len(second), account), second)[:, number]
        assert found.sum() * 20 == pytest.approx(1, abs=5e-3)


def test_the_choices_sum_to_one() -> None:
    shops = world().people.counterparties
    for category in range(len(CATEGORY_NAMES)):
        chance = world().chosen_from[shops.category == category].sum(axis=0)
        assert chance == pytest.approx(np.ones(PLACES))
    assert world().wanted.sum(axis=1) == pytest.approx(np.ones(len(PATTERNS)))
    everywhere = np.arange(len(shops.place))
    for account in range(5):
        choice = OrdinaryChoice.of(world(), np.full(len(everywhere), account), everywhere)
        assert choice.at_home.sum() == pytest.approx(1)
        for place in np.unique(shops.place):
            away = (choice.online + choice.local * (shops.place == place)).sum()
            assert away == pytest.approx(1)


def test_gaps_are_those_of_the_simulator() -> None:
    runs = Runs()
    rng = np.random.default_rng(0)
    for number, pattern in enumerate(PATTERNS):
        if pattern.length[1] == 1:
            continue
        log_gap = rng.uniform(np.log(pattern.gap_s[0]), np.log(pattern.gap_s[1]), 40_000)
        gap = np.exp(log_gap).astype(np.int64)
        state = runs.first[number]
        for seconds in np.quantile(gap, (0.2, 0.8)).astype(int):
            assert runs.waits[seconds, state] == pytest.approx((gap > seconds).mean(), abs=0.01)
        assert runs.gap[:, state].sum() == pytest.approx(1)


def test_the_filter_sums_over_all_hypotheses() -> None:
    """A few transactions of an account: every way in which some of them are a run.

    It pays in its own place only, so that what is learnt of trips meanwhile changes little.
    """
    rng = np.random.default_rng(2)
    shops, accounts = world().people.counterparties, world().people.accounts
    home = accounts.home[0]
    at_home = np.flatnonzero(shops.place == home)
    wanted = [CATEGORY_NAMES.index(c) for c in PATTERNS[SPREE].categories]
    choices = at_home[np.isin(shops.category[at_home], wanted)]
    count = 5
    second = 50_000 + np.cumsum(rng.integers(400, 3_000, count))
    few = Seen(
        np.zeros(count, np.int64),
        rng.choice(choices, count),
        second,
        np.exp(rng.normal(4, 0.5, count)),
        np.zeros(count, np.int8),
    )
    found = run_probabilities(world(), few)
    expected = _by_enumeration(few)
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=1e-5)
    assert expected.max() > 1e-3  # else it would be easy


def _by_enumeration(few: Seen) -> Floats:
    """Chance of each to be of a run of fraud, summing over every reading of those until then."""
    densities, runs, shops = _densities(world(), few), Runs(), world().people.counterparties
    home = int(world().people.accounts.home[0])
    trips = Trips(world(), home)
    result = []
    for last in range(len(few.account)):
        total = fraud = 0.0
        now = int(few.second[last])
        members = [m for n in range(last + 2) for m in itertools.combinations(range(last + 1), n)]
        for chosen in members:
            for number, pattern in enumerate(PATTERNS):
                for place in range(PLACES):
                    if not chosen:
                        continue
                    weight = pattern.away * world().place_share[place]
                    weight += (1 - pattern.away) * (place == home)
                    for k, row in enumerate(chosen):
                        c = few.counterparty[row]
                        own = densities.start if k == 0 else densities.member
                        weight *= own[row, number] * world().chosen_from[c, place]
                        choice = densities.choice
                        ordinary = densities.ordinary[row] * trips.chance(
                            float(choice.at_home[row]), float(choice.online[row]),
                            float(choice.local[row]), int(shops.place[c]),
                        )  # fmt: skip
                        weight /= ordinary
                        if k:
                            gap = int(few.second[row] - few.second[chosen[k - 1]])
                            weight *= runs.gap[gap, runs.first[number]]
                    # It has as many members, or more that are still to come.
                    shortest, longest = pattern.length
                    lengths = range(max(shortest, len(chosen)), longest + 1)
                    later = runs.waits[now - int(few.second[chosen[-1]]), runs.first[number]]
                    share = sum(1.0 if n == len(chosen) else later for n in lengths)
                    weight *= share / (longest - shortest + 1)
                    total += weight
                    fraud += weight * (IS_FRAUD[number] and chosen[-1] == last)
        result.append(fraud / (1 + total))
    return np.array(result)


def test_its_probabilities_are_true() -> None:
    """Of what it calls fraud with 30 to 70 per cent, about half is; and so on."""
    fraud = seen().is_fraud == 1
    kind = np.array(table()["fraud_kind"].to_pylist(), dtype=object)
    in_run = fraud & (kind != FRAUD_KINDS[-1])
    for low, high in ((0.0, 0.01), (0.01, 0.3), (0.3, 0.9), (0.9, 1.01)):
        here = (run() >= low) & (run() < high)
        deviation = np.sqrt((run()[here] * (1 - run()[here])).sum())
        # Those of a run stand and fall together: more than independent ones would vary.
        assert abs(in_run[here].sum() - run()[here].sum()) < 4 * deviation + 5


def test_labels_that_have_not_arrived_change_nothing() -> None:
    """On day 83 those of the days before 76 have arrived, not a label more."""
    asked = seen().day == 83

    def found(turned_since: int) -> Floats:
        turned = seen().day >= turned_since
        labels = np.where(turned, 1 - seen().is_fraud, seen().is_fraud)
        return breach_probabilities(world(), replace(seen(), is_fraud=labels), run(), 7, asked)

    truth = found(CONFIG.days)
    np.testing.assert_array_equal(found(76), truth)
    assert (found(75) != truth).any()


def test_what_comes_later_changes_nothing() -> None:
    """The chance of a run is that of the moment: a future that is cut off is not missed."""
    first = np.flatnonzero(seen().account == seen().account[0])
    part = slice(0, len(first) - 7)
    cut = Seen(*(column[part] for column in vars(seen()).values()))
    np.testing.assert_array_equal(run_probabilities(world(), cut), run()[part])


def test_frauds_rank_high() -> None:
    asked = seen().day >= 60
    odds = oracle_log_odds(world(), seen(), 7, asked)
    fraud = seen().is_fraud[asked] == 1
    highest = np.argsort(-odds)[: fraud.sum()]
    assert fraud[highest].mean() > 0.6
