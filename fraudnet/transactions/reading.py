"""Reads transactions from any source into canonical columns, checked row by row."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from fraudnet.errors import InputError
from fraudnet.transactions.checks import Checks
from fraudnet.transactions.place import Source, place_of
from fraudnet.transactions.quarantine import Quarantine
from fraudnet.transactions.recipe import Recipe, load_recipe
from fraudnet.transactions.report import (
    Figures,
    QualityReport,
    refuse_many_bad,
    refuse_unlabelled,
)
from fraudnet.transactions.sources.source import open_source


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


class Reading:
    """One pass over a source, a piece at a time, for sources of any size.

    Each piece is a table of canonical columns: `transaction_id` (text), `timestamp`
    (microseconds, UTC), `account_id`, `counterparty_id` (text), `amount` (float64, finite, major
    units), `category` (text), `is_fraud` (int8: 1, 0, null = unlabelled); then, where the source
    has them, `label_time`, `currency` and the recipe's categorical (text), numeric (float64) and
    report (text) columns. Rows that fail a check go to the quarantine: rows in = rows used + rows
    quarantined.
    """

    def __init__(
        self, source: Source, recipe: Recipe | None = None, options: ReadOptions | None = None
    ) -> None:
        """Name the source; nothing is read yet.

        Args:
            source: a file (its ending says what it holds, text may be compressed), a folder of
                Parquet partitions, or a database as `URL#TABLE`.
            recipe: which column is which; by default they have our names.
            options: how strictly to read.
        """
        self.source = source
        self.recipe = recipe or load_recipe()
        self.options = options or ReadOptions()
        self._figures = Figures(place_of(source), self.recipe)

    def __iter__(self) -> Iterator[pa.Table]:
        """The pieces; the quarantine is written as they pass.

        Raises:
            InputError: the source cannot be read, or lacks a column.
        """
        if self.options.quarantine is not None:
            refuse_overwriting(self.source, self.options.quarantine)
        checks = Checks(self.recipe, self.options.now or datetime.now(UTC))
        with Quarantine(self.options.quarantine, self.recipe) as quarantine:
            for rows in open_source(self.source, self.recipe):
                checked = checks.check(rows)
                quarantine.add(checked.faults)
                self._figures.add(rows, checked)
                if len(checked.used):
                    yield checked.used

    def report(self) -> QualityReport:
        """How the source was read, once its last piece has passed.

        Raises:
            InputError: too many rows are bad, or labels are asked for and there are none.
        """
        report = self._figures.report()
        refuse_many_bad(report, self._figures.first_fault, self.options.max_bad_share)
        if self.options.require_labels:
            refuse_unlabelled(report, self.recipe)
        return report


def refuse_overwriting(source: Source, output: Path) -> None:
    """Refuse an output that is the source, or lies in the folder that is.

    Raises:
        InputError: it is.
    """
    if isinstance(source, Path) and source.exists():
        own, other = source.resolve(), output.resolve()
        if own == other or (own.is_dir() and own in other.parents):
            raise InputError(f"{output}: would overwrite the source {source}; name another file")


def read_transactions(
    source: Source, recipe: Recipe | None = None, options: ReadOptions | None = None
) -> Transactions:
    """Reads the whole of a source into memory; the columns are those of `Reading`.

    Raises:
        InputError: the source cannot be read, lacks a column, or too many of its rows are bad.
    """
    reading = Reading(source, recipe, options)
    pieces = list(reading)
    report = reading.report()  # a source without a usable row ends here
    table = pa.concat_tables(pieces, promote_options="default")
    return Transactions(table, report, reading.recipe)
