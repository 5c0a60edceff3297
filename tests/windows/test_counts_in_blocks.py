"""Counts where blocks are cut, keys packed and counts capped, against loops over all pairs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.windows import parallel
from fraudnet.windows.histories import build_histories
from fraudnet.windows.parallel import block_by_block, even_edges
from fraudnet.windows.reputation import counts_as_of, reputation_counts, sorted_order
from fraudnet.windows.specification import FeatureSpecification, Reputation
from tests.windows.tables import DAY_US, DELAYS, SOME_ROWS, Row, known_us, table_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Refresh = Literal["day", "transaction"]

YEAR_US = 365 * DAY_US
MOST = 65_535
PACKED_US = 2**62  # keys stand side by side up to here

WINDOWS = st.lists(st.sampled_from([1, 2, 7, 30, 3650]), unique=True, max_size=3).map(
    lambda windows: tuple(sorted(windows))
)
REFRESH: st.SearchStrategy[Refresh] = st.sampled_from(["day", "transaction"])
BLOCKS = st.integers(1, 7)
# Up to 100,000 years, of which no two keys are packed into one block.
MOMENTS = st.builds(
    lambda years, quarters, us: years * YEAR_US + quarters * DAY_US // 4 + us,
    st.sampled_from([0, 0, 0, 1, 10, 290, 9_000, 100_000]),
    st.integers(0, 24),
    st.sampled_from([0, 0, 0, -1, 1]),
)
# A label that is known before its row happened is refused where it is read, but counted right.
LATER = st.sampled_from(
    [0, 0, 1, DAY_US // 4, DAY_US, 30 * DAY_US, 80 * YEAR_US, -1, -DAY_US, -7 * DAY_US]
)


@dataclass(frozen=True)
class Happened:
    """Events: [N] each."""

    key: Ints
    time: Ints
    known: Ints
    label: npt.NDArray[np.int8]


@st.composite
def happened(draw: st.DrawFn, first: int) -> Happened:
    """Events whose codes are counted from the first; where that is 0, some have none (-1)."""
    none = [-1] if first == 0 else []
    keys = st.sampled_from([*none, *(first + each for each in (0, 0, 0, 1, 2, 5, 40))])
    events = st.tuples(keys, MOMENTS, LATER, st.sampled_from([-1, 0, 1, 1]))
    table = np.array(draw(st.lists(events, max_size=25)), np.int64).reshape(-1, 4)
    key, time, later, label = np.ascontiguousarray(table.T)
    if draw(st.booleans()):
        later = np.full_like(later, draw(LATER))
    return Happened(key, time, time + later, label.astype(np.int8))


FIRST = st.sampled_from([0, 2**40])
HAPPENED = FIRST.flatmap(happened)


@contextmanager
def blocks_of(rows: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BLOCK_ROWS", rows)
        yield


def counted(specification: Reputation, events: Happened, order: Ints | None = None) -> Floats:
    moments = events.key, events.time, events.known, events.label
    return reputation_counts(specification, *moments, order).of(np.arange(len(events.key)))


def looped(
    windows: tuple[int, ...],
    asked: tuple[Ints, Ints],
    events: tuple[Ints, Ints, npt.NDArray[np.int8]],
    *,
    itself: bool = False,
) -> list[list[int]]:
    """Counts of the events for every key and moment asked for, by comparing each with each."""
    found = []
    known = list(zip(*(values.tolist() for values in events), strict=True))
    for i, (key, now) in enumerate(zip(*(values.tolist() for values in asked), strict=True)):
        counts = []
        for days in windows:
            labels = [
                label
                for j, (other, since, label) in enumerate(known)
                if other == key and 0 <= now - since < days * DAY_US and not (itself and i == j)
            ]
            counts += [min(len(labels), MOST), min(labels.count(1), MOST)]
        found.append([-1] * len(counts) if itself and key < 0 else counts)
    return found


def midnight(time: Ints, refresh: Refresh) -> Ints:
    return time // DAY_US * DAY_US if refresh == "day" else time


def test_blocks_are_cut_as_the_module_says_when_it_is_asked() -> None:
    for rows, edges in ((3, [0, 3, 6, 9, 10]), (5, [0, 5, 10]), (10, [0, 10]), (11, [0, 10])):
        with blocks_of(rows):
            assert even_edges(10) == edges
            assert even_edges(0) == [0]


def test_counts_are_made_in_blocks_of_few_rows_and_of_as_many_keys_as_can_be_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut: list[int] = []

    def noted(work: object, edges: list[int]) -> None:
        cut.extend(edges)
        block_by_block(work, edges)  # type: ignore[arg-type]

    monkeypatch.setattr("fraudnet.windows.reputation.block_by_block", noted)
    key = np.repeat(np.arange(3000), 2)
    for years, rows, keys in ((0, 2500, 3000), (300, 2500, 487), (9_000, 7, 16), (60_000, 50, 2)):
        time = np.tile([0, years * YEAR_US], 3000)
        cut.clear()
        with blocks_of(rows):
            counted(
                Reputation(episode_days="none", windows_days=(1,)),
                Happened(key, time, time, key.astype(np.int8)),
            )
        assert cut[0] == 0
        assert cut[-1] == len(key)
        sizes = [end - begin for begin, end in pairwise(cut)]
        assert min(sizes) > 0
        assert max(sizes) <= rows
        held = [key[end - 1] - key[begin] + 1 for begin, end in pairwise(cut)]
        assert max(held) == min(keys, rows // 2 + rows % 2)
        assert years == 0 or keys <= PACKED_US / (years * YEAR_US) < keys + 1


@settings(deadline=None, max_examples=200)
@given(HAPPENED, WINDOWS, REFRESH, BLOCKS)
def test_counts_of_rows_same_as_a_loop(
    events: Happened, windows: tuple[int, ...], refresh: Refresh, rows: int
) -> None:
    specification = Reputation(episode_days="none", windows_days=windows, refresh=refresh)
    with blocks_of(rows):
        found = counted(specification, events)
    asked = events.key, midnight(events.time, refresh)
    known = events.key, events.known, events.label
    assert found.dtype == np.float32
    assert found.shape == (len(events.key), 2 * len(windows))
    assert found.tolist() == looped(windows, asked, known, itself=True)


@settings(deadline=None, max_examples=100)
@given(HAPPENED, WINDOWS, REFRESH, BLOCKS, st.randoms(use_true_random=False))
def test_an_order_that_is_known_and_counts_of_some_rows(
    events: Happened, windows: tuple[int, ...], refresh: Refresh, rows: int, random: Random
) -> None:
    specification = Reputation(episode_days="none", windows_days=windows, refresh=refresh)
    asked = events.key, midnight(events.time, refresh)
    known = events.key, events.known, events.label
    expected = np.array(looped(windows, asked, known, itself=True))
    expected = expected.reshape(len(events.key), 2 * len(windows))
    moments = events.key, events.time, events.known, events.label
    with blocks_of(rows):
        found = reputation_counts(specification, *moments, np.lexsort((events.time, events.key)))
    count = len(events.key)
    some = [random.randrange(count) for _ in range(random.randrange(2 * count))] if count else []
    assert np.array_equal(found.of(np.array(some, np.int64)), expected[some])


@settings(deadline=None, max_examples=200)
@given(FIRST.flatmap(lambda first: st.tuples(happened(first), happened(first))), WINDOWS, BLOCKS)
def test_counts_as_of_any_moment_same_as_a_loop(
    drawn: tuple[Happened, Happened], windows: tuple[int, ...], rows: int
) -> None:
    events, asked = drawn
    questions = asked.key, asked.known
    known = events.key, events.known, events.label
    with blocks_of(rows):
        found = counts_as_of(
            Reputation(episode_days="none", windows_days=windows), *questions, known
        )
    assert found.dtype == np.float32
    assert found.shape == (len(asked.key), 2 * len(windows))
    assert found.tolist() == looped(windows, questions, known)


def by_pairs(windows: tuple[int, ...], asked: Happened, refresh: Refresh) -> Floats:
    """As `looped`, all pairs in one matrix; of rows themselves."""
    age = midnight(asked.time, refresh)[:, None] - asked.known
    same = (asked.key[:, None] == asked.key) & ~np.eye(len(asked.key), dtype=bool)
    columns = []
    for days in windows:
        seen = same & (age >= 0) & (age < days * DAY_US)
        columns += [seen.sum(1), (seen & (asked.label == 1)).sum(1)]
    counts: Floats = np.stack(columns, axis=1).astype(np.float32)
    counts[asked.key < 0] = -1
    return counts


@pytest.mark.parametrize("refresh", ["day", "transaction"])
@pytest.mark.parametrize(
    ("keys", "years"),
    [(1, 0), (1, 9_000), (40, 1), (40, 60_000), (1500, 0), (1500, 300), (1500, 9_000)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_many_keys_and_hot_keys_over_centuries(
    keys: int, years: int, refresh: Refresh, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    count = 2000
    key = np.where(rng.random(count) < 0.3, 3, rng.integers(-1, keys, count))
    quarters = rng.integers(0, 4 * 60, count) + 4 * 365 * rng.choice([0, years], count)
    time = quarters * (DAY_US // 4) + rng.choice([0, 0, -1, 1], count)
    if seed:  # labels arrive in another order
        later = rng.integers(0, 80, count) * DAY_US // 4
        later[rng.random(count) < 0.05] = 40 * YEAR_US
    else:
        later = np.full(count, 7 * DAY_US)
    events = Happened(key, time, time + later, rng.integers(-1, 2, count).astype(np.int8))
    windows = (1, 30, 3650)
    specification = Reputation(episode_days="none", windows_days=windows, refresh=refresh)
    expected = by_pairs(windows, events, refresh)
    assert len(np.unique(expected)) > 10
    for rows in (7, 200, 1 << 14):
        with blocks_of(rows):
            found = counted(specification, events)
        assert np.array_equal(found, expected)


def test_no_rows_no_counts() -> None:
    none = np.empty(0, np.int64)
    for windows in ((), (1, 7)):
        specification = Reputation(episode_days="none", windows_days=windows)
        for found in (
            counted(specification, Happened(none, none, none, none.astype(np.int8))),
            counts_as_of(specification, none, none, (none, none, none.astype(np.int8))),
        ):
            assert found.dtype == np.float32
            assert found.shape == (0, 2 * len(windows))


BUSY = 70_000


@pytest.mark.parametrize("refresh", ["day", "transaction"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_count_stops_at_65_535(refresh: Refresh, shuffled: bool) -> None:
    second = np.arange(BUSY) * 2
    if shuffled:
        np.random.default_rng(2).shuffle(second)
    time, label = second * 1_000_000, (second % 3 == 0).astype(np.int8)
    known = time + 10_000_000
    specification = Reputation(episode_days="none", windows_days=(1, 7), refresh=refresh)
    found = counted(specification, Happened(np.zeros(BUSY, np.int64), time, known, label))
    # Of the seconds 0, 2, 4, ... those up to ten seconds before, and of these every third.
    until = midnight(time, refresh) // 1_000_000 - 10
    expected = []
    for seconds in (86_400, 7 * 86_400):
        since = np.maximum(until - seconds, -1)
        until = np.maximum(until, -1)
        expected += [np.minimum(until // step - since // step, MOST) for step in (2, 6)]
    assert np.array_equal(found, np.stack(expected, axis=1))
    assert (found[:, 2] == MOST).sum() == (0 if refresh == "day" else BUSY - MOST - 4)


def test_frauds_stop_at_65_535_too_and_other_keys_are_left_alone() -> None:
    key = np.repeat([0, 1, 2], [10, BUSY, 10])
    known, label = np.arange(len(key)), np.ones(len(key), np.int8)
    asked = np.array([0, 1, 2]), np.full(3, 10 * DAY_US)
    for rows in (1, 7, 1 << 14):
        with blocks_of(rows):
            found = counts_as_of(
                Reputation(episode_days="none", windows_days=(7, 30)), *asked, (key, known, label)
            )
        assert found.tolist() == [[0, 0, 10, 10], [0, 0, MOST, MOST], [0, 0, 10, 10]]


def test_a_row_is_taken_off_before_the_count_is_stopped() -> None:
    time, label = np.full(BUSY, 10), np.ones(BUSY, np.int8)
    specification = Reputation(episode_days="none", windows_days=(1,), refresh="transaction")
    found = counted(specification, Happened(np.zeros(BUSY, np.int64), time, time, label))
    assert np.unique(found).tolist() == [MOST]


@settings(deadline=None, max_examples=100)
@given(SOME_ROWS, DELAYS, BLOCKS, st.data())
def test_histories_in_blocks_hold_what_the_source_says(
    rows: list[Row], milli_days: int, block: int, data: st.DataObject
) -> None:
    amounts = st.sampled_from([0.0, 1e9, -1e9, 0.01, 123_456_789.12])
    rows = [row._replace(amount=data.draw(amounts)) for row in rows]
    specification = FeatureSpecification(
        reputation=Reputation(episode_days="none", refresh="transaction")
    )
    with blocks_of(block):
        histories = build_histories(table_of(rows), specification, milli_days / 1000)
    first = {row.account: at for at, row in reversed(list(enumerate(rows)))}
    order = sorted(
        range(len(rows)), key=lambda at: (first[rows[at].account], rows[at].timestamp_us, at)
    )
    assert histories.source_row.tolist() == order
    placed = [rows[at] for at in order]
    known = [known_us(row, milli_days * 86_400_000) for row in placed]
    assert histories.timestamp_us.tolist() == [row.timestamp_us for row in placed]
    assert histories.known_us.tolist() == known
    assert histories.amount.tolist() == [row.amount for row in placed]
    assert histories.is_fraud.tolist() == [
        -1 if row.is_fraud is None else row.is_fraud for row in placed
    ]
    names: dict[str, int] = {}
    for row in rows:
        if row.counterparty is not None:
            names.setdefault(row.counterparty, len(names))
    codes = [-1 if row.counterparty is None else names[row.counterparty] for row in placed]
    assert histories.counterparty.tolist() == codes
    key, now = np.array(codes, np.int64), histories.timestamp_us
    counts = looped((1, 7, 30), (key, now), (key, np.array(known), histories.is_fraud), itself=True)
    entries = [i.name for i in specification.inputs if i.kind == "reputation"]
    found = np.stack([histories.columns[name] for name in entries], axis=1)
    assert found.tolist() == counts


KEYS = st.builds(
    lambda bits, least, part: least + part * (2**bits - 1) // 16,
    st.sampled_from([0, 1, 3, 8, 15, 16, 17, 20, 31, 32, 33, 40, 48, 52]),
    st.sampled_from([0, -1, -(2**20), 2**40]),
    st.integers(0, 16),
)


@settings(deadline=None, max_examples=250)
@given(st.lists(st.tuples(KEYS, st.integers(-3, 3)), max_size=30), st.booleans())
def test_rows_are_sorted_by_key_then_time_and_ties_stay(
    rows: list[tuple[int, int]], in_time: bool
) -> None:
    if in_time:
        rows = sorted(rows, key=lambda row: row[1])
    key, time = np.array(rows, np.int64).reshape(-1, 2).T
    expected = sorted(range(len(rows)), key=lambda at: (rows[at], at))
    order = sorted_order(key, time)
    assert order.tolist() == expected == np.lexsort((time, key)).tolist()
    assert np.issubdtype(order.dtype, np.integer)


@pytest.mark.parametrize("in_time", [False, True])
@pytest.mark.parametrize("least", [0, -1, -(2**33), 2**40])
@pytest.mark.parametrize(
    "keys", [1, 2, 2**16 - 1, 2**16, 2**16 + 1, 2**20, 2**32, 2**32 + 1, 2**40, 2**48]
)
def test_keys_of_one_two_and_three_digits(keys: int, least: int, in_time: bool) -> None:
    rng = np.random.default_rng(keys % 1000)
    some = np.append(rng.integers(0, keys, 300), [0, keys - 1])  # each several times
    key = least + rng.choice(some, 5000)
    time = rng.integers(-20, 20, len(key))
    if in_time:
        time.sort()
    assert np.array_equal(sorted_order(key, time), np.lexsort((time, key)))


def test_a_code_far_from_the_others_that_is_no_counterparty() -> None:
    key = np.array([2**40, -1, 2**40, -1])
    assert sorted_order(key, np.array([2, 1, 0, 1])).tolist() == [1, 3, 2, 0]
