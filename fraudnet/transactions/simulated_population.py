"""The people and shops of the simulator: accounts with habits, counterparties with prices."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Category: share of the counterparties, median price (major units), spread of the log price.
CATEGORIES: dict[str, tuple[float, float, float]] = {
    "clothing": (0.09, 45.0, 0.6),
    "electronics": (0.05, 110.0, 0.8),
    "entertainment": (0.08, 16.0, 0.6),
    "fuel": (0.07, 42.0, 0.4),
    "groceries": (0.18, 28.0, 0.7),
    "health": (0.07, 24.0, 0.7),
    "online": (0.12, 30.0, 0.8),
    "restaurant": (0.16, 20.0, 0.6),
    "transfer": (0.05, 90.0, 0.9),
    "transit": (0.05, 3.0, 0.5),
    "travel": (0.04, 130.0, 0.8),
    "utilities": (0.04, 60.0, 0.5),
}
CATEGORY_NAMES = tuple(CATEGORIES)
PLACES = 40
FAVOURITES = 8
DAY_S = 86_400


@dataclass(frozen=True)
class GroupedChoice:
    """Draws members of groups, each with a weight, for many groups at once."""

    members: Ints  # ordered by group
    cumulative_weight: Floats  # before each member, and the total at the end
    first: Ints  # position of each group's first member, and the end

    @classmethod
    def of(cls, groups: Ints, weights: Floats, group_count: int) -> Self:
        """Prepares draws from `groups[i]`, member i having weight `weights[i]`."""
        members = np.argsort(groups, kind="stable")
        first = np.searchsorted(groups[members], np.arange(group_count + 1))
        return cls(members, np.concatenate([[0.0], np.cumsum(weights[members])]), first)

    def has_members(self, groups: Ints) -> NDArray[np.bool_]:
        """Whether each of the groups can be drawn from."""
        occupied: NDArray[np.bool_] = np.diff(self.first) > 0
        return occupied[groups]

    def draw(self, groups: Ints, rng: np.random.Generator) -> Ints:
        """One member of each of the groups, none of which may be empty."""
        start, end = self.first[groups], self.first[groups + 1]
        low, high = self.cumulative_weight[start], self.cumulative_weight[end]
        aim = low + rng.random(len(groups)) * (high - low)
        position = np.searchsorted(self.cumulative_weight, aim, side="right") - 1
        drawn: Ints = self.members[np.clip(position, start, end - 1)]
        return drawn


@dataclass(frozen=True)
class Counterparties:
    """M counterparties: what they sell, where, at what price, and how to choose among them."""

    category: Ints  # position in CATEGORY_NAMES
    place: Ints  # 0..PLACES-1
    log_price: Floats  # log of the median amount spent there by an account of level 0
    log_spread: Floats
    by_place: GroupedChoice
    by_category: GroupedChoice
    by_place_and_category: GroupedChoice

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator) -> Self:
        """Draws `count` counterparties, at least one of each category."""
        kinds = len(CATEGORIES)
        share, price, spread = np.array(list(CATEGORIES.values())).T
        category = np.concatenate(
            [np.arange(kinds), rng.choice(kinds, count - kinds, p=share / share.sum())]
        )
        place_share = 1.0 / (np.arange(PLACES) + 4.0)
        place = rng.choice(PLACES, count, p=place_share / place_share.sum())
        popularity = rng.lognormal(0.0, 0.8, count)
        return cls(
            category,
            place,
            np.log(price)[category] + rng.normal(0.0, 0.25, count),
            spread[category],
            GroupedChoice.of(place, popularity, PLACES),
            GroupedChoice.of(category, popularity, kinds),
            GroupedChoice.of(place * kinds + category, popularity, PLACES * kinds),
        )

    def choose(self, place: Ints, category: Ints, rng: np.random.Generator) -> Ints:
        """A counterparty of each category in each place, or anywhere where the place has none."""
        cell = place * len(CATEGORIES) + category
        local = self.by_place_and_category.has_members(cell)
        chosen = self.by_category.draw(category, rng)
        chosen[local] = self.by_place_and_category.draw(cell[local], rng)
        return chosen


@dataclass(frozen=True)
class Accounts:
    """A accounts and their habits."""

    home: Ints  # the place they live in
    log_level: Floats  # how much more (or less) than others they spend on the same thing
    daily_rate: Floats  # transactions a day
    weekend_factor: Floats  # activity on Saturday and Sunday, relative to a working day
    peak_hours: Floats  # (A, 2) hours they usually pay at; from 24 on: of the next day
    peak_width_hours: Floats
    favourites: Ints  # (A, FAVOURITES) counterparties, the dearest first
    loyalty: Floats  # share of ordinary transactions made at favourites

    @classmethod
    def draw(
        cls, count: int, mean_daily_rate: float, shops: Counterparties, rng: np.random.Generator
    ) -> Self:
        """Draws `count` accounts that live where there are shops."""
        home = rng.choice(shops.place, count)
        # One in seven works nights: an hour that is odd for most is ordinary for them.
        shift = np.where(rng.random(count) < 0.14, rng.uniform(9.0, 13.0, count), 0.0)
        peaks = rng.normal([11.0, 18.0], 1.5, (count, 2)) + shift[:, None]
        local = shops.by_place.draw(np.repeat(home, FAVOURITES), rng)
        anywhere = rng.integers(len(shops.place), size=len(local))
        favourites = np.where(rng.random(len(local)) < 0.85, local, anywhere)
        return cls(
            home,
            rng.normal(0.0, 0.55, count),
            mean_daily_rate * rng.gamma(3.0, 1.0 / 3.0, count),
            rng.lognormal(-0.08, 0.4, count),  # of mean 1
            peaks,
            rng.uniform(0.8, 1.8, count),
            favourites.reshape(count, FAVOURITES),
            rng.beta(12.0, 4.0, count),
        )

    def usual_second_of_day(self, account: Ints, rng: np.random.Generator) -> Ints:
        """A second of the day (0..86399) in each account's own rhythm."""
        peak = self.peak_hours[account, rng.integers(2, size=len(account))]
        hour = rng.normal(peak, self.peak_width_hours[account])
        return (hour * 3600.0).astype(np.int64) % DAY_S


@dataclass(frozen=True)
class Population:
    """Who pays whom."""

    accounts: Accounts
    counterparties: Counterparties

    def amounts(
        self, account: Ints, counterparty: Ints, log_factor: Floats, rng: np.random.Generator
    ) -> Floats:
        """What each account pays there, `exp(log_factor)` times its usual; major units, cents."""
        shops = self.counterparties
        noise = rng.normal(0.0, shops.log_spread[counterparty])
        log_amount = self.accounts.log_level[account] + shops.log_price[counterparty] + noise
        amounts: Floats = np.maximum(np.exp(log_amount + log_factor).round(2), 0.01)
        return amounts
