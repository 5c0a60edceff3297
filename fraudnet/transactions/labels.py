"""Labels from elsewhere, such as the verdicts of a review, in place of a source's own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from fraudnet.errors import InputError
from fraudnet.transactions.untrusted import unguarded

SCHEMA = pa.schema(
    [
        ("transaction_id", pa.string()),
        ("is_fraud", pa.int8()),
        ("label_time", pa.timestamp("us", "UTC")),
    ]
)
"""Columns that a file of labels must have, all of them filled but for ids of rows that are set
aside; further ones are not read."""


@dataclass(frozen=True)
class LabelReport:
    """What became of a file of labels."""

    place: str
    labels: int  # transactions that the file names
    unknown: int  # of them, not among the source's
    changed: int  # the source's own label says otherwise
    added: int  # the source has none
    conflicting: int  # named more than once, not with one label: the latest counts
    unnamed: int = 0  # rows beside these labels that name no transaction, set aside

    def line(self) -> str:
        """In one line."""
        known = self.labels - self.unknown
        unnamed = f"; {self.unnamed:,} rows without a transaction_id left out"
        return (
            f"{self.place}: {self.labels:,} labels: {known:,} of known transactions "
            f"({self.added:,} had none, {self.changed:,} said otherwise), {self.unknown:,} of "
            f"unknown ones, {self.conflicting:,} given differently more than once (the latest "
            f"counts){unnamed if self.unnamed else ''}"
        )


class Labels:
    """The labels of a file, put on the transactions of a source as they pass.

    A label takes the place of the source's own, and its `label_time` says from when it may be
    learnt from; transactions that the file does not name keep what they have. Rows that name no
    transaction are set aside, and counted.

    Args:
        path: .csv, .csv.gz, .parquet or .jsonl with the columns of `SCHEMA`.

    Raises:
        InputError: the file cannot be read, lacks a column or a value, or holds another label than
            1 and 0.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        given = _checked(path, _read(path))
        is_named = pc.not_equal(pc.utf8_trim_whitespace(given["transaction_id"]), "")
        self._unnamed = len(given) - _count(is_named)
        table = given.filter(is_named).sort_by([("label_time", "ascending")])
        ids = table["transaction_id"].to_numpy()
        # Of several labels the last in time; numpy keeps the first of equals.
        kept_ids, kept = np.unique(ids[::-1], return_index=True)
        self._table = table.take(len(ids) - 1 - kept)
        whole = pa.table({"id": table["transaction_id"], "label": table["is_fraud"]})
        counts = whole.group_by("id").aggregate([("label", "count_distinct")])
        self._conflicting = int(pc.sum(pc.greater(counts["label_count_distinct"], 1)).as_py() or 0)
        self._ids = pa.array(kept_ids, pa.string())
        self._known = self._changed = self._added = 0

    def put_on(self, table: pa.Table) -> pa.Table:
        """The transactions with these labels; there is then a column `label_time`.

        Args:
            table: canonical columns.

        Raises:
            InputError: a label is older than its transaction.
        """
        at = pc.index_in(table["transaction_id"], self._ids)
        found = at.is_valid()
        label, time = (self._table[name].take(at) for name in ("is_fraud", "label_time"))
        self._refuse_early(table.filter(found), time.filter(found))
        own = table["is_fraud"].cast(pa.int8())
        self._known += _count(found)
        self._added += _count(pc.and_(found, own.is_null()))
        self._changed += _count(pc.fill_null(pc.not_equal(own, label), False))
        columns = {name: table[name] for name in table.column_names}
        columns["is_fraud"] = pc.coalesce(label, own)
        if "label_time" in columns:
            time = pc.coalesce(time, columns["label_time"].cast(time.type))
        columns["label_time"] = time
        return pa.table(columns)

    def report(self) -> LabelReport:
        """What became of the labels, once all transactions have passed."""
        return LabelReport(
            str(self._path), len(self._ids), len(self._ids) - self._known, self._changed,
            self._added, self._conflicting, self._unnamed,
        )  # fmt: skip

    def _refuse_early(self, named: pa.Table, time: pa.ChunkedArray) -> None:
        early = pc.less(time, named["timestamp"].cast(time.type))
        if _count(early):
            first = named.filter(early)["transaction_id"][0].as_py()
            raise InputError(
                f"{self._path}: the label_time of transaction {first!r} is before the transaction "
                "itself; expected the moment at which the label became known"
            )


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _read_csv(path: Path) -> pa.Table:
    options = pa.csv.ConvertOptions(
        column_types=SCHEMA, include_columns=SCHEMA.names, strings_can_be_null=False
    )
    lines = pa.csv.ParseOptions(newlines_in_values=True)
    return unguarded(pa.csv.read_csv(path, parse_options=lines, convert_options=options))


def _read_parquet(path: Path) -> pa.Table:
    return pa.parquet.read_table(path, columns=SCHEMA.names)


def _read_json(path: Path) -> pa.Table:
    if not path.stat().st_size:  # no label at all; pyarrow takes it for no JSON
        return SCHEMA.empty_table()
    options = pa.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    return pa.json.read_json(path, parse_options=options)


_READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_json,
}
ENDINGS = tuple(_READERS)
"""Of the files that are read."""


def _read(path: Path) -> pa.Table:
    read = next((r for ending, r in _READERS.items() if path.name.endswith(ending)), None)
    if read is None:
        raise InputError(f"{path}: unknown ending; give labels as one of {', '.join(ENDINGS)}")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give what `fraudnet review export` wrote")
    try:
        return read(path)
    except (pa.ArrowException, KeyError, OSError) as error:
        problem = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: cannot be read as labels ({problem}); expected the columns "
            f"{', '.join(SCHEMA.names)}, the last as 2025-01-31T12:00:00Z"
        ) from error


def _checked(path: Path, table: pa.Table) -> pa.Table:
    if missing := [name for name in SCHEMA.names if name not in table.column_names]:
        raise InputError(f"{path}: no column {missing[0]!r}; expected {', '.join(SCHEMA.names)}")
    try:
        table = table.select(SCHEMA.names).cast(SCHEMA)
    except pa.ArrowException as error:
        problem = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: cannot be read as labels ({problem})") from error
    ids = pc.fill_null(table["transaction_id"], "")
    table = table.set_column(0, SCHEMA.field("transaction_id"), ids)
    for name in SCHEMA.names:
        if table[name].null_count:
            row = pc.index(table[name].is_null(), True).as_py() + 1
            raise InputError(f"{path}: row {row}: no {name}; every label needs one")
    odd = pc.invert(pc.is_in(table["is_fraud"], pa.array([0, 1], pa.int8())))
    if _count(odd):
        row = pc.index(odd, True).as_py()
        raise InputError(
            f"{path}: row {row + 1}: is_fraud {table['is_fraud'][row].as_py()}; expected 1 or 0"
        )
    return table
