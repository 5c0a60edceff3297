"""Delimited text: comma, semicolon, tab or whatever a recipe says, quoted, compressed or not."""

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from fraudnet.errors import InputError
from fraudnet.transactions.recipe import Recipe
from fraudnet.transactions.sources.rows import (
    BrokenLine,
    Rows,
    assemble,
    choose,
    needed,
    numbered,
    unread,
)
from fraudnet.transactions.sources.text import ZERO, open_text, utf8_stream

_DELIMITERS = ",;\t|"
_NOT_TEXT = ("PAR1", "PK\x03\x04", "SQLite format 3", "%PDF-")  # how other formats begin
_HEADER_CHARACTERS = 100_000  # a header is no longer
_BREAK = r"\r\n?|\n"  # a lone carriage return ends a line too
BLOCK_BYTES = 16 << 20  # a record is no longer, however many lines its quoted values run over

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Header:
    line: int  # from 1; above it are blank lines
    names: list[str]
    delimiter: str


def read_delimited(path: Path, recipe: Recipe) -> Iterator[Rows]:
    """The rows of a delimited file, 16 MiB of text at a time.

    Raises:
        InputError: the file is no text, is empty, or lacks a needed column.
    """
    header = _header(path, recipe)
    chosen = choose(str(path), header.names, recipe)
    # Columns go by position, since a header may name two columns alike.
    position = {name: str(header.names.index(name)) for name in needed(chosen)}
    left = unread(header.names, chosen, recipe)
    invalid: deque[pacsv.InvalidRow] = deque()
    record, line = 0, header.line + 1
    for source in _pieces(path, recipe, header, invalid):
        breaks = _breaks(source)
        torn = _torn_until(invalid, header.line + 1 + record + len(source), last=not len(source))
        at, torn_at, line = _line_numbers(breaks, torn, header.line + 1 + record, line)
        record += len(source) + len(torn)
        parts = dict(zip(position, (source[each] for each in position.values()), strict=True))
        whole = (breaks == 0) & ~_blank(path, recipe, source, at)
        apart = [
            *zip(torn_at, (row.text for row in torn), strict=True),
            *zip(at[breaks > 0], _joined(source.filter(breaks > 0), header.delimiter), strict=True),
        ]
        broken = [each for number, text in apart for each in _broken(int(number), text)]
        table = assemble(chosen, parts, recipe)
        yield Rows(str(path), table.filter(whole), at[whole], broken, left)


def _joined(table: pa.Table, delimiter: str) -> list[str]:
    return [delimiter.join(row.values()) for row in table.to_pylist()]


def _header(path: Path, recipe: Recipe) -> _Header:
    number, line = 0, ""
    with open_text(path, recipe.encoding, "replace") as text:
        while not line.strip():
            number, line = number + 1, text.readline(_HEADER_CHARACTERS)
            line = line.replace("\ufeff", "")
            if not line:
                raise InputError(f"{path}: is empty; expected a header and rows")
    if "\0" in line or "\ufffd" in line or line.startswith(_NOT_TEXT):
        raise InputError(
            f"{path}: is binary or not in {recipe.encoding}, expected delimited text; give the "
            f"file its right ending, or name the right encoding in recipe {recipe.name}"
        )
    if not line.endswith(("\n", "\r")) and len(line) < _HEADER_CHARACTERS:
        raise InputError(f"{path}: holds no rows, only the names of columns; give it rows")
    wanted = {part for parts in recipe.source_columns.values() for part in parts}

    def names(delimiter: str) -> list[str]:
        fields = next(csv.reader([line], delimiter=delimiter, quotechar=recipe.quote))
        return numbered([name.strip() for name in fields], recipe)

    # The delimiter that finds the most columns of the recipe, or else the most columns.
    delimiter = recipe.delimiter or max(
        _DELIMITERS, key=lambda each: (len(wanted & set(names(each))), len(names(each)))
    )
    return _Header(number, names(delimiter), delimiter)


def _breaks(source: pa.Table) -> Lines:
    """Line breaks within each record."""
    breaks = np.zeros(len(source), dtype=np.int64)
    for values in source.columns:
        content = _content(values)
        if b"\n" in content or b"\r" in content:  # hardly a column has one
            breaks += pc.count_substring_regex(values, _BREAK).to_numpy()
    return breaks


def _with_zeros(source: pa.Table) -> pa.Table:
    """The zero bytes again, which were kept from the parser."""
    for at, values in enumerate(source.columns):
        if ZERO.encode() in _content(values):
            name = source.column_names[at]
            source = source.set_column(at, name, pc.replace_substring(values, ZERO, "\0"))
    return source


def _content(values: pa.ChunkedArray) -> bytes:
    return b"".join(data for each in values.chunks if (data := each.buffers()[2]))


def _pieces(
    path: Path, recipe: Recipe, header: _Header, invalid: deque[pacsv.InvalidRow]
) -> Iterator[pa.Table]:
    """Every record as text, by column position; those without the header's field count go aside.

    All columns are read: a stray quote in one that is not needed eats other records too. A last
    piece without records comes after all others.
    """

    def set_aside(row: pacsv.InvalidRow) -> str:
        invalid.append(row._replace(text=row.text.replace(ZERO, "\0")))
        return "skip"

    positions = [str(position) for position in range(len(header.names))]
    schema = pa.schema([(position, pa.string()) for position in positions])
    with pacsv.open_csv(
        utf8_stream(path, recipe.encoding),
        pacsv.ReadOptions(
            use_threads=False,  # only then are the records numbered that are set aside
            block_size=BLOCK_BYTES,
            skip_rows=header.line,
            column_names=positions,
        ),
        pacsv.ParseOptions(
            delimiter=header.delimiter,
            quote_char=recipe.quote,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=set_aside,
        ),
        pacsv.ConvertOptions(
            column_types=dict.fromkeys(positions, pa.string()),
            strings_can_be_null=False,
        ),
    ) as reader:
        for batch in reader:
            if len(batch):
                yield _with_zeros(pa.Table.from_batches([batch]))
    yield schema.empty_table()


def _torn_until(
    invalid: deque[pacsv.InvalidRow], number: int, *, last: bool
) -> list[pacsv.InvalidRow]:
    """Takes the records that were set aside before the given one; the parser reads ahead."""
    torn: list[pacsv.InvalidRow] = []
    while invalid and (last or invalid[0].number <= number + len(torn)):
        torn.append(invalid.popleft())
    return torn


def _line_numbers(
    breaks: Lines, torn: list[pacsv.InvalidRow], first: int, line: int
) -> tuple[Lines, Lines, int]:
    """Lines of the valid and of the torn records of a piece, and the line that follows it.

    Args:
        breaks: of each valid record, the line breaks within it.
        torn: records that were set aside.
        first: number of the piece's first record.
        line: its line.
    """
    valid = np.ones(len(breaks) + len(torn), dtype=bool)
    valid[np.array([row.number - first for row in torn], dtype=np.int64)] = False
    length = np.ones(len(valid), dtype=np.int64)
    length[valid] += breaks
    length[~valid] += np.array([len(_lines(row.text)) - 1 for row in torn], dtype=np.int64)
    at = line + np.cumsum(length) - length
    return at[valid], at[~valid], line + int(length.sum())


def _broken(line: int, text: str) -> list[BrokenLine]:
    """Every line of a broken record: over several of them, a stray quote has eaten the others."""
    texts = _lines(text)
    code = "field_count" if len(texts) == 1 else "unclosed_quote"
    return [BrokenLine(line + at, code, each) for at, each in enumerate(texts)]


def _lines(text: str) -> list[str]:
    return re.split(_BREAK, re.sub(rf"({_BREAK})\Z", "", text))


def _blank(path: Path, recipe: Recipe, table: pa.Table, line: Lines) -> npt.NDArray[np.bool_]:
    """Which rows are blank lines; the parser gives them as rows of empty values."""
    empty = np.ones(len(table), dtype=bool)
    for values in table.columns:
        empty &= pc.equal(values, "").to_numpy()
    if not empty.any():
        return empty
    modified = path.stat().st_mtime_ns
    return empty & np.isin(line, _blank_lines(path, recipe.encoding, modified))


@lru_cache(maxsize=1)
def _blank_lines(path: Path, encoding: str, _modified: int) -> list[int]:
    with open_text(path, encoding) as text:
        return [number for number, each in enumerate(text, start=1) if not each.rstrip("\r\n")]
