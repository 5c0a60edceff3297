"""Counterparty reputation: counts of transactions and known frauds, as known at the time."""

import numpy as np
import numpy.typing as npt

from fraudnet.windows.specification import Reputation

DAY_US = 86_400_000_000
MOST_COUNT = 65_535  # of a snapshot's 16 bits
UNKNOWN_COUNT = -1  # of a row without counterparty, as on the device

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def known_times_us(timestamp_us: Ints, label_time_us: Ints | None, delay_days: float) -> Ints:
    """When each row's label is known: its own label time where it has one, else after the delay.

    Args:
        timestamp_us: [N] microseconds since 1970.
        label_time_us: [N] microseconds, negative where there is none; or None.
        delay_days: label delay in days.

    Returns:
        [N] microseconds since 1970.
    """
    delayed = timestamp_us + round(delay_days * DAY_US)
    return delayed if label_time_us is None else np.where(label_time_us < 0, delayed, label_time_us)


class EventCounts:
    """How many events of a key lie in a window of time, for many (key, time) questions at once.

    Keys and times are ranked first, so that one sorted array of 64-bit integers answers every
    question by binary search, however long the span and however many the keys.
    """

    def __init__(self, key: Ints, time_us: Ints) -> None:
        """Index events.

        Args:
            key: [M] codes, -1 for none.
            time_us: [M] microseconds.
        """
        self._times = np.unique(time_us)
        self._span = np.int64(len(self._times) + 1)
        self._events = np.sort(key * self._span + np.searchsorted(self._times, time_us))

    def up_to(self, key: Ints, time_us: Ints) -> Ints:
        """Rank of (key, time) among all events: those of smaller keys, and of this one up to then.

        Differences of two answers for one key count its events in between: after the earlier
        time, at or before the later one.
        """
        rank = np.searchsorted(self._times, time_us, side="right")
        return np.searchsorted(self._events, key * self._span + rank, side="left")


def reputation_counts(
    specification: Reputation,
    key: Ints,
    timestamp_us: Ints,
    known_us: Ints,
    is_fraud: npt.NDArray[np.int8],
) -> Floats:
    """Counts as known at each row's own time, or at the midnight (UTC) before it.

    Which of the two is the specification's `refresh`. A row counts from the moment its label is
    known (`known_us`), whether or not it has one, and as a fraud if its label says so; a window of
    w days at time t holds what became known in (t - w, t], less the row itself: its label is what
    is asked for. With a constant delay d > 0, and counts of the moment, that is what happened in
    (t - d - w, t - d], the Fraud Detection Handbook's terminal risk
    (chapter 3, "Feature transformation").

    Args:
        specification: windows in days, and how current the counts are.
        key: [N] counterparty codes, -1 where there is none.
        timestamp_us: [N] microseconds since 1970.
        known_us: [N] when the label is known.
        is_fraud: [N] 1, 0 or -1 (unlabelled).

    Returns:
        [N, 2 x windows] counts, in the order of `specification.columns`; -1 where there is no key.
    """
    as_of_us = timestamp_us
    if specification.refresh == "day":
        as_of_us = timestamp_us - timestamp_us % DAY_US
    counts = counts_as_of(specification, key, as_of_us, (key, known_us, is_fraud))
    since_known = (as_of_us - known_us)[:, None]
    itself = (since_known >= 0) & (since_known < np.array(specification.windows_days) * DAY_US)
    counts[:, 0::2] -= itself
    counts[:, 1::2] -= itself & (is_fraud == 1)[:, None]
    counts[key < 0] = UNKNOWN_COUNT
    return counts


def counts_as_of(
    specification: Reputation,
    key: Ints,
    as_of_us: Ints,
    events: tuple[Ints, Ints, npt.NDArray[np.int8]],
) -> Floats:
    """[N, 2 x windows] counts of `events` (key, time known, label) as of (`key`, `as_of_us`).

    A count stops at the most that a snapshot holds, so that device and training read the same.
    """
    event_key, known_us, is_fraud = events
    fraud = is_fraud == 1
    result = np.empty((len(key), len(specification.columns)), np.float32)
    for offset, chosen in enumerate((slice(None), fraud)):
        counts = EventCounts(event_key[chosen], known_us[chosen])
        now = counts.up_to(key, as_of_us)
        for i, days in enumerate(specification.windows_days):
            before = counts.up_to(key, as_of_us - days * DAY_US)
            result[:, 2 * i + offset] = np.minimum(now - before, MOST_COUNT)
    return result
