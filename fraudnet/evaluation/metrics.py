"""How well scores find fraud, in the figures that users of fraud systems ask for."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from sklearn.metrics import average_precision_score, roc_auc_score

DAY_US = 86_400_000_000

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Scored:
    """Transactions with their scores and labels, [N] each, in any order.

    Attributes:
        score: the higher, the likelier fraud.
        is_fraud: 1 or 0; -1 is unknown, where that may be.
        timestamp_us: microseconds since 1970, UTC.
        account: codes.
        amount: major units.
    """

    score: Floats
    is_fraud: Labels
    timestamp_us: Ints
    account: Ints
    amount: Floats

    @property
    def day(self) -> Ints:
        """[N] days since 1970, UTC."""
        return self.timestamp_us // DAY_US

    @property
    def days(self) -> int:
        """How many different days there are."""
        return len(np.unique(self.day))

    def recoded(self) -> Self:
        """The same, its accounts 0 .. A - 1."""
        return replace(self, account=np.unique(self.account, return_inverse=True)[1])


@dataclass(frozen=True)
class CardPrecision:
    """Card precision@k, and the best that any scorer could reach."""

    value: float
    ceiling: float


@dataclass(frozen=True)
class DailyCards:
    """The accounts of each day, the worst first.

    Attributes:
        account: codes, 0 .. A - 1, an array a day; an account's score of a day is its highest.
        defrauded: whether it has a fraud that day, as `account`.
    """

    account: list[Ints]
    defrauded: list[npt.NDArray[np.bool_]]

    @classmethod
    def of(cls, scored: Scored) -> Self:
        """Rank the accounts of every day; of equals the lower code comes first."""
        day = scored.day
        ranked, defrauded = [], []
        for today in np.unique(day):
            here = day == today
            account, position = np.unique(scored.account[here], return_inverse=True)
            worst = np.full(len(account), -np.inf)
            np.maximum.at(worst, position, scored.score[here])
            with_fraud = np.zeros(len(account), bool)
            np.logical_or.at(with_fraud, position, scored.is_fraud[here] == 1)
            order = np.argsort(-worst, kind="stable")
            ranked.append(account[order])
            defrauded.append(with_fraud[order])
        return cls(ranked, defrauded)

    def precision(self, k: int, times: Ints) -> float:
        """Share of true frauds among the k accounts that look worst, a day, averaged over the days.

        Accounts caught on an earlier day are left out (Fraud Detection Handbook, chapter 4,
        "Precision top-k metrics", `card_precision_top_k`).

        Args:
            k: how many accounts are looked at a day.
            times: [A] as how many accounts each counts.
        """
        open_ = times.copy()
        precision = []
        for account, defrauded in zip(self.account, self.defrauded, strict=True):
            copies = open_[account]
            before = np.cumsum(copies) - copies
            found = np.clip(k - before, 0, copies) * defrauded
            open_[account] -= found
            precision.append(found.sum() / k)
        return float(np.mean(precision))


def card_precision_at(scored: Scored, k: int) -> CardPrecision:
    """Card precision (`DailyCards.precision`), and the best that any scorer could reach.

    Args:
        scored: the transactions.
        k: how many accounts are looked at a day.
    """
    fraud = scored.is_fraud == 1
    most = _most_caught(scored.account[fraud], scored.day[fraud], k)
    once = np.ones(len(np.unique(scored.account)), np.int64)
    value = DailyCards.of(scored.recoded()).precision(k, once)
    return CardPrecision(value, most / (k * scored.days))


def _most_caught(account: Ints, day: Ints, k: int) -> int:
    """Most accounts that can be caught, each once on a day with a fraud of it, at most k a day.

    Args:
        account: [M] codes of the frauds.
        day: [M] days of the frauds.
        k: how many accounts are looked at a day.
    """
    if not len(account):
        return 0
    (accounts, a), (days, d) = (np.unique(v, return_inverse=True) for v in (account, day))
    # Flow from a source (0) through accounts and days to a sink.
    a, d, sink = a + 1, d + len(accounts) + 1, len(accounts) + len(days) + 1
    tail = np.concatenate([np.zeros_like(accounts), a, np.unique(d)])
    head = np.concatenate([np.unique(a), d, np.full_like(days, sink)])
    edges = np.unique(np.stack([tail, head]), axis=1)
    capacity = np.where(edges[1] == sink, min(k, len(accounts)), 1).astype(np.int32)
    graph = csr_array((capacity, edges), shape=(sink + 1, sink + 1))
    return int(maximum_flow(graph, 0, sink).flow_value)


def figures_of(scored: Scored, threshold: float, card_precision_k: int) -> dict[str, float]:
    """The figures of a period, by name; shares are 0..1.

    Args:
        scored: its labelled transactions; the scores are probabilities.
        threshold: from which on a transaction is flagged.
        card_precision_k: accounts looked at a day.

    Raises:
        ValueError: there is no fraud, or nothing but fraud, among them.
    """
    fraud = scored.is_fraud == 1
    if fraud.all() or not fraud.any():
        raise ValueError("needs both frauds and genuine transactions")
    flagged = scored.score >= threshold
    card = card_precision_at(scored, card_precision_k)
    return {
        "transactions": float(len(fraud)),
        "fraud_share": float(fraud.mean()),
        "average_precision": float(average_precision_score(fraud, scored.score)),
        "roc_auc": float(roc_auc_score(fraud, scored.score)),
        "alerts_per_day": float(flagged.sum() / scored.days),
        "recall_at_alert_budget": float((flagged & fraud).sum() / fraud.sum()),
        "precision_at_alert_budget": float((flagged & fraud).sum() / max(1, flagged.sum())),
        "value_recall_at_alert_budget": float(
            np.abs(scored.amount[flagged & fraud]).sum()
            / max(np.abs(scored.amount[fraud]).sum(), 1e-9)
        ),
        f"card_precision_at_{card_precision_k}": card.value,
        f"card_precision_at_{card_precision_k}_ceiling": card.ceiling,
    }
