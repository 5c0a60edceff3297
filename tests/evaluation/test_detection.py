"""Time to first detection, against a loop over the accounts."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.evaluation.detection import first_detections
from fraudnet.evaluation.metrics import Scored
from tests.evaluation.made import SCORED, scored


def naive(rows: Scored, threshold: float) -> list[tuple[float, int, float]]:
    frauds = defaultdict(list)
    for at in range(len(rows.score)):
        if rows.is_fraud[at]:
            frauds[rows.account[at]].append(
                (
                    rows.timestamp_us[at],
                    rows.score[at] >= np.float32(threshold),
                    abs(rows.amount[at]),
                )
            )
    found = []
    for account in sorted(frauds):
        own = sorted(frauds[account])
        noticed = [moment for moment, flagged, _ in own if flagged]
        before = [money for moment, _, money in own if not noticed or moment < noticed[0]]
        hours = (noticed[0] - own[0][0]) / 3.6e9 if noticed else math.nan
        found.append((hours, len(before), sum(before)))
    return found


@given(SCORED, st.sampled_from([0.0, 0.3, 0.6, 0.9, 2.0]))
def test_it_is_the_loop(rows: Scored, threshold: float) -> None:
    found = first_detections(rows, threshold)
    hours, frauds, money = (np.array(each) for each in zip(*naive(rows, threshold), strict=True))
    np.testing.assert_allclose(found.hours, hours)
    np.testing.assert_array_equal(found.frauds_before, frauds)
    np.testing.assert_allclose(found.money_before, money)


def test_an_example_by_hand() -> None:
    hour = 3_600_000_000
    rows = Scored(
        score=np.array([0.1, 0.9, 0.9, 0.2, 0.1, 0.95], np.float32),
        is_fraud=np.array([1, 1, 1, 1, 0, 0], np.int8),
        timestamp_us=np.array([5, 8, 9, 1, 2, 0]) * hour,
        account=np.array([7, 7, 7, 3, 3, 7]),
        amount=np.array([-10.0, 20.0, 40.0, 5.0, 1.0, 1.0]),
    )
    assert first_detections(rows, 0.5).figures() == {
        "compromised_accounts": 2,
        "never_detected_share": 0.5,
        "median_hours_to_detection": 3.0,
        "mean_frauds_before_detection": 1.0,
        "mean_money_lost_before_detection": 7.5,
    }


def test_no_median_is_made_up_where_none_is_detected() -> None:
    figures = first_detections(scored(), 2.0).figures()
    assert figures["never_detected_share"] == 1.0
    assert "median_hours_to_detection" not in figures
    assert first_detections(scored(), 0.0).figures()["median_hours_to_detection"] == 0.0


def test_all_money_is_lost_where_none_is_detected() -> None:
    rows = scored()
    found = first_detections(rows, 2.0)
    assert found.money_before.sum() == pytest.approx(rows.amount[rows.is_fraud == 1].sum())
    assert found.frauds_before.sum() == rows.is_fraud.sum()
