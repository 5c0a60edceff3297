"""What a device is given: its accounts' history, and each day's reputation snapshot."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.errors import InputError
from fraudnet.transactions.writing import write_transactions
from fraudnet.windows.histories import Histories
from fraudnet.windows.periods import Period, microseconds
from fraudnet.windows.reputation import counts_as_of
from fraudnet.windows.snapshot import write_increment, write_snapshot

NEVER_ON_A_DEVICE = ("is_fraud", "label_time")


@dataclass(frozen=True)
class Day:
    """One day's transactions, and the snapshot that serves it (None: no reputation is read).

    The increment makes the snapshot of the day before this day's; the first day has none.
    """

    transactions: Path
    reputation: Path | None
    increment: Path | None = None


@dataclass(frozen=True)
class Feed:
    """The files of a feed, in the order of their use."""

    history: Path
    days: tuple[Day, ...]


@dataclass(frozen=True)
class FeedSource:
    """Where a feed comes from.

    Attributes:
        table: transactions in canonical columns.
        histories: of these.
        secret: columns that are for reports and never reach a device.
    """

    table: pa.Table
    histories: Histories
    secret: tuple[str, ...]


def write_feed(source: FeedSource, window_length: int, days: int, directory: Path) -> Feed:
    """Write the last days of a data set as a device would meet them.

    `history.jsonl` holds each account's last `window_length` - 1 transactions before those days,
    with their reputation as known at their time; `DATE.jsonl` one day's transactions without it,
    `DATE.reputation` the counts as known when that day begins, `DATE.increment` what turns the
    day before's counts into these. No label is written.

    Args:
        source: the data set.
        window_length: of the artifact, in transactions.
        days: how many of the last days.
        directory: made if it is not there.

    Raises:
        InputError: the directory cannot be written to, or the data hold no earlier day.
    """
    if days < 1:
        raise InputError(f"days is {days}; a feed needs at least 1")
    histories = source.histories
    last = datetime.fromtimestamp(int(histories.timestamp_us.max()) // 1_000_000, UTC)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    begin = end - timedelta(days=days)
    earlier = _last_before(histories, microseconds(begin), window_length - 1)
    if not earlier.any():
        raise InputError(f"the data begin on {begin:%Y-%m-%d} or later; feed fewer days than that")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory}: cannot be made: {error.strerror}") from error
    history = directory / "history.jsonl"
    write_transactions(_with_reputation(source, earlier), history)
    written: list[Day] = []
    for number in range(days):
        day = _write_day(source, begin + timedelta(days=number), directory)
        before = written[-1].reputation if written else None
        if before is not None and day.reputation is not None:
            increment = day.reputation.with_suffix(".increment")
            write_increment(before, day.reputation, increment)
            day = replace(day, increment=increment)
        written.append(day)
    return Feed(history, tuple(written))


def _write_day(source: FeedSource, day: datetime, directory: Path) -> Day:
    histories = source.histories
    today = Period(day, day + timedelta(days=1)).contains(histories.timestamp_us)
    transactions = directory / f"{day:%Y-%m-%d}.jsonl"
    write_transactions(_rows(source, today), transactions)
    if histories.specification.reputation is None:
        return Day(transactions, None)
    return Day(transactions, snapshot_of(source, day, directory / f"{day:%Y-%m-%d}.reputation"))


def snapshot_of(source: FeedSource, as_of: datetime, path: Path) -> Path:
    """Write the counterparties' (or other keys') counts as known then; the unseen are left out.

    Raises:
        ValueError: the specification reads no reputation.
    """
    histories = source.histories
    reputation = histories.specification.reputation
    if reputation is None:
        raise ValueError("the features read no reputation")
    encoded = source.table[reputation.key].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    key = pc.fill_null(encoded.indices, -1).to_numpy()[histories.source_row].astype(np.int64)
    codes = np.arange(len(names), dtype=np.int64)
    moment_us = microseconds(as_of)
    # Of a transaction at that very moment the label may be known, but it does not count itself.
    before = histories.timestamp_us < moment_us
    events = (
        key[before],
        histories.known_us[before],
        histories.is_fraud[before],
    )
    counts = counts_as_of(reputation, codes, np.full(len(codes), moment_us), events)
    seen = np.flatnonzero(counts.any(axis=1))
    write_snapshot(path, reputation, [names[i] for i in seen], counts[seen], moment_us)
    return path


def _last_before(histories: Histories, moment_us: int, count: int) -> npt.NDArray[np.bool_]:
    """[N] each account's last `count` rows before a moment."""
    before = histories.timestamp_us < moment_us
    per_account = np.bincount(histories.account[before], minlength=len(histories.offsets) - 1)
    position = np.arange(len(histories)) - histories.offsets[histories.account]
    recent: npt.NDArray[np.bool_] = position >= per_account[histories.account] - count
    return before & recent


def _rows(source: FeedSource, chosen: npt.NDArray[np.bool_]) -> pa.Table:
    """The chosen rows, oldest first; ties in time keep the source's order."""
    hidden = {*NEVER_ON_A_DEVICE, *source.secret}
    shown = source.table.select([n for n in source.table.column_names if n not in hidden])
    return shown.take(pa.array(source.histories.source_row[_by_time(source.histories, chosen)]))


def _with_reputation(source: FeedSource, chosen: npt.NDArray[np.bool_]) -> pa.Table:
    histories = source.histories
    table, rows = _rows(source, chosen), _by_time(histories, chosen)
    for entry in histories.specification.inputs:
        if entry.kind == "reputation":
            counts = histories.columns[entry.name][rows].astype(np.int32)
            table = table.append_column(entry.name, pa.array(counts))
    return table


def _by_time(histories: Histories, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    rows = np.flatnonzero(chosen)
    order = np.lexsort((histories.source_row[rows], histories.timestamp_us[rows]))
    ordered: npt.NDArray[np.int64] = rows[order]
    return ordered
