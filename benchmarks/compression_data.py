"""Transactions to compress a network on: training, validation and test of a fold, in time."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.handbook_folds import PUBLISHED_TEST_END
from fraudnet.errors import InputError
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import ReadOptions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import KnownRows, Mask, known_rows
from fraudnet.windows.periods import Period
from fraudnet.windows.prequential import prequential_folds, rows_to_test
from fraudnet.windows.specification import FeatureSpecification, Reputation

DAY = timedelta(days=1)
DELAY_DAYS = TEST_DAYS = 7
COMPROMISED_SINCE = (DELAY_DAYS + TEST_DAYS) * DAY
"""Before a test: whose fraud is known since then is left out of it, as the Handbook does."""


@dataclass(frozen=True)
class Source:
    """All transactions, and where the latest test ends.

    Attributes:
        place: where they come from, for errors.
        histories: of them.
        end: of the latest test.
        fingerprint: of them.
    """

    place: str
    histories: Histories
    end: datetime
    fingerprint: str


@dataclass(frozen=True)
class Fold:
    """What is learnt from, what choices are made by, and what is measured on.

    Attributes:
        histories: of all transactions.
        training: rows to fit on, with the labels known when the validation begins.
        validation: rows of the week that ends a label delay before the test.
        test: [N] rows to score; the Handbook's test week of this number.
    """

    histories: Histories
    training: KnownRows
    validation: KnownRows
    test: Mask


def load_source(data: Path | None) -> Source:
    """The Handbook's file, or simulated transactions.

    Raises:
        InputError: the file cannot be used.
    """
    place, table, end = _table(data)
    features = FeatureSpecification(reputation=Reputation(refresh="transaction"))
    return Source(place, build_histories(table, features, DELAY_DAYS), end, fingerprint(table))


def fold_of(source: Source, number: int, training_days: int, every: int) -> Fold:
    """Training, a delay of a week, a week of validation, another delay, a week of test.

    Args:
        source: the transactions.
        number: of the fold, 1 the latest; the tests are the Handbook's.
        training_days: length of the training period.
        every: only every so many of the accounts is learnt from and scored.

    Raises:
        InputError: the days are not there, or a period lacks frauds or genuine transactions.
    """
    histories = source.histories
    # The fold whose test is the validation's week: two weeks earlier.
    earlier = number + (DELAY_DAYS + TEST_DAYS) // TEST_DAYS
    folds = prequential_folds(source.end, earlier, training_days, DELAY_DAYS, TEST_DAYS)
    test, before = folds[number - 1].test, folds[earlier - 1]
    _refuse_absent(source, Period(before.training.begin, test.end))
    chosen = histories.account % every == 0
    training = known_rows(histories, before.training, known_by=before.test.begin)
    known = known_rows(histories, before.test, known_by=test.begin)
    since = before.test.begin - COMPROMISED_SINCE
    unseen = rows_to_test(known.histories, before.test, since)
    fold = Fold(
        histories,
        replace(training, rows=training.rows & chosen),
        replace(known, rows=unseen & chosen),
        rows_to_test(histories, test, test.begin - COMPROMISED_SINCE) & chosen,
    )
    for name, labels in (
        ("learn from", fold.training.is_fraud),
        ("validate on", fold.validation.is_fraud),
        ("test on", histories.is_fraud[fold.test]),
    ):
        if len(np.unique(labels)) < 2:
            raise InputError(
                f"{source.place}: the transactions to {name} hold no fraud or no genuine one; use "
                "more of the accounts"
            )
    return fold


def _refuse_absent(source: Source, needed: Period) -> None:
    moments = source.histories.timestamp_us
    first, last = (
        datetime.fromtimestamp(int(moment) / 1e6, UTC) for moment in (moments.min(), moments.max())
    )
    if first >= needed.begin + DAY or last < needed.end - DAY:
        raise InputError(
            f"{source.place}: holds the days {first:%Y-%m-%d} to {last:%Y-%m-%d}, needed are "
            f"{needed.begin:%Y-%m-%d} to {needed.end - DAY:%Y-%m-%d}; give a file with those, or "
            "fewer training days"
        )


def _table(data: Path | None) -> tuple[str, pa.Table, datetime]:
    if data is None:
        config = SimulatorConfig()
        end = datetime.combine(config.start, datetime.min.time(), UTC)
        return "simulated", simulate(config), end + config.days * DAY
    read = read_transactions(data, load_recipe("handbook"), ReadOptions(require_labels=True))
    return str(data), read.table, PUBLISHED_TEST_END
