"""Figures of a period beyond the first ones: low false positive rates, detection, intervals."""

import numpy as np

from fraudnet.evaluation.bootstrap import interval_of, resampled
from fraudnet.evaluation.curve import Curve, Ranking
from fraudnet.evaluation.detection import first_detections
from fraudnet.evaluation.metrics import Scored
from fraudnet.evaluation.slices import Grouping, rates_of

AT_BUDGET = {
    "recall": "recall_at_alert_budget",
    "precision": "precision_at_alert_budget",
    "value_recall": "value_recall_at_alert_budget",
}
"""Rates at the threshold, by their names among a period's figures."""

WITHOUT_REPUTATION = (
    "average_precision", "roc_auc", "recall_at_fpr_1pct", "recall_at_alert_budget",
    "alerts_per_day",
)  # fmt: skip
"""What is measured without the reputation of counterparties, too."""


def further_figures(
    scored: Scored, threshold: float, alerts_per_day: float, resamples: int, seed: int
) -> dict[str, float]:
    """Figures of a period, by name; `NAME_low` and `NAME_high` are a 95 % interval over accounts.

    Args:
        scored: its labelled transactions, frauds and genuine ones among them.
        threshold: from which score on a transaction is flagged.
        alerts_per_day: how many of a day's transactions can be looked at, at least 1.
        resamples: of the accounts.
        seed: of the draws.
    """
    k = max(1, int(alerts_per_day))
    figures = ranking_figures(_ranking(scored).curve())
    del figures["average_precision"], figures["roc_auc"]  # among the first figures
    figures |= {f"recall_at_{k}_alerts_a_day": recall_at_alerts(scored, k)}
    figures |= first_detections(scored, threshold).figures()
    return figures | _intervals(scored, threshold, resamples, seed)


def ranking_figures(curve: Curve) -> dict[str, float]:
    """What a ranking is worth, by name."""
    return {
        "average_precision": curve.average_precision(),
        "roc_auc": curve.roc_auc(),
        "partial_auc_fpr_1pct": curve.partial_auc(0.01),
        "partial_auc_fpr_5pct": curve.partial_auc(0.05),
        "recall_at_fpr_1pct": curve.recall_at(0.01),
    }


def recall_at_alerts(scored: Scored, k: int) -> float:
    """Share of the frauds among the k highest scores of each day; ties are left out whole.

    Args:
        scored: the transactions.
        k: how many are looked at a day.
    """
    order = np.lexsort([-scored.score, scored.day])
    day, score = scored.day[order], scored.score[order]
    begins = np.append(True, day[1:] != day[:-1])
    ends = np.append(begins[1:] | (score[1:] != score[:-1]), True)
    position = np.arange(len(day))
    rank = position - np.maximum.accumulate(np.where(begins, position, 0))
    # The rank of the last row with the same day and score.
    last = rank[np.flatnonzero(ends)][np.cumsum(ends) - ends]
    fraud = scored.is_fraud[order] == 1
    return float((fraud & (last < k)).sum() / fraud.sum())


def without_reputation(
    scored: Scored, threshold: float, resamples: int, seed: int
) -> dict[str, float]:
    """The figures of the same rows, scored without knowledge of counterparties.

    Args:
        scored: with the scores that the network gives where every count is unknown.
        threshold: the same as with them.
        resamples: of the accounts.
        seed: of the draws.
    """
    flagged = scored.score >= threshold
    found = ranking_figures(_ranking(scored).curve()) | {
        "recall_at_alert_budget": float(flagged[scored.is_fraud == 1].mean()),
        "alerts_per_day": float(flagged.sum() / scored.days),
    }
    found |= _intervals(scored, threshold, resamples, seed)
    return {
        f"{name}_without_reputation{end}": found[f"{name}{end}"]
        for name in WITHOUT_REPUTATION
        for end in ("", "_low", "_high")
        if f"{name}{end}" in found
    }


def _intervals(scored: Scored, threshold: float, resamples: int, seed: int) -> dict[str, float]:
    ranking = _ranking(scored)
    accounts = int(ranking.account.max()) + 1
    draws = (ranking.curve(each) for each in resampled(accounts, resamples, seed))
    again = [ranking_figures(each) for each in draws if each.defined]
    values = {name: np.array([each[name] for each in again]) for name in again[0]} if again else {}
    rates = rates_of(scored, threshold, _whole(scored), resamples, seed)
    values |= {figure: rates.resampled[name][:, 0] for name, figure in AT_BUDGET.items()}
    found: dict[str, float] = {}
    for name, each in values.items():
        if interval := interval_of(each):
            found |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return found


def _ranking(scored: Scored) -> Ranking:
    return Ranking.of(scored, np.unique(scored.account, return_inverse=True)[1])


def _whole(scored: Scored) -> Grouping:
    return Grouping("period", ("all",), np.zeros(len(scored.score), np.int64))
