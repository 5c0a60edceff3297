"""What was read, in figures and words: quality report, quarantine, fingerprint."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.table import Table

from fraudnet.errors import InputError
from fraudnet.transactions.checks import Checked, Fault
from fraudnet.transactions.recipe import Recipe, nearest
from fraudnet.transactions.seen import Distinct
from fraudnet.transactions.sources.rows import Rows

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
# How the recipe is mended where that is the usual cause.
_MENDS = {
    "not_a_number": "such as decimal = ',' where decimals have a comma, or strip_prefix = '$'",
    "rounded": "such identifiers are lost: write the file again from where they are text",
    "unparsable": "such as format = '%d/%m/%Y %H:%M'",
    "in_the_future": "such as unit = 'ms' where milliseconds are counted",
    "too_early": "such as unit = 's' where seconds are counted, or earliest",
    "unknown_label": "such as fraud = ['Yes'] and genuine = ['No']",
    "not_text": "such as encoding = 'latin-1'",
    "field_count": "such as delimiter = ';' or quote = \"'\"",
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


@dataclass(frozen=True)
class QualityReport:
    """How a source was read; shares are 0..1, None where there is nothing to take a share of."""

    source: str
    recipe: str
    rows_in: int
    rows_used: int
    rows_quarantined: int
    reasons: dict[str, int]  # rows quarantined by reason, the most frequent first
    first_timestamp: datetime | None
    last_timestamp: datetime | None
    accounts: int
    counterparties: int
    labelled_share: float | None
    fraud_share: float | None  # of the labelled
    absent: list[str]  # our columns that the recipe declares and the source lacks
    unread: list[str]  # source columns that the recipe says nothing of

    def to_dict(self) -> dict[str, object]:
        """The figures as JSON holds them, times in ISO 8601."""
        values = asdict(self)
        for name in ("first_timestamp", "last_timestamp"):
            values[name] = values[name] and values[name].isoformat()
        return values

    def line(self, quarantine: Path | None = None) -> str:
        """Rows in = rows used + rows quarantined, in one line."""
        text = f"{self.source}: {self.rows_in:,} rows in: {self.rows_used:,} used, "
        text += f"{self.rows_quarantined:,} quarantined"
        if not self.rows_quarantined:
            return text
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.items())
        return f"{text} ({reasons})" + (f", see {quarantine}" if quarantine else "")

    def table(self) -> Table:
        """The figures to print with rich."""
        table = Table("", "", title=f"{self.source}, recipe {self.recipe}", show_header=False)
        table.add_row("rows in", f"{self.rows_in:,}")
        table.add_row("rows used", f"{self.rows_used:,}")
        table.add_row("rows quarantined", f"{self.rows_quarantined:,}")
        for reason, count in self.reasons.items():
            table.add_row(f"  {reason}", f"{count:,}")
        table.add_row("first", _said(self.first_timestamp))
        table.add_row("last", _said(self.last_timestamp))
        table.add_row("accounts", f"{self.accounts:,}")
        table.add_row("counterparties", f"{self.counterparties:,}")
        table.add_row("labelled", _percent(self.labelled_share))
        table.add_row("fraud among them", _percent(self.fraud_share))
        table.add_row("declared, not in the source", ", ".join(self.absent) or "none")
        table.add_row("in the source, not declared", ", ".join(self.unread) or "none")
        return table


def _said(moment: datetime | None) -> str:
    return "none" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.3%}"


class Figures:
    """What is counted while a source is read, piece by piece.

    Attributes:
        first_fault: by reason, the first of its kind.
    """

    def __init__(self, place: str, recipe: Recipe) -> None:
        self.first_fault: dict[str, Fault] = {}
        self._place = place
        self._recipe = recipe
        self._rows_in = self._used = self._labelled = self._frauds = 0
        self._reasons: Counter[str] = Counter()
        self._accounts, self._counterparties = Distinct(), Distinct()
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._present: set[str] = set()
        self._unread: list[str] = []

    def add(self, rows: Rows, checked: Checked) -> None:
        """Count a piece."""
        used = checked.used
        self._rows_in += len(rows.table) + len(rows.broken)
        self._used += len(used)
        self._labelled += pc.count(used["is_fraud"]).as_py()
        self._frauds += pc.sum(used["is_fraud"], min_count=0).as_py()
        for fault in checked.faults:
            self._reasons[reason(fault)] += 1
            self.first_fault.setdefault(reason(fault), fault)
        self._accounts.add(used["account_id"])
        self._counterparties.add(used["counterparty_id"])
        if len(used):
            span = pc.min_max(used["timestamp"]).as_py()
            self._first = min(self._first or span["min"], span["min"])
            self._last = max(self._last or span["max"], span["max"])
        self._present |= set(rows.table.column_names)
        self._unread = rows.unread

    def report(self) -> QualityReport:
        """The figures of all pieces."""
        quarantined = self._reasons.total()
        assert self._rows_in == self._used + quarantined
        return QualityReport(
            source=self._place,
            recipe=self._recipe.name,
            rows_in=self._rows_in,
            rows_used=self._used,
            rows_quarantined=quarantined,
            reasons=dict(self._reasons.most_common()),
            first_timestamp=self._first,
            last_timestamp=self._last,
            accounts=len(self._accounts),
            counterparties=len(self._counterparties),
            labelled_share=self._labelled / self._used if self._used else None,
            fraud_share=self._frauds / self._labelled if self._labelled else None,
            absent=[name for name in self._recipe.source_columns if name not in self._present],
            unread=self._unread,
        )


def reason(fault: Fault) -> str:
    """The code that the quarantine and the counts give for a fault."""
    return f"{fault.name}_{fault.code}"


def refuse_many_bad(
    report: QualityReport, first_fault: Mapping[str, Fault], max_share: float
) -> None:
    """Refuses a source of which too little can be used.

    Args:
        report: of the source.
        first_fault: by reason, to be shown.
        max_share: of its rows that may be bad, 0..1.

    Raises:
        InputError: no row can be used, or more than `max_share` (0..1) of them cannot.
    """
    if report.rows_used and report.rows_quarantined <= max_share * report.rows_in:
        return
    worst, count = next(iter(report.reasons.items()))
    first = first_fault[worst]
    value = "" if first.value is None else f": {first.value[:60]!r}"
    mend = f" ({_MENDS[first.code]})" if first.code in _MENDS else ""
    limit = f"more than the {100 * max_share:g}% allowed" if report.rows_used else "none is left"
    raise InputError(
        f"{report.source}: {report.rows_quarantined:,} of {report.rows_in:,} rows cannot be used, "
        f"{limit}; most often {first.name} {SENTENCES[first.code]} ({count:,} of them, first in "
        f"line {first.line}{value}); mend the rows or the recipe{mend}"
    )


def refuse_unlabelled(report: QualityReport, recipe: Recipe) -> None:
    """Refuses a source that nothing can be learned from.

    Raises:
        InputError: no transaction is labelled fraud, or none genuine.
    """
    mend = (
        "training needs frauds and genuine transactions: give a file with both, "
        f"or name the label's column and its values in recipe {recipe.name}"
    )
    at = recipe.is_fraud
    if at is None:
        raise InputError(f"{report.source}: no column is declared as is_fraud; {mend}")
    if "is_fraud" in report.absent:
        hint = nearest(at.parts[0], report.unread)
        raise InputError(f"{report.source}: there is no column '{at.parts[0]}'{hint}; {mend}")
    missing = {None: "at all", 0.0: "fraud", 1.0: "genuine"}.get(report.fraud_share)
    if missing:
        raise InputError(f"{report.source}: no transaction is labelled {missing}; {mend}")


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
                "reason": reason(fault),
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


class Fingerprint:
    """SHA-256 of a table's names, types, values and order; how it is cut up does not matter."""

    def __init__(self) -> None:
        self._rows = 0
        self._parts: dict[tuple[str, pa.DataType], tuple[hashlib._Hash, ...]] = {}

    def add(self, table: pa.Table) -> None:
        """Take in a piece: columns of text, numbers and times, as `Reading` gives them.

        A column that a piece lacks is null there.
        """
        for name in table.column_names:
            if (own := (name, table[name].type)) not in self._parts:
                self._parts[own] = tuple(hashlib.sha256() for _ in range(3))
                self._take(own, [pa.nulls(self._rows, own[1])])
        for name, type_ in self._parts:
            held = name in table.column_names and table[name].type == type_
            chunks = table[name].chunks if held else [pa.nulls(len(table), type_)]
            self._take((name, type_), chunks)
        self._rows += len(table)

    def _take(self, own: tuple[str, pa.DataType], chunks: list[pa.Array]) -> None:
        for chunk in chunks:
            for part, content in zip(self._parts[own], _contents(chunk), strict=True):
                part.update(content)

    def text(self) -> str:
        """`"sha256:"` and 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for (name, type_), parts in self._parts.items():
            digest.update(json.dumps([name, str(type_), self._rows]).encode())
            for part in parts:
                digest.update(part.digest())
        return f"sha256:{digest.hexdigest()}"


def fingerprint(table: pa.Table) -> str:
    """The fingerprint of a whole table."""
    whole = Fingerprint()
    whole.add(table)
    return whole.text()


def _contents(chunk: pa.Array) -> tuple[bytes, bytes, bytes]:
    """Which values are there, their lengths, and the values themselves."""
    valid = chunk.is_valid().to_numpy(zero_copy_only=False).tobytes()
    if pa.types.is_string(chunk.type):
        text = chunk.fill_null("")
        ends = np.frombuffer(text.buffers()[1], np.int32)[text.offset :][: len(text) + 1]
        data = text.buffers()[2]
        within = data.to_pybytes()[ends[0] : ends[-1]] if data else b""
        return valid, np.diff(ends).tobytes(), within
    if pa.types.is_timestamp(chunk.type):
        chunk = chunk.cast(pa.int64())
    return valid, b"", chunk.fill_null(0).to_numpy().tobytes()
