"""What a file of transactions holds, in figures: span, labels, accounts, amounts, gaps, delays."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.profile.ledger import (
    DAY_US,
    SECOND_US,
    Floats,
    Ints,
    Ledger,
    moment_of,
    role_of,
    text_codes,
)
from fraudnet.profile.measures import (
    Frequent,
    Histogram,
    frequent,
    histogram,
    histogram_of_counts,
    quantiles,
    wilson_interval,
)
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import Transactions
from fraudnet.transactions.report import QualityReport

_MOST_DAYS = 120  # drawn day by day; a longer span by the week
_HOUR_US = 3600 * SECOND_US
_UNITS = {"day": DAY_US, "hour": _HOUR_US, "minute": 60 * SECOND_US, "second": SECOND_US}


@dataclass(frozen=True)
class Origin:
    """Where the transactions came from and how they were read."""

    report: QualityReport
    fingerprint: str
    recipe: str
    description: str
    licence: str
    traps: tuple[str, ...]


@dataclass(frozen=True)
class ColumnSummary:
    """A column of the table."""

    name: str
    role: str
    null_share: float
    distinct: int  # values, null aside


@dataclass(frozen=True)
class Overview:
    """Span and size."""

    first: datetime
    last: datetime
    days: float  # from the first to the last transaction
    resolution: str  # the longest unit of which all times are multiples
    rows: int
    labelled: int
    frauds: int
    accounts: int
    counterparties: int
    categories: int
    frequent_categories: list[Frequent]
    columns: list[ColumnSummary]


@dataclass(frozen=True)
class OverTime:
    """What changes over time, [T] each: a day each, or a week, counted from the first day."""

    step_days: int
    last_days: int  # of the last period, which the data may cut short
    begin: npt.NDArray[np.datetime64]
    rows_a_day: Floats
    rows: Ints
    labelled: Ints
    frauds: Ints
    low: Floats  # 95 % interval of the fraud share of the labelled
    high: Floats


@dataclass(frozen=True)
class Activity:
    """Transactions an account."""

    quantiles: dict[str, Floats]
    single_share: float  # of the accounts, those with one transaction
    histogram: Histogram


@dataclass(frozen=True)
class Amounts:
    """Amounts in major units, by label."""

    rows: dict[str, int]
    negative: dict[str, int]
    zero: dict[str, int]
    quantiles: dict[str, Floats]
    frequent: list[Frequent]
    histogram: Histogram | None  # of those other than 0, without their sign


@dataclass(frozen=True)
class Gaps:
    """Hours since the account's previous transaction."""

    quantiles: dict[str, Floats]
    simultaneous: int  # rows at the very time of the account's row before
    repeated: int  # of these, with its amount and counterparty too
    histogram: Histogram | None  # of the gaps over 0


@dataclass(frozen=True)
class LabelDelay:
    """Days from transaction to label."""

    constant_days: float  # of a labelled row that has no label time
    labelled: int
    with_time: int  # of the labelled
    quantiles: dict[str, Floats]
    histogram: Histogram | None


@dataclass(frozen=True)
class Statistics:
    """Everything that is counted of a file."""

    origin: Origin
    overview: Overview
    over_time: OverTime
    activity: Activity
    amounts: Amounts
    gaps: Gaps
    label_delay: LabelDelay


def statistics_of(read: Transactions, ledger: Ledger, label_delay_days: float) -> Statistics:
    """Count everything.

    Args:
        read: the transactions.
        ledger: of their table.
        label_delay_days: days until a label is known, where a row has no label time.
    """
    return Statistics(
        origin=_origin(read),
        overview=_overview(read, ledger),
        over_time=over_time(ledger),
        activity=_activity(ledger),
        amounts=_amounts(ledger),
        gaps=_gaps(ledger),
        label_delay=_label_delay(ledger, label_delay_days),
    )


def _origin(read: Transactions) -> Origin:
    recipe, mark = read.recipe, fingerprint(read.table)
    return Origin(read.report, mark, recipe.name, recipe.description, recipe.licence, recipe.traps)


def _overview(read: Transactions, ledger: Ledger) -> Overview:
    table, at = ledger.table, ledger.timestamp_us
    first, last = int(at.min()), int(at.max())
    frequent_categories: list[Frequent] = []
    categories = 0
    if "category" in table.column_names:
        codes, values = text_codes(table["category"])
        categories = len(values)
        frequent_categories = frequent(
            values.to_numpy(zero_copy_only=False), codes, ledger.is_fraud
        )
    multiple_of = (unit for unit, length in _UNITS.items() if not (at % length).any())
    return Overview(
        first=moment_of(first),
        last=moment_of(last),
        days=(last - first) / DAY_US,
        resolution=next(multiple_of, "less than a second"),
        rows=len(table),
        labelled=int((ledger.is_fraud >= 0).sum()),
        frauds=int((ledger.is_fraud == 1).sum()),
        accounts=int(ledger.account.max()) + 1,
        counterparties=int(ledger.counterparty.max()) + 1,
        categories=categories,
        frequent_categories=frequent_categories,
        columns=[
            ColumnSummary(
                name,
                role_of(name, read.recipe),
                table[name].null_count / len(table),
                pc.count_distinct(table[name]).as_py(),
            )
            for name in read.table.column_names
        ],
    )


def over_time(ledger: Ledger) -> OverTime:
    """Rows, labels and frauds from day to day, or from week to week."""
    day = ledger.timestamp_us // DAY_US
    first, days = int(day.min()), int(day.max() - day.min()) + 1
    step = 1 if days <= _MOST_DAYS else 7
    periods = -(-days // step)
    period = (day - first) // step
    rows, labelled, frauds = (
        np.bincount(period[chosen], minlength=periods)
        for chosen in (slice(None), ledger.is_fraud >= 0, ledger.is_fraud == 1)
    )
    length = np.full(periods, step)
    length[-1] = days - step * (periods - 1)
    low, high = wilson_interval(frauds, labelled)
    return OverTime(
        step_days=step,
        last_days=int(length[-1]),
        begin=(first + step * np.arange(periods)).astype("datetime64[D]"),
        rows_a_day=rows / length,
        rows=rows,
        labelled=labelled,
        frauds=frauds,
        low=low,
        high=high,
    )


def _activity(ledger: Ledger) -> Activity:
    counts = np.bincount(ledger.account)
    return Activity(
        quantiles({"transactions": counts}),
        float((counts == 1).mean()),
        histogram_of_counts("accounts", counts),
    )


def _amounts(ledger: Ledger) -> Amounts:
    values, codes = np.unique(ledger.amount, return_inverse=True)
    by_label = ledger.by_label(ledger.amount)
    return Amounts(
        rows={name: len(part) for name, part in by_label.items()},
        negative={name: int((part < 0).sum()) for name, part in by_label.items()},
        zero={name: int((part == 0).sum()) for name, part in by_label.items()},
        quantiles=quantiles(by_label),
        frequent=frequent(values, codes, ledger.is_fraud),
        histogram=histogram(
            {name: np.abs(part[part != 0]) for name, part in by_label.items()}, log=True
        ),
    )


def _gaps(ledger: Ledger) -> Gaps:
    hours = ledger.gap_us[ledger.gap_us >= 0] / _HOUR_US
    order = ledger.order
    simultaneous = ledger.gap_us[order] == 0
    repeated = simultaneous.copy()
    for values in (ledger.amount, ledger.counterparty):
        repeated[1:] &= np.diff(values[order]) == 0
    return Gaps(
        quantiles({"hours": hours}),
        int(simultaneous.sum()),
        int(repeated.sum()),
        histogram({"transactions": hours[hours > 0]}, log=True),
    )


def _label_delay(ledger: Ledger, constant_days: float) -> LabelDelay:
    table = ledger.table
    labelled = ledger.is_fraud >= 0
    delays = {}
    if "label_time" in table.column_names:
        there = table["label_time"].is_valid().to_numpy() & labelled
        known_us = pc.fill_null(table["label_time"].cast(pa.int64()), 0).to_numpy()
        days = (known_us - ledger.timestamp_us) / DAY_US
        by_label = {"genuine": ledger.is_fraud == 0, "fraud": ledger.is_fraud == 1}
        delays = {name: days[there & chosen] for name, chosen in by_label.items()}
    return LabelDelay(
        constant_days=constant_days,
        labelled=int(labelled.sum()),
        with_time=sum(len(part) for part in delays.values()),
        quantiles=quantiles(delays),
        histogram=histogram(delays, log=False),
    )
