from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.evaluation.metrics import DAY_US, Scored, card_precision_at


class Seen(NamedTuple):
    """A transaction of an account on a day."""

    account: int
    day: int
    is_fraud: bool


SEEN = st.lists(
    st.builds(Seen, st.integers(0, 4), st.integers(0, 3), st.booleans()), min_size=1, max_size=14
)


def scored_of(rows: list[Seen], score: list[float]) -> Scored:
    return Scored(
        score=np.array(score, np.float32),
        is_fraud=np.array([row.is_fraud for row in rows], np.int8),
        timestamp_us=np.array([row.day * DAY_US + at for at, row in enumerate(rows)]),
        account=np.array([row.account for row in rows]),
        amount=np.ones(len(rows)),
    )


def naive_card_precision(rows: list[Seen], score: list[float], k: int) -> float:
    caught: list[int] = []
    shares = []
    for day in sorted({row.day for row in rows}):
        worst: dict[int, float] = {}
        for row, value in zip(rows, score, strict=True):
            if row.day == day and row.account not in caught:
                worst[row.account] = max(worst.get(row.account, value), value)
        top = sorted(worst, key=lambda account: -worst[account])[:k]
        found = [account for account in top if Seen(account, day, True) in rows]
        shares.append(len(found) / k)
        caught += found
    return sum(shares) / len(shares)


def naive_ceiling(rows: list[Seen], k: int) -> float:
    """Tries every way to catch each account on one of its days, or on none."""
    days = sorted({row.day for row in rows})
    accounts = sorted({row.account for row in rows})
    chances = [
        [None, *(day for day in days if Seen(account, day, True) in rows)] for account in accounts
    ]
    best = 0
    for chosen in product(*chances):
        if all(chosen.count(day) <= k for day in days):
            best = max(best, sum(day is not None for day in chosen))
    return best / (k * len(days))


@settings(deadline=None, max_examples=300)
@given(st.data(), SEEN, st.integers(1, 6))
def test_card_precision_is_that_of_a_loop_over_days_and_accounts(
    data: st.DataObject, rows: list[Seen], k: int
) -> None:
    score = data.draw(st.permutations([0.25 * at for at in range(len(rows))]))
    assert card_precision_at(scored_of(rows, score), k).value == pytest.approx(
        naive_card_precision(rows, score, k)
    )


@settings(deadline=None, max_examples=300)
@given(SEEN, st.integers(1, 6))
def test_the_ceiling_is_the_most_that_any_scorer_could_catch(rows: list[Seen], k: int) -> None:
    card = card_precision_at(scored_of(rows, [0.0] * len(rows)), k)
    assert card.ceiling == pytest.approx(naive_ceiling(rows, k))
    assert card.value <= card.ceiling + 1e-12


def test_an_account_that_can_be_caught_later_makes_room_for_one_that_cannot() -> None:
    rows = [Seen(0, 0, True), Seen(1, 0, True), Seen(0, 1, True)]
    card = card_precision_at(scored_of(rows, [0.1, 0.9, 0.8]), 1)
    assert (card.value, card.ceiling) == (1.0, 1.0)


def test_days_without_fraud_count() -> None:
    rows = [Seen(0, 0, True), Seen(1, 1, False)]
    card = card_precision_at(scored_of(rows, [0.1, 0.9]), 100)
    assert (card.value, card.ceiling) == (0.005, 0.005)
