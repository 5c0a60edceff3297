import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fraudnet.errors import InputError
from fraudnet.review.cases import WINDOW_COLUMNS, QueueFilter, list_cases, open_case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.quality import flags_with_verdicts
from fraudnet.review.text import plain
from fraudnet.review.verdicts import record_verdict
from tests.review.conftest import DAY_US, OPENED_AFTER_US, START_US, THRESHOLD

NOW_US = START_US + 60 * DAY_US


@pytest.fixture
def flagged(histories: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [row for history in histories for row in history if row["flagged"]]


def test_queue_is_ordered_by_expected_loss(
    database: CaseDatabase, flagged: list[dict[str, Any]]
) -> None:
    queue = list_cases(database, now_us=NOW_US)
    losses = [row["fraud_probability"] * row["amount"] for row in flagged]
    assert queue["expected_loss"].tolist() == pytest.approx(sorted(losses, reverse=True))


def test_queue_tells_of_each_case_what_was_stored(
    database: CaseDatabase, flagged: list[dict[str, Any]]
) -> None:
    queue = list_cases(database, now_us=NOW_US).set_index("case_id").sort_index()
    for row, listed in zip(flagged, queue.itertuples(), strict=True):
        for name in ("account_id", "counterparty_id", "amount", "fraud_probability"):
            assert getattr(listed, name) == row[name]
        assert listed.timestamp == pd.Timestamp(row["timestamp_us"] * 1000, tz="UTC")
        age_us = NOW_US - row["timestamp_us"] - OPENED_AFTER_US
        assert listed.age == pd.Timedelta(microseconds=age_us)
        assert plain(listed.category) == plain(row["columns"]["category"])
        assert listed.verdict == "undecided"


@pytest.mark.parametrize(
    ("criteria", "keeps"),
    [
        (QueueFilter(account_id="a-2"), lambda row: row["account_id"] == "a-2"),
        (QueueFilter(minimum_amount=400), lambda row: row["amount"] >= 400),
        (QueueFilter(minimum_probability=0.6), lambda row: row["fraud_probability"] >= 0.6),
        (QueueFilter(minimum_distance=4.5), lambda row: row["ood_distance"] >= 4.5),
        (
            QueueFilter(maximum_age_days=50),
            lambda row: NOW_US - row["timestamp_us"] - OPENED_AFTER_US <= 50 * DAY_US,
        ),
        (
            QueueFilter(minimum_amount=300, minimum_probability=0.5),
            lambda row: row["amount"] >= 300 and row["fraud_probability"] >= 0.5,
        ),
    ],
)
def test_filters(
    database: CaseDatabase,
    flagged: list[dict[str, Any]],
    criteria: QueueFilter,
    keeps: Callable[[dict[str, Any]], bool],
) -> None:
    queue = list_cases(database, criteria, NOW_US)
    assert sorted(queue["amount"]) == sorted(row["amount"] for row in flagged if keeps(row))
    assert 0 < len(queue) < 30


def test_filter_by_the_verdict_in_force(database: CaseDatabase) -> None:
    for verdict in ("suspicious", "false_positive"):
        record_verdict(database, 4, verdict, "ana")
    record_verdict(database, 5, "suspicious", "ana")
    assert list_cases(database, QueueFilter(verdict="suspicious"))["case_id"].tolist() == [5]
    assert list_cases(database, QueueFilter(verdict="false_positive"))["case_id"].tolist() == [4]
    assert len(list_cases(database, QueueFilter(verdict="undecided"))) == 28


def test_empty_queue_has_the_columns(database: CaseDatabase, empty_path: Path) -> None:
    empty = list_cases(CaseDatabase(empty_path))
    assert empty.empty
    assert empty.columns.tolist() == list_cases(database).columns.tolist()


def test_window_is_what_the_scorer_stored(
    database: CaseDatabase, histories: list[list[dict[str, Any]]]
) -> None:
    case = open_case(database, 3)  # the third flag of the first account
    rows = histories[0]
    last = [index for index, row in enumerate(rows) if row["flagged"]][2]
    assert case.account_id == "a-1"
    assert case.threshold == THRESHOLD
    assert case.window.columns.tolist() == [*WINDOW_COLUMNS, "distance"]
    assert len(case.window) == last + 1
    before = None
    for row, listed in zip(rows, case.window.itertuples(), strict=False):
        assert listed.transaction_id == row["transaction_id"]
        assert listed.amount == row["amount"]
        assert listed.timestamp == pd.Timestamp(row["timestamp_us"] * 1000, tz="UTC")
        if before is not None:
            gap_hours = (row["timestamp_us"] - before) / 3.6e9
            assert listed.gap_hours == pytest.approx(gap_hours)
        before = row["timestamp_us"]
    scored = case.window["fraud_probability"].notna().tolist()
    assert scored == [row["fraud_probability"] is not None for row in rows[: last + 1]]


def test_further_column_never_replaces_ours(
    database: CaseDatabase, change: Callable[[str], None]
) -> None:
    entry = {
        "transaction_id": "t", "timestamp_us": START_US, "counterparty_id": None, "amount": 5.0,
        "columns": {"amount": 9e9, "tags": "x"}, "fraud_probability": None, "ood_distance": None,
    }  # fmt: skip
    change(f"UPDATE flags SET window_json = '{json.dumps([entry])}' WHERE case_id = 1")
    window = open_case(database, 1).window
    assert window["amount"].tolist() == [5.0]
    assert window["tags"].tolist() == ["x"]


@pytest.mark.parametrize("digits", [18, 19, 400, 5000])
def test_a_whole_number_of_many_digits_is_shown(
    database: CaseDatabase, change: Callable[[str], None], digits: int
) -> None:
    change(
        "UPDATE flags SET window_json = replace(window_json, '\"distance\": 1.5', "
        f"'\"distance\": {'9' * digits}') WHERE case_id = 1"
    )
    found = open_case(database, 1).window["distance"].tolist()
    assert found == pytest.approx([float("9" * digits)] * len(found))
    assert len(flags_with_verdicts(database)) == 30


def test_unknown_case(database: CaseDatabase) -> None:
    with pytest.raises(
        InputError, match=r"reviews0\.sqlite: case 31 is not there; cases go from 1 to 30"
    ):
        open_case(database, 31)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE flags SET window_json = '[]' WHERE case_id = 2", "its history was erased"),
        (
            "UPDATE flags SET window_json = '[{' WHERE case_id = 2",
            "its window or reasons cannot be",
        ),
        (
            "UPDATE flags SET window_json = '[{}]' WHERE case_id = 2",
            "its window or reasons cannot be",
        ),
        (
            "UPDATE flags SET reasons = 'x' WHERE case_id = 2",
            "its window or reasons cannot be",
        ),
        (
            "UPDATE flags SET window_json = '3' WHERE case_id = 2",
            "its window or reasons cannot be",
        ),
    ],
)
def test_case_that_cannot_be_shown(
    database: CaseDatabase, change: Callable[[str], None], statement: str, reason: str
) -> None:
    change(statement)
    with pytest.raises(InputError, match=f"case 2: {reason}"):
        open_case(database, 2)
    assert (
        2 in list_cases(database)["case_id"].tolist()
    )  # listed all the same, so that it is missed


def test_a_clock_that_was_set_back_makes_no_age_negative(database: CaseDatabase) -> None:
    queue = list_cases(database, now_us=START_US)
    assert len(queue) == 30
    assert set(queue["age"]) == {pd.Timedelta(0)}
