"""Folds and rows to test, against loops over days and accounts."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import known_rows
from fraudnet.windows.periods import Period
from fraudnet.windows.prequential import prequential_folds, rows_to_test
from fraudnet.windows.specification import FeatureSpecification
from tests.windows.tables import DAY_US, Row, known_us, table_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLI_DAY_US = DAY_US // 1000


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def us_of(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1)


# Ten days in quarters, and a microsecond beside them: ties with the beginnings of days.
TIMES = st.builds(
    lambda quarters, us: DAY_US + quarters * DAY_US // 4 + us,
    st.integers(0, 40),
    st.sampled_from([0, 0, 0, -1, 1]),
)


@st.composite
def _rows(draw: st.DrawFn) -> Row:
    timestamp_us = draw(TIMES)
    later = draw(st.none() | st.integers(0, 24))
    return Row(
        account=draw(st.sampled_from("abc")),
        timestamp_us=timestamp_us,
        is_fraud=draw(st.sampled_from([0, 0, 1, 1, None])),
        label_time_us=None if later is None else timestamp_us + later * DAY_US // 4,
    )


ROWS = st.lists(_rows(), min_size=1, max_size=30)
DELAYS = st.sampled_from([0, 43, 250, 1000, 3000])  # thousandths of a day
THOUSANDTHS = st.integers(1, 8000)
SINCE = st.none() | st.just(0) | TIMES


def built(rows: list[Row], milli_days: int) -> Histories:
    specification = FeatureSpecification(reputation=None)
    return build_histories(table_of(rows), specification, milli_days / 1000)


def looped(
    rows: list[Row], begin: int, end: int, since: int | None, delay_us: int
) -> set[tuple[int, int]]:
    """Day of the test and number of every row that is tested."""
    found = set()
    for day, first in enumerate(range(begin, end, DAY_US)):
        last = min(first + DAY_US, end)
        for account in {row.account for row in rows}:
            own = [(at, row) for at, row in enumerate(rows) if row.account == account]
            compromised = since is not None and any(
                row.is_fraud == 1 and row.timestamp_us >= since and known_us(row, delay_us) < first
                for _, row in own
            )
            for at, row in own:
                if first <= row.timestamp_us < last and row.is_fraud is not None:
                    found |= set() if compromised else {(day, at)}
    return found


@settings(deadline=None, max_examples=250)
@given(ROWS, DELAYS, TIMES, st.integers(1, 8).map(lambda days: days * 1000) | THOUSANDTHS, SINCE)
def test_rows_to_test_same_as_a_loop_over_days_and_accounts(
    rows: list[Row], milli_days: int, begin: int, length: int, since: int | None
) -> None:
    histories = built(rows, milli_days)
    end = begin + length * MILLI_DAY_US
    period = Period(moment(begin), moment(end))
    compromised_since = None if since is None else moment(since)
    tested = rows_to_test(histories, period, compromised_since)
    assert tested.dtype == np.bool_
    found = {
        ((rows[at].timestamp_us - begin) // DAY_US, at)
        for at in histories.source_row[tested].tolist()
    }
    assert found == looped(rows, begin, end, since, milli_days * MILLI_DAY_US)


@pytest.mark.parametrize("hour", [0, 1, 23])
@pytest.mark.parametrize(
    ("known", "tested"), [(-1, False), (0, True), (1, True)], ids=["before", "at", "after"]
)
def test_a_fraud_is_known_if_its_label_arrived_before_the_day_began(
    known: int, tested: bool, hour: int
) -> None:
    """Days are those of the test, which may begin at any hour."""
    happened, begin = 30 * DAY_US, 40 * DAY_US + hour * DAY_US // 24
    day = begin + 3 * DAY_US
    rows = [
        Row("a", happened, is_fraud=1, label_time_us=day + known),
        *(Row("a", at, is_fraud=0) for at in (day - 1, day, day + DAY_US - 1, day + DAY_US)),
        Row("b", day, is_fraud=0),
        Row("b", day),
    ]
    histories = built(rows, 7000)
    period = Period(moment(begin), moment(begin + 7 * DAY_US))

    def found(since: datetime | None) -> list[int]:
        return sorted(histories.source_row[rows_to_test(histories, period, since)].tolist())

    assert found(moment(happened)) == [1, *([2, 3] if tested else []), 5]
    for since in (None, moment(happened + 1)):
        assert found(since) == [1, 2, 3, 4, 5]


FRACTIONS = st.integers(1, 40).map(lambda days: days * 1000) | st.integers(1, 9_999)


@settings(deadline=None, max_examples=250)
@given(
    st.integers(60 * 365 * 1000, 80 * 365 * 1000),
    st.integers(0, 7),
    FRACTIONS,
    st.just(0) | FRACTIONS,
    FRACTIONS,
)
def test_folds_same_as_a_walk_back_in_time(
    end: int, count: int, training: int, delay: int, test: int
) -> None:
    """All lengths in thousandths of a day."""
    days = (training / 1000, delay / 1000, test / 1000)
    folds = prequential_folds(moment(end * MILLI_DAY_US), count, *days)
    expected = []
    test_end = end
    for number in range(1, count + 1):
        test_begin = test_end - test
        trained = test_begin - delay
        expected.append((number, trained - training, trained, test_begin, test_end))
        test_end = test_begin
    assert [
        (
            fold.number,
            *(
                us_of(each) / MILLI_DAY_US
                for period in (fold.training, fold.test)
                for each in (period.begin, period.end)
            ),
        )
        for fold in folds
    ] == expected
    for fold in folds:
        assert fold.training.end <= fold.test.begin
        assert fold.test.begin - fold.training.end == timedelta(days=delay / 1000)
    for later, earlier in pairwise(folds):
        assert earlier.test.end == later.test.begin


@settings(deadline=None, max_examples=150)
@given(ROWS, DELAYS, st.integers(1, 5), st.integers(1, 8), st.integers(1, 3), st.booleans())
def test_each_row_is_tested_in_one_fold_and_learnt_from_in_none_that_tests_it(
    rows: list[Row], milli_days: int, count: int, training: int, test: int, first: bool
) -> None:
    histories = built(rows, milli_days)
    delay_us = milli_days * MILLI_DAY_US
    end = 11 * DAY_US
    folds = prequential_folds(moment(end), count, training, milli_days / 1000, test)
    times = np.zeros(len(rows), int)
    for fold in folds:
        tested = rows_to_test(histories, fold.test)
        learnt = known_rows(histories, fold.training, fold.test.begin)
        assert not (tested & learnt.rows).any()
        begin = us_of(fold.test.begin)
        for at in histories.source_row[learnt.rows].tolist():
            assert known_us(rows[at], delay_us) <= begin
            assert rows[at].timestamp_us < begin - delay_us
        fresh = rows_to_test(histories, fold.test, fold.training.begin if first else moment(0))
        assert not (fresh & ~tested).any()
        times += tested
    inside = [
        end - count * test * DAY_US <= row.timestamp_us < end and row.is_fraud is not None
        for row in rows
    ]
    assert times.tolist() == [inside[at] for at in histories.source_row.tolist()]
