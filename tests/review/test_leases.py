"""Two analysts at one case at once: one is told, nothing is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fraudnet.errors import InputError
from fraudnet.review.cases import QueueFilter, list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.leases import Lease, assign, release, take
from fraudnet.review.verdicts import audit_trail, record_verdict, undo_verdict
from tests.review.conftest import both

MINUTE_US = 60_000_000
NOW_US = 1_800_000_000_000_000


@both
def test_of_many_at_once_one_gets_the_case_and_the_others_are_told(database: CaseDatabase) -> None:
    def attempt(name: str) -> Lease | str:
        try:
            return take(database, 7, name)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(attempt, [f"analyst {n}" for n in range(8)]))
    (lease,) = [each for each in outcomes if isinstance(each, Lease)]
    told = [each for each in outcomes if isinstance(each, str)]
    assert len(told) == 7
    assert all(f"case 7 is being reviewed by {lease.reviewer} until 20" in each for each in told)
    shown = list_cases(database).set_index("case_id")["lease_holder"]
    assert shown[7] == lease.reviewer
    assert shown.drop(7).isna().all()


@both
def test_verdict_against_somebody_elses_review_is_refused_and_theirs_is_stored(
    database: CaseDatabase,
) -> None:
    lease = take(database, 7, "ana", now_us=NOW_US)
    for act in (record_verdict, undo_verdict):
        more = ("suspicious", "ben") if act is record_verdict else ("ben",)
        with pytest.raises(InputError, match=r"reviewed by ana until .* nothing was stored"):
            act(database, 7, *more, now_us=NOW_US + MINUTE_US)
    record_verdict(database, 7, "confirmed_fraud", "ana", lease=lease, now_us=NOW_US + MINUTE_US)
    assert audit_trail(database)["reviewer"].tolist() == ["ana"]
    assert take(database, 7, "ben", now_us=NOW_US + 2 * MINUTE_US).number == 2  # it was over


@both
def test_verdict_of_one_who_lost_the_lease_is_refused(database: CaseDatabase) -> None:
    late = take(database, 7, "ana", minutes=5, now_us=NOW_US)
    with pytest.raises(InputError, match="being reviewed by ana"):
        take(database, 7, "ben", now_us=NOW_US + 5 * MINUTE_US - 1)
    take(database, 7, "ben", now_us=NOW_US + 5 * MINUTE_US)
    record_verdict(database, 7, "false_positive", "ben", now_us=NOW_US + 6 * MINUTE_US)
    with pytest.raises(InputError, match="case 7 was taken by somebody else after your time ran"):
        record_verdict(
            database, 7, "confirmed_fraud", "ana", lease=late, now_us=NOW_US + 7 * MINUTE_US
        )
    assert audit_trail(database)["reviewer"].tolist() == ["ben"]


def test_a_lease_that_ran_out_serves_while_nobody_took_the_case(database: CaseDatabase) -> None:
    lease = take(database, 7, "ana", minutes=5, now_us=NOW_US)
    later = NOW_US + 60 * MINUTE_US
    record_verdict(database, 7, "suspicious", "ana", lease=lease, now_us=later)
    assert len(audit_trail(database)) == 1


def test_a_verdict_without_a_lease_ends_the_leases_before_it(database: CaseDatabase) -> None:
    lease = take(database, 7, "ana", minutes=5, now_us=NOW_US)
    record_verdict(database, 7, "suspicious", "ben", now_us=NOW_US + 6 * MINUTE_US)
    with pytest.raises(InputError, match="was taken by somebody else"):
        record_verdict(database, 7, "false_positive", "ana", lease=lease)


def test_a_lease_is_held_longer_and_given_back(database: CaseDatabase) -> None:
    first = take(database, 7, "ana", minutes=5, now_us=NOW_US)
    second = take(database, 7, " ana ", minutes=5, now_us=NOW_US + 4 * MINUTE_US)
    assert second.number == first.number
    assert second.until_us == NOW_US + 9 * MINUTE_US
    with pytest.raises(InputError, match="case 7 is ana's, not ben's; it stays"):
        release(database, 7, "ben")
    release(database, 7, "ana")
    with pytest.raises(InputError, match="case 7 is nobody's"):
        release(database, 7, "ana")
    assert take(database, 7, "ben", now_us=NOW_US).number == 2
    with pytest.raises(InputError, match="reviewer: empty"):
        take(database, 7, " ")
    with pytest.raises(InputError, match="case 99 is not there"):
        take(database, 99, "ana")


@both
def test_an_assignment_orders_the_work_and_locks_nothing(database: CaseDatabase) -> None:
    assign(database, 7, "ana")
    assert list_cases(database, QueueFilter(assigned_to="ana"))["case_id"].tolist() == [7]
    record_verdict(database, 7, "suspicious", "ben")
    assign(database, 7, None)
    assert list_cases(database, QueueFilter(assigned_to="ana")).empty


def test_names_that_could_not_be_told_apart_are_refused_in_one_line(database: CaseDatabase) -> None:
    for name, problem in (
        ("", "reviewer: empty"), (" \t\u3000 ", "reviewer: empty"), ("\u200d", "reviewer: empty"),
        ("a\0na", r"holds U\+0000, which"), ("an\x1b[2Ja", r"holds U\+001B"), ("an\na", r"U\+000A"),
        ("an\u202ea", r"U\+202E"), ("an\ud800a", r"U\+D800"), ("a" * 101, "101 characters; give"),
        ("a" * 1_000_000, "1,000,000 characters; give a name of at most 100"),
    ):  # fmt: skip
        for act in (
            lambda who: take(database, 7, who), lambda who: release(database, 7, who),
            lambda who: assign(database, 7, who),
            lambda who: record_verdict(database, 7, "suspicious", who),
            lambda who: undo_verdict(database, 7, who),
        ):  # fmt: skip
            with pytest.raises(InputError, match=problem) as caught:
                act(name)
            assert str(caught.value).isprintable()
            assert len(str(caught.value)) < 200
    assert audit_trail(database).empty
    for name in (
        "Zoë O'Brien-Łuk",
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
        "陈 小明",
        "a" * 100,
    ):
        assert take(database, 7, f" {name}\n").reviewer == name
        release(database, 7, name)
