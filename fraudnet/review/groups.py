"""Whether the alerts treat groups of customers alike, by a column that the user names."""

from typing import Any

import numpy as np
import pandas as pd

from fraudnet.evaluation.bootstrap import Estimate
from fraudnet.evaluation.fairness import EXPECTED, Group, groups_of
from fraudnet.evaluation.metrics import Floats, Labels, Scored
from fraudnet.evaluation.slices import Grouping, pooled
from fraudnet.review.quality import alert_precision, ends

_RESAMPLES = 200
_RESULT = [
    "group", "transactions", "events", "share", "low", "high", "ratio", "ratio_low", "ratio_high",
    "says",
]  # fmt: skip


def precision_by_group(flags: pd.DataFrame, column: str) -> pd.DataFrame | None:
    """Confirmed frauds among the judged alerts of each group (predictive parity).

    Args:
        flags: of `flags_with_verdicts`.
        column: that came with the transactions.

    Returns:
        One row a group, the largest first: group, transactions (judged alerts), events (confirmed
        frauds), share with low and high (Wilson, a case being one observation), ratio to the
        largest group's with ratio_low and ratio_high (accounts drawn anew), and says: largest,
        alike, differs (outside 0.8 to 1.25, the interval without 1), or too small. Groups of fewer
        than 5 accounts are pooled. None where no judged alert has the column.
    """
    judged = flags[flags["is_alert"] & (flags["is_fraud"] >= 0)]
    grouping = _grouping(judged, column)
    if grouping is None:
        return None
    shares = {}
    for at, value in enumerate(grouping.values):
        (row,) = alert_precision(judged[grouping.code == at]).to_dict("records")
        shares[value] = [row[name] for name in ("precision", "low", "high")]
    groups = _groups(judged, np.ones(len(judged)), judged["is_fraud"].to_numpy(np.int8), grouping)
    rows = [[g, g.transactions, g.frauds, *shares[g.value], "precision"] for g in groups]
    return _told(rows)


def alert_rate_by_group(transactions: pd.DataFrame, column: str) -> pd.DataFrame | None:
    """Alerts among all transactions of each group (demographic parity).

    Args:
        transactions: of `transactions_of`.
        column: that came with them.

    Returns:
        As `precision_by_group`, transactions being all and events the alerts; the interval of the
        share is not given, only that of the ratio. None where no transaction has the column.
    """
    grouping = _grouping(transactions, column)
    if grouping is None:
        return None
    flagged = transactions["flagged"].to_numpy(float)
    unknown = np.zeros(len(flagged), np.int8)  # the rate of alerts asks for no label
    groups = _groups(transactions, flagged, unknown, grouping)
    rows: list[list[Any]] = [
        [
            group, group.transactions,
            round(group.rates["selection_rate"] * group.transactions),
            group.rates["selection_rate"], np.nan, np.nan, "selection_rate",
        ]
        for group in groups
    ]  # fmt: skip
    return _told(rows)


def _grouping(frame: pd.DataFrame, column: str) -> Grouping | None:
    values = frame["columns"].map(lambda columns: columns.get(column))
    code, names = pd.factorize(values.map(str, na_action="ignore"))
    if not len(names):
        return None
    account = pd.factorize(frame["account_id"])[0].astype(np.int64)
    return pooled(column, [str(name) for name in names], code.astype(np.int64), account)


def _groups(
    frame: pd.DataFrame,
    score: Floats,
    is_fraud: Labels,
    grouping: Grouping,
) -> list[Group]:
    account = pd.factorize(frame["account_id"])[0].astype(np.int64)
    scored = Scored(
        score, is_fraud, np.zeros(len(frame), np.int64), account, frame["amount"].to_numpy(float)
    )
    return groups_of(scored, 1.0, grouping, _RESAMPLES, seed=0)


def _told(rows: list[list[Any]]) -> pd.DataFrame:
    told = []
    for at, (group, transactions, events, *share, rate) in enumerate(rows):
        ratio = group.ratios.get(rate)
        says = "largest" if at == 0 else _says(group, rate, ratio)
        told.append([group.value, transactions, events, *share, *ends(ratio), says])
    return pd.DataFrame(told, columns=_RESULT)


def _says(group: Group, rate: str, ratio: Estimate | None) -> str:
    if ratio is None or ratio.interval is None:
        return f"too small (fewer than {EXPECTED} events to be expected)"
    return "differs" if rate in group.unlike else "alike"
