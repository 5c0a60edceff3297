"""Writes tables of transactions to files."""

import gzip
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from fraudnet.errors import InputError


def write_transactions(table: pa.Table, path: str | Path) -> None:
    """Writes a table in the format that the path's extension names, whole or not at all.

    Text files hold timestamps as ISO 8601 with Z, and null as nothing (CSV) or `null` (JSON
    lines). The same table gives the same bytes.

    Raises:
        InputError: the extension is not known, the folder cannot be written to, or JSON lines
            are asked for numbers that JSON does not have (NaN, infinity).
    """
    path = Path(path)
    extension = next((known for known in _WRITERS if path.name.lower().endswith(known)), None)
    if extension is None:
        raise InputError(f"{path}: unknown extension; use one of {', '.join(_WRITERS)}")
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as raw, _compressed(raw, extension) as file:
            _WRITERS[extension](table, file)
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _compressed(raw: IO[bytes], extension: str) -> AbstractContextManager[Any]:
    if not extension.endswith(".gz"):
        return nullcontext(raw)
    # Neither name nor time, so that equal tables give equal bytes.
    return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    pa.parquet.write_table(table, file, compression="zstd")


def _write_csv(table: pa.Table, file: IO[bytes]) -> None:
    pa.csv.write_csv(_with_iso_timestamps(table), file)


def _write_json_lines(table: pa.Table, file: IO[bytes]) -> None:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_floating(column.type) and pc.any(pc.invert(pc.is_finite(column))).as_py():
            raise InputError(
                f"column {name!r} holds NaN or infinity, which JSON cannot say; "
                "make them null, or write .parquet"
            )
    for batch in _with_iso_timestamps(table).to_batches(max_chunksize=65_536):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
        file.write("".join(lines).encode())


def _with_iso_timestamps(table: pa.Table) -> pa.Table:
    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            utc = table.column(position).cast(pa.timestamp(field.type.unit, "UTC"))
            text = pc.strftime(utc, format="%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(position, field.name, text)
    return table


_WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".csv.gz": _write_csv,
    ".jsonl": _write_json_lines,
    ".jsonl.gz": _write_json_lines,
}
