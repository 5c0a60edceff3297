"""Reads text, numbers and times as the recipe writes them; what cannot be read becomes null."""

import re
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.transactions.recipe import Recipe, TimeColumn

TIME = pa.timestamp("us", tz="UTC")
_NAIVE_TIME = pa.timestamp("us")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^(?i:[+-]?(nan|inf(inity)?))$"
_ISO = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ][\d:.]+(Z|[+-][\d:]+)?)?$"
_OFFSET = r"[T ]\d\d[\d:.]*(Z|[+-]\d\d(:?\d\d)?)$"
_UNIT_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7, "h": 3.6e9, "d": 8.64e10}


def is_text(held: pa.DataType) -> bool:
    """Whether a column holds text, in whatever form Arrow keeps it."""
    if pa.types.is_dictionary(held):
        held = held.value_type
    return bool(
        pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_string_view(held)
    )


def is_number(held: pa.DataType) -> bool:
    """Whether a column holds integers, floats or decimals."""
    return bool(
        pa.types.is_integer(held) or pa.types.is_floating(held) or pa.types.is_decimal(held)
    )


def is_time(held: pa.DataType) -> bool:
    """Whether a column holds timestamps or dates."""
    return bool(pa.types.is_timestamp(held) or pa.types.is_date(held))


def null_where(mask: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """[N] the values, null where the mask is true."""
    return pc.if_else(mask, pa.scalar(None, values.type), values)


def lost(values: pa.ChunkedArray, read: pa.ChunkedArray) -> pa.ChunkedArray:
    """[N] where there was a value and none could be read from it."""
    return pc.and_(pc.is_valid(values), pc.is_null(read))


def _cast_each(values: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """A cast that gives null where a value does not fit: halves what fails until it is found."""
    try:
        return values.cast(target)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.chunked_array([pa.nulls(1, target)])
        middle = len(values) // 2
        halves = values.slice(0, middle), values.slice(middle)
        return pa.chunked_array(
            [chunk for half in halves for chunk in _cast_each(half, target).chunks]
        )


def _cast_text(text: pa.ChunkedArray, target: pa.DataType, shape: str) -> pa.ChunkedArray:
    """A cast that gives null where a text does not match `shape` or does not fit."""
    try:
        return text.cast(target)
    except pa.ArrowInvalid:
        matches = pc.match_substring_regex(text, shape)
        cast = _cast_each(null_where(pc.invert(matches), text), target)
        return pa.chunked_array([cast.combine_chunks()])  # the halves left many small chunks


def parse_numbers(values: pa.ChunkedArray, recipe: Recipe) -> pa.ChunkedArray:
    """[N] float64, as the recipe writes numbers; null where a text is none."""
    if is_text(values.type):
        return _cast_text(_with_point(values, recipe), pa.float64(), _NUMBER)
    if pa.types.is_decimal(values.type):
        return values.cast(pa.string()).cast(pa.float64())  # Arrow's own cast rounds twice
    return values.cast(pa.float64(), safe=False)


def _with_point(text: pa.ChunkedArray, recipe: Recipe) -> pa.ChunkedArray:
    """Numbers as the recipe's users write them, with a decimal point and no groups of digits."""
    if recipe.thousands:
        group = re.escape(recipe.thousands)
        decimals = rf"({re.escape(recipe.decimal)}\d*)?"
        grouped = pc.match_substring_regex(text, rf"^[+-]?\d{{1,3}}({group}\d{{3}})+{decimals}$")
        text = pc.if_else(grouped, pc.replace_substring(text, recipe.thousands, ""), text)
    if recipe.decimal == ",":
        text = null_where(pc.match_substring(text, "."), text)
        text = pc.replace_substring(text, ",", ".")
    return text


def parse_times(
    values: pa.ChunkedArray, at: TimeColumn, format_: str, recipe: Recipe
) -> pa.ChunkedArray:
    """[N] microseconds in UTC; null where a value is no time.

    Args:
        values: times, numbers of the column's unit, or text.
        at: the recipe's column.
        format_: of text, "iso" or a strptime format.
        recipe: how numbers are written.
    """
    if is_time(values.type):
        return _native_times(values, at)
    if at.unit is not None:
        return _counted_times(parse_numbers(values, recipe), at.unit, at.origin)
    if format_ != "iso":
        return _zoned(_formatted_times(values, format_).cast(_NAIVE_TIME), at)
    try:
        return _zoned(values.cast(_NAIVE_TIME), at)
    except pa.ArrowInvalid:  # some carry an offset, or nanoseconds, or are no times
        return _iso_times(values, at)


def _zoned(times: pa.ChunkedArray, at: TimeColumn) -> pa.ChunkedArray:
    """UTC; of a time that the clocks' change repeats or leaves out, the earlier."""
    zoned = pc.assume_timezone(times, at.timezone, ambiguous="earliest", nonexistent="earliest")
    return zoned.cast(TIME)


def _native_times(values: pa.ChunkedArray, at: TimeColumn) -> pa.ChunkedArray:
    zone = values.type.tz if pa.types.is_timestamp(values.type) else None
    if values.type == pa.timestamp("ns", zone):
        times = values.cast(pa.timestamp("us", zone), safe=False)
    else:
        times = _cast_each(values, pa.timestamp("us", zone))
    return times.cast(TIME) if zone else _zoned(times, at)


def _counted_times(counts: pa.ChunkedArray, unit: str, origin: datetime) -> pa.ChunkedArray:
    origin = origin if origin.tzinfo else origin.replace(tzinfo=UTC)
    origin_us = (origin - _EPOCH) // timedelta(microseconds=1)
    times_us = pc.add(pc.round(pc.multiply(counts, _UNIT_US[unit])), float(origin_us))
    fits = pc.less(pc.abs(times_us), 2.0**62)  # false for not-a-number
    return null_where(pc.invert(fits), times_us).cast(pa.int64()).cast(TIME)


def _formatted_times(text: pa.ChunkedArray, format_: str) -> pa.ChunkedArray:
    times = pc.strptime(text, format=format_, unit="s", error_is_null=True)
    # The C library rolls 30 February over to March; such a time does not print as it was written.
    printed, written = (
        pc.replace_substring_regex(pc.utf8_lower(each), r"\b0+(\d)", r"\1")
        for each in (pc.strftime(times, format=format_), text)
    )
    return null_where(pc.not_equal(printed, written), times)


def _iso_times(text: pa.ChunkedArray, at: TimeColumn) -> pa.ChunkedArray:
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d{1,3}", r"\1")
    offset = pc.match_substring_regex(text, _OFFSET)
    zoned = _cast_text(null_where(pc.invert(offset), text), TIME, _ISO)
    naive = _cast_text(null_where(offset, text), _NAIVE_TIME, _ISO)
    return pc.coalesce(zoned, _zoned(naive, at))
