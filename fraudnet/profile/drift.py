"""What differs between the training and the test period of a split."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy.stats import chi2, ks_2samp

from fraudnet.errors import InputError
from fraudnet.profile.ledger import (
    DAY_US,
    SECOND_US,
    Bools,
    Floats,
    Ints,
    Ledger,
    moment_of,
    number_values,
    text_codes,
)
from fraudnet.transactions.recipe import Recipe
from fraudnet.windows.periods import Period, SplitConfig, microseconds, split_by_time

_BINS = 10
_MOST_CATEGORIES = 50  # of a column; rarer ones are counted together
_WEEKDAY_OF_1970 = 3  # its first day was a Thursday, Monday being 0
SHIFTED = 0.25  # from this index on a population has shifted (Siddiqi 2006)


@dataclass(frozen=True)
class Compared:
    """The two periods that are compared, and which rows [N] lie in them."""

    training: Period
    test: Period
    in_training: Bools
    in_test: Bools
    note: str  # why they are not those of the split, or nothing

    def only(self, rows: Bools) -> "Compared":
        """The same periods with these rows [N] alone."""
        return replace(self, in_training=self.in_training & rows, in_test=self.in_test & rows)


@dataclass(frozen=True)
class ColumnDrift:
    """How a column's distribution differs; shares are 0..1."""

    column: str
    index: float  # population stability index
    index_by_chance: float  # 95 of 100 samples of these sizes lie below it without any drift
    ks: float | None  # Kolmogorov-Smirnov statistic of numbers
    unseen_share: float | None  # test rows whose category no training row has
    null_training: float
    null_test: float


@dataclass(frozen=True)
class Newcomers:
    """Accounts or counterparties of the test period with no earlier transaction at all."""

    of: str
    seen: int  # in the test period
    new: int
    row_share: float  # test rows of the new ones


@dataclass(frozen=True)
class Drift:
    """The comparison; without `training` there was nothing to compare."""

    training: Period | None
    test: Period | None
    training_rows: int
    test_rows: int
    note: str
    columns: list[ColumnDrift]
    newcomers: list[Newcomers]


def compared_periods(timestamp_us: Ints, config: SplitConfig) -> Compared | None:
    """The split's training and test period; where it does not fit, earlier and later half.

    Args:
        timestamp_us: [N >= 1] microseconds since 1970.
        config: the split.

    Returns:
        None where all rows have one time, which cannot be divided.
    """
    try:
        split = split_by_time(timestamp_us, config)
    except InputError as error:
        note = f"The split does not fit: {error}."
    else:
        in_training = split.training.contains(timestamp_us)
        in_test = split.test.contains(timestamp_us)
        if in_training.any() and in_test.any():
            return Compared(split.training, split.test, in_training, in_test, "")
        note = f"Training {split.training} or test {split.test} holds no transaction."
    cut = int(np.median(timestamp_us))
    cut = max(cut, int(timestamp_us.min()) + 1)
    earlier = timestamp_us < cut
    if earlier.all():
        return None
    first, middle, end = (
        moment_of(us) for us in (int(timestamp_us.min()), cut, int(timestamp_us.max()) + 1)
    )
    note += " Instead, the earlier half of the transactions stands for training, the later for test"
    return Compared(Period(first, middle), Period(middle, end), earlier, ~earlier, note + ".")


def population_stability_index(training: Ints, test: Ints) -> float:
    """Sum over the bins of (q - p) ln(q / p), p and q being the shares in training and test.

    It is the symmetric Kullback-Leibler divergence (Jeffreys 1946); Siddiqi 2006, "Credit Risk
    Scorecards", calls less than 0.1 stable and from 0.25 on a shift. Half a row is added to every
    bin that holds a row of either, so that a bin which only one of them fills stays finite.

    Args:
        training: [B] rows in each bin.
        test: [B] likewise.
    """
    filled = training + test > 0
    p, q = ((rows[filled] + 0.5) / (rows[filled] + 0.5).sum() for rows in (training, test))
    return float(((q - p) * np.log(q / p)).sum())


def index_by_chance(training: Ints, test: Ints) -> float:
    """The index that 95 of 100 samples without drift stay below.

    Without drift it is distributed as (1/N + 1/M) times chi-squared with B - 1 degrees of freedom
    (Yurdakul and Naranjo 2020, "Statistical properties of the population stability index"), if
    rows are drawn independently, which those of one account are not.
    """
    freedom = int((training + test > 0).sum()) - 1
    if freedom < 1:
        return 0.0
    return float(chi2.ppf(0.95, freedom) * (1 / training.sum() + 1 / test.sum()))


def number_bins(values: Floats, in_training: Bools, bins: int = _BINS) -> Ints:
    """Bins by the quantiles of the training rows, or by value if these hold few values.

    Args:
        values: [N] NaN for null.
        in_training: [N] which rows say where the bins lie.
        bins: most bins, null and unseen values aside.

    Returns:
        [N] bin of each row, -1 for null.
    """
    known = values[in_training & ~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) > bins:
        edges = np.unique(np.quantile(known, np.arange(1, bins) / bins))
        codes = np.searchsorted(edges, values, side="right")
    else:
        codes = np.searchsorted(distinct, values)
        unseen = distinct[np.minimum(codes, len(distinct) - 1)] != values if len(distinct) else True
        codes = np.where(unseen, len(distinct), codes)
    return np.where(np.isnan(values), -1, codes)


def category_bins(codes: Ints, in_training: Bools) -> tuple[Ints, Bools]:
    """The most frequent categories of the training rows, the others, and those unseen there.

    Args:
        codes: [N] -1 for null.
        in_training: [N] which rows say what is frequent.

    Returns:
        [N] bin of each row, -1 for null, and [N] whether its category is unseen.
    """
    size = int(codes.max()) + 1
    count = np.bincount(codes[in_training & (codes >= 0)], minlength=size)
    bin_of = np.empty(size + 1, np.int64)
    bin_of[np.argsort(-count, kind="stable")] = np.minimum(np.arange(size), _MOST_CATEGORIES)
    bin_of[:size][count == 0] = _MOST_CATEGORIES + 1
    bin_of[size] = -1  # where the code of null, -1, points
    bins = bin_of[codes]
    return bins, bins == _MOST_CATEGORIES + 1


def hour_of_day(timestamp_us: Ints) -> Ints:
    """[N] 0..23, UTC."""
    return timestamp_us // (3600 * SECOND_US) % 24


def weekday(timestamp_us: Ints) -> Ints:
    """[N] 0 (Monday) .. 6, UTC."""
    return (timestamp_us // DAY_US + _WEEKDAY_OF_1970) % 7


def drift_of(ledger: Ledger, recipe: Recipe, compared: Compared | None) -> Drift:
    """Compare amount, time, gap and every column that a model may read, between the periods.

    Args:
        ledger: the transactions.
        recipe: which columns are categorical, numeric, or for reports alone (left out).
        compared: the periods, None where there are none.
    """
    if compared is None:
        return Drift(None, None, 0, 0, "All transactions have one time.", [], [])
    table, at = ledger.table, ledger.timestamp_us
    gap_hours = ledger.gap_us / (3600 * SECOND_US)
    columns = [
        _numbers("amount", ledger.amount, compared),
        _drift("hour of day", hour_of_day(at), compared),
    ]
    if min(compared.training.days, compared.test.days) >= 7:
        columns.append(_drift("weekday", weekday(at), compared))
    # Every account has its first row somewhere; most are where the data begin.
    later = compared.only(ledger.gap_us >= 0)
    if later.in_training.any() and later.in_test.any():
        columns.append(_numbers("hours since the account's last", gap_hours, later))
    for name in table.column_names:
        if table[name].null_count == len(table):
            continue
        if name in recipe.numeric:
            columns.append(_numbers(name, number_values(table[name]), compared))
        elif name in ("category", "currency") or name in recipe.categorical:
            columns.append(_categories(name, table[name], compared))
    before = at < microseconds(compared.test.begin)
    return Drift(
        compared.training,
        compared.test,
        int(compared.in_training.sum()),
        int(compared.in_test.sum()),
        compared.note,
        columns,
        [
            _newcomers("accounts", ledger.account, before, compared.in_test),
            _newcomers("counterparties", ledger.counterparty, before, compared.in_test),
        ],
    )


def _numbers(name: str, values: Floats, compared: Compared) -> ColumnDrift:
    there = ~np.isnan(values)
    samples = [values[mask & there] for mask in (compared.in_training, compared.in_test)]
    ks = None
    if all(map(len, samples)):
        with np.errstate(divide="ignore"):  # in the p-value of single rows, which is not used
            ks = float(ks_2samp(*samples, method="asymp").statistic)
    return _drift(name, number_bins(values, compared.in_training), compared, ks=ks)


def _categories(name: str, column: pa.ChunkedArray, compared: Compared) -> ColumnDrift:
    bins, unseen = category_bins(text_codes(column)[0], compared.in_training)
    there = compared.in_test & (bins >= 0)
    share = float(unseen[there].mean()) if there.any() else None
    return _drift(name, bins, compared, unseen_share=share)


def _drift(
    name: str,
    bins: Ints,
    compared: Compared,
    *,
    ks: float | None = None,
    unseen_share: float | None = None,
) -> ColumnDrift:
    """Null, -1, is a bin of its own."""
    size = int(bins.max()) + 2
    training, test = (
        np.bincount(bins[mask] + 1, minlength=size)
        for mask in (compared.in_training, compared.in_test)
    )
    return ColumnDrift(
        name,
        population_stability_index(training, test),
        index_by_chance(training, test),
        ks,
        unseen_share,
        float(training[0] / training.sum()),
        float(test[0] / test.sum()),
    )


def _newcomers(of: str, codes: Ints, before: Bools, in_test: Bools) -> Newcomers:
    known = np.zeros(int(codes.max()) + 1, bool)
    known[codes[before & (codes >= 0)]] = True
    here = codes[in_test & (codes >= 0)]
    present = np.unique(here)
    share = float((~known[here]).mean()) if len(here) else 0.0
    return Newcomers(of, len(present), int((~known[present]).sum()), share)
