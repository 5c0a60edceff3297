"""A scorer that knows how the Handbook's simulator works, and sees labels as late as everyone.

What a model could at best come near. The frauds of a terminal's first week cannot be told from
genuine transactions: where they rank is chance. That amounts are whole cents, and those of a taken
account therefore multiples of five, is not made use of: no payment system has that.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from benchmarks.handbook_task import Answer, Floats, Remembered, Task
from fraudnet.windows.histories import Histories
from fraudnet.windows.reputation import DAY_US, Ints, sorted_order

# Chapter 3, "Fraud scenarios generation".
CERTAIN_AMOUNT = 220  # above it every transaction is a fraud
TERMINALS_A_DAY, TERMINAL_DAYS = 2, 28  # in which all of a terminal's transactions are frauds
ACCOUNTS_A_DAY, ACCOUNT_DAYS = 3, 14  # in which a share of an account's are, their amounts times 5
TAKEN_SHARE, TAKEN_TIMES = 1 / 3, 5
MEDIAN_OVER_MEAN = 1.014  # of an account's amounts: 1/2 = cdf(2 x - 2) - cdf(-2) (1 - x / 2)

EARLIER_DAYS = 35  # before the earliest compromise that may last, from which the filter runs
PASSES = 2  # accounts and terminals explain each other's frauds
UNLIKELY = 1e-9  # the least that evidence is divided by
IMPOSSIBLE = -60.0  # logarithm of the likelihood of a genuine transaction on a taken terminal

Reals = npt.NDArray[np.float64]


class Oracle:
    """Bayes' rule with the simulator's rules and rates; accounts' mean amounts are known to it."""

    def __init__(self) -> None:
        self._score = Remembered(fraud_probability)

    def __call__(self, task: Task) -> Answer:
        """Score the test rows; nothing is fitted."""
        return Answer(self._score(task.histories)[task.test], 0.0, None)


def fraud_probability(histories: Histories) -> Floats:
    """Probability that each transaction is a fraud, given what was known when it happened.

    Args:
        histories: N rows of the Handbook's simulator, all labels as late as each other. Of labels
            only those are read that have become known by a row's time. Accounts' mean amounts are
            taken from all their amounts, the later ones too: they are the simulator's.

    Returns:
        [N].
    """
    fraud, certain = histories.is_fraud == 1, histories.amount > CERTAIN_AMOUNT
    times = _times_ratio(histories)
    accounts = _Group(histories, histories.account)
    terminals = _Group(histories, histories.counterparty)
    account_rate = ACCOUNTS_A_DAY / len(accounts.offsets)
    terminal_rate = TERMINALS_A_DAY / len(terminals.offsets)
    # Of an unlabelled transaction: how much likelier its amount is on a taken account.
    unlabelled = np.log(1 - TAKEN_SHARE + TAKEN_SHARE * times)
    taken = TAKEN_SHARE * account_rate * ACCOUNT_DAYS * times
    for _ in range(PASSES):
        # How likely a known fraud is if its terminal is not compromised; if it is, it is certain.
        without_terminal = np.clip(np.maximum(taken, certain), UNLIKELY, 1.0)
        terminal = terminals.compromised(
            np.where(fraud, -np.log(without_terminal), IMPOSSIBLE),
            np.zeros(len(histories)),
            terminal_rate,
            TERMINAL_DAYS,
        )
        without_account = np.maximum(np.maximum(terminal, certain), terminal_rate)
        of_fraud = 1 - TAKEN_SHARE + TAKEN_SHARE * times / without_account
        known = np.log(np.where(fraud, of_fraud, 1 - TAKEN_SHARE))
        account = accounts.compromised(known, unlabelled, account_rate, ACCOUNT_DAYS)
        odds = account * TAKEN_SHARE * times
        taken = odds / (odds + 1 - account * TAKEN_SHARE)
    genuine = (1 - terminal) * (1 - taken) * ~certain
    return (1 - genuine).astype(np.float32)


def _times_ratio(histories: Histories) -> Reals:
    """[N] how much likelier an amount is as five times one of its account's than as one of them."""
    amount = pd.Series(histories.amount)
    median = amount.groupby(histories.account).transform("median").to_numpy()
    mean = np.maximum(median / MEDIAN_OVER_MEAN, UNLIKELY)
    times = _density(histories.amount / TAKEN_TIMES, mean) / TAKEN_TIMES
    ratio: Reals = times / np.maximum(_density(histories.amount, mean), UNLIKELY)
    return np.minimum(ratio, 1 / UNLIKELY)


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
    """Of one key, day by day: the state is how long ago the latest compromise began, if it lasts.

    One may begin on any day, whether or not another lasts (the forward pass of a hidden Markov
    model; Rabiner 1989, "A Tutorial on Hidden Markov Models", section III A). Each row has a pass
    of its own, for each knows more labels than the one before.

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
    edges = day + np.arange(1 - days - EARLIER_DAYS, 2)[:, None]
    before = np.minimum(np.searchsorted(day, edges, side="left"), np.arange(len(day)))
    labelled = np.minimum(before, arrived)
    evidence = np.diff(known[labelled] + unlabelled[before] - unlabelled[labelled], axis=0)
    likelihood = np.exp(np.clip(evidence, -300, 300))
    begins = np.where(edges >= 0, rate, 0.0)
    idle, lasting = np.ones(len(day)), np.zeros((days, len(day)))
    for today, likelier in enumerate(likelihood):
        oldest = today % days
        idle = (idle + lasting[oldest]) * (1 - begins[today])
        lasting *= 1 - begins[today]
        lasting[oldest] = begins[today]
        lasting *= likelier
        total = idle + lasting.sum(axis=0)
        idle /= total
        lasting /= total
    probability: Reals = lasting.sum(axis=0)
    return probability
