"""Where the Handbook's folds lie: tests, the training before them, the trials before the tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.handbook_task import Column, Mask, Trial
from fraudnet.errors import InputError
from fraudnet.transactions.reading import Transactions
from fraudnet.windows import prequential
from fraudnet.windows.histories import Histories
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import Period, microseconds
from fraudnet.windows.prequential import prequential_folds, rows_to_test

DAY = timedelta(days=1)
WEEK = 7 * DAY  # of the last part of training, of the delay and of the test
FOLDS = (1, 2, 3, 4)
TRIALS = 3  # as many as the published file has room for with 90 days of training
PUBLISHED_TEST_END = datetime(2018, 9, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Fold:
    """Training that ends with day s + 6, a delay of a week, a test of a week.

    Attributes:
        number: 1 to 4, the latest first.
        training_days: length of the training period.
        latest_test_end: end of the test of fold 1.
    """

    number: int
    training_days: int
    latest_test_end: datetime = PUBLISHED_TEST_END

    @property
    def start(self) -> datetime:
        """Day s."""
        return self.training.end - WEEK

    @property
    def training(self) -> Period:
        """Days up to s + 6."""
        return self._periods.training

    @property
    def test(self) -> Period:
        """Days s + 14 to s + 20."""
        return self._periods.test

    @property
    def _periods(self) -> prequential.Fold:
        days = WEEK / DAY
        folds = prequential_folds(self.latest_test_end, len(FOLDS), self.training_days, days, days)
        return folds[self.number - 1]


def latest_test_end(transactions: Transactions, folds: Sequence[Fold]) -> datetime:
    """Where the latest test ends: the published date where the file holds the folds' dates.

    Else the end of the file's last day, so that the same folds lie at the end of any file.

    Args:
        transactions: of which the span is taken.
        folds: at the published dates.

    Raises:
        InputError: the span is too short for the folds.
    """
    first = transactions.report.first_timestamp
    last = transactions.report.last_timestamp
    begin = min(fold.training.begin for fold in folds)
    end = max(fold.test.end for fold in folds)
    if first is None or last is None:
        raise InputError(f"{transactions.report.source}: holds no transaction")
    if first < begin + DAY and last >= end - DAY:
        return PUBLISHED_TEST_END
    own_end = last.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    own_begin = own_end - (PUBLISHED_TEST_END - begin)
    if first >= own_begin + DAY:
        raise InputError(
            f"{transactions.report.source}: holds the days {first:%Y-%m-%d} to {last:%Y-%m-%d}; "
            f"these folds need {begin:%Y-%m-%d} to {end - DAY:%Y-%m-%d}, or at the end of the file "
            f"{own_begin:%Y-%m-%d} to {own_end - DAY:%Y-%m-%d}; give a file with those, or choose "
            "other folds or fewer training days"
        )
    return own_end


def rows_of(histories: Histories, fold: Fold) -> tuple[KnownRows, Mask]:
    """Training rows and [N] test rows of a fold, both with frauds and genuine ones.

    Raises:
        InputError: one of the periods lacks frauds or genuine transactions.
    """
    training = known_rows(histories, fold.training, known_by=fold.test.begin)
    test = rows_to_score(histories, fold)
    for mask, what, period in (
        (training.rows, "training", fold.training),
        (test, "test, customers with a known fraud left out,", fold.test),
    ):
        if not _both(histories.is_fraud[mask]):
            missing = "genuine" if (histories.is_fraud[mask] == 1).any() else "fraud"
            raise InputError(
                f"fold {fold.number}: no transaction of its {what} ({period}) is labelled "
                f"{missing}; choose other folds, or give a file with such transactions"
            )
    return training, test


def rows_to_score(histories: Histories, fold: Fold) -> Mask:
    """[N] the labelled rows of the test week, without customers that are known to be defrauded.

    A fraud is known seven days late: on test day k those of days s to s + 6 + k are.
    """
    return rows_to_test(histories, fold.test, compromised_since=fold.start)


def trials_of(
    histories: Histories, training_days: int, latest_test_end: datetime
) -> tuple[Trial, ...]:
    """Folds to tune on, all before the earliest test, whichever of the four folds are measured.

    The Handbook's (chapter 5, "Model selection"): the folds again, earlier by delay and test. The
    last validation week is the last week that the earliest fold trains on, whose labels have
    arrived when its test begins.

    Args:
        histories: N rows.
        training_days: length of each training period.
        latest_test_end: end of the test of fold 1.

    Returns:
        Those of three that begin within the histories and hold both frauds and genuine
        transactions, the latest first; failing all, the latest with a training period cut short,
        or none.
    """
    earliest = Fold(max(FOLDS), training_days, latest_test_end)
    days = WEEK / DAY
    folds = prequential_folds(earliest.training.end, TRIALS, training_days, days, days)
    first = int(histories.timestamp_us.min())
    whole = [fold for fold in folds if first < microseconds(fold.training.begin + DAY)]
    trials = [_trial(histories, fold, earliest.test.begin) for fold in whole or folds[:1]]
    return tuple(
        trial
        for trial in trials
        if _both(trial.training.is_fraud) and _both(trial.validation.is_fraud)
    )


def _trial(histories: Histories, fold: prequential.Fold, known_by: datetime) -> Trial:
    training = known_rows(histories, fold.training, known_by=fold.test.begin)
    known = known_rows(histories, fold.test, known_by)
    unseen = rows_to_test(known.histories, fold.test, compromised_since=fold.training.end - WEEK)
    return Trial(histories, training, KnownRows(known.histories, unseen, fold.test, known_by))


def _both(is_fraud: Column) -> bool:
    return len(np.unique(is_fraud)) > 1
