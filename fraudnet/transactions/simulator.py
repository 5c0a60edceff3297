"""A made-up payment world: accounts with habits, and six kinds of fraud among them.

Nothing here is anybody's data. The same configuration gives the same table.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.errors import InputError
from fraudnet.transactions.simulated_fraud import (
    COMPROMISED_SHARE,
    FRAUD_KINDS,
    FRAUDS,
    GENUINE,
    LOOKALIKES,
    Rows,
    Stage,
    compromise,
    draw_runs,
)
from fraudnet.transactions.simulated_population import (
    CATEGORY_NAMES,
    DAY_S,
    Accounts,
    Counterparties,
    Ints,
    Population,
)

ONLINE_SHARE = 0.3  # of the ordinary payments that are not made at favourites
DAYS_BETWEEN_TRIPS = 45
TRIP_DAYS = (2, 7)
ODD_HOUR_SHARE = 0.03  # everybody is awake at an odd hour now and then


@dataclass(frozen=True)
class SimulatorConfig:
    """What to simulate; the defaults give about 480,000 rows.

    Raises:
        InputError: a value is out of its range.
    """

    accounts: int = 2_000
    """How many pay; at least 1."""
    counterparties: int = 2_500
    """How many are paid; at least one of each category, 12."""
    days: int = 120
    """How long it goes on; kinds of fraud that last want 60 or more."""
    start: dt.date = dt.date(2025, 1, 1)
    """First day, UTC."""
    transactions_per_day: float = 2.0
    """Mean of genuine transactions a day and account."""
    fraud_share: float = 0.008
    """Frauds among all transactions, about; of each kind at least one run, if it is not 0."""
    seed: int = 0
    """Another seed, another world."""
    fraud_days: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Days [first, end), from 0, on which runs of a kind of fraud begin, as many a day as when it
    goes on throughout; a kind that is not named does. Not for compromised counterparties."""

    def __post_init__(self) -> None:
        least = {"accounts": 1, "counterparties": len(CATEGORY_NAMES), "days": 1, "seed": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {low}")
        if self.days > (most := (dt.date.max - self.start).days):
            raise InputError(
                f"days is {self.days}; it must be at most {most} from {self.start} on, for a year "
                "has four digits"
            )
        if not 0 < self.transactions_per_day <= 1000:
            raise InputError(
                f"transactions_per_day is {self.transactions_per_day}; "
                "it must be more than 0 and at most 1000"
            )
        if not 0 <= self.fraud_share <= 0.5:
            raise InputError(f"fraud_share is {self.fraud_share}; it must be between 0 and 0.5")
        for kind, (first, end) in self.fraud_days.items():
            if kind not in FRAUDS or not 0 <= first < end <= self.days:
                raise InputError(
                    f"fraud_days of {kind!r} are {first} to {end}; expected one of "
                    f"{', '.join(FRAUDS)}, and days within 0 to {self.days}"
                )

    def days_of(self, kind: str) -> tuple[int, int]:
        """Days [first, end) on which runs of a kind of fraud begin."""
        return self.fraud_days.get(kind, (0, self.days))


def simulate(config: SimulatorConfig) -> pa.Table:
    """Simulates the transactions of all accounts.

    Returns:
        A row a transaction, by time: `transaction_id`, `timestamp` (microseconds, UTC),
        `account_id`, `counterparty_id`, `amount` (major units, cents), `category`, `place`
        (of the counterparty), `is_fraud` (1 or 0), `fraud_kind` (null for genuine; never to
        be learnt from).
    """
    rng = np.random.default_rng(config.seed)
    people = draw_population(config, rng)
    stage = Stage(people, config.days, rng)
    rows = _with_fraud(_genuine(config, stage), config, stage)
    # Rows of the same second come in any order, so that the order tells nothing.
    rows = rows.take(np.lexsort((rng.random(len(rows.second)), rows.second)))
    return _table(rows, people.counterparties, config.start)


def draw_population(config: SimulatorConfig, rng: np.random.Generator) -> Population:
    """The people and shops of a world, the first that a fresh source of chance is asked for."""
    shops = Counterparties.draw(config.counterparties, rng)
    ordinary_rate = config.transactions_per_day * (1 - sum(p.share for p in LOOKALIKES.values()))
    return Population(Accounts.draw(config.accounts, ordinary_rate, shops, rng), shops)


def _genuine(config: SimulatorConfig, stage: Stage) -> Rows:
    expected = config.accounts * config.days * config.transactions_per_day
    lookalikes = [draw_runs(p, GENUINE, p.share * expected, stage) for p in LOOKALIKES.values()]
    return Rows.join([_ordinary_life(stage, config.start), *lookalikes])


def _with_fraud(genuine: Rows, config: SimulatorConfig, stage: Stage) -> Rows:
    share = config.fraud_share
    if share == 0:
        return genuine
    frauds = len(genuine.second) * share / (1 - share * (1 - COMPROMISED_SHARE))
    runs = []
    for name, pattern in FRAUDS.items():
        first, end = config.days_of(name)
        count = pattern.share * frauds * (end - first) / config.days
        runs.append(draw_runs(pattern, FRAUD_KINDS.index(name), count, stage, (first, end)))
    return Rows.join([compromise(genuine, COMPROMISED_SHARE * frauds, stage), *runs])


def _ordinary_life(stage: Stage, first_day: dt.date) -> Rows:
    """What every account does on every day, in its rhythm, mostly at its favourites."""
    rng, accounts = stage.rng, stage.people.accounts
    weekend = (np.arange(stage.days) + first_day.weekday()) % 7 >= 5
    rate = accounts.daily_rate[:, None] * np.where(weekend, accounts.weekend_factor[:, None], 1.0)
    whereabouts = _whereabouts(stage)
    account, day = np.divmod(np.repeat(np.arange(rate.size), rng.poisson(rate).ravel()), stage.days)
    counterparty = _ordinary_counterparty(account, whereabouts[account, day], stage)
    odd_hour = rng.random(len(account)) < ODD_HOUR_SHARE
    usual = accounts.usual_second_of_day(account, rng)
    second = np.where(odd_hour, rng.integers(DAY_S, size=len(account)), usual)
    amount = stage.people.amounts(account, counterparty, np.zeros(len(account)), rng)
    return Rows(account, counterparty, day * DAY_S + second, amount, np.full(len(account), GENUINE))


def _whereabouts(stage: Stage) -> Ints:
    """The place where each account is on each day: home, but for trips."""
    rng, home = stage.rng, stage.people.accounts.home
    place = np.repeat(home[:, None], stage.days, axis=1)
    trips = rng.poisson(len(home) * stage.days / DAYS_BETWEEN_TRIPS)
    length = rng.integers(*TRIP_DAYS, endpoint=True, size=trips)
    first = np.repeat(rng.integers(stage.days, size=trips), length)
    day = first + np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    traveller = np.repeat(rng.integers(len(home), size=trips), length)
    destination = np.repeat(rng.choice(stage.people.counterparties.place, trips), length)
    within = day < stage.days
    place[traveller[within], day[within]] = destination[within]
    return place


def _ordinary_counterparty(account: Ints, place: Ints, stage: Stage) -> Ints:
    """A favourite for those at home, else one of the place or an online shop."""
    rng, accounts, shops = stage.rng, stage.people.accounts, stage.people.counterparties
    # Zipf: the dearest favourite is visited twice as often as the second.
    weight = 1.0 / np.arange(1, accounts.favourites.shape[1] + 1)
    rank = rng.choice(len(weight), size=len(account), p=weight / weight.sum())
    online = np.full(len(account), CATEGORY_NAMES.index("online"))
    other = np.where(
        rng.random(len(account)) < ONLINE_SHARE,
        shops.by_category.draw(online, rng),
        shops.by_place.draw(place, rng),
    )
    loyal = rng.random(len(account)) < accounts.loyalty[account]
    loyal &= place == accounts.home[account]
    return np.where(loyal, accounts.favourites[account, rank], other)


def _table(rows: Rows, shops: Counterparties, first_day: dt.date) -> pa.Table:
    midnight = np.datetime64(first_day, "us")
    timestamp = midnight + rows.second * np.timedelta64(1_000_000, "us")
    names = pa.array(FRAUD_KINDS)
    return pa.table(
        {
            "transaction_id": _ids("T", np.arange(len(rows.second)), 9),
            "timestamp": pa.array(timestamp, pa.timestamp("us", "UTC")),
            "account_id": _ids("A", rows.account, 6),
            "counterparty_id": _ids("C", rows.counterparty, 6),
            "amount": rows.amount,
            "category": pa.array(CATEGORY_NAMES).take(pa.array(shops.category[rows.counterparty])),
            "place": _ids("P", shops.place[rows.counterparty], 2),
            "is_fraud": (rows.kind != GENUINE).astype(np.int8),
            "fraud_kind": names.take(pa.array(rows.kind, mask=rows.kind == GENUINE)),
        }
    )


def _ids(prefix: str, numbers: Ints, width: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")
