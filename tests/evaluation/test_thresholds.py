"""Thresholds and what follows from them, against loops over all thresholds that there are."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from fraudnet.errors import InputError
from fraudnet.evaluation.metrics import DAY_US, Scored
from fraudnet.evaluation.thresholds import (
    AlertConfig,
    Choice,
    Decided,
    Threshold,
    choose_threshold,
    consequences,
)

DAYS = 4


class Row(NamedTuple):
    """A transaction."""

    score: float
    is_fraud: int
    amount: float
    account: int
    day: int


ROWS = st.lists(
    st.builds(
        Row,
        st.integers(0, 12).map(lambda n: n / 12) | st.floats(0, 1, width=32),
        st.sampled_from([-1, 0, 0, 0, 1]),
        st.integers(-50, 200).map(float),
        st.integers(0, 4),
        st.integers(0, DAYS - 1),
    ),
    min_size=1,
    max_size=30,
)


def decided(
    rows: list[Row], weight: NDArray[np.float64] | None = None, kind: type = np.float32
) -> Decided:
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in Row._fields}
    scored = Scored(
        score=columns["score"].astype(kind),
        is_fraud=columns["is_fraud"].astype(np.int8),
        timestamp_us=columns["day"] * DAY_US + np.arange(len(rows)),
        account=columns["account"],
        amount=columns["amount"],
    )
    return Decided(scored, np.ones(len(rows)) if weight is None else weight, float(DAYS))


def chosen(rows: list[Row], terms: dict[str, Any]) -> Threshold:
    return choose_threshold(decided(rows), AlertConfig(**terms), "a period")


def all_flags(rows: list[Row]) -> list[list[Row]]:
    """What every threshold flags, from none to all."""
    scores = sorted({np.float32(row.score) for row in rows}, reverse=True)
    return [[], *([row for row in rows if np.float32(row.score) >= at] for at in scores)]


def flagged_by(rows: list[Row], choice: Choice) -> list[Row]:
    return [row for row in rows if np.float32(row.score) >= choice.probability]


def saved(flagged: list[Row], alerts: AlertConfig) -> float:
    money = 0.0
    for row in flagged:
        if row.is_fraud == 1:
            money += abs(row.amount) * alerts.loss_given_fraud * alerts.recovered
        if row.is_fraud == 0:
            money -= alerts.customer_cost
        if row.is_fraud >= 0:
            money -= alerts.review_cost
    return money


@settings(max_examples=200)
@given(ROWS, st.sampled_from([0.1, 0.3, 0.5, 1, 1.9, 3, 50]))
def test_the_alert_budget_is_kept_with_ties_left_out_whole(rows: list[Row], per_day: float) -> None:
    found = flagged_by(rows, chosen(rows, {"per_day": per_day}))
    within = [flagged for flagged in all_flags(rows) if len(flagged) <= per_day * DAYS]
    assert len(found) == len(within[-1])


@settings(max_examples=200)
@given(
    ROWS, st.sampled_from([0.5, 5, 60]), st.sampled_from([0, 8]), st.sampled_from([0.3, 1]),
    st.sampled_from([0.5, 1]),
)  # fmt: skip
def test_no_threshold_saves_more_than_that_of_the_costs(
    rows: list[Row], review_cost: float, customer_cost: float, lost: float, recovered: float
) -> None:
    alerts = AlertConfig(
        policy="cost", review_cost=review_cost, customer_cost=customer_cost,
        loss_given_fraud=lost, recovered=recovered,
    )  # fmt: skip
    threshold = choose_threshold(decided(rows), alerts, "a period")
    best = max(saved(flagged, alerts) for flagged in all_flags(rows))
    assert saved(flagged_by(rows, threshold), alerts) == pytest.approx(best)
    assert threshold.money_saved_per_day == pytest.approx(best / DAYS)


@settings(max_examples=200)
@given(ROWS, st.sampled_from([0.2, 0.5, 0.9]), st.integers(1, 5))
def test_as_many_are_flagged_as_the_wanted_precision_allows(
    rows: list[Row], wanted: float, least: int
) -> None:
    reached, highest = [], 0.0
    for flagged in all_flags(rows):
        labels = [row.is_fraud for row in flagged if row.is_fraud >= 0]
        if len(labels) >= least:
            highest = max(highest, sum(labels) / len(labels))
            if sum(labels) / len(labels) >= wanted:
                reached.append(flagged)
    terms = {"policy": "precision", "precision": wanted, "precision_alerts": least}
    if reached:
        assert len(flagged_by(rows, chosen(rows, terms))) == len(reached[-1])
        return
    with pytest.raises(InputError, match=r"alerts\.precision .* is not reached") as caught:
        chosen(rows, terms)
    assert f"is {highest:.4g};" in str(caught.value)
    terms["policy"] = "alert_budget"
    assert chosen(rows, terms).unreached == str(caught.value)


@settings(max_examples=200)
@given(ROWS, st.sampled_from([0.3, 1, 3]))
def test_the_consequences_are_those_of_a_loop(rows: list[Row], per_day: float) -> None:
    alerts = AlertConfig(per_day=per_day, review_cost=3, customer_cost=2, recovered=0.5)
    threshold = choose_threshold(decided(rows), alerts, "a period")
    assert [each.chosen_by for each in threshold.alternatives] == ["cost"]
    for choice in (threshold, *threshold.alternatives):
        flagged = flagged_by(rows, choice)
        frauds = [row for row in rows if row.is_fraud == 1]
        caught = [row for row in flagged if row.is_fraud == 1]
        wrong = [row for row in flagged if row.is_fraud == 0]
        labelled = len(caught) + len(wrong)
        whole = sum(abs(row.amount) for row in frauds)
        assert choice.alerts_per_day == pytest.approx(len(flagged) / DAYS)
        assert choice.precision == (pytest.approx(len(caught) / labelled) if labelled else None)
        assert choice.recall == pytest.approx(len(caught) / max(len(frauds), 1))
        assert choice.money_recall == pytest.approx(
            sum(abs(row.amount) for row in caught) / whole if whole else 0
        )
        assert choice.money_saved_per_day == pytest.approx(saved(flagged, alerts) / DAYS)
        bothered = {(row.account, row.day) for row in wrong}
        assert choice.customers_bothered_per_day == pytest.approx(len(bothered) / DAYS)


@settings(max_examples=200)
@given(ROWS, st.sampled_from([0.1, 1, 3, 50]), st.sampled_from([np.float32, np.float64]))
def test_another_runtimes_rounding_flips_no_decision(
    rows: list[Row], per_day: float, kind: type
) -> None:
    given_ = decided(rows, kind=kind)
    score = given_.scored.score
    apart = np.diff(np.unique(np.append(score, [0, 1])))
    assume(apart.min() > 1e-4)
    threshold = choose_threshold(given_, AlertConfig(per_day=per_day), "a period").probability
    sure = (score > 0) & (score < 1)  # what is as far as it can be stays there
    for moved in (score - 4e-5, score + 4e-5):
        assert ((moved >= threshold) == (score >= threshold))[sure].all()


def test_weights_stand_for_so_many_transactions() -> None:
    rng = np.random.default_rng(0)
    rows = [
        Row(score, int(rng.random() < score), float(rng.integers(1, 99)), at, int(rng.integers(4)))
        for at, score in enumerate(np.round(rng.random(60), 2).tolist())
    ]
    weight = rng.integers(1, 4, 60)
    often = [row for row, times in zip(rows, weight, strict=True) for _ in range(times)]
    alerts = AlertConfig(
        per_day=9, review_cost=30, precision=0.7, precision_alerts=1, policy="precision"
    )
    found = choose_threshold(decided(rows, weight.astype(float)), alerts, "a period")
    expected = choose_threshold(decided(often), alerts, "a period")
    ignored = {"customers_bothered_per_day"}
    pairs = zip((found, *found.alternatives), (expected, *expected.alternatives), strict=True)
    for one, other in pairs:
        first, second = (
            each.model_dump(exclude=ignored | {"alternatives"}) for each in (one, other)
        )
        assert first.pop("terms") == second.pop("terms")
        numbers = {name for name, value in first.items() if isinstance(value, float)}
        assert len(numbers) == 6
        for name in first:
            assert first[name] == (pytest.approx(second[name]) if name in numbers else second[name])


def test_a_weight_that_is_no_whole_number_fits_a_budget_exactly() -> None:
    rows = [Row(at / 100, 0, 1.0, 0, 0) for at in range(100)]
    given_ = decided(rows, np.full(100, 1 / 0.1))
    threshold = choose_threshold(given_, AlertConfig(per_day=75), "a period")
    assert threshold.alerts_per_day == pytest.approx(75)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"policy": "cost"}, "needs review_cost or customer_cost"),
        ({"policy": "cost", "recovered": 0.5}, "needs review_cost or customer_cost"),
        ({"policy": "precision"}, "needs precision"),
        ({"policy": "precision", "precision": 1.0}, "less than 1"),
        ({"policy": "luck"}, "'alert_budget', 'cost' or 'precision'"),
    ],
)
def test_a_policy_without_its_terms_is_refused(terms: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        AlertConfig(**terms)


@given(ROWS, st.sampled_from([np.float32, np.float64]))
def test_consequences_of_each_threshold_by_a_loop(rows: list[Row], kind: type) -> None:
    alerts = AlertConfig(review_cost=3, customer_cost=2, loss_given_fraud=0.9, recovered=0.5)
    given_rows = decided(rows, kind=kind)
    found = consequences(given_rows, alerts)
    assert len(found.probability) == len({*given_rows.scored.score.tolist()}) + 1
    for at, threshold in enumerate(found.probability):
        flagged = [r for r, s in zip(rows, given_rows.scored.score, strict=True) if s >= threshold]
        frauds = [row for row in flagged if row.is_fraud == 1]
        genuine = [row for row in flagged if row.is_fraud == 0]
        saved = sum(abs(row.amount) for row in frauds) * 0.9 * 0.5
        saved -= 3 * (len(frauds) + len(genuine)) + 2 * len(genuine)
        assert found.alerts_per_day[at] == pytest.approx(len(flagged) / DAYS)
        assert found.money_saved_per_day[at] == pytest.approx(saved / DAYS, abs=1e-9)
