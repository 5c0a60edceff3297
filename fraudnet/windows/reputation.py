"""Counterparty reputation: counts of transactions and known frauds, as known at the time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudnet.windows.parallel import block_by_block, even_edges
from fraudnet.windows.specification import Reputation

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
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

    Time is sorted first where it is not yet, then the keys digit by digit (a radix sort): the time
    taken grows as the rows do.

    Args:
        key: [N] codes.
        time_us: [N] microseconds.

    Returns:
        [N] positions.
    """
    in_time = bool((time_us[1:] >= time_us[:-1]).all())
    order = None if in_time else np.argsort(time_us, kind="stable")
    least, most = (int(key.min()), int(key.max())) if len(key) else (0, 0)
    bits, done = max(1, (most - least).bit_length()), 0
    while done < bits:
        # The short digit comes first: after it, the rows are still read nearly in their order.
        width = (bits - done) % 16 or 16
        digit = ((key - least) >> done).astype(np.uint16)
        if width < 16:
            digit &= np.uint16((1 << width) - 1)
        if order is None:
            order = np.argsort(digit, kind="stable")
        else:
            order = order[np.argsort(digit[order], kind="stable")]
        done += width
    return np.arange(0) if order is None else order


@dataclass(frozen=True)
class _Sorted:
    """Moments sorted by key and time.

    Attributes:
        order: [M] positions of the moments before they were sorted.
        time_us: [M] sorted.
        offsets: [K + 1]; key k, counted from the least, holds offsets[k] .. offsets[k + 1] - 1.
    """

    order: Ints
    time_us: Ints
    offsets: Ints


@dataclass(frozen=True)
class RowCounts:
    """Counts of N rows, kept in the order in which they were counted.

    Attributes:
        place: [N] where each row's counts are.
        counts: [N, columns] 16-bit.
        none: [N] rows without a key; None: every row has one.
    """

    place: Ints
    counts: npt.NDArray[np.uint16]
    none: npt.NDArray[np.bool_] | None

    def of(self, rows: Ints) -> Floats:
        """[R, columns] counts of the given rows; -1 where there is no key."""
        found = self.counts.take(self.place.take(rows), axis=0).astype(np.float32)
        if self.none is not None:
            found[self.none.take(rows)] = UNKNOWN_COUNT
        return found


def reputation_counts(
    specification: Reputation,
    key: Ints,
    timestamp_us: Ints,
    known_us: Ints,
    is_fraud: npt.NDArray[np.int8],
    order: Ints | None = None,
) -> RowCounts:
    """Counts as known at each row's own time, or at the midnight (UTC) before it.

    Which of the two is the specification's `refresh`. A row counts from the moment its label is
    known (`known_us`), whether or not it has one, and as a fraud if its label says so; a window of
    w days at time t holds what became known in (t - w, t], less the row itself: its label is what
    is asked for. With a constant delay d > 0, and counts of the moment, that is what happened in
    (t - d - w, t - d], the Fraud Detection Handbook's terminal risk
    (chapter 3, "Feature transformation").

    Args:
        specification: windows in days, and how current the counts are.
        key: [N] codes of the counterparty or other key, -1 where there is none.
        timestamp_us: [N] microseconds since 1970.
        known_us: [N] when the label is known.
        is_fraud: [N] 1, 0 or -1 (unlabelled).
        order: [N] the rows sorted by key and timestamp, where that is known already.

    Returns:
        [N, columns] counts, in the order of `specification.columns`.
    """
    least, most = (int(key.min()), int(key.max())) if len(key) else (0, 0)
    if order is None:
        order = sorted_order(key, timestamp_us)
    offsets = _offsets(key, least, most)
    as_of_us = timestamp_us.take(order)
    # With a constant delay the labels become known in the order of the transactions.
    since = known_us - timestamp_us
    constant = not len(since) or bool((since == since[0]).all())
    known_order = order if constant else sorted_order(key, known_us)
    known = _Sorted(known_order, known_us.take(known_order), offsets)
    fraud = is_fraud == 1
    if specification.refresh == "day":
        as_of_us = as_of_us - as_of_us % DAY_US  # midnights are sorted as the moments after them
    itself = None
    if not constant or (len(since) and since[0] <= 0):
        itself = as_of_us - known_us.take(order), fraud.take(order)
    asked = _Sorted(order, as_of_us, offsets)
    counts = _counts(specification, asked, known, fraud.take(known_order), itself)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return RowCounts(place, counts, key < 0 if least < 0 else None)


def counts_as_of(
    specification: Reputation,
    key: Ints,
    as_of_us: Ints,
    events: tuple[Ints, Ints, npt.NDArray[np.int8]],
) -> Floats:
    """[N, columns] counts of `events` (key, time known, label) as of (`key`, `as_of_us`).

    A count stops at the most that a snapshot holds, so that device and training read the same.
    """
    event_key, known_us, is_fraud = events
    everyone = np.concatenate([key, event_key])
    least, most = (int(everyone.min()), int(everyone.max())) if len(everyone) else (0, 0)
    asked, known = (
        _Sorted(order, time[order], _offsets(own, least, most))
        for own, time in ((key, as_of_us), (event_key, known_us))
        for order in [sorted_order(own, time)]
    )
    counts = _counts(specification, asked, known, is_fraud[known.order] == 1, None)
    result = np.empty(counts.shape, np.float32)
    result[asked.order] = counts
    return result


def _offsets(key: Ints, least: int, most: int) -> Ints:
    sizes = np.bincount(key - least, minlength=most - least + 1)
    return np.concatenate(([0], np.cumsum(sizes)))


def _counts(
    specification: Reputation,
    asked: _Sorted,
    known: _Sorted,
    is_fraud: npt.NDArray[np.bool_],
    itself: tuple[Ints, npt.NDArray[np.bool_]] | None,
) -> npt.NDArray[np.uint16]:
    """Counts and dates of what is known, block by block of what is asked: each fits in a cache.

    Args:
        specification: the windows and the episode.
        asked: what is wanted.
        known: what is counted.
        is_fraud: [M] of what is known.
        itself: [N] of what is asked, how long its own label is known, and whether it is fraud,
            where that is not to be counted.

    Returns:
        [N, columns] in the order of what is asked.
    """
    windows_us = [days * DAY_US for days in specification.windows_days]
    days = specification.episode_days
    episode_us = 0 if days == "none" else days * DAY_US
    result = np.empty((len(asked.order), len(specification.columns)), np.uint16)
    if not len(asked.order):
        return result
    frauds = np.concatenate(([0], np.cumsum(is_fraud)))
    times = [asked.time_us, known.time_us] if len(known.time_us) else [asked.time_us]
    first = min(int(time.min()) for time in times)
    # So wide that a window that ends in one key's times never begins in another's.
    longest = max([*windows_us, episode_us])
    span = max(int(time.max()) for time in times) - first + longest + 1
    keys = max(1, min(len(asked.offsets) - 1, 2**62 // span))

    def count(begin: int, end: int) -> None:
        low = int(np.searchsorted(asked.offsets, begin, side="right")) - 1
        high = int(np.searchsorted(asked.offsets, end - 1, side="right"))  # the key after the last
        ahead = int(known.offsets[low])
        stop = int(known.offsets[high])
        events = known.time_us[ahead:stop]
        now = asked.time_us[begin:end]
        if high - low > 1:
            shift = np.arange(high - low) * span  # of each key, so that one follows the other
            events = events + np.repeat(shift, np.diff(known.offsets[low : high + 1]))
            edges = np.clip(asked.offsets[low : high + 1], begin, end)
            now = now + np.repeat(shift, np.diff(edges))
        frauds_before = frauds[ahead : ahead + len(events) + 1]
        until = np.searchsorted(events, now, side="right")
        frauds_until = frauds_before.take(until)
        large = len(events) > MOST_COUNT
        for i, window_us in enumerate(windows_us):
            since = np.searchsorted(events, now - window_us, side="right")
            counted = until - since
            defrauded = frauds_until - frauds_before.take(since)
            if itself is not None:
                age_us, fraud = itself[0][begin:end], itself[1][begin:end]
                own = (age_us >= 0) & (age_us < window_us)
                counted -= own
                defrauded -= own & fraud
            for column, within in ((2 * i, counted), (2 * i + 1, defrauded)):
                result[begin:end, column] = np.minimum(within, MOST_COUNT) if large else within
        if episode_us:
            as_of = until
            if itself is not None:
                # Of a row whose own label is known, only what was known before that.
                age_us = itself[0][begin:end]
                before = np.searchsorted(events, now - age_us, side="left")
                as_of = np.where(age_us >= 0, before, until)
            found = _episode(events, is_fraud[ahead:stop], frauds_before, now, as_of, episode_us)
            for column, values in enumerate(found, start=2 * len(windows_us)):
                result[begin:end, column] = values

    edges = np.unique(
        np.concatenate([even_edges(len(asked.order)), asked.offsets[::keys], asked.offsets[-1:]])
    )
    block_by_block(count, edges.tolist())
    return result


def _episode(
    events: Ints,
    is_fraud: npt.NDArray[np.bool_],
    frauds_before: Ints,
    now: Ints,
    until: Ints,
    episode_us: int,
) -> tuple[Ints, ...]:
    """When the known frauds of the last days began and ended: the columns of `EPISODE`.

    Args:
        events: [M] times at which labels became known, sorted, keys far apart.
        is_fraud: [M] their labels.
        frauds_before: [M + 1] how many are frauds among the first so many.
        now: [N] the moments asked for, on the same scale.
        until: [N] how many of the events are known by then.
        episode_us: length of the days.

    Returns:
        Five times [N].
    """
    position = np.arange(len(events))
    # Of each number of events: the latest genuine one and the latest fraud among them.
    genuine, fraud = (
        np.concatenate(([-1], np.maximum.accumulate(np.where(chosen, position, -1))))
        for chosen in (~is_fraud, is_fraud)
    )
    first_from = np.minimum.accumulate(np.where(is_fraud, position, len(events))[::-1])[::-1]
    first_from = np.concatenate((first_from, [len(events)]))

    def recency(event: Ints, there: npt.NDArray[np.bool_]) -> Ints:
        if not len(events):
            return np.zeros_like(now)
        left_us = episode_us - now + events.take(event, mode="clip")
        return np.where(there & (left_us > 0), -(-left_us // HOUR_US), 0)

    since = np.minimum(np.searchsorted(events, now - episode_us, side="right"), until)
    last_genuine, last_fraud = genuine.take(until), fraud.take(until)
    onset = first_from.take(since)
    begun = np.maximum(last_genuine + 1, since)
    run = frauds_before.take(until) - frauds_before.take(np.minimum(begun, until))
    return (
        recency(last_genuine, last_genuine >= since),
        recency(last_fraud, last_fraud >= since),
        recency(onset, onset < until),
        recency(begun, run > 0),
        np.minimum(run, MOST_COUNT),
    )
