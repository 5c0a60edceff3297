from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.configuration import parse_section
from fraudnet.errors import InputError
from fraudnet.windows.histories import build_histories
from fraudnet.windows.labels import known_rows
from fraudnet.windows.periods import (
    Period,
    Split,
    SplitConfig,
    labelled_rows,
    microseconds,
    split_by_time,
)
from fraudnet.windows.specification import FeatureSpecification
from tests.windows.tables import DAY_US, SOME_ROWS, TIMES, Row, known_us, table_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.lists(TIMES, min_size=1, max_size=20)
DAYS = st.integers(1, 12)
CONFIGS = st.builds(
    SplitConfig,
    label_delay_days=st.integers(0, 5),
    training_days=st.none() | DAYS,
    validation_days=DAYS,
    test_days=DAYS,
)


def in_days(split: Split) -> list[float]:
    """Begin and end of training, validation and test, in days since 1970."""
    periods = (split.training, split.validation, split.test)
    ends = (moment for period in periods for moment in (period.begin, period.end))
    return [(moment - EPOCH) / timedelta(days=1) for moment in ends]


@settings(deadline=None, max_examples=300)
@given(MOMENTS, CONFIGS)
def test_periods_are_whole_days_counted_from_the_end(
    moments: list[int], config: SplitConfig
) -> None:
    first, last = min(moments) // DAY_US, max(moments) // DAY_US + 1
    test = last - config.test_days
    validated = test - config.label_delay_days
    validation = validated - config.validation_days
    trained = validation - config.label_delay_days
    if trained - first < 1:
        with pytest.raises(InputError, match="shorten"):
            split_by_time(np.array(moments), config)
    else:
        split = split_by_time(np.array(moments), config)
        begin = first if config.training_days is None else trained - config.training_days
        assert in_days(split) == [max(first, begin), trained, validation, validated, test, last]
        assert split.training.days == trained - max(first, begin)
        assert (split.validation.days, split.test.days) == (
            config.validation_days,
            config.test_days,
        )


@settings(deadline=None)
@given(MOMENTS, CONFIGS)
def test_a_moment_is_in_one_period_unless_before_them_or_in_a_delay(
    moments: list[int], config: SplitConfig
) -> None:
    moments = [*moments, max(moments) + 30 * DAY_US]
    times = np.array(moments)
    try:
        split = split_by_time(times, config)
    except InputError:
        return
    member = [p.contains(times) for p in (split.training, split.validation, split.test)]
    begin, trained, validation, validated, test, _ = (int(day) * DAY_US for day in in_days(split))
    for at, moment in enumerate(moments):
        held = sum(bool(each[at]) for each in member)
        delayed = trained <= moment < validation or validated <= moment < test
        assert held == (0 if moment < begin or delayed else 1)


def test_parts_of_days_are_counted_too() -> None:
    config = SplitConfig(label_delay_days=0.25, validation_days=0.5, test_days=1.5)
    split = split_by_time(np.array([DAY_US, 5 * DAY_US]), config)
    assert in_days(split) == [1, 3.5, 3.75, 4.25, 4.5, 6]


def test_too_short_a_span_says_what_it_needs() -> None:
    config = SplitConfig(label_delay_days=2, validation_days=3.5, test_days=1)
    message = r"the data span 9 days, the split needs 9\.5: shorten split\.label_delay_days"
    with pytest.raises(InputError, match=message):
        split_by_time(np.array([0, 8 * DAY_US]), config)
    split_by_time(np.array([0, 9 * DAY_US]), config)
    config = SplitConfig(label_delay_days=0, validation_days=3.5, test_days=1)
    with pytest.raises(InputError, match=r"shorten split\.validation_days or split\.test_days,"):
        split_by_time(np.array([0]), config)


@pytest.mark.parametrize("days", [0.1, 1, 3650])
def test_any_days_that_are_allowed_end_in_one_line(days: float) -> None:
    config = SplitConfig(label_delay_days=days, validation_days=days, test_days=days)
    with pytest.raises(InputError, match="the data span 1 days"):
        split_by_time(np.array([3]), config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("test_days", 0),
        ("validation_days", -1),
        ("label_delay_days", -0.5),
        ("test_days", 1e6),
        ("label_delay_days", 1e300),
        ("validation_days", float("inf")),
    ],
)
def test_days_that_cannot_be_are_refused(key: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"split: key '{key}': .*, got "):
        parse_section(SplitConfig, {key: value}, "split")


@settings(deadline=None)
@given(TIMES, st.integers(1, 3 * DAY_US), st.sampled_from([-1, 0, 1]))
def test_a_period_holds_its_begin_and_not_its_end(begin: int, length: int, off: int) -> None:
    period = Period(
        EPOCH + timedelta(microseconds=begin), EPOCH + timedelta(microseconds=begin + length)
    )
    times = np.array([begin + off, begin + length + off, begin + length // 2])
    assert period.contains(times).tolist() == [
        begin <= moment < begin + length for moment in times.tolist()
    ]
    assert microseconds(period.begin) == begin
    assert period.days == pytest.approx(length / DAY_US)


def test_a_period_is_shown_by_its_ends() -> None:
    period = Period(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, 12, tzinfo=UTC))
    assert str(period) == "2025-01-01 00:00 .. 2025-02-01 12:00"


@settings(deadline=None)
@given(SOME_ROWS, TIMES, TIMES, st.none() | TIMES)
def test_labelled_rows_are_in_the_period_and_carry_a_label_known_by_then(
    rows: list[Row], one: int, other: int, known_by: int | None
) -> None:
    histories = build_histories(table_of(rows), FeatureSpecification(), 7.0)
    begin, end = sorted((one, other))
    period = Period(EPOCH + timedelta(microseconds=begin), EPOCH + timedelta(microseconds=end))
    moment = None if known_by is None else EPOCH + timedelta(microseconds=known_by)
    if moment is None:
        chosen = labelled_rows(histories, period)
    else:
        chosen = known_rows(histories, period, moment).rows
    assert {int(source) for source in histories.source_row[chosen]} == {
        at
        for at, row in enumerate(rows)
        if row.is_fraud is not None and begin <= row.timestamp_us < end
        if known_by is None or known_us(row, 7 * DAY_US) <= known_by
    }
