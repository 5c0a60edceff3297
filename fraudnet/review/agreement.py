"""Whether two reviewers judge alike: Cohen's kappa on the flags that both judged."""

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import cohen_kappa_score
from sqlalchemy import text

from fraudnet.evaluation.bootstrap import interval_of, resampled
from fraudnet.review.database import CaseDatabase

GRADES = ("confirmed_fraud", "suspicious", "false_positive")
MOST_PAIRS = 5
FEWEST_ACCOUNTS = 10
"""Accounts from which on an interval is given; of fewer it is narrow by accident."""

_RESAMPLES = 300
_GIVEN = text("""
SELECT verdict_id, flag_id, account_id, reviewer, verdict,
       verdict_id IN (SELECT undoes FROM verdicts WHERE undoes IS NOT NULL) AS undone
FROM verdicts JOIN verdict_flags USING (verdict_id) JOIN flags USING (flag_id)
WHERE undoes IS NULL ORDER BY decided_at_us, verdict_id
""")

Counts = npt.NDArray[np.float64]


def opinions(database: CaseDatabase) -> pd.DataFrame:
    """The last verdict that each reviewer gave on each flag and did not take back.

    Returns:
        One row a flag and reviewer: flag_id, account_id, reviewer, verdict (one of `GRADES`).
    """
    with database.read() as connection:
        given = pd.read_sql_query(_GIVEN, connection)
    last = given.drop_duplicates(["flag_id", "reviewer"], keep="last")
    stands = last["verdict"].isin(GRADES) & ~last["undone"].astype(bool)
    return last.loc[stands, ["flag_id", "account_id", "reviewer", "verdict"]]


def both_judged(given: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The flags on which two reviewers both have an opinion: account_id, first, second."""
    one, other = (
        given.loc[given["reviewer"] == name, ["flag_id", "account_id", "verdict"]]
        for name in (first, second)
    )
    both = one.merge(other[["flag_id", "verdict"]], on="flag_id", suffixes=("", "_second"))
    return both.rename(columns={"verdict": "first", "verdict_second": "second"})


def agreement(given: pd.DataFrame) -> pd.DataFrame:
    """How far each two reviewers agree, those who share the most flags first, five pairs at most.

    Cohen 1960, "A Coefficient of Agreement for Nominal Scales": 1 is full agreement, 0 what
    chance alone would give. Intervals are of accounts drawn anew, since the flags of one are alike.

    Args:
        given: of `opinions`.

    Returns:
        One row a pair with a flag that both judged: first, second, flags, accounts, agree (the
        share of flags with the same verdict), kappa with low and high (of the three grades), and
        worth_kappa (false positive or not); NaN where both always gave one and the same verdict,
        and the interval of fewer than 10 accounts.
    """
    rows = []
    for first, second in combinations(sorted(given["reviewer"].unique()), 2):
        both = both_judged(given, first, second)
        if len(both):
            rows.append([first, second, *_figures(both)])
    names = ["first", "second", "flags", "accounts", "agree", "kappa", "low", "high", "worth_kappa"]
    found = pd.DataFrame(rows, columns=names).sort_values("flags", ascending=False, kind="stable")
    return found.head(MOST_PAIRS).reset_index(drop=True)


def confusion(both: pd.DataFrame) -> Counts:
    """[3, 3] flags by the first reviewer's grade and the second's, in the order of `GRADES`."""
    counts: Counts = _by_account(both).sum(axis=0)
    return counts


def _by_account(both: pd.DataFrame) -> Counts:
    """[A, 3, 3] the same of each account."""
    account, accounts = pd.factorize(both["account_id"])
    grades = pd.Index(GRADES)
    first, second = (grades.get_indexer(pd.Index(both[name])) for name in ("first", "second"))
    counts = np.zeros((len(accounts), len(GRADES), len(GRADES)))
    np.add.at(counts, (account, first, second), 1)
    return counts


def _figures(both: pd.DataFrame) -> list[Any]:
    per_account = _by_account(both)
    counts = per_account.sum(axis=0)
    interval = None
    if len(per_account) >= FEWEST_ACCOUNTS:
        draws = resampled(len(per_account), _RESAMPLES, seed=0)
        interval = interval_of(kappa(np.tensordot(drawn, per_account, 1)) for drawn in draws)
    worth = np.add.reduceat(np.add.reduceat(counts, [0, 2], axis=0), [0, 2], axis=1)
    return [
        len(both), len(per_account), float(np.trace(counts) / counts.sum()), kappa(counts),
        interval.low if interval else np.nan, interval.high if interval else np.nan, kappa(worth),
    ]  # fmt: skip


def kappa(counts: Counts) -> float:
    """Cohen's kappa of a table [G, G] of counts; NaN where only one grade was ever given."""
    given_by_either = counts.sum(axis=0) + counts.sum(axis=1) > 0
    if given_by_either.sum() < 2:
        return float("nan")
    first, second = np.indices(counts.shape).reshape(2, -1)
    return float(cohen_kappa_score(first, second, sample_weight=counts.ravel()))
