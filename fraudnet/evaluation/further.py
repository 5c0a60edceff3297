"""Figures of a period beyond the first ones: low false positive rates, detection, intervals."""

from collections.abc import Callable

import numpy as np

from fraudnet.evaluation.bootstrap import bounds, resampled
from fraudnet.evaluation.curve import Curve, Ranking
from fraudnet.evaluation.daily import DailyAlerts
from fraudnet.evaluation.detection import first_detections
from fraudnet.evaluation.metrics import DailyCards, Ints, Scored, figures_of
from fraudnet.evaluation.slices import Grouping, counts_of, rates

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

Measure = Callable[[Ints], dict[str, float]]
"""Figures by name where each account is there as often as [A] says; NaN, or left out, where they
are not defined."""


def figures_with_intervals(
    scored: Scored,
    threshold: float,
    alerts_per_day: float,
    accounts_per_day: int,
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """The first figures (`figures_of`) and the further ones of a period, by name.

    `NAME_low` and `NAME_high` are a 95 % interval over accounts, of all but counts, the share of
    fraud and the ceiling of card precision.

    Args:
        scored: its labelled transactions.
        threshold: from which score on a transaction is flagged.
        alerts_per_day: how many of a day's transactions can be looked at, at least 1.
        accounts_per_day: how many of its accounts can be, for card precision.
        resamples: of the accounts.
        seed: of the draws.

    Raises:
        ValueError: there is no fraud, or nothing but fraud, among them.
    """
    first = figures_of(scored, threshold, accounts_per_day)
    scored = scored.recoded()
    k = max(1, int(alerts_per_day))
    ranking, at_threshold = Ranking.of(scored), _at_threshold(scored, threshold)
    alerts, cards = DailyAlerts.of(scored), DailyCards.of(scored)
    detections = first_detections(scored, threshold)

    def measured(times: Ints) -> dict[str, float]:
        return {
            **ranking_figures(ranking.curve(times)),
            f"recall_at_{k}_alerts_a_day": alerts.recall(k, times),
            **detections.means(times[detections.account]),
            **at_threshold(times),
            f"card_precision_at_{accounts_per_day}": cards.precision(accounts_per_day, times),
        }

    # The first figures are 0 where a rate of nothing is not defined.
    further = {n: v for n, v in measured(_once(scored)).items() if n not in first}
    count = {"compromised_accounts": float(len(detections.account))}
    return first | further | count | _intervals(measured, scored, resamples, seed)


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
    scored = scored.recoded()
    ranking, at_threshold = Ranking.of(scored), _at_threshold(scored, threshold)

    def measured(times: Ints) -> dict[str, float]:
        return ranking_figures(ranking.curve(times)) | at_threshold(times)

    found = measured(_once(scored)) | _intervals(measured, scored, resamples, seed)
    return {
        f"{name}_without_reputation{end}": found[f"{name}{end}"]
        for name in WITHOUT_REPUTATION
        for end in ("", "_low", "_high")
        if f"{name}{end}" in found
    }


def ranking_figures(curve: Curve) -> dict[str, float]:
    """What a ranking is worth, by name; nothing without both frauds and genuine transactions."""
    if not curve.defined:
        return {}
    return {
        "average_precision": curve.average_precision(),
        "roc_auc": curve.roc_auc(),
        "partial_auc_fpr_1pct": curve.partial_auc(0.01),
        "partial_auc_fpr_5pct": curve.partial_auc(0.05),
        "recall_at_fpr_1pct": curve.recall_at(0.01),
    }


def _at_threshold(scored: Scored, threshold: float) -> Measure:
    whole = Grouping("period", ("all",), np.zeros(len(scored.score), np.int64))
    counts, flagged = counts_of(scored, threshold, whole), scored.score >= threshold
    alerts = np.bincount(scored.account[flagged], minlength=len(_once(scored)))

    def measured(times: Ints) -> dict[str, float]:
        found = rates(counts(times))
        at_budget = {figure: float(found[name].item()) for name, figure in AT_BUDGET.items()}
        return {"alerts_per_day": float(times @ alerts / scored.days), **at_budget}

    return measured


def _intervals(measured: Measure, scored: Scored, resamples: int, seed: int) -> dict[str, float]:
    draws = resampled(len(_once(scored)), resamples, seed)
    return bounds(measured(times) for times in draws)


def _once(scored: Scored) -> Ints:
    return np.ones(int(scored.account.max()) + 1, np.int64)
