"""Opens a source of transactions, whatever it is, as pieces of rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from fraudnet.errors import InputError
from fraudnet.transactions.place import Source, place_of
from fraudnet.transactions.recipe import Recipe
from fraudnet.transactions.sources import delimited
from fraudnet.transactions.sources.database import read_database
from fraudnet.transactions.sources.json_lines import read_json_lines
from fraudnet.transactions.sources.parquet import read_parquet, read_partitions
from fraudnet.transactions.sources.rows import Rows

_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
_READERS = {
    **dict.fromkeys((".csv", ".tsv", ".psv", ".txt"), delimited.read_delimited),
    **dict.fromkeys((".parquet", ".pq"), read_parquet),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), read_json_lines),
}


def open_source(source: Source, recipe: Recipe) -> Iterator[Rows]:
    """The rows of a source, piece by piece, in its order.

    Raises:
        InputError: it cannot be read, or lacks a needed column.
    """
    found = False
    with _one_line_errors(source):
        for rows in _read(source, recipe):
            found = found or bool(len(rows.table) or rows.broken)
            yield rows
    if not found:
        raise InputError(
            f"{place_of(source)}: holds no rows, only the names of columns; give it rows"
        )


def _read(source: Source, recipe: Recipe) -> Iterator[Rows]:
    if isinstance(source, str):
        return read_database(source, recipe)
    path = source
    if path.is_dir():
        return read_partitions(path, recipe)
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file; give the path of a file with transactions"
        )
    if not path.stat().st_size:
        raise InputError(f"{path}: is empty; expected a header and rows")
    compressed = path.suffix in _COMPRESSED
    read = _READERS.get((Path(path.stem) if compressed else path).suffix.lower())
    if read is None or (compressed and read is read_parquet):
        raise InputError(
            f"{path}: cannot tell what it holds; expected an ending among {', '.join(_READERS)} "
            f"(text also with {', '.join(_COMPRESSED)}), a folder of Parquet files, or a "
            "database as URL#TABLE"
        )
    return read(path, recipe)


@contextmanager
def _one_line_errors(source: Source) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, UnicodeError) as error:
        problem = " ".join(str(error).split())
        mend = "it may be cut short or of another format: write or copy it again"
        if "straddling" in problem:
            mend = (
                f"a quote that is never closed runs over more than {delimited.BLOCK_BYTES:,} bytes"
            )
        raise InputError(f"{place_of(source)}: cannot be read ({problem}); {mend}") from None
