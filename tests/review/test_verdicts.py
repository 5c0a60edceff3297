import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases
from fraudnet.review.store import CaseStore
from fraudnet.review.verdicts import VERDICTS, audit_trail, record_verdict, undo_verdict


def in_force(store: CaseStore, case_id: int) -> str:
    return str(list_cases(store).set_index("case_id")["verdict"][case_id])


def test_newest_verdict_is_in_force_and_all_stay(store: CaseStore) -> None:
    earliest = pd.Timestamp.now("UTC").floor("us")
    record_verdict(store, 7, "suspicious", " ana ", " odd hour ")
    record_verdict(store, 7, "confirmed_fraud", "ben")
    trail = audit_trail(store)
    assert in_force(store, 7) == "confirmed_fraud"
    assert trail["verdict"].tolist() == ["suspicious", "confirmed_fraud"]
    assert trail["reviewer"].tolist() == ["ana", "ben"]
    assert trail["note"].tolist() == ["odd hour", ""]
    assert trail["decided_at"].between(earliest, pd.Timestamp.now("UTC")).all()


def test_undo_is_a_further_row_that_says_what_it_undoes(store: CaseStore) -> None:
    record_verdict(store, 7, "confirmed_fraud", "ana")
    undo_verdict(store, 7, "ben")
    assert in_force(store, 7) == "undecided"
    undone = audit_trail(store).iloc[-1]
    assert undone["note"] == "undoes verdict 1 (confirmed_fraud by ana)"
    assert undone["reviewer"] == "ben"
    with pytest.raises(InputError, match="case 7 has no verdict to undo"):
        undo_verdict(store, 7, "ben")
    assert len(audit_trail(store)) == 2


def test_undo_needs_a_verdict(store: CaseStore) -> None:
    with pytest.raises(InputError, match="case 7 has no verdict to undo"):
        undo_verdict(store, 7, "ana")
    assert audit_trail(store).empty


@pytest.mark.parametrize(
    ("case_id", "verdict", "reviewer", "message"),
    [
        (99, "suspicious", "ana", "case 99 is not there; no verdict was stored"),
        (7, "fraud", "ana", "verdict 'fraud': expected one of confirmed_fraud, suspicious"),
        (7, "suspicious", "  ", "reviewer: empty"),
    ],
)
def test_refused_verdicts_leave_no_trace(
    store: CaseStore, case_id: int, verdict: str, reviewer: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        record_verdict(store, case_id, verdict, reviewer)
    assert audit_trail(store).empty


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE verdicts SET verdict = 'false_positive'",
        "DELETE FROM verdicts",
        "INSERT OR REPLACE INTO verdicts VALUES (1, 7, 'false_positive', '', 'eve', 0)",
    ],
)
def test_database_itself_refuses_changes(
    store: CaseStore, store_path: Path, statement: str
) -> None:
    record_verdict(store, 7, "confirmed_fraud", "ana")
    before = audit_trail(store)
    with (
        closing(sqlite3.connect(store_path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append only"),
    ):
        connection.execute(statement)
    pd.testing.assert_frame_equal(audit_trail(store), before)


def test_locked_store_ends_in_one_line(store: CaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0))
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match="database is locked"):
            record_verdict(store, 7, "suspicious", "ana")


def test_verdicts_of_many_at_once_all_stay(store: CaseStore) -> None:
    names = [f"analyst {number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: record_verdict(store, 7, "suspicious", name), names))
    assert sorted(audit_trail(store)["reviewer"]) == sorted(names)


STEPS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from([*VERDICTS, "undo"])), max_size=8)


@given(steps=STEPS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_of_verdicts_and_undos(store: CaseStore, steps: list[tuple[int, str]]) -> None:
    expected: dict[int, str] = {}
    for case_id in (1, 2, 3):  # a known start, since the store outlives an example
        record_verdict(store, case_id, "undecided", "ana")
        expected[case_id] = "undecided"
    before = audit_trail(store)
    rows = len(before)
    for case_id, step in steps:
        if step != "undo":
            record_verdict(store, case_id, step, "ana")
        elif expected[case_id] == "undecided":
            with pytest.raises(InputError, match="no verdict to undo"):
                undo_verdict(store, case_id, "ana")
            continue
        else:
            undo_verdict(store, case_id, "ana")
        expected[case_id] = "undecided" if step == "undo" else step
        rows += 1
    trail = audit_trail(store)
    pd.testing.assert_frame_equal(trail.head(len(before)), before)
    assert len(trail) == rows
    for case_id, verdict in expected.items():
        assert in_force(store, case_id) == verdict
