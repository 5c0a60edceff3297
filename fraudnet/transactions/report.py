"""What was read, in figures and words: quality report, quarantine, fingerprint."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc
from rich.table import Table
from rich.text import Text

from fraudnet.errors import InputError
from fraudnet.transactions.checks import Checked, Fault
from fraudnet.transactions.quarantine import SENTENCES, reason_of
from fraudnet.transactions.recipe import Recipe, nearest
from fraudnet.transactions.seen import Distinct
from fraudnet.transactions.sources.rows import Rows
from fraudnet.transactions.untrusted import printable

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
        # As text: a name may hold what rich takes for markup.
        title = Text(f"{printable(self.source)}, recipe {printable(self.recipe)}")
        table = Table("", "", title=title, show_header=False)
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
        for what, names in (
            ("declared, not in the source", self.absent),
            ("in the source, not declared", self.unread),
        ):
            table.add_row(what, Text(printable(", ".join(names)) or "none"))
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
            self._reasons[reason_of(fault)] += 1
            self.first_fault.setdefault(reason_of(fault), fault)
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
