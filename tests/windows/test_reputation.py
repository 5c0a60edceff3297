from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.windows.histories import build_histories
from fraudnet.windows.reputation import counts_as_of, known_times_us
from fraudnet.windows.specification import FeatureSpecification, Reputation
from tests.windows.tables import DAY_US, DELAYS, ROWS, SOME_ROWS, TIMES, Row, known_us, table_of

WINDOWS = st.lists(st.integers(1, 9), unique=True, max_size=3).map(lambda w: tuple(sorted(w)))
Counts = list[list[int]]


def counted(
    rows: list[Row],
    windows: tuple[int, ...],
    milli_days: int,
    refresh: Literal["day", "transaction"] = "transaction",
) -> Counts:
    """Counts of each row, in the order of the source, as the network gets them."""
    reputation = Reputation(episode_days="none", windows_days=windows, refresh=refresh)
    specification = FeatureSpecification(reputation=reputation)
    histories = build_histories(table_of(rows), specification, milli_days / 1000)
    names = [f"counterparty_{what}_{days}d" for days in windows for what in ("count", "fraud")]
    result: Counts = [[] for _ in rows]
    for at, source in enumerate(histories.source_row):
        result[source] = [int(histories.columns[name][at]) for name in names]
    return result


def naive(
    rows: list[Row], windows: tuple[int, ...], milli_days: int, refresh: str = "transaction"
) -> Counts:
    delay_us = milli_days * 86_400_000
    result = []
    for i, row in enumerate(rows):
        since_midnight = row.timestamp_us % DAY_US if refresh == "day" else 0
        counts = []
        for days in windows:
            count = fraud = 0
            for j, other in enumerate(rows):
                age = row.timestamp_us - since_midnight - known_us(other, delay_us)
                same = other.counterparty == row.counterparty and j != i
                if same and 0 <= age < days * DAY_US:
                    count += 1
                    fraud += other.is_fraud == 1
            counts += [-1, -1] if row.counterparty is None else [count, fraud]
        result.append(counts)
    return result


@settings(deadline=None, max_examples=250)
@given(ROWS, WINDOWS, DELAYS)
def test_same_as_a_loop_over_all_pairs_of_rows(
    rows: list[Row], windows: tuple[int, ...], milli_days: int
) -> None:
    assert counted(rows, windows, milli_days) == naive(rows, windows, milli_days)


@settings(deadline=None, max_examples=250)
@given(ROWS, WINDOWS, DELAYS)
def test_as_of_midnight_where_refreshed_daily(
    rows: list[Row], windows: tuple[int, ...], milli_days: int
) -> None:
    assert counted(rows, windows, milli_days, "day") == naive(rows, windows, milli_days, "day")


def test_same_as_a_loop_where_counterparties_are_busy() -> None:
    rng = np.random.default_rng(3)
    rows = [
        Row(
            account=f"a{rng.integers(30)}",
            timestamp_us=int(rng.integers(40 * 24)) * DAY_US // 24,
            counterparty=f"m{rng.integers(4)}",
            is_fraud=[0, 1, None][rng.integers(3)],
        )
        for _ in range(400)
    ]
    assert counted(rows, (1, 7, 30), 7000) == naive(rows, (1, 7, 30), 7000)


@pytest.mark.parametrize("milli_days", [0, 43, 7000])
def test_ends_of_a_window_to_the_microsecond(milli_days: int) -> None:
    fraud = Row("a", 5, is_fraud=1)
    known = 5 + milli_days * 86_400_000
    for asked, seen in [(-1, 0), (0, 1), (DAY_US - 1, 1), (DAY_US, 0)]:
        rows = [fraud, Row("b", known + asked)]
        assert counted(rows, (1,), milli_days)[1] == [seen, seen]


@settings(deadline=None)
@given(SOME_ROWS, DELAYS, st.data())
def test_amount_account_category_and_number_are_of_no_account(
    rows: list[Row], milli_days: int, data: st.DataObject
) -> None:
    accounts = data.draw(st.lists(st.sampled_from("xyz"), min_size=len(rows), max_size=len(rows)))
    changed = [
        row._replace(account=account, amount=9.0, category="q", distance=None)
        for row, account in zip(rows, accounts, strict=True)
    ]
    assert counted(rows, (1, 7), milli_days) == counted(changed, (1, 7), milli_days)


@settings(deadline=None, max_examples=200)
@given(SOME_ROWS, DELAYS, st.data())
def test_a_label_changes_nothing_until_it_is_known(
    rows: list[Row], milli_days: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    label = data.draw(st.sampled_from([0, 1, None]))
    known = known_us(rows[at], milli_days * 86_400_000)
    changed = [*rows[:at], rows[at]._replace(is_fraud=label), *rows[at + 1 :]]
    before, after = counted(rows, (1, 7), milli_days), counted(changed, (1, 7), milli_days)
    assert before[at] == after[at]
    for row, one, other in zip(rows, before, after, strict=True):
        assert one[0::2] == other[0::2]
        if row.timestamp_us < known:
            assert one == other


@settings(deadline=None, max_examples=200)
@given(SOME_ROWS, DELAYS, st.booleans(), st.data())
def test_what_comes_later_changes_no_earlier_count(
    rows: list[Row], milli_days: int, deleted: bool, data: st.DataObject
) -> None:
    moment = data.draw(st.sampled_from([row.timestamp_us for row in rows]) | TIMES)
    labels = data.draw(
        st.lists(st.sampled_from([0, 1, None]), min_size=len(rows), max_size=len(rows))
    )
    changed = [
        row if row.timestamp_us <= moment else row._replace(is_fraud=label)
        for row, label in zip(rows, labels, strict=True)
        if row.timestamp_us <= moment or not deleted
    ]

    def up_to_then(of: list[Row]) -> Counts:
        counts = counted(of, (1, 7), milli_days)
        return [c for row, c in zip(of, counts, strict=True) if row.timestamp_us <= moment]

    assert up_to_then(rows) == up_to_then(changed)


def test_a_row_does_not_count_itself_though_its_label_is_known_at_once() -> None:
    alone = [Row("a", 5, is_fraud=1)]
    assert counted(alone, (1, 7), 0) == [[0, 0, 0, 0]]
    assert counted([alone[0]._replace(label_time_us=5)], (1, 7), 7000) == [[0, 0, 0, 0]]
    known_before = Row("a", 5 * DAY_US, is_fraud=1, label_time_us=3 * DAY_US)
    assert counted([known_before], (1, 7), 7000) == [[0, 0, 0, 0]]
    twins = [Row("a", 5, is_fraud=1), Row("b", 5, is_fraud=0)]
    assert counted(twins, (1,), 0) == [[1, 0], [1, 1]]


def test_without_counterparty_the_counts_are_unknown_and_no_one_elses() -> None:
    rows = [Row("a", 1, None, is_fraud=1), Row("b", 2, None), Row("a", 3, "m"), Row("b", 4, "m")]
    assert counted(rows, (1,), 0) == [[-1, -1], [-1, -1], [0, 0], [1, 0]]


KEYED = st.lists(st.tuples(st.integers(0, 3), TIMES, st.sampled_from([-1, 0, 1])), max_size=25)


@settings(deadline=None)
@given(KEYED, st.lists(st.tuples(st.integers(0, 5), TIMES), max_size=8), WINDOWS)
def test_counts_as_of_any_moment_same_as_a_loop(
    events: list[tuple[int, int, int]], asked: list[tuple[int, int]], windows: tuple[int, ...]
) -> None:
    event_key, known, label = np.array(events, np.int64).reshape(-1, 3).T
    key, as_of_us = np.array(asked, np.int64).reshape(-1, 2).T
    specification = Reputation(episode_days="none", windows_days=windows)
    found = counts_as_of(specification, key, as_of_us, (event_key, known, label.astype(np.int8)))
    expected = [
        [
            sum(
                k == of and 0 <= at - us < days * DAY_US and (what == "count" or fraud == 1)
                for of, us, fraud in events
            )
            for days in windows
            for what in ("count", "fraud")
        ]
        for k, at in asked
    ]
    assert found.dtype == np.float32
    assert found.tolist() == expected
    assert found.shape == (len(asked), len(specification.columns))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**52), st.just(-1) | st.integers(0, 2**52))), DELAYS)
def test_a_label_is_known_at_its_own_time_else_after_the_delay(
    times: list[tuple[int, int]], milli_days: int
) -> None:
    timestamp, label_time = np.array(times, np.int64).reshape(-1, 2).T
    delayed = [t + milli_days * 86_400_000 for t, _ in times]
    assert known_times_us(timestamp, None, milli_days / 1000).tolist() == delayed
    assert known_times_us(timestamp, label_time, milli_days / 1000).tolist() == [
        late if own < 0 else own for late, (_, own) in zip(delayed, times, strict=True)
    ]
