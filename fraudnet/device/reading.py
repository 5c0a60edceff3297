"""Rows of a file or a stream, with their line numbers; a bad row is a row with an error."""

import codecs
import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from fraudnet.device.errors import DeviceInputError, TransactionError
from fraudnet.device.transactions import REQUIRED, Transaction, parse_transaction

FORMATS = {".jsonl": "json", ".ndjson": "json", ".csv": "csv"}
STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read."""

    line: int  # where it ends, counted from 1
    content: str
    parsed: Transaction | TransactionError

    def transaction(self) -> Transaction:
        """Returns the transaction.

        Raises:
            TransactionError: the row cannot be used.
        """
        if isinstance(self.parsed, TransactionError):
            raise self.parsed
        return self.parsed


def read_rows(path: Path, kinds: Mapping[str, str]) -> Iterator[Row]:
    """Reads `.jsonl` or `.csv`, plain or `.gz`; `-` is JSON lines on standard input.

    Args:
        path: the file.
        kinds: columns that the artifact reads -> "numeric" or "categorical".

    Yields:
        Every row but blank ones, bad ones with their error.

    Raises:
        DeviceInputError: the file cannot be read, is of another format, or misses a column.
    """
    name = shown_name(path)
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    form = "json" if path == STANDARD_INPUT else FORMATS.get(plain.suffix.lower())
    if form is None:
        raise DeviceInputError(f"{name}: expected a name that ends in .jsonl, .csv, or these + .gz")
    try:
        with _open(path) as stream:
            yield from _rows(stream, form, name, kinds)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DeviceInputError(f"{name}: damaged gzip ({error}); copy the file again") from error
    except OSError as error:
        raise DeviceInputError(
            f"{name}: {error.strerror or error}; give a file of transactions that can be read"
        ) from error


def shown_name(path: Path) -> str:
    """Returns the name of an input in messages."""
    return "standard input" if path == STANDARD_INPUT else str(path)


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    if path == STANDARD_INPUT:
        return nullcontext(sys.stdin.buffer)  # stays open
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path))
    return path.open("rb")


def _rows(stream: BinaryIO, form: str, name: str, kinds: Mapping[str, str]) -> Iterator[Row]:
    if _is_binary(cast(io.BufferedReader, stream).peek(1), form):
        raise DeviceInputError(f"{name}: binary, expected {form} text in UTF-8; export it as such")
    # What is not UTF-8 becomes lone surrogates, which the checks of a row refuse.
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _csv_rows(text, name, kinds) if form == "csv" else _json_rows(text, kinds)
    finally:
        text.detach()


def _is_binary(head: bytes, form: str) -> bool:
    """Whether it begins as no text does; a NUL byte further on is the fault of its row alone."""
    first = head.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n").partition(b"\n")[0]
    is_row = form == "json" and first.startswith(b"{") and first[1:2] != b"\0"  # UTF-16
    return b"\0" in first and not is_row


def _json_rows(text: io.TextIOWrapper, kinds: Mapping[str, str]) -> Iterator[Row]:
    for number, line in enumerate(text, start=1):
        content = line.strip()
        if content:
            yield Row(number, content, parse_line(content, kinds))


def parse_line(content: str, kinds: Mapping[str, str]) -> Transaction | TransactionError:
    """Reads one JSON object; what is none, or no transaction, is an error."""
    try:
        fields = json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        if not isinstance(fields, dict):
            return TransactionError("expected a JSON object, one a line")
        return parse_transaction(fields, kinds)
    except TransactionError as error:
        return error
    except (ValueError, RecursionError) as error:
        return TransactionError(f"not JSON ({error}); expected one object a line")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise TransactionError(f"key {twice!r} is there twice; expected every key once")
    return fields


def _refuse_constant(constant: str) -> None:
    raise TransactionError(f"{constant} is no JSON number; expected a finite number or null")


def _csv_rows(text: io.TextIOWrapper, name: str, kinds: Mapping[str, str]) -> Iterator[Row]:
    reader = csv.reader(text, strict=True)
    header = _header(reader, name, kinds)
    numeric = {"amount"} | {column for column, kind in kinds.items() if kind == "numeric"}
    while True:
        cells: list[str] = []
        parsed: Transaction | TransactionError
        try:
            cells = next(reader)
            if not cells:
                continue
            parsed = parse_transaction(_fields(header, cells, numeric), kinds)
        except StopIteration:
            return
        except TransactionError as error:
            parsed = error
        except csv.Error as error:
            parsed = TransactionError(f"not CSV ({error}); mend the quotes")
        yield Row(reader.line_num, json.dumps(cells), parsed)


def _header(reader: Iterator[list[str]], name: str, kinds: Mapping[str, str]) -> list[str]:
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DeviceInputError(f"{name}: line 1 is not a CSV header ({error})") from error
    if missing := [column for column in (*REQUIRED, *kinds) if column not in header]:
        if not header:
            raise DeviceInputError(f"{name}: empty; expected a CSV header and rows")
        if other := [mark for mark in ";\t|" if len(header) == 1 and mark in header[0]]:
            raise DeviceInputError(
                f"{name}: its cells are separated by {other[0]!r}, expected commas; export it with "
                "commas, and a point in decimals"
            )
        raise DeviceInputError(
            f"{name}: no column {', '.join(missing)}; found {ascii(header)[1:-1]:.200}; rename the "
            "columns, or export them too"
        )
    if twice := {column for column in header if header.count(column) > 1}:
        raise DeviceInputError(f"{name}: column {', '.join(sorted(twice))} is there twice")
    return header


def _fields(header: list[str], cells: list[str], numeric: set[str]) -> dict[str, object]:
    if len(cells) != len(header):
        raise TransactionError(f"{len(cells)} cells; expected {len(header)} as in the header")
    if any("\0" in cell for cell in cells):
        raise TransactionError("holds a NUL byte; write the row again")
    return {
        column: _cell(cell, column in numeric) for column, cell in zip(header, cells, strict=True)
    }


def _cell(cell: str, numeric: bool) -> object:
    """An empty cell is null; a number stays text where it is none, and is refused as such later."""
    if not cell:
        return None
    # Python reads 1_000 as a thousand; no file that means it writes it so.
    if numeric and "_" not in cell:
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell
