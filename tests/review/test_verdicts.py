from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.review import database as module
from fraudnet.review.cases import list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.verdicts import VERDICTS, audit_trail, record_verdict, undo_verdict
from tests.review.conftest import both


def in_force(database: CaseDatabase, case_id: int) -> str:
    return str(list_cases(database).set_index("case_id")["verdict"][case_id])


@both
def test_newest_verdict_is_in_force_and_all_stay(database: CaseDatabase) -> None:
    earliest = pd.Timestamp.now("UTC").floor("us")
    record_verdict(database, 7, "suspicious", " ana ", " odd hour ")
    record_verdict(database, 7, "confirmed_fraud", "ben", kind="card testing")
    trail = audit_trail(database)
    assert in_force(database, 7) == "confirmed_fraud"
    assert trail["verdict"].tolist() == ["suspicious", "confirmed_fraud"]
    assert trail["kind"].tolist() == ["", "card testing"]
    assert trail["reviewer"].tolist() == ["ana", "ben"]
    assert trail["note"].tolist() == ["odd hour", ""]
    assert trail["transactions"].tolist() == [1, 1]
    assert trail["decided_at"].between(earliest, pd.Timestamp.now("UTC")).all()
    pd.testing.assert_frame_equal(audit_trail(database, 7), trail)
    assert audit_trail(database, 8).empty


@both
def test_undo_is_a_further_row_that_says_what_it_undoes(database: CaseDatabase) -> None:
    record_verdict(database, 7, "confirmed_fraud", "ana")
    undo_verdict(database, 7, "ben")
    assert in_force(database, 7) == "undecided"
    undone = audit_trail(database).iloc[-1]
    assert undone["note"] == "undoes verdict 1 (confirmed_fraud by ana)"
    assert (undone["reviewer"], undone["undoes"]) == ("ben", 1)
    with pytest.raises(InputError, match="case 7 has no verdict to undo"):
        undo_verdict(database, 7, "ben")
    assert len(audit_trail(database)) == 2


def test_undo_needs_a_verdict(database: CaseDatabase) -> None:
    with pytest.raises(InputError, match="case 7 has no verdict to undo"):
        undo_verdict(database, 7, "ana")
    assert audit_trail(database).empty


@pytest.mark.parametrize(
    ("case_id", "verdict", "reviewer", "more", "message"),
    [
        (99, "suspicious", "ana", {}, "case 99 is not there; cases go from 1 to 30"),
        (7, "fraud", "ana", {}, "verdict 'fraud': expected one of confirmed_fraud, suspicious"),
        (7, "suspicious", "  ", {}, "reviewer: empty"),
        (7, "suspicious", "ana", {"kind": "theft"}, "kind 'theft': only confirmed fraud has one"),
        (
            7,
            "suspicious",
            "ana",
            {"transaction_ids": ["t-0-17"]},
            "transaction 't-0-17' is covered",
        ),
        (7, "suspicious", "ana", {"transaction_ids": []}, "no transaction is covered"),
    ],
)
def test_refused_verdicts_leave_no_trace(
    database: CaseDatabase,
    case_id: int,
    verdict: str,
    reviewer: str,
    more: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        record_verdict(database, case_id, verdict, reviewer, **more)
    assert audit_trail(database).empty


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE verdicts SET verdict = 'false_positive'",
        "UPDATE verdicts SET note = ''",  # only of a case that was erased
        "DELETE FROM verdicts",
        "UPDATE verdict_flags SET flag_id = 1",
        "DELETE FROM verdict_flags",
    ],
)
@both
def test_database_itself_refuses_changes(database: CaseDatabase, statement: str) -> None:
    record_verdict(database, 7, "confirmed_fraud", "ana", "said so")
    before = audit_trail(database)
    with (
        pytest.raises(InputError, match="verdicts are append only"),
        database.write() as connection,
    ):
        connection.exec_driver_sql(statement)
    pd.testing.assert_frame_equal(audit_trail(database), before)


@both
def test_each_database_refuses_its_own_way_round(database: CaseDatabase, backend: str) -> None:
    record_verdict(database, 7, "confirmed_fraud", "ana")
    statement = {
        "sqlite": "REPLACE INTO verdicts VALUES (1, 7, 'suspicious', '', '', '', 0, 0, 0)",
        "postgresql": "TRUNCATE verdicts CASCADE",
    }[backend]
    with (
        pytest.raises(InputError, match="verdicts are append only"),
        database.write() as connection,
    ):
        connection.exec_driver_sql(statement)
    assert in_force(database, 7) == "confirmed_fraud"


@both
def test_texts_that_no_database_holds_are_stored_all_the_same(database: CaseDatabase) -> None:
    record_verdict(database, 7, "confirmed_fraud", "ana", "half \ud800", kind="k\0")
    (row,) = audit_trail(database).to_dict("records")
    assert (row["note"], row["kind"]) == ("half ?", "k␀")


@both
def test_a_clock_that_goes_back_does_not_bring_an_older_verdict_into_force(
    database: CaseDatabase,
) -> None:
    record_verdict(database, 7, "suspicious", "ana", now_us=2_000_000)
    record_verdict(database, 7, "false_positive", "ben", now_us=1_000_000)
    assert in_force(database, 7) == "false_positive"


@both
def test_verdicts_of_many_at_once_all_stay(database: CaseDatabase) -> None:
    names = [f"analyst {number}" for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: record_verdict(database, 7, "suspicious", name), names))
    assert sorted(audit_trail(database)["reviewer"]) == sorted(names)


def test_locked_database_ends_in_one_line(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.0)
    database = CaseDatabase(source, create=True)
    with (
        database.write(),
        pytest.raises(InputError, match="database is locked"),
        CaseDatabase.write(database),
    ):
        pass


STEPS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from([*VERDICTS, "undo"])), max_size=8)


@given(steps=STEPS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_of_verdicts_and_undos(
    database: CaseDatabase, steps: list[tuple[int, str]]
) -> None:
    expected: dict[int, str] = {}
    for case_id in (1, 2, 3):  # a known start, since the database outlives an example
        record_verdict(database, case_id, "undecided", "ana")
        expected[case_id] = "undecided"
    before = audit_trail(database)
    rows = len(before)
    for case_id, step in steps:
        if step != "undo":
            record_verdict(database, case_id, step, "ana")
        elif expected[case_id] == "undecided":
            with pytest.raises(InputError, match="no verdict to undo"):
                undo_verdict(database, case_id, "ana")
            continue
        else:
            undo_verdict(database, case_id, "ana")
        expected[case_id] = "undecided" if step == "undo" else step
        rows += 1
    trail = audit_trail(database)
    pd.testing.assert_frame_equal(trail.head(len(before)), before)
    assert len(trail) == rows
    for case_id, verdict in expected.items():
        assert in_force(database, case_id) == verdict


@pytest.mark.parametrize("what", ["note", "kind"])
def test_a_text_without_end_is_refused(database: CaseDatabase, what: str) -> None:
    longest = {"note": 10_000, "kind": 100}[what]
    with pytest.raises(InputError, match=f"{what}: 1,000,000 characters; give at most {longest:,}"):
        record_verdict(database, 7, "confirmed_fraud", "ana", **{what: "x" * 1_000_000})  # type: ignore[arg-type]
    assert audit_trail(database).empty
    record_verdict(database, 7, "confirmed_fraud", "ana", **{what: "x" * longest})  # type: ignore[arg-type]
    assert audit_trail(database)[what].str.len().tolist() == [longest]
