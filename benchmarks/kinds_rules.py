"""The simulator's rules as densities: how likely each process makes a transaction."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import norm

from fraudnet.transactions.simulated_fraud import (
    COMPROMISED_SHARE,
    FRAUDS,
    LOOKALIKES,
)
from fraudnet.transactions.simulated_population import (
    CATEGORIES,
    CATEGORY_NAMES,
    DAY_S,
    FAVOURITES,
    PLACES,
    Population,
)
from fraudnet.transactions.simulator import (
    ODD_HOUR_SHARE,
    ONLINE_SHARE,
    SimulatorConfig,
    draw_population,
)

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

PATTERNS = (*LOOKALIKES.values(), *FRAUDS.values())
IS_FRAUD = np.array([False] * len(LOOKALIKES) + [True] * len(FRAUDS))
LONGEST_GAP_S = round(max(pattern.gap_s[1] for pattern in PATTERNS))


@dataclass(frozen=True)
class World:
    """What the oracle knows of a simulated world beside its transactions.

    Attributes:
        config: of the simulation.
        people: the true habits of the accounts, the true prices of the counterparties.
    """

    config: SimulatorConfig
    people: Population

    @classmethod
    def of(cls, config: SimulatorConfig) -> "World":
        """The world that `simulate(config)` plays in."""
        return cls(config, draw_population(config, np.random.default_rng(config.seed)))

    @property
    def genuine(self) -> float:
        """Genuine transactions to be expected before any is turned into a fraud."""
        config = self.config
        return config.accounts * config.days * config.transactions_per_day

    @property
    def frauds(self) -> float:
        """Frauds to be expected."""
        share = self.config.fraud_share
        return self.genuine * share / (1 - share * (1 - COMPROMISED_SHARE))

    @cached_property
    def runs_a_day(self) -> Floats:
        """[P] runs of each pattern that begin on an account and day."""
        rows = np.array([p.share for p in PATTERNS]) * np.where(IS_FRAUD, self.frauds, self.genuine)
        runs = np.maximum(1, np.round(2 * rows / np.array([sum(p.length) for p in PATTERNS])))
        if not self.config.fraud_share:
            runs[IS_FRAUD] = 0
        a_day: Floats = runs / (self.config.accounts * self.config.days)
        return a_day

    @cached_property
    def place_share(self) -> Floats:
        """[Z] share of the counterparties in each place."""
        counts = np.bincount(self.people.counterparties.place, minlength=PLACES)
        share: Floats = counts / counts.sum()
        return share

    @cached_property
    def popularity(self) -> Floats:
        """[C] weight of each counterparty where one is chosen."""
        shops = self.people.counterparties
        weight = np.empty(len(shops.place))
        weight[shops.by_category.members] = np.diff(shops.by_category.cumulative_weight)
        return weight

    @cached_property
    def within_place(self) -> Floats:
        """[C] chance that a payment somewhere in its place goes to this counterparty."""
        place = self.people.counterparties.place
        return self.popularity / np.bincount(place, self.popularity, PLACES)[place]

    @cached_property
    def within_category(self) -> Floats:
        """[C] chance that a payment anywhere in its category goes to this counterparty."""
        category = self.people.counterparties.category
        return self.popularity / np.bincount(category, self.popularity)[category]

    @cached_property
    def chosen_from(self) -> Floats:
        """[C, Z] chance to be chosen by a run that wants its category in each place."""
        shops, kinds = self.people.counterparties, len(CATEGORIES)
        cell = shops.place * kinds + shops.category
        total = np.bincount(cell, self.popularity, PLACES * kinds)
        # Where a place has none of the category, one from anywhere is chosen.
        nowhere = total.reshape(PLACES, kinds).T[shops.category] == 0
        chance = np.where(nowhere, self.within_category[:, None], 0.0)
        chance[np.arange(len(cell)), shops.place] = self.popularity / total[cell]
        return chance

    @cached_property
    def wanted(self) -> Floats:
        """[P, categories] chance that a transaction of a run of each pattern is in the category."""
        chance = np.zeros((len(PATTERNS), len(CATEGORIES)))
        for row, pattern in zip(chance, PATTERNS, strict=True):
            for name in pattern.categories:
                row[CATEGORY_NAMES.index(name)] += 1 / len(pattern.categories)
        return chance


@dataclass(frozen=True)
class Seen:
    """Transactions, [N] each, those of an account together and oldest first.

    Attributes:
        account: number in the world.
        counterparty: number in the world.
        second: since the start of the first day.
        amount: major units.
        is_fraud: the label, whenever it arrives.
    """

    account: Ints
    counterparty: Ints
    second: Ints
    amount: Floats
    is_fraud: npt.NDArray[np.int8]

    @classmethod
    def of(cls, world: World, table: pa.Table) -> "Seen":
        """The transactions of `simulate(world.config)`, sorted by account and time."""
        start = np.datetime64(world.config.start, "s").astype(np.int64)
        return cls(
            _numbers(table["account_id"]),
            _numbers(table["counterparty_id"]),
            table["timestamp"].cast(pa.int64()).to_numpy() // 1_000_000 - start,
            table["amount"].to_numpy(),
            table["is_fraud"].to_numpy(),
        )

    @property
    def day(self) -> Ints:
        """[N] days since the first."""
        return self.second // DAY_S


def amount_densities(world: World, account: Ints, counterparty: Ints, amount: Floats) -> Floats:
    """Density of the log amounts: [N, 1 + P], of ordinary life, then of each pattern.

    The log of what is paid is normal about level + price; a pattern adds a uniform amount, so that
    the density is a difference of normal distribution functions over the width.
    """
    shops, level = world.people.counterparties, world.people.accounts.log_level
    spread = shops.log_spread[counterparty]
    above = np.log(amount) - level[account] - shops.log_price[counterparty]
    found = [norm.pdf(above / spread) / spread]
    for pattern in PATTERNS:
        low, high = np.log(pattern.factor)
        # The tail that is small is the one to subtract in.
        a, b = (above - high) / spread, (above - low) / spread
        mirrored = a > 0
        a, b = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
        found.append((norm.cdf(b) - norm.cdf(a)) / (high - low))
    return np.stack(found, axis=1)


def hour_densities(world: World, account: Ints, second: Ints) -> Floats:
    """Chance of the second of the day: [N, 1 + P], of ordinary life, then of each pattern's start.

    Args:
        world: whose rhythms.
        account: [N].
        second: [N] of the day.
    """
    accounts = world.people.accounts
    peak, width = accounts.peak_hours[account], accounts.peak_width_hours[account][:, None]
    hour = second[:, None] / 3600
    wrapped = sum(norm.pdf((hour + around - peak) / width) / width for around in range(-72, 73, 24))
    usual = wrapped.mean(axis=1) / 3600
    found = [(1 - ODD_HOUR_SHARE) * usual + ODD_HOUR_SHARE / DAY_S]
    after_middle = hour[:, 0] - peak.mean(axis=1)
    for pattern in PATTERNS:
        low, high = pattern.hours
        inside = (after_middle - low) % 24 < high - low
        found.append(inside / ((high - low) * 3600))
    return np.stack(found, axis=1)


def rates_a_day(world: World, account: Ints, day: Ints) -> Floats:
    """[N] ordinary transactions to be expected of the account on the day."""
    accounts = world.people.accounts
    weekend = (day + world.config.start.weekday()) % 7 >= 5
    factor = np.where(weekend, accounts.weekend_factor[account], 1.0)
    rate: Floats = accounts.daily_rate[account] * factor
    return rate


@dataclass(frozen=True)
class OrdinaryChoice:
    """Chance that an ordinary payment goes to its counterparty, [N] each.

    Attributes:
        at_home: where the account is at home.
        online: on a trip, whatever the place.
        local: on a trip in the counterparty's place, besides `online`.
    """

    at_home: Floats
    online: Floats
    local: Floats

    @classmethod
    def of(cls, world: World, account: Ints, counterparty: Ints) -> "OrdinaryChoice":
        """Of N payments."""
        accounts, shops = world.people.accounts, world.people.counterparties
        is_online = shops.category[counterparty] == CATEGORY_NAMES.index("online")
        online = ONLINE_SHARE * is_online * world.within_category[counterparty]
        local = (1 - ONLINE_SHARE) * world.within_place[counterparty]
        rank_share = 1.0 / np.arange(1, FAVOURITES + 1)
        rank_share /= rank_share.sum()
        favourite = (accounts.favourites[account] == counterparty[:, None]) @ rank_share
        loyalty = accounts.loyalty[account]
        here = shops.place[counterparty] == accounts.home[account]
        at_home = loyalty * favourite + (1 - loyalty) * (online + local * here)
        return cls(at_home, online, local)


def _numbers(ids: pa.ChunkedArray) -> Ints:
    numbers: Ints = pc.cast(pc.utf8_slice_codeunits(ids, 1), pa.int64()).to_numpy()
    return numbers
