"""Every figure against plain loops, or against the definition that it is named by."""

import math
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fraudnet.profile.ledger import Ledger, ledger_of
from fraudnet.profile.measures import QUANTILES, histogram, wilson_interval
from fraudnet.profile.statistics import Statistics, over_time, statistics_of
from tests.profile.made import DAY_US, Columns, columns, read, table

HOUR_US = 3_600_000_000


def quantiles_of(values: list[Any]) -> list[float]:
    return [float(each) for each in pd.Series(values, dtype=float).quantile(list(QUANTILES))]


def awkward(seed: int = 0) -> Columns:
    """Ties in time, repeats, unlabelled rows, nulls, refunds; not sorted by time."""
    random = np.random.default_rng(seed)
    made = columns(600, seed, days=40)
    rows = len(made["timestamp"])
    us = made["timestamp"] // (12 * HOUR_US) * (12 * HOUR_US)
    amount = random.choice([-5.0, 0.0, 9.99, 20.0, 1234.5], rows)
    is_fraud = random.choice([0, 0, 0, 1, -1], rows)
    label = [None if each < 0 else int(each) for each in is_fraud]
    later = us + random.integers(0, 30 * DAY_US, rows)
    late = [None if random.random() < 0.3 else int(each) for each in later]
    category = [None if random.random() < 0.2 else str(each) for each in made["category"]]
    payee = random.choice(["a", "b"], rows)
    order = random.permutation(rows)
    shuffled = pd.DataFrame(
        made
        | {"timestamp": us, "amount": amount, "counterparty_id": payee}
        | {"is_fraud": pd.array(label, "Int8"), "label_time": pd.array(late, "Int64")}
        | {"category": category}
    ).iloc[order]
    return {
        str(name): list(shuffled[name].astype(object).where(shuffled[name].notna(), None))
        for name in shuffled
    }


def counted(folder: Path, made: Columns) -> tuple[Statistics, Ledger]:
    given = read(folder, made)
    ledger = ledger_of(given.table)
    return statistics_of(given, ledger, 7.0), ledger


def test_gaps_are_those_of_a_loop_over_each_account(tmp_path: Path) -> None:
    made = awkward()
    statistics, ledger = counted(tmp_path, made)
    rows = sorted(
        range(len(made["timestamp"])),
        key=lambda i: (made["account_id"][i], made["timestamp"][i], i),
    )
    before: dict[str, int] = {}
    expected, same, repeated = [-1] * len(rows), 0, 0
    for i in rows:
        last = before.get(made["account_id"][i])
        if last is not None:
            expected[i] = made["timestamp"][i] - made["timestamp"][last]
            if expected[i] == 0:
                same += 1
                names = ("amount", "counterparty_id")
                repeated += all(made[name][i] == made[name][last] for name in names)
        before[made["account_id"][i]] = i
    assert ledger.gap_us.tolist() == expected
    gaps = statistics.gaps
    assert (gaps.simultaneous, gaps.repeated) == (same, repeated)
    assert repeated > 0
    hours = [each / HOUR_US for each in expected if each >= 0]
    assert gaps.quantiles["hours"] == pytest.approx(quantiles_of(hours))
    assert gaps.histogram is not None
    assert gaps.histogram.counts["transactions"].sum() == sum(each > 0 for each in hours)


@pytest.mark.parametrize("days", [1, 100, 130])
def test_counts_over_time_are_those_of_a_loop(days: int) -> None:
    made = columns(500, 3, days=days)
    made["is_fraud"] = [None if i % 7 == 0 else int(v) for i, v in enumerate(made["is_fraud"])]
    data = over_time(ledger_of(table(made)))
    day = [int(each) // DAY_US for each in made["timestamp"]]
    step = 1 if max(day) - min(day) < 120 else 7
    rows: Counter[int] = Counter()
    labelled: Counter[int] = Counter()
    frauds: Counter[int] = Counter()
    last = 0
    for today, label in zip(day, made["is_fraud"], strict=True):
        period = (today - min(day)) // step
        rows[period] += 1
        labelled[period] += label is not None
        frauds[period] += label == 1
        last = max(last, period)
    assert data.step_days == step
    assert data.begin.tolist() == [
        datetime.fromtimestamp((min(day) + step * i) * 86_400, UTC).date() for i in range(last + 1)
    ]
    for counts, expected in ((data.rows, rows), (data.labelled, labelled), (data.frauds, frauds)):
        assert counts.tolist() == [expected[i] for i in range(last + 1)]
    lengths = [min(step, max(day) - min(day) + 1 - step * i) for i in range(last + 1)]
    assert data.rows_a_day.tolist() == [rows[i] / lengths[i] for i in range(last + 1)]
    assert data.last_days == lengths[-1]


def test_the_overview_is_what_pandas_counts(tmp_path: Path) -> None:
    made = awkward(1)
    overview = counted(tmp_path, made)[0].overview
    frame = pd.DataFrame(made)
    assert overview.rows == len(frame)
    assert overview.accounts == frame.account_id.nunique()
    assert overview.counterparties == frame.counterparty_id.nunique()
    assert overview.categories == frame.category.nunique()
    assert overview.labelled == frame.is_fraud.notna().sum()
    assert overview.frauds == (frame.is_fraud == 1).sum()
    assert overview.resolution == "hour"
    assert overview.first == datetime.fromtimestamp(frame.timestamp.min() / 1e6, UTC)
    assert overview.days == pytest.approx((frame.timestamp.max() - frame.timestamp.min()) / DAY_US)
    for column in overview.columns:
        assert column.null_share == pytest.approx(frame[column.name].isna().mean())
        assert column.distinct == frame[column.name].nunique()
    grouped = frame.groupby("category").is_fraud
    for each in overview.frequent_categories:
        labels = grouped.get_group(each.value)
        expected = (len(labels), labels.notna().sum(), (labels == 1).sum())
        assert (each.rows, each.labelled, each.frauds) == expected
    shown = [each.rows for each in overview.frequent_categories]
    assert shown == sorted(shown, reverse=True)


def test_accounts_and_amounts_are_those_of_plain_loops(tmp_path: Path) -> None:
    made = awkward(2)
    statistics = counted(tmp_path, made)[0]
    each_account: Counter[str] = Counter(made["account_id"])
    activity = statistics.activity
    assert activity.single_share == sum(n == 1 for n in each_account.values()) / len(each_account)
    expected = quantiles_of(list(each_account.values()))
    assert activity.quantiles["transactions"] == pytest.approx(expected)
    assert activity.histogram.counts["accounts"].sum() == len(each_account)

    names = {0: "genuine", 1: "fraud", None: "unlabelled"}
    groups = defaultdict(list)
    for amount, label in zip(made["amount"], made["is_fraud"], strict=True):
        groups[names[label]].append(amount)
    amounts = statistics.amounts
    assert amounts.rows == {name: len(groups[name]) for name in amounts.rows}
    assert set(amounts.rows) == set(groups)
    assert amounts.histogram is not None
    for name, values in groups.items():
        assert amounts.negative[name] == sum(each < 0 for each in values)
        assert amounts.zero[name] == sum(each == 0 for each in values)
        assert amounts.quantiles[name] == pytest.approx(quantiles_of(values))
        assert amounts.histogram.counts[name].sum() == sum(each != 0 for each in values)
    most: Counter[float] = Counter(made["amount"])
    assert {each.value: each.rows for each in amounts.frequent} == most


def test_the_label_delay_is_that_of_each_labelled_row(tmp_path: Path) -> None:
    made = awkward(3)
    delay = counted(tmp_path, made)[0].label_delay
    days = defaultdict(list)
    for at, known, label in zip(
        made["timestamp"], made["label_time"], made["is_fraud"], strict=True
    ):
        if known is not None and label is not None:
            days[{0: "genuine", 1: "fraud"}[label]].append((known - at) / DAY_US)
    assert delay.constant_days == 7.0
    assert delay.with_time == sum(map(len, days.values()))
    assert delay.labelled == sum(label is not None for label in made["is_fraud"])
    for name, values in days.items():
        assert delay.quantiles[name] == pytest.approx(quantiles_of(values))


def test_wilson_ends_are_where_the_score_test_turns() -> None:
    frauds, rows = np.array([0, 1, 5, 10, 3]), np.array([10, 10, 10, 10, 4000])
    low, high = wilson_interval(frauds, rows)
    assert (low[0], high[3]) == (0.0, 1.0)
    for k, n, ends in zip(frauds, rows, zip(low, high, strict=True), strict=True):
        for end in ends:
            if 0 < end < 1:  # |k/n - p| = 1.96 sqrt(p (1 - p) / n)
                deviation = math.sqrt(end * (1 - end) / n)
                assert abs(k / n - end) / deviation == pytest.approx(1.959964, rel=1e-5)
    # Published: Brown, Cai and DasGupta 2001 give this width for 0 of 10.
    assert high[0] == pytest.approx(0.2775, abs=1e-4)
    assert [end.tolist() for end in wilson_interval(np.array([0]), np.array([0]))] == [[0.0], [1.0]]


def test_a_histogram_counts_both_ends() -> None:
    values = np.array([0.01, 0.01, 5.0, 1e6])
    for log in (True, False):
        data = histogram({"a": values, "b": values[:1], "none": values[:0]}, log=log)
        assert data is not None
        assert {name: each.sum() for name, each in data.counts.items()} == {"a": 4, "b": 1}
    constant = histogram({"a": np.full(3, 7.0)}, log=True)
    assert constant is not None
    assert constant.counts["a"].tolist() == [3]
    assert histogram({"a": values[:0]}, log=True) is None
