import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from fraudnet.review.agreement import agreement, both_judged, kappa, opinions
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import Flag
from fraudnet.review.importing import add_flags
from fraudnet.review.pace import Waiting, alerts_per_day, survival, waiting_of
from fraudnet.review.quality import (
    NOT_LOOKED_FOR,
    alert_precision,
    flags_with_verdicts,
    learning_shares,
    records,
)
from fraudnet.review.verdicts import audit_trail, record_verdict, undo_verdict
from tests.review.conftest import HOUR_US, START_US, both
from tests.review.quality_team import NOW_US, make_team


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> CaseDatabase:
    return make_team(tmp_path_factory.mktemp("quality") / "reviews.sqlite")


@pytest.fixture(scope="module")
def flags(team: CaseDatabase) -> pd.DataFrame:
    return flags_with_verdicts(team)


def flag(number: int, hours: int, reason: str = "flagged", included: float = 1.0) -> Flag:
    return Flag(
        f"t{number}", "a-1", START_US + hours * HOUR_US, 10.0, None, None,
        0.9 if reason == "flagged" or included == 0.5 else 0.1, 1.0, 0.3, None, None, "a" * 64,
        START_US + hours * HOUR_US, '[{"columns": {}}, {"columns": {"region": "north"}}]',
        reason, included,
    )  # fmt: skip


@pytest.mark.parametrize("by", [None, "week", "device_id", "artifact", "driver"])
def test_precision_is_that_of_a_count_with_wilsons_interval(
    team: CaseDatabase, flags: pd.DataFrame, by: str | None
) -> None:
    last = audit_trail(team).drop_duplicates("case_id", keep="last").set_index("case_id")["verdict"]
    found = alert_precision(flags, by)
    assert found["alerts"].sum() == 250
    for row in records(found):
        mine = Counter(
            last.get(each["case_id"], "undecided")
            for each in records(flags)
            if each["reason"] == "flagged" and (by is None or each[by] == row["group"])
        )
        frauds, genuine = mine["confirmed_fraud"], mine["false_positive"]
        assert (row["confirmed_fraud"], row["suspicious"]) == (frauds, mine["suspicious"])
        assert (row["false_positive"], row["undecided"]) == (genuine, mine["undecided"])
        for figures, part, whole in (
            ((row["precision"], row["low"], row["high"]), frauds, frauds + genuine),
            (
                (row["worth"], row["worth_low"], row["worth_high"]),
                frauds + mine["suspicious"],
                frauds + mine["suspicious"] + genuine,
            ),
        ):
            interval = binomtest(part, whole).proportion_ci(method="wilson")
            assert figures == pytest.approx((part / whole, interval.low, interval.high))


def test_the_groups_of_the_most_alerts(flags: pd.DataFrame) -> None:
    every = alert_precision(flags, "driver")
    two = alert_precision(flags, "driver", most=2)
    largest = every["alerts"].nlargest(2).index
    assert two["group"].tolist() == every.loc[sorted(largest), "group"].tolist()


@both
def test_flags_of_a_case_are_one_observation_and_drawn_alerts_weigh_more(
    empty: CaseDatabase,
) -> None:
    """Three flags a minute apart are a case; one alert was drawn with probability 1/2."""
    flags = [flag(0, 0), flag(1, 0), flag(2, 0), flag(3, 500), flag(4, 900, "random", 0.5)]
    add_flags(empty, "phone", [*flags, flag(5, 1000, "random", 0.1)])
    assert flags_with_verdicts(empty)["columns"].tolist() == [{"region": "north"}] * 6
    case_of = flags_with_verdicts(empty).set_index("flag_id")["case_id"]
    assert case_of.nunique() == 4
    for flag_id, verdict in ((1, "confirmed_fraud"), (4, "false_positive"), (5, "confirmed_fraud")):
        record_verdict(empty, int(case_of[flag_id]), verdict, "ana")
    (row,) = records(alert_precision(flags_with_verdicts(empty)))
    assert (row["alerts"], row["cases"]) == (5, 3)  # the last was below the threshold
    assert row["precision"] == pytest.approx((3 + 2) / (3 + 1 + 2))
    effective = (3 + 1 + 2) ** 2 / (3**2 + 1**2 + 2**2)  # Kish, of the cases
    z, p = 1.959963985, row["precision"]
    middle = (p + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z * math.sqrt(p * (1 - p) / effective + z**2 / (4 * effective**2))
    assert row["low"] == pytest.approx(middle - half / (1 + z**2 / effective))


def test_fraud_among_the_drawn_counts_for_what_it_stands_for(flags: pd.DataFrame) -> None:
    found = {row["group"]: row for row in records(learning_shares(flags))}
    assert set(found) == {"random", "uncertain"}
    for reason, row in found.items():
        own = flags[(flags["reason"] == reason) & (flags["is_fraud"] >= 0)]
        assert row["alerts"] == (flags["reason"] == reason).sum() == 25
        assert row["precision"] == pytest.approx(np.average(own["is_fraud"], weights=own["weight"]))


def test_damaged_documents_say_nothing(
    database: CaseDatabase, change: Callable[[str], None]
) -> None:
    change("UPDATE flags SET reasons = '[1]', window_json = '[]' WHERE flag_id = 1")
    change("UPDATE flags SET reasons = '{', window_json = '{' WHERE flag_id = 2")
    change("UPDATE flags SET reasons = '{}', window_json = '[{\"columns\": 1}]' WHERE flag_id = 3")
    flags = flags_with_verdicts(database).set_index("flag_id")
    assert flags.loc[[1, 2, 3], "columns"].tolist() == [{}, {}, {}]
    assert flags.loc[[1, 2, 3], "driver"].unique().tolist() == [NOT_LOOKED_FOR]


def test_kappa_is_that_of_the_flags_one_by_one(team: CaseDatabase) -> None:
    given = opinions(team)
    (row,) = records(agreement(given))
    trail = audit_trail(team)
    pairs = [each["verdict"].tolist() for _, each in trail.groupby("case_id") if len(each) == 2]
    first, second = zip(*pairs, strict=True)
    assert row["flags"] == len(pairs) > 50
    assert row["agree"] == pytest.approx(np.mean([a == b for a, b in pairs]))
    assert row["kappa"] == pytest.approx(cohen_kappa_score(first, second))
    worth = [[verdict != "false_positive" for verdict in pair] for pair in pairs]
    assert row["worth_kappa"] == pytest.approx(cohen_kappa_score(*zip(*worth, strict=True)))

    rng = np.random.default_rng(1)
    accounts = [each for _, each in both_judged(given, "<b>ben</b>", "ana").groupby("account_id")]
    draws = [pd.concat([accounts[at] for at in rng.integers(0, len(accounts), len(accounts))])
             for _ in range(150)]  # fmt: skip
    naive = np.quantile([cohen_kappa_score(each["first"], each["second"]) for each in draws],
                        [0.025, 0.975])  # fmt: skip
    assert [row["low"], row["high"]] == pytest.approx(naive, abs=0.04)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([[5, 0], [0, 5]], 1.0), ([[5, 5], [5, 5]], 0.0), ([[0, 4], [0, 0]], 0.0)],
)
def test_kappa_of_little(counts: list[list[int]], expected: float) -> None:
    assert kappa(np.array(counts, float)) == pytest.approx(expected)
    assert math.isnan(kappa(np.array([[7.0, 0], [0, 0]])))  # both always said the same


@both
def test_a_verdict_taken_back_or_given_anew_counts_no_more(empty: CaseDatabase) -> None:
    add_flags(empty, "phone", [flag(0, 0), flag(1, 500)])
    record_verdict(empty, 1, "suspicious", "ana")
    record_verdict(empty, 1, "confirmed_fraud", "ana")
    record_verdict(empty, 1, "false_positive", "ben")
    undo_verdict(empty, 1, "ana")  # takes ben's back
    record_verdict(empty, 2, "suspicious", "ben")
    record_verdict(empty, 2, "undecided", "ben")
    assert opinions(empty)[["reviewer", "verdict"]].to_numpy().tolist() == [
        ["ana", "confirmed_fraud"]
    ]
    assert agreement(opinions(empty)).empty


def test_alerts_per_day_counts_the_quiet_days(flags: pd.DataFrame) -> None:
    daily = alerts_per_day(flags)
    days = [day.date() for day in pd.DatetimeIndex(daily.index)]
    counted = Counter(each.date() for each in flags.loc[flags["is_alert"], "timestamp"])
    assert dict(zip(days, daily["alerts"], strict=True)) == {day: counted[day] for day in days}
    assert (len(daily), daily.to_numpy().sum()) == (56, 300)
    two = flags[flags["timestamp"].isin([flags["timestamp"].min(), flags["timestamp"].max()])]
    assert (alerts_per_day(two).sum(axis=1) == 0).sum() == 54


def test_waiting_is_the_product_limit_with_open_cases_as_far_as_seen(team: CaseDatabase) -> None:
    waiting = waiting_of(team, NOW_US)
    assert (len(waiting.decided_hours), len(waiting.open_hours)) == (235, 65)
    curve = survival(waiting).set_index("hours")
    everything = np.concatenate([waiting.decided_hours, waiting.open_hours])
    still, reached = 1.0, None
    for hours in np.unique(waiting.decided_hours):
        still *= 1 - (waiting.decided_hours == hours).sum() / (everything >= hours).sum()
        assert curve.loc[hours, "waiting"] == pytest.approx(still)
        reached = hours if reached is None and still <= 0.5 + 1e-12 else reached
    assert waiting.until(0.5) == reached
    assert waiting.until(0.9) is None  # every fifth case is open


@both
def test_first_verdict_that_stands_ends_the_waiting(empty: CaseDatabase) -> None:
    add_flags(empty, "phone", [flag(0, 0), flag(1, 500)])
    at = START_US + 2 * HOUR_US
    record_verdict(empty, 1, "suspicious", "ana", now_us=at)
    undo_verdict(empty, 1, "ana", now_us=at + HOUR_US)
    now_us = START_US + 510 * HOUR_US
    assert sorted(waiting_of(empty, now_us).open_hours) == [10, 510]
    record_verdict(empty, 1, "false_positive", "ana", now_us=at + 3 * HOUR_US)
    record_verdict(empty, 1, "confirmed_fraud", "ana", now_us=at + 5 * HOUR_US)
    record_verdict(empty, 2, "suspicious", "ana", now_us=START_US)  # this clock goes behind
    assert sorted(waiting_of(empty, now_us).decided_hours) == [0, 5]


def test_all_open_and_all_decided() -> None:
    assert Waiting(np.array([]), np.array([3.0, 5.0])).until(0.5) is None
    assert Waiting(np.array([3.0, 5.0]), np.array([])).until(0.5) == 3.0
    assert Waiting(np.array([3.0, 5.0]), np.array([])).until(0.9) == 5.0
