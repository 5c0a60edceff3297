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


def sorted_order(key: Ints, time_us: Ints) -> Ints:
    """The order that sorts by key, then time; ties keep their order.

    Time is sorted first where it is not yet, then the keys digit by digit (16 bits each, a radix
    sort): the time taken grows as the rows do.

    Args:
        key: [N] codes.
        time_us: [N] microseconds.

    Returns:
        [N] positions.
    """
    in_time = bool((time_us[1:] >= time_us[:-1]).all())
    order = None if in_time else np.argsort(time_us, kind="stable")
    least, most = (int(key.min()), int(key.max())) if len(key) else (0, 0)
    for shift in range(0, max(1, (most - least).bit_length()), 16):
        digit = ((key - least) >> shift).astype(np.uint16)
        if order is None:
            order = np.argsort(digit, kind="stable")
        else:
            order = order[np.argsort(digit[order], kind="stable")]
    return np.arange(len(key)) if order is None else order


class EventCounts:
    """How many events of a key lie in a window of time, for many (key, time) questions at once.

    One sorted array of 64-bit integers, key and time in one, answers every question by binary
    search. Questions that come in sorted order run through it once and are quickest.

    Attributes:
        order: [M] positions of the events, sorted by key and time.
    """

    def __init__(self, key: Ints, time_us: Ints) -> None:
        """Index events.

        Args:
            key: [M] codes, -1 for none.
            time_us: [M] microseconds.
        """
        self.order = sorted_order(key, time_us)
        self._first, self._last = (int(time_us.min()), int(time_us.max())) if len(key) else (0, 0)
        self._times: Ints | None = None
        self._span = self._last - self._first + 2
        if len(key) and (int(key.max()) + 2) * self._span >= 2**63:
            # Too many keys over too long a span: the times' ranks are smaller than the times.
            self._times = np.unique(time_us)
            self._span = len(self._times) + 1
        self._events = self._packed(key[self.order], time_us[self.order])

    def up_to(self, key: Ints, time_us: Ints) -> Ints:
        """Rank of (key, time) among all events: those of smaller keys, and of this one up to then.

        Differences of two answers for one key count its events in between: after the earlier
        time, at or before the later one.
        """
        return np.searchsorted(self._events, self._packed(key, time_us), side="right")

    def _packed(self, key: Ints, time_us: Ints) -> Ints:
        """Key and time as one number that sorts as they do; times before all events are equal."""
        if self._times is None:
            moment = np.clip(time_us, self._first - 1, self._last)
            moment -= self._first - 1
        else:
            moment = np.searchsorted(self._times, time_us, side="right")
        moment += key * self._span
        return moment


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
    since_known = as_of_us - known_us
    for i, days in enumerate(specification.windows_days):
        itself = (since_known >= 0) & (since_known < days * DAY_US)
        counts[:, 2 * i] -= itself
        counts[:, 2 * i + 1] -= itself & (is_fraud == 1)
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
    counts = EventCounts(event_key, known_us)
    frauds = np.concatenate(([0], np.cumsum(is_fraud[counts.order] == 1, dtype=np.int64)))
    order = sorted_order(key, as_of_us)
    key, as_of_us = key[order], as_of_us[order]
    now = counts.up_to(key, as_of_us)
    frauds_now = frauds[now]
    result = np.empty((len(specification.columns), len(key)), np.float32)
    for i, days in enumerate(specification.windows_days):
        before = counts.up_to(key, as_of_us - days * DAY_US)
        result[2 * i, order] = np.minimum(now - before, MOST_COUNT)
        result[2 * i + 1, order] = np.minimum(frauds_now - frauds[before], MOST_COUNT)
    return result.T
