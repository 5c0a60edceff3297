"""Departures from habit: the kinds of fraud, and the innocent things that look like them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fraudnet.transactions.simulated_population import (
    CATEGORY_NAMES,
    DAY_S,
    Floats,
    Ints,
    Population,
)

GENUINE = -1


@dataclass(frozen=True)
class Stage:
    """Where everything is drawn: the people, the days they have, the source of chance."""

    people: Population
    days: int
    rng: np.random.Generator


@dataclass(frozen=True)
class Rows:
    """Transactions as columns of equal length."""

    account: Ints
    counterparty: Ints
    second: Ints  # since the start of the first day
    amount: Floats
    kind: Ints  # position in FRAUD_KINDS, or GENUINE

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All rows of all parts."""
        names = [field.name for field in fields(cls)]
        return cls(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})

    def take(self, chosen: Ints | NDArray[np.bool_]) -> Self:
        """The chosen rows, in that order."""
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


@dataclass(frozen=True)
class Pattern:
    """A run of transactions on one account that departs from its habits."""

    share: float  # of the genuine rows for a lookalike, of the frauds for a fraud
    length: tuple[int, int]  # fewest and most transactions in a run
    gap_s: tuple[float, float]  # from one to the next, log-uniform
    factor: tuple[float, float]  # amount relative to what the account usually pays, log-uniform
    hours: tuple[float, float]  # when it starts, from the middle of the account's own day
    away: float  # share of the runs that happen anywhere instead of at home
    categories: tuple[str, ...]


SHOPS = ("clothing", "electronics", "entertainment", "groceries", "health", "restaurant")
DEAR = ("clothing", "electronics", "health", "online", "travel")
CHEAP = ("entertainment", "transit")

# Each fraud below has a genuine counterpart here that shares what a single column shows of it.
LOOKALIKES = {
    "dear purchase": Pattern(0.010, (1, 1), (1, 1), (1.5, 6.0), (-5, 5), 0.3, DEAR),
    "errands": Pattern(0.028, (2, 6), (10, 600), (0.3, 1.2), (-5, 5), 0.1, CHEAP),
    "bills": Pattern(0.012, (2, 6), (30, 900), (0.4, 2.0), (-5, 5), 0.3, ("transfer", "utilities")),
    "spree": Pattern(0.012, (2, 6), (300, 14_400), (0.8, 2.0), (-5, 5), 0.5, SHOPS),
    "late night": Pattern(
        0.012, (1, 3), (300, 5_400), (0.5, 1.8), (8, 16), 0.2, ("fuel", "online", "restaurant")
    ),
}

FRAUDS = {
    "high_amount": Pattern(0.14, (1, 1), (1, 1), (10.0, 50.0), (-5, 5), 0.5, (*SHOPS, *DEAR)),
    "stolen_card": Pattern(0.20, (5, 12), (300, 7_200), (3.0, 10.0), (0, 24), 0.7, SHOPS),
    "account_takeover": Pattern(
        0.16, (2, 5), (60, 1_200), (1.2, 4.0), (9, 15), 0.7, ("electronics", "online", "transfer")
    ),
    "card_testing": Pattern(
        0.13, (6, 16), (3, 90), (0.01, 0.12), (0, 24), 0.8, ("entertainment", "online")
    ),
    "mule_burst": Pattern(0.13, (5, 12), (20, 600), (0.8, 5.0), (-6, 6), 0.6, ("transfer",)),
}
COMPROMISED = "compromised_counterparty"
# What of a fraud is like no ordinary day and no lookalike: the field an explanation should name.
PLANTED_CAUSES: dict[str, tuple[str, ...]] = {
    "high_amount": ("amount",),
    "stolen_card": ("amount",),
    "account_takeover": ("time",),  # at night, in quick succession
    "card_testing": ("amount", "time"),  # next to nothing, within seconds
    "mule_burst": ("time",),
    COMPROMISED: ("reputation",),
}
COMPROMISED_SHARE = 1.0 - sum(pattern.share for pattern in FRAUDS.values())
COMPROMISED_DAYS = (21, 35)
COMPROMISED_FRAUD = (0.7, 0.95)  # of the payments made there meanwhile
FRAUD_KINDS = (*FRAUDS, COMPROMISED)


def draw_runs(pattern: Pattern, kind: int, row_count: float, stage: Stage) -> Rows:
    """About `row_count` transactions, in runs of the pattern spread over all days and accounts.

    At least one run is drawn; what would happen after the last day is cut off.
    """
    rng, home, shops = stage.rng, stage.people.accounts.home, stage.people.counterparties
    runs = max(1, round(2 * row_count / sum(pattern.length)))
    length: Ints = rng.integers(*pattern.length, endpoint=True, size=runs, dtype=np.int64)
    run = np.repeat(np.arange(runs), length)
    account = rng.integers(len(home), size=runs)
    elsewhere = rng.choice(shops.place, runs)
    place = np.where(rng.random(runs) < pattern.away, elsewhere, home[account])
    categories = [CATEGORY_NAMES.index(name) for name in pattern.categories]
    counterparty = shops.choose(place[run], rng.choice(categories, len(run)), rng)
    log_factor = _uniform_log(pattern.factor, len(run), rng)
    rows = Rows(
        account[run],
        counterparty,
        _run_seconds(pattern, account, length, stage),
        stage.people.amounts(account[run], counterparty, log_factor, rng),
        np.full(len(run), kind),
    )
    return rows.take(rows.second < stage.days * DAY_S)


def _run_seconds(pattern: Pattern, account: Ints, length: Ints, stage: Stage) -> Ints:
    """When each transaction of each run happens, one run after the other."""
    rng = stage.rng
    middle = stage.people.accounts.peak_hours[account].mean(axis=1)
    hour = middle + rng.uniform(*pattern.hours, len(account))
    day = rng.integers(stage.days, size=len(account))
    start = day * DAY_S + (hour * 3600.0).astype(np.int64) % DAY_S
    gap = np.exp(_uniform_log(pattern.gap_s, int(length.sum()), rng)).astype(np.int64)
    elapsed = np.cumsum(gap)
    first = np.cumsum(length) - length
    return np.repeat(start - elapsed[first], length) + elapsed


def _uniform_log(bounds: tuple[float, float], size: int, rng: np.random.Generator) -> Floats:
    low, high = bounds
    return rng.uniform(math.log(low), math.log(high), size)


def compromise(rows: Rows, row_count: float, stage: Stage) -> Rows:
    """Turns about `row_count` genuine rows into frauds at counterparties that were broken into.

    A counterparty is compromised once, for 21 to 35 days; a part of what is paid there
    meanwhile, 70 to 95 per cent, is fraud with ordinary amounts at ordinary times.
    """
    rng, shop_count = stage.rng, len(stage.people.counterparties.place)
    duration = rng.integers(*COMPROMISED_DAYS, endpoint=True, size=shop_count)
    start = np.floor(rng.uniform(-duration / 2, stage.days - duration / 2)).astype(np.int64)
    fraud_share = rng.uniform(*COMPROMISED_FRAUD, shop_count)
    day = rows.second // DAY_S - start[rows.counterparty]
    hit = (day >= 0) & (day < duration[rows.counterparty])
    hit &= rng.random(len(day)) < fraud_share[rows.counterparty]
    frauds = np.bincount(rows.counterparty[hit], minlength=shop_count)
    # Where hardly anybody pays, nobody breaks in; and no shop alone should be much of the kind.
    likely = (frauds >= 15) & (frauds <= min(row_count, max(40, row_count / 12)))
    if not likely.any():
        likely[np.abs(frauds - row_count).argmin()] = True
    # One from each stretch of time: a few clustered breaches would leave other weeks without any.
    by_start = np.flatnonzero(likely)[np.argsort(start[likely], kind="stable")]
    count = round(row_count / max(1.0, float(frauds[by_start].mean())))
    count = min(max(1, count), len(by_start))
    stretch = (np.arange(count) + rng.random(count)) * len(by_start) / count
    broken = hit & np.isin(rows.counterparty, by_start[stretch.astype(np.int64)])
    return replace(rows, kind=np.where(broken, FRAUD_KINDS.index(COMPROMISED), rows.kind))
