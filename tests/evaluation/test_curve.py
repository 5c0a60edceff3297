"""The curve of ranked rows, against scikit-learn and a naive loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from fraudnet.evaluation.curve import Curve, Ranking
from fraudnet.evaluation.metrics import Scored
from tests.evaluation.made import SCORED, scored


def ranking_of(given: Scored) -> Ranking:
    return Ranking.of(given)


def naive_recall_at(given: Scored, most: float) -> float:
    fraud = given.is_fraud == 1
    best = 0.0
    for threshold in set(given.score.tolist()):
        flagged = given.score >= threshold
        if (flagged & ~fraud).sum() / (~fraud).sum() <= most:
            best = max(best, float((flagged & fraud).sum() / fraud.sum()))
    return best


@given(SCORED)
def test_it_is_scikit_learns(given: Scored) -> None:
    curve = ranking_of(given).curve()
    fraud = given.is_fraud == 1
    assert curve.average_precision() == pytest.approx(average_precision_score(fraud, given.score))
    assert curve.roc_auc() == pytest.approx(roc_auc_score(fraud, given.score))


@given(SCORED, st.sampled_from([0.01, 0.05, 0.3, 0.99]))
def test_the_partial_area_is_scikit_learns(given: Scored, most: float) -> None:
    expected = roc_auc_score(given.is_fraud == 1, given.score, max_fpr=most)
    assert ranking_of(given).curve().partial_auc(most) == pytest.approx(expected)


@given(SCORED, st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0]))
def test_recall_is_the_highest_within_the_false_positive_rate(given: Scored, most: float) -> None:
    found = ranking_of(given).curve().recall_at(most)
    assert found == pytest.approx(naive_recall_at(given, most))


@given(SCORED, st.integers(0, 10_000))
def test_weights_are_scikit_learns_sample_weights(given: Scored, seed: int) -> None:
    weight = np.random.default_rng(seed).integers(0, 4, int(given.account.max()) + 1)
    curve = ranking_of(given).curve(weight)
    own, fraud = weight[given.account], given.is_fraud == 1
    assert curve.defined == (own[fraud].any() and own[~fraud].any())
    if not curve.defined:
        return
    assert curve.average_precision() == pytest.approx(
        average_precision_score(fraud, given.score, sample_weight=own)
    )
    assert curve.roc_auc() == pytest.approx(roc_auc_score(fraud, given.score, sample_weight=own))
    assert curve.partial_auc(0.05) == pytest.approx(
        roc_auc_score(fraud, given.score, sample_weight=own, max_fpr=0.05)
    )


def test_few_thresholds_are_kept_however_many_scores_there_are() -> None:
    given = scored(count=5_000, levels=10**6)
    ranking = ranking_of(given)
    frauds = int(given.is_fraud.sum())
    assert frauds < len(np.unique(given.score)) / 3
    assert len(ranking.ends) <= 2 * frauds + 1


def test_a_curve_by_hand() -> None:
    # Flagged one by one: fraud, genuine, fraud, genuine.
    curve = Curve(np.array([1.0, 1.0, 2.0, 2.0]), np.array([0.0, 1.0, 1.0, 2.0]))
    assert curve.average_precision() == pytest.approx((1 + 2 / 3) / 2)
    assert curve.roc_auc() == pytest.approx(0.75)
    assert curve.recall_at(0.49) == 0.5
    assert curve.recall_at(0.5) == 1.0
