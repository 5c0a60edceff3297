"""Draws of accounts, and intervals, against rows that are really drawn several times."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from fraudnet.evaluation.bootstrap import interval_of, resampled
from fraudnet.evaluation.detection import first_detections
from fraudnet.evaluation.further import figures_with_intervals
from fraudnet.evaluation.metrics import Scored, card_precision_at
from tests.evaluation.made import scored, some_of
from tests.evaluation.test_further import naive_recall_at_alerts


def test_as_many_accounts_are_drawn_as_there_are() -> None:
    draws = np.array([*resampled(30, 400, 5)])
    assert draws.shape == (400, 30)
    assert (draws.sum(axis=1) == 30).all()
    # Binomial(30, 1/30): mean 1, variance 29/30.
    assert draws.mean() == 1.0
    assert draws.var() == pytest.approx(29 / 30, rel=0.05)
    assert np.array_equal(draws, [*resampled(30, 400, 5)])
    assert not np.array_equal(draws, [*resampled(30, 400, 6)])


def test_the_interval_leaves_two_and_a_half_per_cent_out_at_each_end() -> None:
    values = np.random.default_rng(0).permutation(1001) / 1000
    found = interval_of(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    with_gaps = np.append(values, np.full(900, np.nan))
    assert interval_of(with_gaps) == found


@pytest.mark.parametrize("values", [[], [np.nan], [0.5, np.nan], [0.1, np.nan, np.nan]])
def test_there_is_none_of_what_is_mostly_undefined(values: list[float]) -> None:
    assert interval_of(values) is None


def naive_values(given: Scored, threshold: float, seed: int) -> dict[str, list[float]]:
    """Each draw's rows are put together one by one, an account's as often as it is drawn."""
    accounts = np.unique(given.account)
    values: dict[str, list[float]] = {}
    for draw in resampled(len(accounts), 50, seed):
        rows = [
            np.flatnonzero(given.account == account)
            for account, times in zip(accounts, draw, strict=True)
            for _ in range(times)
        ]
        drawn = some_of(given, np.concatenate(rows))
        # An account that is drawn twice is two.
        drawn = replace(
            drawn, account=np.repeat(np.arange(len(rows)), [len(each) for each in rows])
        )
        flagged, fraud = drawn.score >= threshold, drawn.is_fraud == 1
        found = {
            "average_precision": average_precision_score(fraud, drawn.score),
            "roc_auc": roc_auc_score(fraud, drawn.score),
            "partial_auc_fpr_1pct": roc_auc_score(fraud, drawn.score, max_fpr=0.01),
            "partial_auc_fpr_5pct": roc_auc_score(fraud, drawn.score, max_fpr=0.05),
            "recall_at_alert_budget": recall_score(fraud, flagged),
            "precision_at_alert_budget": precision_score(fraud, flagged),
            "value_recall_at_alert_budget": np.average(flagged, weights=fraud * drawn.amount),
            "alerts_per_day": flagged.sum() / given.days,
            "recall_at_10_alerts_a_day": naive_recall_at_alerts(drawn, 10),
            "card_precision_at_3": card_precision_at(drawn, 3).value,
            **first_detections(drawn, threshold).figures(),
        }
        for name, value in found.items():
            values.setdefault(name, []).append(float(value))
    return values


@pytest.mark.parametrize("accounts", [3, 40])
def test_intervals_are_those_of_duplicated_rows(accounts: int) -> None:
    given = scored(seed=2, count=400, accounts=accounts)
    figures = figures_with_intervals(given, 0.7, 10, 3, 50, 9)
    naive = naive_values(given, 0.7, 9)
    assert naive.pop("compromised_accounts")
    assert {f"{name}_low" for name in naive} | {"recall_at_fpr_1pct_low"} == {
        name for name in figures if name.endswith("_low")
    }
    for name, values in naive.items():
        low, high = np.quantile(values, [0.025, 0.975])
        assert figures[f"{name}_low"] == pytest.approx(low), name
        assert figures[f"{name}_high"] == pytest.approx(high), name


def test_rows_of_one_account_are_not_independent() -> None:
    """With each row thrice on the account the interval stays; with thrice the accounts it shrinks.

    Independent rows would make both narrower.
    """
    given = scored(seed=4, count=600, accounts=60)
    thrice = np.tile(np.arange(600), 3)
    same = some_of(given, thrice)
    more = Scored(
        same.score, same.is_fraud, same.timestamp_us,
        same.account + np.repeat([0, 100, 200], 600), same.amount,
    )  # fmt: skip

    def width(rows: Scored) -> float:
        figures = figures_with_intervals(rows, 0.7, 10, 3, 300, 1)
        return figures["recall_at_alert_budget_high"] - figures["recall_at_alert_budget_low"]

    assert width(same) == pytest.approx(width(given))
    assert width(more) < 0.75 * width(given)
