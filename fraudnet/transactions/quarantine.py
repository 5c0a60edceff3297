"""Rows that cannot be used: why, in words, and the file that they go to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from fraudnet.errors import InputError
from fraudnet.transactions.checks import Fault
from fraudnet.transactions.recipe import Recipe

# Said of the column that a fault names.
SENTENCES = {
    "field_count": "has not as many fields as the header",
    "unclosed_quote": "is run together with others by a quote that is not closed",
    "not_json": "is not a JSON object",
    "not_text": "holds bytes that are not text in the file's encoding",
    "header_repeated": "repeats the header",
    "missing": "is missing",
    "rounded": "is a rounded number (such as 2.70E+15 or 12.0), which identifies nothing",
    "unparsable": "is not a time in the declared format",
    "too_early": "lies before 1970, or before the earliest time that the recipe gives",
    "in_the_future": "lies more than one day in the future",
    "not_a_number": "is not a number",
    "not_finite": "is not finite",
    "too_large": "is larger than the network can read, 3.4e38",
    "negative": "is negative, which the recipe does not allow",
    "unknown_label": "is neither a fraud nor a genuine value of the recipe",
    "before_timestamp": "lies before the transaction",
    "other_currency": "is not the currency that the recipe keeps",
    "duplicate": "stands in an earlier row already",
}
_QUARANTINE = pa.schema(
    [
        ("source", pa.string()),  # file or table
        ("line", pa.int64()),  # of a text file; row of a Parquet file; from 1
        ("reason", pa.string()),
        ("sentence", pa.string()),
        ("column", pa.string()),  # in the source
        ("value", pa.string()),
        ("row", pa.string()),  # JSON of all that was read of it
    ]
)


def reason_of(fault: Fault) -> str:
    """The code that the quarantine and the counts give for a fault."""
    return f"{fault.name}_{fault.code}"


class Quarantine:
    """The file of rows that cannot be used: Parquet, or JSON lines; by source and line."""

    def __init__(self, path: Path | None, recipe: Recipe) -> None:
        """Name the file; it is there, with no rows if need be, once the quarantine is entered.

        Args:
            path: .parquet or .jsonl; None: the rows are counted and not kept.
            recipe: that they were read by.
        """
        self._path = path
        self._recipe = recipe

    def __enter__(self) -> Self:
        with self._one_line_errors():
            if self._path and self._path.suffix == ".parquet":
                self._parquet = pq.ParquetWriter(self._path, _QUARANTINE)
            elif self._path:
                self._lines = self._path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        with self._one_line_errors():
            if self._path and self._path.suffix == ".parquet":
                self._parquet.close()
            elif self._path:
                self._lines.close()

    def add(self, faults: list[Fault]) -> None:
        """Write the faults of a piece.

        Raises:
            InputError: the file cannot be written.
        """
        if not self._path or not faults:
            return
        entries = [
            {
                "source": fault.place,
                "line": fault.line,
                "reason": reason_of(fault),
                "sentence": f"{fault.name} {SENTENCES[fault.code]}",
                "column": " + ".join(self._recipe.source_columns.get(fault.name, ())) or None,
                "value": fault.value,
                "row": fault.row,
            }
            for fault in faults
        ]
        with self._one_line_errors():
            if self._path.suffix == ".parquet":
                self._parquet.write_table(pa.Table.from_pylist(entries, _QUARANTINE))
            else:
                lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
                self._lines.write("".join(lines))

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self._path}: the quarantine cannot be written ({error}); name a file in a "
                "folder that can"
            ) from None
