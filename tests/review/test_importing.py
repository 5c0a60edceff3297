"""Stores of many devices in one database: idempotent, and the same cases in whatever order."""

import hmac
import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudnet.device.store import Score, Store
from fraudnet.device.transactions import Transaction
from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases, open_case
from fraudnet.review.database import HOUR_US, CaseDatabase
from fraudnet.review.device_store import DeviceStore, Flag
from fraudnet.review.erasure import forget_account
from fraudnet.review.importing import OtherScore, add_flags, import_store
from fraudnet.review.leases import take
from fraudnet.review.verdicts import audit_trail, record_verdict, undo_verdict
from tests.review.conftest import ACCOUNTS, START_US, account_history, both, make_store
from tests.review.older_store import give_verdicts


def flag(hours: float, account: str = "a", **more: Any) -> Flag:  # noqa: ANN401
    """A flag some hours after the start."""
    name = more.pop("name", f"{account}-{hours:g}")
    moment = START_US + round(hours * HOUR_US)
    window = [
        {
            "transaction_id": name, "timestamp_us": moment, "counterparty_id": "shop",
            "amount": 10.0, "columns": {"category": "food"}, "fraud_probability": 0.5,
            "ood_distance": 2.0,
        }
    ]  # fmt: skip
    plain = Flag(
        name, account, moment, 10.0, "shop", "food", 0.5, 2.0, 0.3, None, None, "0" * 64,
        moment, json.dumps(window),
    )  # fmt: skip
    return replace(plain, **more)


def groups(database: CaseDatabase) -> set[frozenset[str]]:
    """The transactions of each case that has any."""
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT case_id, transaction_id FROM flags").all()
    found: dict[int, set[str]] = {}
    for case_id, transaction_id in rows:
        found.setdefault(case_id, set()).add(transaction_id)
    return {frozenset(members) for members in found.values()}


@both
def test_importing_again_changes_nothing_and_brings_what_is_new(
    source: str, tmp_path: Path
) -> None:
    seed = random.Random(9)
    histories = [account_history(account, n, seed) for n, account in enumerate(ACCOUNTS)]
    some, all_ = make_store(tmp_path / "1", histories[:2]), make_store(tmp_path / "2", histories)
    database = CaseDatabase(source, create=True)
    first = import_store(database, DeviceStore(some, "phone"))
    assert (first.flags, first.known, first.conflicting) == (12, 0, [])
    before = list_cases(database, now_us=0)
    again = import_store(database, DeviceStore(some, "phone"))
    assert (again.flags, again.known) == (0, 12)
    pd.testing.assert_frame_equal(list_cases(database, now_us=0), before)
    later = import_store(database, DeviceStore(all_, "phone"))
    assert (later.flags, later.known) == (18, 12)
    shown = list_cases(database, now_us=0)
    assert shown["transactions"].sum() == 30
    losses = {
        account: sum(r["fraud_probability"] * r["amount"] for r in history if r["flagged"])
        for account, history in zip(ACCOUNTS, histories, strict=True)
    }
    assert shown.groupby("account_id")["expected_loss"].sum().to_dict() == pytest.approx(losses)


@both
def test_what_the_scorer_writes_comes_along(source: str, tmp_path: Path) -> None:
    path = tmp_path / "scored.sqlite"
    known = Transaction("t-1", "a-1", 1_000_000, "grocer", 12.5, {"category": "food"})
    odd = Transaction("t-2", "a-1", 61_000_000, "nul\0 =cmd()", 900.0, {"category": None})
    reasons = json.dumps([{"field": "amount"}])
    with Store(path) as scorer, scorer.commit():
        scorer.add(known, {}, None)
        score = Score(0.9, 4.0, 0.3, True, "ab" * 32, False, reasons=reasons)
        sequence = scorer.add(odd, {}, score)
        scorer.open_case(odd, sequence, 160)
        (device_id,) = scorer._connection.execute(
            "SELECT value FROM meta WHERE key = 'device_id'"
        ).fetchone()
    database = CaseDatabase(source, create=True)
    assert import_store(database, DeviceStore(path)).flags == 1
    (listed,) = list_cases(database).itertuples()
    assert (listed.account_id, listed.expected_loss, listed.verdict) == ("a-1", 810.0, "undecided")
    assert (listed.reason, listed.inclusion_probability) == ("flagged", 1.0)
    assert listed.device_id == device_id
    case = open_case(database, 1)
    assert case.threshold == 0.3
    assert case.window["transaction_id"].tolist() == ["t-1", "t-2"]
    assert case.window["gap_hours"].iloc[1] == pytest.approx(1 / 60)
    (row,) = case.flags.to_dict("records")
    assert (row["artifact_sha256"], row["familiar"]) == ("ab" * 32, False)
    assert row["reasons"] == [{"field": "amount"}]
    assert row["counterparty_id"] == "nul\N{SYMBOL FOR NULL} =cmd()"


@both
def test_flags_within_the_gap_are_one_case(source: str) -> None:
    database = CaseDatabase(source, create=True, gap_hours=24)
    flags = [flag(0), flag(24), flag(40), flag(64.5), flag(0, "b"), flag(200)]
    add_flags(database, "phone", flags)
    assert groups(database) == {
        frozenset({"a-0", "a-24", "a-40"}), frozenset({"a-64.5"}), frozenset({"a-200"}),
        frozenset({"b-0"}),
    }  # fmt: skip
    queue = list_cases(database).set_index("case_id")
    assert queue["expected_loss"].max() == 15.0
    assert queue["transactions"].tolist().count(3) == 1


def test_a_flag_in_between_joins_two_cases_and_the_other_says_where_it_went(
    empty: CaseDatabase,
) -> None:
    add_flags(empty, "phone", [flag(0), flag(100)])
    take(empty, 2, "ana")
    add_flags(empty, "watch", [flag(50)])
    assert groups(empty) == {frozenset({"a-0", "a-50", "a-100"})}
    assert list_cases(empty)["case_id"].tolist() == [2]  # the one that somebody reviews stays
    with pytest.raises(InputError, match="case 1 was joined with case 2"):
        open_case(empty, 1)
    with pytest.raises(InputError, match="case 1 was joined with case 2"):
        record_verdict(empty, 1, "suspicious", "ben")


def test_what_is_flagged_after_the_verdict_is_another_case(empty: CaseDatabase) -> None:
    add_flags(empty, "phone", [flag(0), flag(1)])
    record_verdict(empty, 1, "suspicious", "ana")
    add_flags(empty, "phone", [flag(2)])
    assert groups(empty) == {frozenset({"a-0", "a-1"}), frozenset({"a-2"})}
    undo_verdict(empty, 1, "ana")  # an open case again, with all of them
    assert groups(empty) == {frozenset({"a-0", "a-1", "a-2"})}


def test_a_verdict_covers_what_was_looked_at(empty: CaseDatabase) -> None:
    add_flags(empty, "phone", [flag(0), flag(1)])
    seen = open_case(empty, 1).flags["transaction_id"].tolist()
    add_flags(empty, "phone", [flag(2), flag(3)])  # while the analyst looks
    record_verdict(empty, 1, "false_positive", "ana", transaction_ids=seen)
    assert groups(empty) == {frozenset({"a-0", "a-1"}), frozenset({"a-2", "a-3"})}
    queue = list_cases(empty).set_index("case_id")
    assert queue["verdict"].to_dict() == {1: "false_positive", 2: "undecided"}
    assert audit_trail(empty)["transactions"].tolist() == [2]


HOURS = st.lists(st.integers(0, 400), min_size=1, max_size=9, unique=True)


@given(hours=HOURS, decided=st.integers(0, 8), seed=st.randoms(use_true_random=False))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_cases_do_not_depend_on_the_order_of_import(
    new_source: Callable[[], str], hours: list[int], decided: int, seed: random.Random
) -> None:
    """Against a loop over the sorted hours."""
    chosen = hours[decided % len(hours)]
    expected: list[list[int]] = []
    for hour in sorted(set(hours) - {chosen}):
        if expected and hour - expected[-1][-1] <= 72:
            expected[-1].append(hour)
        else:
            expected.append([hour])
    shuffled = hours[:]
    seed.shuffle(shuffled)
    database = CaseDatabase(new_source(), create=True)
    for number, hour in enumerate(shuffled):
        add_flags(database, f"device {number % 3}", [flag(hour)])
        if hour == chosen:
            (case_id,) = (
                int(each) for each in list_cases(database)["case_id"]
                if f"a-{hour}" in set(open_case(database, int(each)).flags["transaction_id"])
            )  # fmt: skip
            covered = [f"a-{hour}"]
            record_verdict(database, case_id, "suspicious", "ana", transaction_ids=covered)
    assert groups(database) == {frozenset(f"a-{h}" for h in g) for g in [*expected, [chosen]]}


@both
def test_a_transaction_chosen_for_learning_is_a_case_of_its_own(source: str) -> None:
    database = CaseDatabase(source, create=True)
    chosen = flag(1, reason="random", inclusion_probability=0.01, fraud_probability=0.02)
    add_flags(database, "phone", [flag(0), chosen, flag(2)])
    assert groups(database) == {frozenset({"a-0", "a-2"}), frozenset({"a-1"})}
    queue = list_cases(database).set_index("reason")
    assert queue.loc["random", "inclusion_probability"] == 0.01
    for bad in (flag(5, reason="guess"), flag(5, inclusion_probability=0.0)):
        with pytest.raises(InputError, match=r"(?i)check"):
            add_flags(database, "phone", [bad])


def test_a_transaction_with_other_content_is_told_and_the_first_stays(empty: CaseDatabase) -> None:
    add_flags(empty, "phone", [flag(0, name="t")])
    imported = add_flags(empty, "watch", [flag(0, name="t", amount=99.0)])
    assert (imported.flags, imported.conflicting) == (0, ["t"])
    assert list_cases(empty)["amount"].tolist() == [10.0]


@both
def test_a_transaction_that_two_devices_flag_keeps_the_first_score_and_the_other_is_told(
    source: str,
) -> None:
    database = CaseDatabase(source, create=True)
    add_flags(database, "phone", [flag(0, name="t"), flag(1, name="u")])
    again = add_flags(
        database, "watch", [flag(0, name="t", fraud_probability=0.9), flag(1, name="u")]
    )
    assert (again.flags, again.known, again.conflicting) == (0, 2, [])
    assert again.other_scores == [OtherScore("t", 0.9, "phone", 0.5)]
    assert list_cases(database)["fraud_probability"].tolist() == [0.5]


@both
def test_a_store_that_was_scored_again_keeps_the_first_scores_and_the_others_are_told(
    empty: CaseDatabase, device_path: Path
) -> None:
    store = DeviceStore(device_path)
    first = import_store(empty, store)
    name, score = next(iter(store.flagged().items()))
    with closing(sqlite3.connect(device_path)) as connection, connection:
        connection.execute(
            "UPDATE transactions SET fraud_probability = 0.99 WHERE transaction_id = ?", (name,)
        )
    again = import_store(empty, store)
    assert (again.flags, again.known) == (0, first.flags)
    assert again.other_scores == [OtherScore(name, 0.99, store.device_id, score)]
    assert import_store(empty, store).other_scores == again.other_scores


@both
def test_an_account_without_a_case_is_left_out_from_then_on(database: CaseDatabase) -> None:
    before = list_cases(database, now_us=0)
    for account in ("", " \n"):
        with pytest.raises(InputError, match="account: empty"):
            forget_account(database, account)
    for _ in range(2):  # as it was interrupted before the file was anew
        erased = forget_account(database, "A-3")
        assert (erased.cases, erased.flags, erased.verdicts) == (0, 0, 0)
    pd.testing.assert_frame_equal(list_cases(database, now_us=0), before)
    later = add_flags(database, "phone", [flag(0, "A-3")])
    assert (later.flags, later.forgotten) == (0, 1)


@both
def test_verdicts_of_an_older_store_come_along_once(source: str, device_path: Path) -> None:
    give_verdicts(
        device_path,
        (1, "confirmed_fraud", "said so", "ana", 11_000_000),
        (2, "suspicious", "", "ben", 12_000_000),
        (2, "undecided", "undoes verdict 2", "ben", 13_000_000),
        (7, "false_positive", "", "ana", 14_000_000),
    )
    database = CaseDatabase(source, create=True, gap_hours=10_000)
    assert import_store(database, DeviceStore(device_path)).verdicts == 4
    decided = list_cases(database)
    assert sorted(decided.loc[decided["verdict"] != "undecided", "transactions"]) == [1, 1]
    assert sorted(decided["verdict"].unique()) == ["confirmed_fraud", "false_positive", "undecided"]
    assert decided["transactions"].sum() == 30
    assert len(decided) == 5 + 2  # what was decided one by one is not grouped
    trail = audit_trail(database)
    assert trail["reviewer"].tolist() == ["ana", "ben", "ben", "ana"]
    assert trail["decided_at"].iloc[0] == pd.Timestamp(11, unit="s", tz="UTC")
    again = import_store(database, DeviceStore(device_path))
    assert (again.flags, again.verdicts) == (0, 0)
    pd.testing.assert_frame_equal(audit_trail(database), trail)


@both
def test_an_account_that_was_erased_does_not_come_back(source: str, device_path: Path) -> None:
    database = CaseDatabase(source, create=True, gap_hours=0)
    import_store(database, DeviceStore(device_path))
    record_verdict(database, 13, "confirmed_fraud", "ana", "a-3 said so")
    erased = forget_account(database, "a-3")
    assert (erased.cases, erased.flags, erased.verdicts) == (6, 6, 1)
    with pytest.raises(InputError, match="case 13: its history was erased on 20"):
        open_case(database, 13)
    with pytest.raises(InputError, match="case 13: its history was erased"):
        record_verdict(database, 13, "suspicious", "ben")
    trail = audit_trail(database)
    assert trail[["verdict", "note"]].to_numpy().tolist() == [["confirmed_fraud", ""]]
    again = import_store(database, DeviceStore(device_path))
    assert (again.flags, again.forgotten) == (0, 6)
    assert "a-3" not in list_cases(database)["account_id"].tolist()
    assert list_cases(database)["account_id"].notna().sum() == 24


def test_nothing_of_an_erased_account_is_left_in_the_file(
    database: CaseDatabase, source: str
) -> None:
    record_verdict(database, 13, "confirmed_fraud", "ana", "she said a-3 was robbed")
    forget_account(database, "a-3")
    content = b"".join(p.read_bytes() for p in Path(source).parent.glob(f"{Path(source).name}*"))
    for word in (b"a-3", b"t-2-", b"robbed"):
        assert word not in content
    assert b"a-2" in content


def test_hashed_account_ids_are_taken_as_they_are(empty: CaseDatabase, tmp_path: Path) -> None:
    path, key = tmp_path / "hashed.sqlite", b"k" * 32
    name = hmac.digest(key, b"alice", "sha256").hex()
    moved = Transaction("t-1", name, 1_000_000, "shop", 9.0, {})
    with Store(path, account_key=key) as scorer, scorer.commit():
        sequence = scorer.add(moved, {}, Score(0.9, 4.0, 0.3, True, "0" * 64, None))
        scorer.open_case(moved, sequence, 160)
    assert import_store(empty, DeviceStore(path)).account_ids_hashed
    assert list_cases(empty)["account_id"].tolist() == [name]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE meta SET value = '7' WHERE key = 'schema_version'", "has schema version 7, which"),
        ("DELETE FROM meta", "has schema version None"),
        ("DROP TABLE cases", "not a device's store .no table cases"),
        ("CREATE TABLE flags (x)", "is a team's case database, not a device's store"),
        (
            "CREATE TABLE migrations (name); INSERT INTO migrations VALUES ('wings')",
            "the migration 'wings', .*pip install --upgrade",
        ),
        ("UPDATE transactions SET columns = '{'", "the columns or the window of transaction 't-0-"),
        ("UPDATE cases SET window = '{'", "the window of transaction 't-0-17' cannot be read"),
        ("UPDATE cases SET window = '[NaN]'", r"the window of .* cannot be read .NaN.; the store"),
        (
            f"UPDATE cases SET window = '{'[' * 100_000}'",
            "the window of transaction 't-0-17' cannot be read",
        ),
        ("UPDATE transactions SET amount = 9e999", "a number of transaction 't-0-17' .*inf.; the"),
        ("UPDATE transactions SET ood_distance = 'far'", "a number of transaction .* .'far'.; the"),
    ],
)
def test_stores_that_cannot_be_used(
    empty: CaseDatabase, device_path: Path, statement: str, found: str
) -> None:
    with closing(sqlite3.connect(device_path)) as connection:
        connection.executescript(statement)
    with pytest.raises(InputError, match=found) as caught:
        import_store(empty, DeviceStore(device_path))
    assert "\n" not in str(caught.value)


def test_a_device_id_stays_whatever_is_flagged_later(tmp_path: Path) -> None:
    history = account_history("a-1", 0, random.Random(9))
    older = DeviceStore(make_store(tmp_path / "1", [history[:40]])).device_id
    assert older == DeviceStore(make_store(tmp_path / "2", [history])).device_id
    assert older.startswith("unnamed-")
    assert DeviceStore(tmp_path / "1", "phone 7").device_id == "phone 7"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]  # and nothing beside


def test_orders_of_whole_stores(new_source: Callable[[], str], tmp_path: Path) -> None:
    seed = random.Random(9)
    parts = [make_store(tmp_path / f"{n}", [account_history("a-1", n, seed)]) for n in range(3)]
    found = []
    for order in (parts, parts[::-1]):
        database = CaseDatabase(new_source(), create=True, gap_hours=24)
        for path in order:
            import_store(database, DeviceStore(path))
        found.append(groups(database))
    assert len(found[0]) > 1
    assert found[0] == found[1]
