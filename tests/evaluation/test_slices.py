"""Slices: who is shown, their figures, and which of them are served badly."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from fraudnet.evaluation.bootstrap import resampled
from fraudnet.evaluation.metrics import Scored
from fraudnet.evaluation.slices import (
    NOT_GIVEN,
    OTHERS,
    Grouping,
    Slice,
    by_history,
    by_month,
    pooled,
    rates_of,
    shortfalls,
    slices_of,
)
from tests.evaluation.made import SCORED, scored, some_of

THRESHOLD = 0.6


def halves(rows: Scored) -> Grouping:
    return Grouping("half", ("a", "b"), rows.account % 2)


def naive_rates(rows: Scored, threshold: float) -> dict[str, float]:
    pairs = list(zip(rows.score, rows.is_fraud, np.abs(rows.amount), strict=True))
    flagged = [each for each in pairs if each[0] >= threshold]
    fraud = [each for each in pairs if each[1]]
    caught = [each for each in flagged if each[1]]

    def share(part: float, whole: float) -> float:
        return part / whole if whole else float("nan")

    return {
        "selection_rate": share(len(flagged), len(pairs)),
        "recall": share(len(caught), len(fraud)),
        "false_positive_rate": share(len(flagged) - len(caught), len(pairs) - len(fraud)),
        "precision": share(len(caught), len(flagged)),
        "value_recall": share(sum(each[2] for each in caught), sum(each[2] for each in fraud)),
    }


@given(SCORED)
def test_rates_are_counted_row_by_row(rows: Scored) -> None:
    rates = rates_of(rows, THRESHOLD, halves(rows), 3, 0)
    for at in (0, 1):
        expected = naive_rates(some_of(rows, rows.account % 2 == at), THRESHOLD)
        assert {name: each[at] for name, each in rates.point.items()} == pytest.approx(
            expected, nan_ok=True
        )


def test_resampled_rates_are_those_of_duplicated_rows() -> None:
    rows = scored(count=300, accounts=20)
    rates = rates_of(rows, THRESHOLD, halves(rows), 25, 8)
    accounts = np.unique(rows.account)
    for number, draw in enumerate(resampled(len(accounts), 25, 8)):
        times = draw[np.searchsorted(accounts, rows.account)]
        for at in (0, 1):
            chosen = np.repeat(np.arange(300), times * (rows.account % 2 == at))
            expected = naive_rates(some_of(rows, chosen), THRESHOLD)
            found = {name: each[number, at] for name, each in rates.resampled.items()}
            assert found == pytest.approx(expected, nan_ok=True)


def test_a_slice_says_how_large_it_is_and_how_well_it_is_ranked() -> None:
    rows = scored(count=800)
    for at, each in enumerate(slices_of(rows, THRESHOLD, halves(rows), 50, 0)):
        part = some_of(rows, rows.account % 2 == at)
        assert (each.grouping, each.value) == ("half", "ab"[at])
        assert (each.transactions, each.frauds) == (len(part.score), part.is_fraud.sum())
        assert each.accounts == len(set(part.account.tolist()))
        precision = each.figures["average_precision"]
        expected = average_precision_score(part.is_fraud == 1, part.score)
        assert precision.value == pytest.approx(expected)
        for figure in each.figures.values():
            assert figure.interval is not None
            assert figure.interval.low <= figure.value <= figure.interval.high


def test_nothing_is_made_up_where_there_is_no_fraud() -> None:
    rows = scored()
    rows = replace(rows, is_fraud=np.where(rows.account % 2 == 0, 0, rows.is_fraud).astype(np.int8))
    genuine, _ = slices_of(rows, THRESHOLD, halves(rows), 50, 0)
    assert genuine.frauds == 0
    assert genuine.figures.keys() == {"selection_rate", "false_positive_rate", "precision"}


@pytest.mark.parametrize(("defrauded", "told"), [(9, False), (10, True)])
def test_an_interval_needs_ten_defrauded_accounts(defrauded: int, told: bool) -> None:
    rows = scored(count=600, accounts=40)
    few = np.unique(rows.account[rows.is_fraud == 1])[:defrauded]
    label = np.where(np.isin(rows.account, few), rows.is_fraud, 0).astype(np.int8)
    whole = Grouping("all", ("all",), np.zeros(600, np.int64))
    (found,) = slices_of(replace(rows, is_fraud=label), THRESHOLD, whole, 50, 0)
    assert {figure.interval is not None for figure in found.figures.values()} == {told}


VALUES = st.lists(st.tuples(st.integers(-1, 30), st.integers(0, 15)), min_size=1, max_size=200)


@given(VALUES)
def test_no_value_of_few_accounts_is_shown(rows: list[tuple[int, int]]) -> None:
    code, account = (np.array(each) for each in zip(*rows, strict=True))
    values = [f"v{at}" for at in range(31)]
    found = pooled("column", values, code, account)
    assert len(found.values) == len(set(found.values)) <= 21
    for at, name in enumerate(found.values):
        inside = found.code == at
        assert len(set(account[inside].tolist())) >= 5
        if name == NOT_GIVEN:
            assert (code[inside] == -1).all()
        elif name != OTHERS:
            assert (code[inside] == values.index(name)).all()
            assert inside.sum() == (code == values.index(name)).sum()
    hidden = found.code == -1
    assert len(set(account[hidden].tolist())) < 5


def test_the_largest_twenty_values_are_shown() -> None:
    code = np.repeat(np.arange(30), np.arange(30, 0, -1) * 10)
    account = np.arange(len(code))
    found = pooled("column", [f"v{at:02}" for at in range(30)], code, account)
    assert found.values == (*(f"v{at:02}" for at in range(20)), OTHERS)
    assert (found.code == 20).sum() == (code >= 20).sum()


def test_months_are_of_utc() -> None:
    moments = [(2025, 1, 31, 23, 59), (2025, 2, 1, 0, 0), (2024, 12, 31, 0, 0), (2025, 2, 28, 1, 1)]
    us = [int(datetime(*each, tzinfo=UTC).timestamp() * 1e6) for each in moments]
    found = by_month(np.array(us))
    assert [found.values[at] for at in found.code] == ["2025-01", "2025-02", "2024-12", "2025-02"]


def test_histories_are_told_apart_by_their_length() -> None:
    earlier = np.array([0, 1, 4, 5, 19, 100, 100_000, 0])
    found = by_history(earlier)
    assert [found.values[at] for at in found.code] == [
        "none", "1 to 4", "1 to 4", "5 to 19", "5 to 19", "100 and more", "100 and more", "none",
    ]  # fmt: skip


def test_what_is_served_badly_is_named_and_the_worst_comes_first() -> None:
    rng = np.random.default_rng(0)
    group, count = rng.integers(0, 3, 6_000), 6_000
    is_fraud = (rng.random(count) < 0.1).astype(np.int8)
    caught = rng.random(count) < np.array([0.9, 0.5, 0.1])[group]
    rows = Scored(
        score=np.where(is_fraud & caught, 0.9, rng.random(count) * 0.5).astype(np.float32),
        is_fraud=is_fraud,
        timestamp_us=np.arange(count),
        account=rng.integers(0, 500, count) * 3 + group,
        amount=np.ones(count),
    )
    slices = slices_of(rows, THRESHOLD, Grouping("group", ("a", "b", "c"), group), 200, 0)
    overall = {"recall": float(caught[is_fraud == 1].mean())}
    (found,) = shortfalls([s for s in slices if s.value != "b"], overall)
    assert (found.slice.value, found.figure, found.overall) == ("c", "recall", overall["recall"])

    def shown(found_slices: list[Slice], level: float) -> list[str]:
        return [each.slice.value for each in shortfalls(found_slices, {"recall": level})]

    assert shown(slices, 0.99) == ["c", "b", "a"]
    assert shown(slices, 0.05) == []
