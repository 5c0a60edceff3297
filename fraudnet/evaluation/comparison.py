"""Two networks on the same rows: differences of their figures, with paired bootstrap intervals."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from fraudnet.errors import InputError
from fraudnet.evaluation.bootstrap import resampled
from fraudnet.evaluation.metrics import Floats
from fraudnet.evaluation.scores import Scores

MEMORY_BYTES = 1 << 28
"""About what one block of resamples may take."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        confidence: share of resamples inside the interval, above 0 and below 1.
        resamples: how many.
        seed: of the resampling.
    """

    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise InputError(
                f"--confidence must lie between 0 and 1, as 0.95; got {self.confidence}"
            )
        if self.resamples < 1:
            raise InputError(f"--resamples must be at least 1, got {self.resamples}")
        if self.seed < 0:
            raise InputError(f"--seed must be at least 0, got {self.seed}")


@dataclass(frozen=True)
class Difference:
    """A figure of two networks; the difference is second minus first, low to high its interval."""

    first: float
    second: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """By how much the second is higher."""
        return self.second - self.first


def why_not_paired(first: Scores, second: Scores) -> str | None:
    """What keeps two networks' scores from being compared row by row, or None."""
    if first.fingerprint != second.fingerprint:
        return (
            f"they were measured on different data ({_short(first.fingerprint)} and "
            f"{_short(second.fingerprint)})"
        )
    if first.period != second.period:
        return f"their periods differ ({first.period} and {second.period})"
    if not np.array_equal(np.sort(first.row), np.sort(second.row)):
        return (
            f"they were measured on different rows of the period ({len(first.row):,} and "
            f"{len(second.row):,}): is split.without_compromised the same?"
        )
    return None


def paired_differences(
    first: Scores, second: Scores, bootstrap: Bootstrap
) -> dict[str, Difference]:
    """Differences in average precision, recall and value recall, with their intervals.

    Accounts are drawn with replacement, as many as there are, each with all its rows, the same ones
    for both networks; the interval holds the middle `confidence` of the resampled differences
    (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", sections 8.3 and 13.3).
    Resamples without a fraud are left out. Recalls are at each network's own threshold.

    Args:
        first: scores of the same rows as `second`, in any order; there is a fraud among them.
        second: as `first`; see `why_not_paired`.
        bootstrap: how.

    Raises:
        InputError: there is no fraud among the rows.
    """
    pair = [_Resampled(each) for each in _aligned(first, second)]
    fraud = pair[0].fraud
    if not fraud.any():
        raise InputError(f"the period {first.period} holds no fraud, so nothing can be compared")
    everyone = np.ones((1, pair[0].accounts))
    observed = [each.figures(everyone) for each in pair]
    differences: dict[str, list[Matrix]] = {name: [] for name in observed[0]}
    for times in _multiplicities(pair[0].accounts, len(fraud), bootstrap):
        a, b = (each.figures(times) for each in pair)
        for name in differences:
            differences[name].append(b[name] - a[name])
    tail = (1 - bootstrap.confidence) / 2
    found = {}
    for name, blocks in differences.items():
        low, high = np.nanquantile(np.concatenate(blocks), [tail, 1 - tail])
        first_value, second_value = (float(each[name][0]) for each in observed)
        found[name] = Difference(first_value, second_value, float(low), float(high))
    return found


class _Resampled:
    """One network's figures of many resamples at once."""

    def __init__(self, scores: Scores) -> None:
        order = np.argsort(-scores.fraud_probability, kind="stable")
        _, account = np.unique(scores.account, return_inverse=True)
        self.accounts = int(account.max()) + 1
        self.fraud = scores.is_fraud[order] == 1
        self._account = account[order]
        ranked = scores.fraud_probability[order]
        last = np.append(ranked[1:] != ranked[:-1], True)
        # Rows of one score count together; only the steps at which a fraud is added matter.
        group = np.cumsum(np.append(0, last[:-1]))
        groups, self._starts = np.unique(group[self.fraud], return_index=True)
        self._end = np.flatnonzero(last)[groups]
        amount = np.abs(scores.amount[order])
        caught = self.fraud & (ranked >= scores.threshold)
        self._shares = {
            "recall_at_alert_budget": (self._of_accounts(caught), self._of_accounts(self.fraud)),
            "value_recall_at_alert_budget": (
                self._of_accounts(caught, amount),
                self._of_accounts(self.fraud, amount),
            ),
        }

    def figures(self, times: Matrix) -> dict[str, Matrix]:
        """[B] each figure; NaN where no fraud was drawn.

        Args:
            times: [B, A] how often each account was drawn.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = {name: (times @ a) / (times @ b) for name, (a, b) in self._shares.items()}
            return {"average_precision": self._average_precision(times), **shares}

    def _average_precision(self, times: Matrix) -> Matrix:
        """Sum over thresholds of precision times the recall that each adds."""
        flagged = np.cumsum(times[:, self._account], axis=1)[:, self._end]
        of_frauds = times[:, self._account[self.fraud]]
        added = np.add.reduceat(of_frauds, self._starts, axis=1)
        precision = np.cumsum(added, axis=1) / np.maximum(flagged, 1)
        found: Matrix = (precision * added).sum(axis=1) / added.sum(axis=1)
        return found

    def _of_accounts(self, chosen: npt.NDArray[np.bool_], value: Floats | None = None) -> Matrix:
        weights = None if value is None else value[chosen]
        return np.bincount(self._account[chosen], weights, self.accounts).astype(np.float64)


def _aligned(first: Scores, second: Scores) -> tuple[Scores, Scores]:
    """Both in the order of `row`, with the accounts of the first, whose codes are of its own."""
    sorted_ = []
    for scores in (first, second):
        order = np.argsort(scores.row)
        names = ("row", "account", "timestamp_us", "amount", "is_fraud", "fraud_probability")
        sorted_.append(replace(scores, **{name: getattr(scores, name)[order] for name in names}))
    return sorted_[0], replace(sorted_[1], account=sorted_[0].account)


def _multiplicities(accounts: int, rows: int, bootstrap: Bootstrap) -> Iterator[Matrix]:
    """[B, A] how often each account is drawn, in blocks."""
    draws = resampled(accounts, bootstrap.resamples, bootstrap.seed)
    block = max(1, MEMORY_BYTES // (16 * max(rows, accounts)))
    while drawn := list(islice(draws, block)):
        yield np.stack(drawn).astype(np.float64)


def _short(fingerprint: str) -> str:
    return fingerprint.removeprefix("sha256:")[:12]
