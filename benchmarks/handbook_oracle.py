"""A scorer that knows how the Handbook's simulator works, and sees labels as late as everyone.

What it reaches is what there is to win, but for chance: half of the frauds that nobody can know of
yet, on a terminal compromised this week, are ranked above the median, and half below it.
"""

import time
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import norm

from benchmarks.handbook_task import Answer, Floats, Remembered, Task
from fraudnet.windows.histories import Histories
from fraudnet.windows.reputation import DAY_US, Ints, sorted_order

# Chapter 3, "Fraud scenarios generation".
CERTAIN_AMOUNT = 220  # above it every transaction is a fraud
TERMINALS_A_DAY, TERMINAL_DAYS = 2, 28  # in which all of a terminal's transactions are frauds
ACCOUNTS_A_DAY, ACCOUNT_DAYS = 3, 14  # in which a share of an account's are, their amounts times 5
TAKEN_SHARE, TAKEN_TIMES = 1 / 3, 5
EARLIER_DAYS = 35  # how long before the earliest compromise that may last an ended one may begin

IMPOSSIBLE = 1e-9  # stands for 0, which has no logarithm
PASSES = 2  # accounts and terminals explain each other's frauds; more change nothing

Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Oracle:
    """Bayes' rule with the simulator's rules and rates; accounts' mean amounts are known to it."""

    def __init__(self) -> None:
        self._score = Remembered(fraud_probability)

    def __call__(self, task: Task) -> Answer:
        """Score the test rows; nothing is fitted."""
        begin = time.perf_counter()
        score = self._score(task.histories)[task.test]
        return Answer(score, time.perf_counter() - begin, None)


def fraud_probability(histories: Histories) -> Floats:
    """Probability that each transaction is a fraud, given what was known when it happened.

    Args:
        histories: N rows of the Handbook's simulator; of a label only that is read, for other
            transactions, which has become known by their time.

    Returns:
        [N].
    """
    fraud, certain = histories.is_fraud == 1, histories.amount > CERTAIN_AMOUNT
    times = _times_ratio(histories)
    accounts = _Group(histories, histories.account)
    terminals = _Group(histories, histories.counterparty)
    account_rate = ACCOUNTS_A_DAY / len(accounts.offsets)
    terminal_rate = TERMINALS_A_DAY / len(terminals.offsets)
    # Of an unlabelled transaction: how much likelier its amount is on a compromised account.
    unlabelled = np.log(1 - TAKEN_SHARE + TAKEN_SHARE * times)
    terminal = np.full(len(histories), terminal_rate)
    taken = np.where(certain, 1.0, TAKEN_SHARE * account_rate * ACCOUNT_DAYS * times)
    for _ in range(PASSES):
        # Of a known fraud: how much likelier it is on a compromised terminal; a genuine
        # transaction is impossible there.
        otherwise = np.clip(np.maximum(taken, certain), IMPOSSIBLE, 1.0)
        terminal = terminals.compromised(
            np.where(fraud, -np.log(otherwise), np.log(IMPOSSIBLE) * 3),
            np.zeros(len(histories)),
            terminal_rate,
            TERMINAL_DAYS,
        )
        otherwise = np.maximum(np.maximum(terminal, certain), terminal_rate)
        known = (1 - TAKEN_SHARE) * np.where(fraud, otherwise, 1.0)
        known += np.where(fraud, TAKEN_SHARE * times, 0.0)
        known /= np.where(fraud, otherwise, 1.0)
        account = accounts.compromised(np.log(known), unlabelled, account_rate, ACCOUNT_DAYS)
        odds = account * TAKEN_SHARE * times
        taken = odds / (odds + 1 - account * TAKEN_SHARE)
    genuine = (1 - terminal) * (1 - taken) * ~certain
    return (1 - genuine).astype(np.float32)


def _times_ratio(histories: Histories) -> Reals:
    """[N] how much likelier an amount is as five times one of its account's than as one of them."""
    genuine = histories.is_fraud == 0
    account, size = histories.account, len(histories.offsets) - 1
    spent = np.bincount(account[genuine], histories.amount[genuine], size)
    mean = (spent / np.maximum(np.bincount(account[genuine], minlength=size), 1))[account]
    mean = np.maximum(mean, IMPOSSIBLE)
    amount = histories.amount
    times = _density(amount / TAKEN_TIMES, mean) / TAKEN_TIMES
    ratio: Reals = times / np.maximum(_density(amount, mean), IMPOSSIBLE)
    return np.minimum(ratio, 1 / IMPOSSIBLE)


def _density(amount: Reals, mean: Reals) -> Reals:
    """Of a normal amount whose deviation is half its mean, drawn evenly up to 2 means if below 0.

    Chapter 3, "Transaction data simulator".
    """
    drawn_again = norm.cdf(-2.0) * ((amount >= 0) & (amount <= 2 * mean)) / (2 * mean)
    density: Reals = norm.pdf(amount, mean, mean / 2) * (amount > 0) + drawn_again
    return density


class _Group:
    """Rows of accounts, or of terminals, each in the order of time."""

    def __init__(self, histories: Histories, key: Ints) -> None:
        first = int(histories.timestamp_us.min()) // DAY_US
        self._order = sorted_order(key, histories.timestamp_us)
        self._time_us = histories.timestamp_us[self._order]
        self._known_us = histories.known_us[self._order]
        self._day = self._time_us // DAY_US - first
        self.offsets = np.flatnonzero(np.diff(key[self._order], prepend=-2))

    def compromised(self, known: Reals, unlabelled: Reals, rate: float, days: int) -> Reals:
        """[N] probability of being compromised at each row, by what came before it.

        Args:
            known: [N] logarithm of how much likelier a labelled row is if its key is compromised.
            unlabelled: [N] the same of a row whose label has not arrived.
            rate: share of keys that a compromise begins on each day.
            days: how long one lasts.
        """
        found = np.empty(len(self._order))
        edges = [*self.offsets.tolist(), len(self._order)]
        known, unlabelled = known[self._order], unlabelled[self._order]
        for begin, end in pairwise(edges):
            rows = slice(begin, end)
            found[self._order[rows]] = _posterior(
                self._day[rows],
                np.searchsorted(self._known_us[rows], self._time_us[rows], side="right"),
                np.concatenate(([0.0], np.cumsum(known[rows]))),
                np.concatenate(([0.0], np.cumsum(unlabelled[rows]))),
                rate,
                days,
            )
        return found


def _posterior(
    day: Ints, arrived: Ints, known: Reals, unlabelled: Reals, rate: float, days: int
) -> Reals:
    """Of one key: sums over all ways in which compromises may have followed each other.

    Going from day to day, the weight of all ways that are idle when the day begins; a compromise
    that begins then has that weight, its rate's and its evidence's, and is idle when it is over;
    none begins while another lasts
    (the forward pass of a hidden Markov model; Rabiner 1989, "A Tutorial on Hidden Markov Models",
    section III A).

    Args:
        day: [M] of each row.
        arrived: [M] how many labels are known by then, those of the first rows.
        known: [M + 1] sums of the first rows' evidence if labelled.
        unlabelled: [M + 1] the same if not.
        rate: share of keys that a compromise begins on each day.
        days: how long one lasts.

    Returns:
        [M].
    """
    starts = day + np.arange(1 - days - EARLIER_DAYS, 1)[:, None]
    first = np.searchsorted(day, starts, side="left")
    after = np.searchsorted(day, starts + days, side="left")
    until = np.minimum(after, np.arange(len(day)))
    labelled = np.clip(arrived, first, np.maximum(until, first))
    evidence = known[labelled] - known[first] + unlabelled[until] - unlabelled[labelled]
    begun = np.where(starts >= 0, np.log(rate) + evidence, -np.inf)
    idle = np.zeros(len(day))
    for age, weight in enumerate(begun):
        if age:
            idle = idle + np.log1p(-rate)
        if age >= days:
            idle = np.logaddexp(idle, begun[age - days])
        weight += idle
    lasting = np.logaddexp.reduce(begun[-days:])
    probability: Reals = expit(lasting - idle - np.log1p(-rate))
    return probability
