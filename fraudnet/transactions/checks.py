"""Judges rows: every value is read into its canonical type, every bad row gets one fault."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.errors import InputError
from fraudnet.transactions.parsing import (
    TIME,
    is_number,
    is_text,
    is_time,
    lost,
    null_where,
    parse_numbers,
    parse_times,
)
from fraudnet.transactions.recipe import (
    Column,
    CurrencyColumn,
    IdColumn,
    LabelColumn,
    Recipe,
    TimeColumn,
)
from fraudnet.transactions.seen import SeenIds
from fraudnet.transactions.sources.rows import Rows

_ROUNDED = r"^[+-]?\d+(\.\d+[eE][+-]?\d+|[eE]\+\d+|\.0+)$"
# Of joined parts, one that ends in .0 still tells: the parts are codes, not long numbers.
_ROUNDED_PART = r"(^|{joint})[+-]?\d+(\.\d+[eE][+-]?\d+|[eE]\+\d+)($|{joint})"
LARGEST_NUMBER = float(np.finfo(np.float32).max)  # the network reads float32


@dataclass(frozen=True)
class Fault:
    """Why one row cannot be used."""

    place: str  # file or table
    line: int
    name: str  # our column, or "line" where the whole line is bad
    code: str  # what is wrong with it; `report.SENTENCES` says it in words
    value: str | None  # as it stands in the source
    row: str | None  # all values read, as JSON of source columns; None: a broken line


@dataclass(frozen=True)
class Checked:
    """Rows in = rows `used` + `faults`."""

    used: pa.Table  # canonical columns and types, in the source's order
    faults: list[Fault]  # by line


class Checks:
    """Judges the pieces of one source, in their order; it remembers what spans them."""

    def __init__(self, recipe: Recipe, now: datetime) -> None:
        """Begin with a source.

        Args:
            recipe: how its values are to be read.
            now: with its offset; a transaction over a day later lies in the future.
        """
        self.recipe = recipe
        self.now = now
        self.formats: dict[str, str] = {}  # of our columns of times, once chosen
        self._seen = SeenIds()
        self._currencies: Counter[str] = Counter()

    def check(self, rows: Rows) -> Checked:
        """Reads every row into the canonical types; the rows that fail a check are set aside.

        A row has the first fault that is found in it. Of several good rows with one
        `transaction_id` the first is used.

        Raises:
            InputError: a column is of a type that cannot be what the recipe says it is, or the
                amounts are of several currencies and the recipe does not say that they may be.
        """
        recipe, sheet = self.recipe, _Sheet(rows, self.recipe)
        sheet.check_header()
        columns = {
            "transaction_id": sheet.transaction_id(),
            "timestamp": sheet.timestamp(self.now, self.formats),
            "account_id": sheet.identifier("account_id", needed=True),
            "counterparty_id": sheet.identifier("counterparty_id"),
            "amount": sheet.amount(),
            "category": sheet.text("category"),
            "is_fraud": sheet.label(recipe.is_fraud),
        }
        if recipe.label_time and sheet.has("label_time"):
            columns["label_time"] = sheet.label_time(
                recipe.label_time, columns["timestamp"], self.now, self.formats
            )
        if recipe.currency and sheet.has("currency"):
            columns["currency"] = sheet.currency(recipe.currency)
        columns |= {name: sheet.text(name) for name in recipe.categorical if sheet.has(name)}
        columns |= {name: sheet.number(name) for name in recipe.numeric if sheet.has(name)}
        columns |= {name: sheet.text(name) for name in recipe.report if sheet.has(name)}
        if sheet.has("transaction_id"):
            sheet.check_duplicates(columns["transaction_id"], self._seen)
        good = sheet.fault < 0
        used = pa.table(columns)
        checked = Checked(used if good.all() else used.filter(good), sheet.faults_by_line())
        assert len(rows.table) + len(rows.broken) == len(checked.used) + len(checked.faults)
        self._refuse_mixed_currencies(rows.place, checked.used)
        return checked

    def _refuse_mixed_currencies(self, place: str, used: pa.Table) -> None:
        if "currency" not in used.column_names or getattr(self.recipe.currency, "mixed", False):
            return
        for count in pc.value_counts(used["currency"]).to_pylist():
            self._currencies[count["values"]] += count["counts"]
        if len(self._currencies) > 1:
            counts = ", ".join(f"{name} {n:,}" for name, n in self._currencies.most_common(5))
            raise InputError(
                f"{place}: the amounts are in several currencies ({counts}), which cannot be "
                "compared: convert them, or name the one to keep with currency.only in recipe "
                f"{self.recipe.name}, or allow them with currency.mixed = true"
            )


class _Sheet:
    """The rows under judgement: reads one column after the other and notes the faults."""

    def __init__(self, rows: Rows, recipe: Recipe) -> None:
        self.rows = rows
        self.recipe = recipe
        self.faults: list[tuple[str, str]] = []  # column and code
        self.fault = np.full(len(rows.table), -1)  # of each row: position in `faults`, -1 = good

    def has(self, name: str) -> bool:
        return name in self.rows.table.column_names

    def fail(self, name: str, code: str, failed: pa.ChunkedArray) -> None:
        """Notes a fault in the rows where `failed` is true and nothing was found before."""
        mask = pc.fill_null(failed, False).to_numpy()
        if mask.any():
            self.fault[mask & (self.fault < 0)] = len(self.faults)
            self.faults.append((name, code))

    def refuse(self, name: str, held: pa.DataType, expected: str) -> NoReturn:
        source = " + ".join(self.recipe.source_columns[name])
        raise InputError(
            f"{self.rows.place}: column '{source}' for {name} holds {held}, expected {expected}; "
            f"convert it, or name another column in recipe {self.recipe.name}"
        )

    def check_header(self) -> None:
        if is_text(self.rows.table["amount"].type):
            repeated = pc.equal(self.values("amount"), " ".join(self.recipe.amount.parts))
            self.fail("line", "header_repeated", repeated)

    def check_duplicates(self, ids: pa.ChunkedArray, seen: SeenIds) -> None:
        good = np.flatnonzero(self.fault < 0)
        repeated = np.zeros(len(ids), dtype=bool)
        repeated[good] = seen.repeats(ids.take(good))
        self.fail("transaction_id", "duplicate", pa.chunked_array([repeated]))

    def values(self, name: str, *, needed: bool = False) -> pa.ChunkedArray:
        """A column as it stands, but text without margins and prefix, and empty text as null."""
        if not self.has(name):
            return pa.chunked_array([pa.nulls(len(self.fault), pa.string())])
        values = self.rows.table[name]
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if pa.types.is_null(values.type):
            values = values.cast(pa.string())
        if is_text(values.type):
            values = pc.utf8_trim_whitespace(values.cast(pa.string()))
            self.fail("line", "not_text", pc.match_substring(values, "\0"))
            if prefix := getattr(getattr(self.recipe, name, None), "strip_prefix", ""):
                rest = pc.utf8_slice_codeunits(values, start=len(prefix))
                values = pc.if_else(pc.starts_with(values, prefix), rest, values)
            values = null_where(pc.equal(values, ""), values)
        if needed:
            self.fail(name, "missing", pc.is_null(values))
        return values

    def text(self, name: str, *, needed: bool = False) -> pa.ChunkedArray:
        values = self.values(name, needed=needed)
        if not (is_text(values.type) or is_number(values.type) or values.type == pa.bool_()):
            self.refuse(name, values.type, "text or numbers")
        return values.cast(pa.string())

    def identifier(self, name: str, *, needed: bool = False) -> pa.ChunkedArray:
        if self.has(name) and pa.types.is_floating(held := self.rows.table[name].type):
            self.refuse(name, held, "text or integers, since floats round identifiers")
        values = self.text(name, needed=needed)
        at: Column | IdColumn = getattr(self.recipe, name)
        rounded = _ROUNDED
        if isinstance(at, Column) and len(at.parts) > 1:
            rounded = _ROUNDED_PART.format(joint=re.escape(at.join))
        self.fail(name, "rounded", pc.match_substring_regex(values, rounded))
        return values

    def transaction_id(self) -> pa.ChunkedArray:
        if self.has("transaction_id"):
            return self.identifier("transaction_id", needed=True)
        return pa.chunked_array([pa.array(self.rows.line).cast(pa.string())])

    def number(self, name: str, *, needed: bool = False) -> pa.ChunkedArray:
        """Finite numbers; not-a-number means null where a value may be missing."""
        values = self.values(name, needed=needed)
        if not (is_text(values.type) or is_number(values.type)):
            self.refuse(name, values.type, "numbers")
        numbers = parse_numbers(values, self.recipe)
        self.fail(name, "not_a_number", lost(values, numbers))
        if not needed:
            numbers = null_where(pc.is_nan(numbers), numbers)
        self.fail(name, "not_finite", pc.invert(pc.is_finite(numbers)))
        self.fail(name, "too_large", pc.greater(pc.abs(numbers), LARGEST_NUMBER))
        return numbers

    def amount(self) -> pa.ChunkedArray:
        amounts = self.number("amount", needed=True)
        if not self.recipe.allow_negative:
            self.fail("amount", "negative", pc.less(amounts, 0.0))
        return amounts

    def currency(self, at: CurrencyColumn) -> pa.ChunkedArray:
        values = self.text("currency", needed=True)
        if at.only is not None:
            self.fail("currency", "other_currency", pc.not_equal(values, at.only))
        return values

    def time(
        self, name: str, at: TimeColumn, formats: dict[str, str], *, needed: bool = False
    ) -> pa.ChunkedArray:
        values = self.values(name, needed=needed)
        if is_number(values.type) and at.unit is None:
            self.refuse(name, values.type, "times (or give unit = 's' and origin in the recipe)")
        if not (is_text(values.type) or is_number(values.type) or is_time(values.type)):
            self.refuse(name, values.type, "times")
        if name not in formats and values.null_count < len(values):
            formats[name] = self.chosen_format(name, values, at)
        times = parse_times(values, at, formats.get(name, at.formats[0]), self.recipe)
        self.fail(name, "unparsable", lost(values, times))
        self.fail(name, "too_early", pc.less(times, at.not_before))
        return times

    def chosen_format(self, name: str, values: pa.ChunkedArray, at: TimeColumn) -> str:
        """The format that reads most of the values."""
        if len(at.formats) == 1 or not is_text(values.type):
            return at.formats[0]
        read = {each: parse_times(values, at, each, self.recipe) for each in at.formats}
        believed = {
            each: pc.if_else(pc.less(times, at.not_before), pa.scalar(None, TIME), times)
            for each, times in read.items()
        }
        best, *others = sorted(believed, key=lambda each: believed[each].null_count)
        for other in others:
            if believed[other].null_count > believed[best].null_count:
                break
            if not believed[other].equals(believed[best]):
                raise InputError(
                    f"{self.rows.place}: the times of {name} can be read as '{best}' and as "
                    f"'{other}', which differ; leave the right one in recipe {self.recipe.name}"
                )
        return best

    def timestamp(self, now: datetime, formats: dict[str, str]) -> pa.ChunkedArray:
        times = self.time("timestamp", self.recipe.timestamp, formats, needed=True)
        self.fail("timestamp", "in_the_future", pc.greater(times, _latest(now)))
        return times

    def label_time(
        self, at: TimeColumn, timestamps: pa.ChunkedArray, now: datetime, formats: dict[str, str]
    ) -> pa.ChunkedArray:
        times = self.time("label_time", at, formats)
        self.fail("label_time", "before_timestamp", pc.less(times, timestamps))
        self.fail("label_time", "in_the_future", pc.greater(times, _latest(now)))
        return times

    def label(self, at: LabelColumn | None) -> pa.ChunkedArray:
        values = self.text("is_fraud")
        if at is None:
            return values.cast(pa.int8())
        known = pa.array([*at.fraud, *at.genuine], pa.string())
        meaning = pa.array([1] * len(at.fraud) + [0] * len(at.genuine), pa.int8())
        none = pc.is_in(
            pc.utf8_lower(values),
            value_set=pc.utf8_lower(pa.array(at.unlabelled, pa.string())),
        )
        values = null_where(none, values)
        position = pc.index_in(pc.utf8_lower(values), value_set=pc.utf8_lower(known))
        labels = pc.take(meaning, position)
        self.fail("is_fraud", "unknown_label", lost(values, labels))
        return labels

    def faults_by_line(self) -> list[Fault]:
        sources = {name: " + ".join(parts) for name, parts in self.recipe.source_columns.items()}
        place = self.rows.place
        found = [
            Fault(place, at.line, "line", at.code, _shown(at.text), None) for at in self.rows.broken
        ]
        bad = np.flatnonzero(self.fault >= 0)
        table = self.rows.table.take(bad)
        for at, name in enumerate(table.column_names):
            if is_time(table[name].type):
                table = table.set_column(at, name, _time_text(table[name]))
        for index, row in zip(bad, table.to_pylist(), strict=True):
            name, code = self.faults[self.fault[index]]
            shown = {key: _shown(value) for key, value in row.items()}
            values = json.dumps(
                {sources.get(key, key): shown[key] for key in shown}, ensure_ascii=False
            )
            line = int(self.rows.line[index])
            found.append(Fault(place, line, name, code, shown.get(name), values))
        return sorted(found, key=lambda fault: fault.line)


def _latest(now: datetime) -> datetime:
    return now.astimezone(UTC) + timedelta(days=1)


def _shown(value: object) -> str | None:
    """A value as the source has it, without the mark of bytes that are not text."""
    return None if value is None else str(value).replace("\0", "")


def _time_text(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as text; as their number where they lie beyond the calendar."""
    try:
        return times.cast(pa.string())
    except pa.ArrowInvalid:
        width = pa.int32() if pa.types.is_date32(times.type) else pa.int64()
        return times.cast(width).cast(pa.string())
