"""Prequential folds: training, a delay in which labels arrive, a test; then all of it earlier.

Gama et al. 2013, "On evaluating stream learning algorithms"; for fraud the Fraud Detection
Handbook, chapter 5, "Validation strategies".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from fraudnet.windows.histories import Histories
from fraudnet.windows.periods import Period, labelled_rows, microseconds

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Fold:
    """One fold.

    Attributes:
        number: from 1, the latest.
        training: the period learnt from.
        test: the period measured on, a label delay after it.
    """

    number: int
    training: Period
    test: Period


def prequential_folds(
    end: datetime, count: int, training_days: float, delay_days: float, test_days: float
) -> list[Fold]:
    """Folds whose tests follow each other without a gap, the latest first.

    Args:
        end: of the latest test.
        count: of folds.
        training_days: length of each training period.
        delay_days: between training and test.
        test_days: length of each test period.
    """
    folds = []
    for number in range(1, count + 1):
        begin = end - number * timedelta(days=test_days)
        training_end = begin - timedelta(days=delay_days)
        folds.append(
            Fold(
                number,
                Period(training_end - timedelta(days=training_days), training_end),
                Period(begin, begin + timedelta(days=test_days)),
            )
        )
    return folds


def rows_to_test(
    histories: Histories, test: Period, compromised_since: datetime | None = None
) -> npt.NDArray[np.bool_]:
    """[N] the labelled rows of a test, without accounts that are known to be compromised.

    An account is left out on a day if a fraud on it, of `compromised_since` or later, was known
    before that day began: nobody needs to be told of it, and it would make the test easy (the
    Handbook, chapter 5, removes the "known compromised cards").

    Args:
        histories: N rows.
        test: the period.
        compromised_since: frauds before are forgotten; None: no account is left out.
    """
    rows = labelled_rows(histories, test)
    if compromised_since is None:
        return rows
    counted = (histories.is_fraud == 1) & (
        histories.timestamp_us >= microseconds(compromised_since)
    )
    known = np.full(len(histories.offsets) - 1, np.iinfo(np.int64).max)
    np.minimum.at(known, histories.account[counted], histories.known_us[counted])
    day_us = DAY // timedelta(microseconds=1)
    begin = microseconds(test.begin)
    day_begin = histories.timestamp_us - (histories.timestamp_us - begin) % day_us
    fresh: npt.NDArray[np.bool_] = known[histories.account] >= day_begin
    return rows & fresh
