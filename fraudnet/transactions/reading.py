"""Reads transactions from files: delimited text, Parquet and JSON lines, in canonical columns."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from fraudnet.errors import InputError
from fraudnet.transactions.checks import BrokenLine, Rows, check
from fraudnet.transactions.recipe import Recipe, load_recipe, nearest
from fraudnet.transactions.report import (
    QualityReport,
    describe,
    refuse_many_bad,
    refuse_unlabelled,
    write_quarantine,
)

_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
_DELIMITERS = ",;\t|"
_HEADER_CHARACTERS = 100_000  # a header is no longer
_BLOCK_BYTES = 16 << 20  # a record is no longer, however many lines its quoted values run over
_BAD_BYTES = "fraudnet.bad_bytes"
# Numbers stay as they are written, so that nothing is rounded before it is judged.
_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


@dataclass(frozen=True)
class ReadOptions:
    """How strictly a source is read."""

    quarantine: Path | None = None  # .parquet or .jsonl file for the rows that cannot be used
    max_bad_share: float = 0.05  # of the rows, 0..1; with more than this nothing is used
    now: datetime | None = None  # None: the clock; more than a day later is the future
    require_labels: bool = False  # training needs frauds and genuine transactions

    def __post_init__(self) -> None:
        if self.quarantine and self.quarantine.suffix not in (".parquet", ".jsonl"):
            raise InputError(f"quarantine {self.quarantine}: give a .parquet or .jsonl file")
        if not 0.0 <= self.max_bad_share <= 1.0:
            raise InputError(f"max_bad_share {self.max_bad_share}: give a share from 0 to 1")


@dataclass(frozen=True)
class Transactions:
    """Transactions in canonical columns, in the source's order, and how they were read."""

    table: pa.Table
    report: QualityReport
    recipe: Recipe


def read_transactions(
    path: Path, recipe: Recipe | None = None, options: ReadOptions | None = None
) -> Transactions:
    """Reads a file of delimited text, Parquet or JSON lines into canonical columns.

    Text may be compressed and may begin with a byte-order mark. The table holds `transaction_id`
    (text), `timestamp` (microseconds, UTC), `account_id`, `counterparty_id` (text), `amount`
    (float64, finite, major units), `category` (text), `is_fraud` (int8: 1, 0, null = unlabelled);
    then, where the file has them, `label_time` and the recipe's categorical (text), numeric
    (float64) and report (text) columns. Rows that fail a check go to the quarantine: rows in =
    rows used + rows quarantined.

    Args:
        path: the file; its ending says what it holds.
        recipe: which column is which; by default they have our names.
        options: how strictly to read.

    Raises:
        InputError: the file cannot be read, lacks a column, or too many of its rows are bad.
    """
    recipe = recipe or load_recipe()
    options = options or ReadOptions()
    rows = _read(path, recipe)
    checked = check(rows, recipe, options.now or datetime.now(UTC))
    if options.quarantine:
        write_quarantine(checked.faults, recipe, options.quarantine)
    report = describe(rows, checked, recipe)
    refuse_many_bad(report, checked.faults, options.max_bad_share)
    if options.require_labels:
        refuse_unlabelled(report, recipe)
    return Transactions(checked.used, report, recipe)


def _read(path: Path, recipe: Recipe) -> Rows:
    if not path.is_file():
        what = "is a folder, expected a file" if path.is_dir() else "there is no such file"
        raise InputError(f"{path}: {what}; give the path of a file with transactions")
    if not path.stat().st_size:
        raise InputError(f"{path}: is empty; expected a header and rows")
    compressed = path.suffix in _COMPRESSED
    read = _READERS.get((Path(path.stem) if compressed else path).suffix.lower())
    if read is None or (compressed and read is _read_parquet):
        raise InputError(
            f"{path}: cannot tell what it holds; expected an ending among {', '.join(_READERS)} "
            f"(text also with {', '.join(_COMPRESSED)})"
        )
    with _one_line_errors(path):
        rows = read(path, recipe)
    if not len(rows.table) and not rows.broken:
        raise InputError(f"{path}: holds no rows, only the names of columns; give it rows")
    return rows


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, UnicodeError) as error:
        problem = " ".join(str(error).split())
        mend = "it may be cut short or of another format: write or copy it again"
        if "straddling" in problem:
            mend = f"a quote that is never closed runs over more than {_BLOCK_BYTES:,} bytes"
        raise InputError(f"{path}: cannot be read ({problem}); {mend}") from None


def _choose(path: Path, header: list[str], recipe: Recipe) -> dict[str, str]:
    """Which of the file's columns is which of ours."""
    chosen = {}
    for name, column in recipe.source_columns.items():
        if header.count(column) > 1:
            raise InputError(
                f"{path}: {header.count(column)} columns are called '{column}'; "
                f"leave one of them under that name"
            )
        if column in header:
            chosen[name] = column
        elif not recipe.may_lack(name):
            raise InputError(
                f"{path}: there is no column '{column}' for {name}{nearest(column, header)} "
                f"(columns: {', '.join(header)}); name the right one in recipe {recipe.name}"
            )
    return chosen


def _unread(header: list[str], chosen: dict[str, str], recipe: Recipe) -> list[str]:
    return [name for name in header if name not in (*chosen.values(), *recipe.ignore)]


def _read_parquet(path: Path, recipe: Recipe) -> Rows:
    with pq.ParquetFile(path) as file:
        header = file.schema_arrow.names
        chosen = _choose(path, header, recipe)
        source = file.read(columns=list(dict.fromkeys(chosen.values())))
    source.validate(full=True)  # a damaged file may hold text that is none
    table = pa.table({name: source[column] for name, column in chosen.items()})
    line = np.arange(1, len(table) + 1)
    return Rows(str(path), table, line, [], _unread(header, chosen, recipe))


def _read_json_lines(path: Path, recipe: Recipe) -> Rows:
    wanted = recipe.source_columns
    values: dict[str, list[str | None]] = {name: [] for name in wanted}
    seen: dict[str, object] = {}
    lines: list[int] = []
    broken: list[BrokenLine] = []
    with _text(path, recipe) as text:
        for number, line in enumerate(text, start=1):
            record = _json_object(line)
            if isinstance(record, str):
                broken.append(BrokenLine(number, record, line.rstrip()))
            elif record is not None:
                seen.update(record)
                lines.append(number)
                for name, column in wanted.items():
                    values[name].append(_json_text(record.get(column)))
    if not lines and broken:
        raise InputError(f"{path}: no line is a JSON object; expected one JSON object a line")
    chosen = _choose(path, list(seen), recipe)
    table = pa.table({name: pa.array(values[name], pa.string()) for name in chosen})
    return Rows(str(path), table, np.array(lines), broken, _unread(list(seen), chosen, recipe))


def _json_object(line: str) -> dict[str, object] | str | None:
    """The object of a line, None for a blank line, or the code of what is wrong with it."""
    if not line.strip():
        return None
    if "\0" in line:
        return "not_text"
    try:
        record = _JSON.decode(line)
    except (ValueError, RecursionError):
        return "not_json"
    return record if isinstance(record, dict) else "not_json"


def _json_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class _Header:
    line: int  # from 1; above it are blank lines
    names: list[str]
    delimiter: str


def _read_delimited(path: Path, recipe: Recipe) -> Rows:
    header = _header(path, recipe)
    chosen = _choose(path, header.names, recipe)
    # Columns go by position, since a header may name two columns alike.
    position = {name: str(header.names.index(column)) for name, column in chosen.items()}
    source, invalid = _records(
        path, recipe.encoding, header, list(dict.fromkeys(position.values()))
    )
    table = pa.table({name: source[at] for name, at in position.items()})
    breaks = np.zeros(len(source), dtype=np.int64)
    for values in source.columns:
        breaks += pc.count_substring(values, "\n").to_numpy()
    line, invalid_line = _line_numbers(breaks, invalid, header.line + 1)
    whole = (breaks == 0) & ~_blank(path, recipe, table, line)
    torn = [
        *zip(invalid_line, (row.text for row in invalid), strict=True),
        *zip(line[breaks > 0], _joined(source.filter(breaks > 0), header.delimiter), strict=True),
    ]
    broken = [each for at, text in torn for each in _broken(int(at), text)]
    unread = _unread(header.names, chosen, recipe)
    return Rows(str(path), table.filter(whole), line[whole], broken, unread)


def _joined(table: pa.Table, delimiter: str) -> list[str]:
    return [delimiter.join(row.values()) for row in table.to_pylist()]


def _header(path: Path, recipe: Recipe) -> _Header:
    number, line = 0, ""
    with _text(path, recipe, "replace") as text:
        while not line.strip():
            number, line = number + 1, text.readline(_HEADER_CHARACTERS)
            if not line:
                raise InputError(f"{path}: is empty; expected a header and rows")
    if "\0" in line or "\ufffd" in line:
        raise InputError(
            f"{path}: is binary or not in {recipe.encoding}, expected delimited text; give the "
            f"file its right ending, or name the right encoding in recipe {recipe.name}"
        )
    wanted = set(recipe.source_columns.values())

    def names(delimiter: str) -> list[str]:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]

    # The delimiter that finds the most columns of the recipe, or else the most columns.
    delimiter = recipe.delimiter or max(
        _DELIMITERS, key=lambda each: (len(wanted & set(names(each))), len(names(each)))
    )
    return _Header(number, names(delimiter), delimiter)


def _records(
    path: Path, encoding: str, header: _Header, positions: list[str]
) -> tuple[pa.Table, list[pacsv.InvalidRow]]:
    """Every record as text, by column position, and those without the header's field count."""
    invalid: list[pacsv.InvalidRow] = []

    def set_aside(row: pacsv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    table = pacsv.read_csv(
        pa.TransformInputStream(pa.input_stream(str(path)), _to_utf8(encoding)),
        pacsv.ReadOptions(
            use_threads=False,  # only then are the records numbered that are set aside
            block_size=_BLOCK_BYTES,
            skip_rows=header.line,
            column_names=[str(position) for position in range(len(header.names))],
        ),
        pacsv.ParseOptions(
            delimiter=header.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=set_aside,
        ),
        pacsv.ConvertOptions(
            column_types=dict.fromkeys(positions, pa.string()),
            include_columns=positions,
            strings_can_be_null=False,
        ),
    )
    return table, invalid


def _line_numbers(
    breaks: npt.NDArray[np.int64], invalid: list[pacsv.InvalidRow], first: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Lines of the valid and of the invalid records; some have line breaks within."""
    valid = np.ones(len(breaks) + len(invalid), dtype=bool)
    valid[np.array([row.number - first for row in invalid], dtype=np.int64)] = False
    length = np.ones(len(valid), dtype=np.int64)
    length[valid] += breaks
    length[~valid] += np.array([row.text.count("\n") for row in invalid], dtype=np.int64)
    line = first + np.cumsum(length) - length
    return line[valid], line[~valid]


def _broken(line: int, text: str) -> list[BrokenLine]:
    """Every line of a broken record: over several of them, a stray quote has eaten the others."""
    texts = text.removesuffix("\n").split("\n")
    code = "field_count" if len(texts) == 1 else "unclosed_quote"
    return [BrokenLine(line + at, code, each.rstrip("\r")) for at, each in enumerate(texts)]


def _blank(
    path: Path, recipe: Recipe, table: pa.Table, line: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which rows are blank lines; the parser gives them as rows of empty values."""
    empty = np.ones(len(table), dtype=bool)
    for values in table.columns:
        empty &= pc.equal(values, "").to_numpy()
    if not empty.any():
        return empty
    with _text(path, recipe) as text:
        blank = [number for number, each in enumerate(text, start=1) if not each.rstrip("\r\n")]
    return empty & np.isin(line, blank)


def _text(path: Path, recipe: Recipe, errors: str = _BAD_BYTES) -> TextIO:
    stream = io.BufferedReader(pa.input_stream(str(path)))
    return io.TextIOWrapper(stream, _codec(recipe.encoding), errors=errors, newline="")


def _codec(encoding: str) -> str:
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _to_utf8(encoding: str) -> Callable[[bytes], bytes]:
    decoder = codecs.getincrementaldecoder(_codec(encoding))(errors=_BAD_BYTES)

    def transform(block: bytes) -> bytes:
        return decoder.decode(block, final=not block).encode()

    return transform


def _mark_bad_bytes(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no text become a zero byte, by which the row is known, and their value."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(f"\0\\x{byte:02x}" for byte in bad), error.end


codecs.register_error(_BAD_BYTES, _mark_bad_bytes)

_READERS = {
    **dict.fromkeys((".csv", ".tsv", ".psv", ".txt"), _read_delimited),
    **dict.fromkeys((".parquet", ".pq"), _read_parquet),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), _read_json_lines),
}
