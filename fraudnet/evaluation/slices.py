"""Parts of a period, and how well each is served."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from fraudnet.evaluation.bootstrap import Estimate, interval_of, resampled
from fraudnet.evaluation.curve import Ranking
from fraudnet.evaluation.metrics import Ints, Scored

FEWEST_ACCOUNTS = 5
"""A value of fewer accounts is not shown: it would tell of them, not of a group."""

MOST_SLICES = 20
FEWEST_DEFRAUDED = 10
"""Defrauded accounts from which on an interval is given; of fewer it is narrow by accident."""

OTHERS = "(others)"
NOT_GIVEN = "(none or unknown)"
RATES = ("selection_rate", "recall", "false_positive_rate", "precision", "value_recall")
_EARLIER = {0: "none", 1: "1 to 4", 5: "5 to 19", 20: "20 to 99", 100: "100 and more"}
_COUNTS = 6  # transactions, frauds, flagged, caught, money of frauds, money of the caught

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grouping:
    """A division of rows.

    Attributes:
        name: what they are divided by.
        values: of the groups.
        code: [N] index of each row's value; -1 for rows in no group.
    """

    name: str
    values: tuple[str, ...]
    code: Ints


def pooled(name: str, values: Sequence[str], code: Ints, account: Ints) -> Grouping:
    """A grouping of which no value stands for a few accounts, and there are not too many.

    Values of fewer than 5 accounts, and all but the 20 with the most rows, become one; if that is
    of fewer than 5 accounts too, its rows are in no group.

    Args:
        name: what the rows are divided by.
        values: V of them.
        code: [N] index of each row's value, -1 where it has none.
        account: [N].
    """
    named = [*values, NOT_GIVEN, OTHERS]
    code = np.where(code < 0, len(values), code)
    rows = np.bincount(code, minlength=len(named))
    pairs = np.unique(np.stack([code, account]), axis=1)
    accounts = np.bincount(pairs[0], minlength=len(named))
    kept = np.argsort(-rows, kind="stable")[:MOST_SLICES]
    kept = np.sort(kept[accounts[kept] >= FEWEST_ACCOUNTS])
    index = np.full(len(named), len(kept))
    index[kept] = np.arange(len(kept))
    code = index[code]
    shown = [named[at] for at in kept]
    if len(np.unique(account[code == len(kept)])) >= FEWEST_ACCOUNTS:
        shown.append(OTHERS)
    else:
        code = np.where(code == len(kept), -1, code)
    return Grouping(name, tuple(shown), code)


def by_month(timestamp_us: Ints) -> Grouping:
    """Calendar months, UTC."""
    month = timestamp_us.astype("datetime64[us]").astype("datetime64[M]")
    values, code = np.unique(month, return_inverse=True)
    return Grouping("month", tuple(values.astype(str)), code)


def by_history(earlier: Ints) -> Grouping:
    """How many earlier transactions of the account the data hold: a cold start has few."""
    begins = np.array([*_EARLIER])
    bucket = begins[np.searchsorted(begins, earlier, side="right") - 1]
    there, code = np.unique(bucket, return_inverse=True)
    return Grouping("earlier transactions", tuple(_EARLIER[at] for at in there.tolist()), code)


@dataclass(frozen=True)
class Slice:
    """A part of a period.

    Attributes:
        grouping: what the period is divided by.
        value: of this part.
        transactions: in it.
        accounts: in it.
        frauds: in it.
        figures: by name, rates at the threshold and average precision; those that are not
            defined are left out.
    """

    grouping: str
    value: str
    transactions: int
    accounts: int
    frauds: int
    figures: dict[str, Estimate]


@dataclass(frozen=True)
class Rates:
    """Rates at the threshold by slice: `RATES`, NaN where not defined.

    Attributes:
        counts: [S, 6].
        point: [S] by name.
        resampled: [B, S] by name, of accounts drawn anew.
    """

    counts: Doubles
    point: dict[str, Doubles]
    resampled: dict[str, Doubles]


def rates_of(
    scored: Scored, threshold: float, grouping: Grouping, resamples: int, seed: int
) -> Rates:
    """Selection rate, recall, false positive rate, precision and value recall of each slice.

    Args:
        scored: N rows.
        threshold: from which score on a row is flagged.
        grouping: of the rows.
        resamples: of the accounts.
        seed: of the draws.
    """
    counted = counts_of(scored.recoded(), threshold, grouping)
    accounts = len(np.unique(scored.account))
    counts = counted(np.ones(accounts, np.int64))
    again = np.array([counted(each) for each in resampled(accounts, resamples, seed)])
    return Rates(counts, rates(counts), rates(again))


def counts_of(scored: Scored, threshold: float, grouping: Grouping) -> Callable[[Ints], Doubles]:
    """What `rates` are of, in each of S slices, of accounts that are there as often as asked.

    Args:
        scored: N rows, whose accounts are 0 .. A - 1.
        threshold: from which score on a row is flagged.
        grouping: of the rows.

    Returns:
        From [A] how often each account is there to [S, 6]: transactions, frauds, flagged, caught,
        money of the frauds and of the caught.
    """
    fraud, flagged = scored.is_fraud == 1, scored.score >= threshold
    money = np.abs(scored.amount)
    per_row = (
        np.ones(len(fraud)), fraud, flagged, fraud & flagged,
        fraud * money, (fraud & flagged) * money,
    )  # fmt: skip
    inside = grouping.code >= 0
    row = np.concatenate([grouping.code[inside] * _COUNTS + at for at in range(_COUNTS)])
    column = np.tile(scored.account[inside], _COUNTS)
    value = np.concatenate([np.asarray(each, np.float64)[inside] for each in per_row])
    shape = (len(grouping.values) * _COUNTS, int(scored.account.max()) + 1)
    sums = csr_array((value, (row, column)), shape=shape)

    def counted(times: Ints) -> Doubles:
        found: Doubles = (sums @ times.astype(np.float64)).reshape(-1, _COUNTS)
        return found

    return counted


def rates(counts: Doubles) -> dict[str, Doubles]:
    """`RATES` of counts as of `counts_of`, [..., 6] to [...] each; NaN where not defined."""
    transactions, frauds, flagged, caught, money, caught_money = np.moveaxis(counts, -1, 0)
    shares = (
        (flagged, transactions),
        (caught, frauds),
        (flagged - caught, transactions - frauds),
        (caught, flagged),
        (caught_money, money),
    )
    return {
        name: np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)
        for name, (part, whole) in zip(RATES, shares, strict=True)
    }


def slices_of(
    scored: Scored, threshold: float, grouping: Grouping, resamples: int, seed: int
) -> list[Slice]:
    """The figures of each slice, with intervals where it has at least 10 defrauded accounts.

    Args:
        scored: N rows.
        threshold: from which score on a row is flagged.
        grouping: of the rows.
        resamples: of the accounts.
        seed: of the draws.
    """
    rates = rates_of(scored, threshold, grouping, resamples, seed)
    slices = []
    for at, value in enumerate(grouping.values):
        part = _part(scored, grouping.code == at)
        told = len(np.unique(part.account[part.is_fraud == 1])) >= FEWEST_DEFRAUDED
        figures = {
            name: Estimate(float(point[at]), interval_of(rates.resampled[name][:, at]))
            if told
            else Estimate(float(point[at]), None)
            for name, point in rates.point.items()
            if not np.isnan(point[at])
        }
        precision = _average_precision(part, resamples if told else 0, seed)
        figures |= {"average_precision": precision} if precision else {}
        slices.append(
            Slice(
                grouping.name,
                value,
                len(part.score),
                len(np.unique(part.account)),
                int((part.is_fraud == 1).sum()),
                figures,
            )
        )
    return slices


def _average_precision(scored: Scored, resamples: int, seed: int) -> Estimate | None:
    """None without both classes, no interval without resamples."""
    if len(np.unique(scored.is_fraud)) < 2:
        return None
    ranking, accounts = Ranking.of(scored.recoded()), len(np.unique(scored.account))
    draws = (ranking.curve(each) for each in resampled(accounts, resamples, seed))
    again = [each.average_precision() if each.defined else np.nan for each in draws]
    return Estimate(ranking.curve().average_precision(), interval_of(again))


def _part(scored: Scored, chosen: npt.NDArray[np.bool_]) -> Scored:
    return Scored(
        scored.score[chosen],
        scored.is_fraud[chosen],
        scored.timestamp_us[chosen],
        scored.account[chosen],
        scored.amount[chosen],
    )


@dataclass(frozen=True)
class Shortfall:
    """A slice whose interval of a figure lies below the figure of the whole period."""

    slice: Slice
    figure: str
    estimate: Estimate
    overall: float


def shortfalls(slices: Iterable[Slice], overall: dict[str, float]) -> list[Shortfall]:
    """The slices that are served badly, the worst first.

    Args:
        slices: of any groupings.
        overall: figures of the whole period, by the names that slices give them.
    """
    found = [
        Shortfall(each, name, estimate, overall[name])
        for each in slices
        for name, estimate in each.figures.items()
        if name in overall and estimate.interval and estimate.interval.high < overall[name]
    ]
    return sorted(found, key=lambda each: each.estimate.value - each.overall)
