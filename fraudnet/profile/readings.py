"""What can be read off a column on its own: its value, order, null pattern, length, digits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.profile.drift import hour_of_day, number_bins, weekday
from fraudnet.profile.ledger import (
    DAY_US,
    SECOND_US,
    Bools,
    Floats,
    Ints,
    Ledger,
    Numbers,
    number_values,
    role_of,
    text_codes,
)
from fraudnet.transactions.recipe import Recipe

_RANGES = 200  # narrow enough to hold little beside a fraud of one in a hundred
_FEW = 50  # of so few values each has rows enough to speak for itself
# A report column may hold anything, a person's name too.
_SHOWN_ROLES = ("amount", "time", "category", "number")


@dataclass(frozen=True)
class Reading:
    """One thing read off each row [N]: a code to be looked up, or a number to be ordered by.

    Attributes:
        column: of the table, or "row order".
        role: identifier, amount, time, category, number, report, label time or file.
        what: is read, in words.
        codes: -1 for null; or None.
        values: NaN for null; or None.
        shown: what the codes stand for, where a page may show it.
        artefact: of how the file was made, so that it should tell nothing.
    """

    column: str
    role: str
    what: str
    codes: Ints | None = None
    values: Floats | None = None
    shown: Numbers | None = None
    artefact: bool = False


def readings(ledger: Ledger, recipe: Recipe, in_training: Bools) -> Iterator[Reading]:
    """Everything that is read, one after the other; the label itself is left out.

    Args:
        ledger: the transactions.
        recipe: which columns are categorical, numeric, or for reports alone.
        in_training: [N] rows whose numbers say where ranges lie.
    """
    table, at = ledger.table, ledger.timestamp_us
    yield from _row_order(at)
    for name in table.column_names:
        column, role = table[name], role_of(name, recipe)
        if column.null_count == len(column) or name == "is_fraud":
            continue
        if column.null_count:
            null = column.is_null().to_numpy().astype(np.int64)
            yield Reading(name, role, "is null", null, shown=np.array(["given", "null"]))
        if name == "timestamp":
            yield from _time(at)
        elif name == "label_time":
            known_us = number_values(column.cast(pa.int64()))
            yield from _numbers(name, role, (known_us - at) / DAY_US, in_training)
        elif pa.types.is_string(column.type):
            yield from _texts(name, role, column)
        else:
            yield from _numbers(name, role, number_values(column), in_training)
    yield from _digits(ledger.amount)


def _row_order(timestamp_us: Ints) -> Iterator[Reading]:
    position = np.arange(len(timestamp_us))
    yield Reading("row order", "file", "by order", values=position.astype(float), artefact=True)
    day = timestamp_us // DAY_US
    order = np.argsort(day, kind="stable")
    starts = np.flatnonzero(np.diff(day[order], prepend=-1))
    length = np.diff(starts, append=len(order))
    within = np.empty(len(order))
    within[order] = (position - np.repeat(starts, length)) / np.repeat(length, length)
    yield Reading("row order", "file", "by order within the day", values=within)


def _time(timestamp_us: Ints) -> Iterator[Reading]:
    second = timestamp_us // SECOND_US
    fraction = (timestamp_us % SECOND_US).astype(float)
    yield Reading("timestamp", "time", "by order", values=timestamp_us.astype(float))
    for what, codes in (("hour", hour_of_day(timestamp_us)), ("minute", second // 60 % 60)):
        yield Reading("timestamp", "time", what, codes, shown=np.arange(60))
    yield Reading(
        "timestamp", "time", "weekday (0 = Monday)", weekday(timestamp_us), shown=np.arange(7)
    )
    yield Reading("timestamp", "time", "second", second % 60, shown=np.arange(60), artefact=True)
    yield Reading("timestamp", "time", "fraction of the second", values=fraction, artefact=True)


def _numbers(name: str, role: str, values: Floats, in_training: Bools) -> Iterator[Reading]:
    yield Reading(name, role, "by order", values=values)
    ranges = number_bins(values, in_training, _RANGES)
    yield Reading(name, role, f"in {_RANGES} ranges", ranges)
    distinct, codes = np.unique(values, return_inverse=True)
    shown = distinct if role in _SHOWN_ROLES else None
    yield Reading(name, role, "by exact value", codes, shown=shown)


def _digits(amount: Floats) -> Iterator[Reading]:
    decimals = np.full(len(amount), 4)
    for digits in (3, 2, 1, 0):
        decimals[np.round(amount, digits) == amount] = digits
    shown = np.array(["0", "1", "2", "3", "4 or more"])
    yield Reading("amount", "amount", "number of decimals", decimals, shown=shown, artefact=True)
    hundredths = (np.round(np.abs(amount) * 100) % 100).astype(np.int64)
    yield Reading("amount", "amount", "hundredths", hundredths, shown=np.arange(100))


def _texts(name: str, role: str, column: pa.ChunkedArray) -> Iterator[Reading]:
    codes, values = text_codes(column)
    shown = values.to_numpy(zero_copy_only=False) if role in _SHOWN_ROLES else None
    yield Reading(name, role, "by value", codes, shown=shown)
    if len(values) <= _FEW:
        return
    artefact = name == "transaction_id"
    yield Reading(name, role, "by order", values=_of_rows(codes, _rank(values)), artefact=artefact)
    length = pc.utf8_length(values).to_numpy().astype(float)
    yield Reading(name, role, "length", values=_of_rows(codes, length), artefact=artefact)
    for what, derived in (
        ("first three characters", pc.utf8_slice_codeunits(values, 0, 3)),
        ("what is not a digit", pc.replace_substring_regex(values, r"\d+", "#")),
    ):
        of_value, parts = text_codes(pa.chunked_array([derived]))
        shown = parts.to_numpy(zero_copy_only=False) if role in _SHOWN_ROLES else None
        # The code of null, -1, points to what is appended.
        again = np.append(of_value, -1)[codes]
        yield Reading(name, role, what, again, shown=shown, artefact=artefact)


def _of_rows(codes: Ints, of_value: Floats) -> Floats:
    # The code of null, -1, points to what is appended.
    row_values: Floats = np.append(of_value, np.nan)[codes]
    return row_values


def _rank(values: pa.Array) -> Floats:
    """[V] an order of texts: as numbers if all are, else as text."""
    try:
        return number_values(pa.chunked_array([values]).cast(pa.float64()))
    except pa.ArrowInvalid:
        rank: Floats = pc.rank(values).to_numpy().astype(float)
        return rank
