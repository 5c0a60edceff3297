"""When a counterparty's known frauds began and ended, against a loop over all its events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.windows.reputation import counts_as_of
from fraudnet.windows.specification import EPISODE, Reputation
from tests.windows.tables import DAY_US
from tests.windows.test_counts_in_blocks import (
    BLOCKS,
    FIRST,
    HAPPENED,
    REFRESH,
    Happened,
    Refresh,
    blocks_of,
    counted,
    happened,
    midnight,
)

HOUR_US = 3_600_000_000
EPISODES = st.sampled_from([1, 7, 35])


def dated(events: list[tuple[int, int]], now: int, days: int) -> list[int]:
    """The columns of events (time known, label) in their order, as of a moment."""

    def hours_left(times: list[int]) -> list[int]:
        return [-((now - since - days * DAY_US) // HOUR_US) for since in times]

    seen = [(since, label) for since, label in events if 0 <= now - since < days * DAY_US]
    frauds = [since for since, label in seen if label == 1]
    genuine = [since for since, label in seen if label != 1]
    run: list[int] = []
    for since, label in reversed(seen):
        if label != 1:
            break
        run.insert(0, since)
    found = [each[0] if each else 0 for each in map(hours_left, (genuine[-1:], frauds[-1:]))]
    found += [each[0] if each else 0 for each in map(hours_left, (frauds[:1], run[:1]))]
    return [*found, len(run)]


def in_order(events: Happened, key: int) -> list[tuple[int, int, int]]:
    """(time known, label, row) of a key's events, as they became known."""
    rows = [i for i in np.argsort(events.time, kind="stable").tolist() if events.key[i] == key]
    later = events.known - events.time
    if len(set(later.tolist())) > 1:
        rows.sort()
    rows.sort(key=lambda i: int(events.known[i]))
    return [(int(events.known[i]), int(events.label[i]), i) for i in rows]


@settings(deadline=None, max_examples=300)
@given(HAPPENED, EPISODES, REFRESH, BLOCKS)
def test_episodes_of_rows_same_as_a_loop(
    events: Happened, days: int, refresh: Refresh, rows: int
) -> None:
    specification = Reputation(windows_days=(), episode_days=days, refresh=refresh)
    with blocks_of(rows):
        found = counted(specification, events)
    expected = []
    for i, now in enumerate(midnight(events.time, refresh).tolist()):
        own = int(events.known[i])
        # Of a row whose own label is known already, what was known before that label.
        before = [
            (since, label)
            for since, label, _ in in_order(events, int(events.key[i]))
            if own > now or since < own
        ]
        expected.append(dated(before, now, days) if events.key[i] >= 0 else [-1] * len(EPISODE))
    assert found.tolist() == expected


@settings(deadline=None, max_examples=200)
@given(FIRST.flatmap(lambda first: st.tuples(happened(first), happened(first))), EPISODES, BLOCKS)
def test_episodes_as_of_any_moment_same_as_a_loop(
    drawn: tuple[Happened, Happened], days: int, rows: int
) -> None:
    events, asked = drawn
    known = events.key, events.known, events.label
    specification = Reputation(windows_days=(7,), episode_days=days)
    with blocks_of(rows):
        found = counts_as_of(specification, asked.key, asked.known, known)[:, 2:]
    expected = []
    for key, now in zip(asked.key.tolist(), asked.known.tolist(), strict=True):
        own = [i for i in range(len(events.key)) if events.key[i] == key]
        own.sort(key=lambda i: int(events.known[i]))
        expected.append(
            dated([(int(events.known[i]), int(events.label[i])) for i in own], now, days)
        )
    assert found.tolist() == expected


def test_a_compromise_of_a_week_is_dated() -> None:
    """Genuine on day 0, fraud on days 1 to 7, genuine again on day 8; each known at once."""
    known = np.arange(9) * DAY_US
    label = np.array([0, 1, 1, 1, 1, 1, 1, 1, 0], np.int8)
    asked = np.array([0, 1, 5, 7, 8, 40]) * DAY_US + DAY_US // 2
    key = np.zeros(len(asked), np.int64)
    found = counts_as_of(
        Reputation(windows_days=(), episode_days=35),
        key,
        asked,
        (np.zeros(9, np.int64), known, label),
    )
    left = 35 * 24 - 12
    assert found.tolist() == [
        [left, 0, 0, 0, 0],
        [left - 24, left, left, left, 1],
        [left - 5 * 24, left, left - 4 * 24, left - 4 * 24, 5],
        [left - 7 * 24, left, left - 6 * 24, left - 6 * 24, 7],
        [left, left - 24, left - 7 * 24, 0, 0],
        [left - 32 * 24, left - 33 * 24, left - 34 * 24 if left > 34 * 24 else 0, 0, 0],
    ]


def test_days_that_do_not_fit_sixteen_bits_of_hours_are_refused() -> None:
    assert Reputation(episode_days="none").columns == Reputation().columns[:6]
    with pytest.raises(ValueError, match="less than or equal to 2000"):
        Reputation(episode_days=2001)
