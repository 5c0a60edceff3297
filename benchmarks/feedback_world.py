"""The world of the feedback loop: a year whose fraud changes, and who tells of it when."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np
import numpy.typing as npt

from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import Period
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification
from fraudnet.windows.vocabularies import with_vocabularies

LAUNCH_DAYS = 120  # before the year, of which every label arrives
MONTH_DAYS = 30
DELAY_DAYS = 30.0  # from a transaction to a customer's report, or to a label of all of them
VERDICT_DAYS = 5.0  # from a transaction to the verdict on it
DAY_US = 86_400_000_000

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Conditions:
    """What the year is like.

    Attributes:
        accounts: that pay, once a day in the mean.
        months: of 30 days each.
        fraud_share: about, where all kinds go on.
        error_rate: of verdicts that say the opposite of the truth.
        budget_per_day: transactions that are looked at a day.
    """

    accounts: int = 1_000
    months: int = 12
    fraud_share: float = 0.01
    error_rate: float = 0.02
    budget_per_day: int = 10

    @property
    def days(self) -> int:
        """Of launch and year."""
        return LAUNCH_DAYS + self.months * MONTH_DAYS

    def simulator(self, seed: int) -> SimulatorConfig:
        """The world: three kinds of fraud begin during the year, one ends."""

        def day(month: float) -> int:
            return LAUNCH_DAYS + round(month * MONTH_DAYS)

        return SimulatorConfig(
            accounts=self.accounts,
            counterparties=self.accounts + 200,
            days=self.days,
            transactions_per_day=1.0,
            fraud_share=self.fraud_share,
            seed=seed,
            fraud_days={
                "high_amount": (0, day(self.months / 2)),
                "card_testing": (day(self.months / 6), self.days),
                "account_takeover": (day(self.months / 3), self.days),
                "mule_burst": (day(self.months / 2), self.days),
            },
        )


@dataclass(frozen=True)
class Year:
    """One world as histories, with the chances that decide what is told of each transaction.

    The network reads no reputation, so that labels change its weights and nothing else.

    Attributes:
        histories: N rows with the truth.
        conditions: of the year.
        seed: of the world.
        fingerprint: of its transactions.
        report_chance: [N] a fraud is reported by its customer where this is under the share of
            frauds that are.
        mistaken: [N] whether a verdict on it is the opposite of the truth.
    """

    histories: Histories
    conditions: Conditions
    seed: int
    fingerprint: str
    report_chance: Floats
    mistaken: Mask

    @classmethod
    def of(cls, conditions: Conditions, seed: int) -> Self:
        """Simulate it."""
        config = conditions.simulator(seed)
        table = simulate(config)
        columns = FeatureSpecification(
            categorical=(CategoricalColumn(column="category"),), reputation=None
        )
        start = datetime.combine(config.start, datetime.min.time(), UTC)
        specification = with_vocabularies(columns, [table], start + timedelta(days=config.days))
        rng = np.random.default_rng((seed, 1))
        return cls(
            histories=build_histories(table, specification, DELAY_DAYS),
            conditions=conditions,
            seed=seed,
            fingerprint=fingerprint(table),
            report_chance=rng.random(len(table)),
            mistaken=rng.random(len(table)) < conditions.error_rate,
        )

    @property
    def is_fraud(self) -> Mask:
        """[N] the truth."""
        frauds: Mask = self.histories.is_fraud == 1
        return frauds

    @property
    def _begin(self) -> datetime:
        first = datetime.fromtimestamp(int(self.histories.timestamp_us.min()) // 1_000_000, UTC)
        return first.replace(hour=0, minute=0, second=0)

    def month(self, number: int) -> Period:
        """A month, from 1; month 0 is all before the first."""
        end = self._begin + timedelta(days=LAUNCH_DAYS + number * MONTH_DAYS)
        begin = end - timedelta(days=MONTH_DAYS) if number else self._begin
        return Period(begin, end)

    def known(self, reviewed: Ints, end: datetime, reported_share: float | None) -> KnownRows:
        """What may be learnt from before a moment: labels that have arrived by then.

        All labels of the launch after the delay; then verdicts on what was reviewed, and reports of
        frauds, which overrule them; or all labels after the delay, which overrule them too.

        Args:
            reviewed: rows that verdicts were given on.
            end: the moment.
            reported_share: of the frauds that customers report; None: all labels arrive.
        """
        histories = self.histories
        now = int(end.timestamp() * 1e6)
        late = histories.timestamp_us + round(DELAY_DAYS * DAY_US)
        told = self.month(0).contains(histories.timestamp_us)
        if reported_share is None:
            told = np.ones_like(told)
        else:
            told |= self.is_fraud & (self.report_chance < reported_share)
        label = np.full(len(histories), -1, np.int8)
        known_us = late.copy()
        label[reviewed] = self.is_fraud[reviewed] ^ self.mistaken[reviewed]
        known_us[reviewed] = histories.timestamp_us[reviewed] + round(VERDICT_DAYS * DAY_US)
        arrived = told & (late <= now)
        label[arrived], known_us[arrived] = self.is_fraud[arrived], late[arrived]
        seen = replace(histories, is_fraud=label, known_us=known_us)
        return known_rows(seen, Period(self._begin, end), known_by=end)
