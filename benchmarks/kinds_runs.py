"""The oracle's view of one account: which runs may be under way, where its owner may be."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.kinds_rules import (
    IS_FRAUD,
    LONGEST_GAP_S,
    PATTERNS,
    Floats,
    Ints,
    OrdinaryChoice,
    Seen,
    World,
    amount_densities,
    hour_densities,
    rates_a_day,
)
from fraudnet.transactions.simulated_population import DAY_S, PLACES
from fraudnet.transactions.simulator import DAYS_BETWEEN_TRIPS, TRIP_DAYS

NEGLIGIBLE = 1e-9  # share of all weight below which a run is forgotten
LARGE = 1e60  # weight from which the weights are scaled down, that they stay finite
MOST_CERTAIN = 1 - 1e-6  # that a payment is ordinary: no place is ever ruled out by one


class Trips:
    """Where an account is: at home, or on a trip, as far as its payments tell.

    A filter over home and (place, day of the trip), exact but that a trip is never cut short by
    another.
    """

    def __init__(self, world: World, home: int) -> None:
        longest = TRIP_DAYS[1]
        age = np.arange(1, longest + 1)
        # A length is uniform: a trip that has lasted so long ends with one of those still possible.
        self._goes_on = np.where(age < TRIP_DAYS[0], 1.0, (longest - age) / (longest - age + 1.0))
        self._begins = 1.0 / DAYS_BETWEEN_TRIPS
        self._share = world.place_share
        self._home_place = home
        self.home = 1.0
        self.away = np.zeros((PLACES, longest))
        self.next_day()  # a trip may begin on the first day

    def next_day(self) -> None:
        """A night passes."""
        ended = float((self.away * (1 - self._goes_on)).sum())
        self.away[:, 1:] = (self.away * self._goes_on)[:, :-1]
        leaves = (self.home + ended) * self._begins
        self.away[:, 0] = leaves * self._share
        self.home = self.home + ended - leaves

    def chance(self, at_home: float, online: float, local: float, place: int) -> float:
        """That a payment goes where it did."""
        away = float(self.away.sum())
        here = float(self.away[place].sum())
        back = float(self.away[self._home_place].sum())  # a trip to the own place is none
        return (
            (self.home + back) * at_home
            + (away - back) * online
            + (here * local if place != self._home_place else 0.0)
        )

    def learn(
        self, at_home: float, online: float, local: float, place: int, ordinary: float
    ) -> None:
        """Weigh by a payment that is an ordinary one with probability `ordinary`."""
        known = self.chance(at_home, online, local, place)
        ordinary = min(ordinary, MOST_CERTAIN)
        likelihood = np.full(PLACES, online)
        likelihood[place] += local
        likelihood[self._home_place] = at_home
        weight = ordinary * likelihood / known + (1 - ordinary)
        self.away *= weight[:, None]
        self.home *= ordinary * at_home / known + (1 - ordinary)
        total = self.home + float(self.away.sum())
        self.away /= total
        self.home /= total


class Runs:
    """The runs that may be under way, as states of a filter: a pattern and how many it made.

    States of a pattern follow each other, so that the next transaction of a run is the next state.

    Attributes:
        pattern: [S] of each state.
        first: [P] state of the first transaction of each pattern.
        goes_on: [S] chance that another one follows.
        gap: [LONGEST_GAP_S + 2, S] chance that it follows so many whole seconds later.
        waits: [LONGEST_GAP_S + 2, S] chance that it follows later than so many.
    """

    def __init__(self) -> None:
        longest = np.array([pattern.length[1] for pattern in PATTERNS])
        fewest = np.repeat([pattern.length[0] for pattern in PATTERNS], longest)
        self.pattern = np.repeat(np.arange(len(PATTERNS)), longest)
        self.first = np.cumsum(longest) - longest
        made = np.arange(len(self.pattern)) - self.first[self.pattern] + 1
        most = longest[self.pattern]
        self.goes_on = np.where(made < fewest, 1.0, (most - made) / (most - made + 1.0))
        seconds = np.arange(LONGEST_GAP_S + 3)
        before = np.stack([_shorter(pattern.gap_s, seconds) for pattern in PATTERNS], axis=1)
        self.gap = np.diff(before, axis=0)[:, self.pattern]
        self.waits = (1 - before[1:])[:, self.pattern]


def _shorter(gap_s: tuple[float, float], seconds: Ints) -> Floats:
    """Chance that a gap, log-uniform, is shorter than so many seconds."""
    low, high = gap_s
    if high == low:  # of runs of one
        return (seconds > low).astype(np.float64)
    share: Floats = np.log(np.maximum(seconds, low) / low) / np.log(high / low)
    return np.minimum(share, 1.0)


@dataclass(frozen=True)
class _Densities:
    """What the filter needs of each of an account's transactions."""

    ordinary: Floats  # [n] rate, hour and amount of ordinary life
    choice: OrdinaryChoice
    start: Floats  # [n, P] rate, hour, amount and category of a run's first
    member: Floats  # [n, P] amount and category of a run's next


def run_probabilities(world: World, seen: Seen) -> Floats:
    """[N] that a transaction belongs to a run of fraud, given the account's until then.

    Every hypothesis is a way to read the account's past: which transactions were ordinary, which
    made up runs of which pattern in which place. Their weights, relative to all being ordinary, are
    summed by a forward pass over hidden semi-Markov states (Rabiner 1989, "A Tutorial on Hidden
    Markov Models", sections III.A and IV.D).
    """
    runs = Runs()
    densities = _densities(world, seen)
    found = np.empty(len(seen.account))
    starts = np.flatnonzero(np.diff(seen.account, prepend=-1))
    for begin, end in zip(starts, [*starts[1:], len(found)], strict=True):
        found[begin:end] = _filter(world, runs, seen, densities, range(begin, end))
    return found


def _densities(world: World, seen: Seen) -> _Densities:
    amount = amount_densities(world, seen.account, seen.counterparty, seen.amount)
    hour = hour_densities(world, seen.account, seen.second % DAY_S)
    category = world.people.counterparties.category[seen.counterparty]
    member = amount[:, 1:] * world.wanted[:, category].T
    start = np.asarray(world.runs_a_day * hour[:, 1:] * member, np.float64)
    return _Densities(
        rates_a_day(world, seen.account, seen.day) * hour[:, 0] * amount[:, 0],
        OrdinaryChoice.of(world, seen.account, seen.counterparty),
        start,
        member,
    )


def _filter(
    world: World, runs: Runs, seen: Seen, densities: _Densities, rows: range
) -> list[float]:
    shops = world.people.counterparties
    home = int(world.people.accounts.home[seen.account[rows[0]]])
    where = _run_places(world, home)
    trips, day = Trips(world, home), 0
    none = 1.0  # weight of no run being under way
    under_way: list[tuple[int, Any]] = []  # second and [S, Z] weights by the newest member
    found = []
    for row in rows:
        now, counterparty = int(seen.second[row]), seen.counterparty[row]
        place = int(shops.place[counterparty])
        while day < now // DAY_S:
            trips.next_day()
            day += 1
        choice = densities.choice
        payment = float(choice.at_home[row]), float(choice.online[row]), float(choice.local[row])
        ordinary = densities.ordinary[row] * trips.chance(*payment, place)
        chosen = world.chosen_from[counterparty] / ordinary
        new = np.zeros((len(runs.pattern), PLACES))
        new[runs.first] = none * densities.start[row][:, None] * where
        under_way = [(then, weight) for then, weight in under_way if now - then <= LONGEST_GAP_S]
        for then, weight in under_way:
            new[1:] += (weight * runs.gap[now - then][:, None])[:-1] * densities.member[row][
                runs.pattern[1:], None
            ]
        new *= chosen
        by_state = new.sum(axis=1)
        none += float(by_state @ (1 - runs.goes_on))
        under_way.append((now, new * runs.goes_on[:, None]))
        waiting = [float(w.sum(axis=1) @ runs.waits[now - then]) for then, w in under_way]
        total = none + sum(waiting)
        found.append(float(by_state[IS_FRAUD[runs.pattern]].sum()) / total)
        trips.learn(*payment, place, max(0.0, 1 - float(by_state.sum()) / total))
        under_way = [
            pair
            for pair, weight in zip(under_way, waiting, strict=True)
            if weight > NEGLIGIBLE * total
        ]
        if none > LARGE:
            under_way = [(then, weight / none) for then, weight in under_way]
            none = 1.0
    return found


def _run_places(world: World, home: int) -> Floats:
    """[P, Z] where a run of each pattern happens, on an account that lives in `home`."""
    away = np.array([pattern.away for pattern in PATTERNS])[:, None]
    share: Floats = away * world.place_share + (1 - away) * (np.arange(PLACES) == home)
    return share
