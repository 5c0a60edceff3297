"""Further figures, against scikit-learn and naive counts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from fraudnet.evaluation.daily import DailyAlerts
from fraudnet.evaluation.further import figures_with_intervals, without_reputation
from fraudnet.evaluation.metrics import Scored
from tests.evaluation.made import SCORED, scored


def naive_recall_at_alerts(rows: Scored, k: int) -> float:
    caught = 0
    for day in set(rows.day.tolist()):
        today = np.flatnonzero(rows.day == day)
        for score, label in zip(rows.score[today], rows.is_fraud[today], strict=True):
            as_high = sum(other >= score for other in rows.score[today])
            caught += int(label == 1 and as_high <= k)
    return caught / int(rows.is_fraud.sum())


@given(SCORED, st.integers(1, 12))
def test_recall_at_alerts_a_day_is_the_naive_count(rows: Scored, k: int) -> None:
    alerts = DailyAlerts.of(rows.recoded())
    once = np.ones(int(alerts.account.max()) + 1, np.int64)
    assert alerts.recall(k, once) == pytest.approx(naive_recall_at_alerts(rows, k))


def test_figures_are_scikit_learns() -> None:
    rows = scored(count=2_000, accounts=700)
    fraud = rows.is_fraud == 1
    figures = figures_with_intervals(rows, 0.7, 12.9, 5, 50, 0)
    for name, most in (("partial_auc_fpr_1pct", 0.01), ("partial_auc_fpr_5pct", 0.05)):
        assert figures[name] == pytest.approx(roc_auc_score(fraud, rows.score, max_fpr=most))
    assert figures["recall_at_12_alerts_a_day"] == pytest.approx(naive_recall_at_alerts(rows, 12))
    assert figures["average_precision"] == pytest.approx(average_precision_score(fraud, rows.score))
    bounds = {name for name in figures if name.endswith("_low")}
    assert len(bounds) == 15
    for name in bounds - {"median_hours_to_detection_low"}:  # most are detected at once
        assert figures[name] < figures[name.replace("_low", "_high")]
    assert figures["average_precision_low"] < average_precision_score(fraud, rows.score)


def test_the_same_seed_gives_the_same_figures() -> None:
    rows = scored()
    first = figures_with_intervals(rows, 0.7, 10, 5, 50, 3)
    assert figures_with_intervals(rows, 0.7, 10, 5, 50, 3) == first
    assert figures_with_intervals(rows, 0.7, 10, 5, 50, 4) != first


def test_other_codes_of_the_accounts_change_nothing() -> None:
    rows = scored()
    apart = replace(rows, account=rows.account * 1_000_003)
    assert figures_with_intervals(apart, 0.7, 10, 5, 50, 0) == figures_with_intervals(
        rows, 0.7, 10, 5, 50, 0
    )


def test_every_figure_is_a_number_however_few_accounts_are_defrauded() -> None:
    rows = scored(count=50, accounts=50)
    label = np.zeros(50, np.int8)
    label[0] = 1
    figures = figures_with_intervals(replace(rows, is_fraud=label), 0.7, 0.5, 5, 40, 0)
    assert all(np.isfinite(value) for value in figures.values())
    assert "recall_at_1_alerts_a_day" in figures


def test_every_figure_is_a_number_where_nothing_is_flagged_and_frauds_are_of_no_money() -> None:
    rows = scored()
    figures = figures_with_intervals(
        replace(rows, amount=np.zeros(len(rows.amount))), 2.0, 10, 5, 40, 0
    )
    assert all(np.isfinite(value) for value in figures.values())
    assert figures["precision_at_alert_budget"] == figures["value_recall_at_alert_budget"] == 0
    assert "precision_at_alert_budget_low" not in figures


def test_without_reputation_is_measured_alike() -> None:
    rows = scored()
    found = without_reputation(rows, 0.7, 50, 0)
    fraud = rows.is_fraud == 1
    flagged = rows.score >= 0.7
    further = figures_with_intervals(rows, 0.7, 10, 5, 50, 0)
    expected = {
        "average_precision": average_precision_score(fraud, rows.score),
        "roc_auc": roc_auc_score(fraud, rows.score),
        "recall_at_alert_budget": flagged[fraud].mean(),
        "alerts_per_day": flagged.sum() / 7,
        "recall_at_fpr_1pct": further["recall_at_fpr_1pct"],
    }
    points = {f"{name}_without_reputation": value for name, value in expected.items()}
    assert {name: found[name] for name in points} == pytest.approx(points)
    bounds = found.keys() - points.keys()
    assert len(bounds) == 10
    for name in bounds:
        assert found[name] == further[name.replace("_without_reputation", "")]
