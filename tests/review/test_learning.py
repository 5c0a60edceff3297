"""What is chosen beside the flagged, and figures that correct for how it was chosen."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.review.learning import Chosen, Shares, choose, systematic, with_fixed_sum
from fraudnet.review.sampled import Reviewed, SampledFigures, sampled_figures

Floats = npt.NDArray[np.floating[Any]]

SHARES = Shares(uncertain=0.1, unfamiliar=0.1, random=0.3)
LEARNING = Shares(uncertain=0.05, unfamiliar=0.05, random=0.6)


def scored(count: int = 400, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.beta(0.6, 6.0, count), rng.gamma(3.0, 2.0, count)


def by_reason(chosen: Chosen) -> dict[str, list[int]]:
    return {
        str(name): [int(row) for row in chosen.rows[chosen.reason == name]]
        for name in np.unique(chosen.reason)
    }


def test_each_share_goes_to_what_it_is_declared_for() -> None:
    probability, distance = scored()
    rows = by_reason(choose(probability, distance, 0.2, 40, SHARES, seed=1))
    assert {name: len(found) for name, found in rows.items()} == {
        "flagged": 20, "uncertain": 4, "unfamiliar": 4, "random": 12
    }  # fmt: skip
    ranked = sorted(range(400), key=lambda row: -probability[row])
    assert rows["flagged"] == ranked[:20]
    odds = np.log(probability / (1 - probability))
    near = sorted(ranked[20:], key=lambda row: abs(odds[row] - np.log(0.25)))
    assert sorted(rows["uncertain"]) == sorted(near[:4])
    far = sorted(set(ranked[20:]) - set(near[:4]), key=lambda row: -distance[row])
    assert rows["unfamiliar"] == far[:4]
    assert len(set().union(*rows.values())) == 40


def test_without_shares_the_whole_budget_is_the_flagged() -> None:
    probability, distance = scored()
    flagged = int((probability >= 0.2).sum())
    for budget in (5, flagged + 50):
        chosen = choose(probability, distance, 0.2, budget, Shares(), seed=0)
        assert by_reason(chosen).keys() == {"flagged"}
        assert len(chosen.rows) == min(budget, flagged)
        assert (probability[chosen.rows] >= 0.2).all()


def test_the_same_seed_chooses_the_same_and_another_other_random_ones() -> None:
    first, again, other = (choose(*scored(), 0.2, 40, SHARES, seed=seed) for seed in (1, 1, 2))
    assert by_reason(first) == by_reason(again)
    differing = {name for name, rows in by_reason(first).items() if by_reason(other)[name] != rows}
    assert differing == {"random"}


def test_each_is_chosen_as_often_as_its_inclusion_probability_says() -> None:
    probability, distance = scored(60)
    draws, times, stated = 4000, Counter[int](), np.full(60, np.nan)
    for seed in range(draws):
        chosen = choose(probability, distance, 0.2, 20, SHARES, seed)
        times.update(int(row) for row in chosen.rows)
        stated[chosen.rows] = chosen.inclusion_probability
    assert not np.isnan(stated).any()
    share = np.array([times[row] for row in range(60)]) / draws
    error = np.sqrt(stated * (1 - stated) / draws)
    assert (np.abs(share - stated) <= 4.5 * error).all()
    assert stated.sum() == pytest.approx(20)


@given(
    st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=40), st.integers(0, 45), st.integers(0, 99)
)
def test_a_sample_has_its_size_and_its_probabilities_their_sum(
    sizes: list[float], count: int, seed: int
) -> None:
    probabilities = with_fixed_sum(np.array(sizes), count)
    assert (probabilities <= 1).all()
    assert probabilities.sum() == pytest.approx(min(count, len(sizes)))
    drawn = systematic(probabilities, np.random.default_rng(seed))
    assert len(set(drawn.tolist())) == len(drawn) == min(count, len(sizes))
    assert set(np.flatnonzero(probabilities == 1)) <= set(drawn)


def test_fewer_transactions_than_the_budget_are_all_chosen() -> None:
    chosen = choose(np.array([0.9, 0.1, 0.0]), np.zeros(3), 0.5, 30, Shares(random=0.5), seed=0)
    assert sorted(chosen.rows) == [0, 1, 2]
    assert (chosen.inclusion_probability == 1).all()
    none = choose(np.zeros(0), np.zeros(0), 0.5, 30, SHARES, seed=0)
    assert len(none.rows) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shares(random=-0.1), "share random is -0.1"),
        (lambda: Shares(0.5, 0.4, 0.2), "more than the whole"),
        (lambda: Shares(random=0.05).counts(8), "share random of 0.05 comes to none"),
        (lambda: choose(np.array([np.nan]), np.zeros(1), 0.5, 1, Shares(), 0), "probability of"),
        (lambda: choose(np.zeros(1), -np.ones(1), 0.5, 1, Shares(), 0), "distance of scored"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=message):
        make()


class World:
    """A period whose truth is known: 3,000 transactions, of which the model misses some frauds."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.probability, self.distance = rng.beta(0.1, 4.0, 3000), rng.gamma(3.0, 2.0, 3000)
        # The model is wrong about a part: they are as likely fraud wherever it puts them.
        self.is_fraud = rng.random(3000) < 0.6 * self.probability + 0.02

    def drawn(self, seed: int) -> tuple[Reviewed, Chosen]:
        chosen = choose(self.probability, self.distance, 0.2, 500, LEARNING, seed)
        is_fraud = self.is_fraud[chosen.rows].astype(np.int8)
        alerted = chosen.reason == "flagged"
        return Reviewed(is_fraud, chosen.inclusion_probability, alerted, 3000), chosen

    def truth(self) -> tuple[float, float, float]:
        _, chosen = self.drawn(0)
        alerted = chosen.rows[chosen.reason == "flagged"]
        caught = self.is_fraud[alerted].sum()
        return (
            caught / self.is_fraud.sum(),
            caught / len(alerted),
            float(self.is_fraud.mean()),
        )


def test_figures_are_right_on_average_and_uncorrected_ones_are_not() -> None:
    world = World()
    recall, precision, prevalence = world.truth()
    figures: list[SampledFigures] = []
    naive = []
    for seed in range(600):
        reviewed, _ = world.drawn(seed)
        figures.append(sampled_figures(reviewed))
        frauds = reviewed.is_fraud == 1
        naive.append((frauds[reviewed.alerted].sum() / frauds.sum(), frauds.mean()))
    estimated = np.array([each.prevalence.value for each in figures])
    error = estimated.std() / np.sqrt(len(estimated))
    assert abs(estimated.mean() - prevalence) < 4 * error
    # A ratio of totals: right on average but for a term that falls with the size of the sample.
    recalls = [each.recall.value for each in figures if each.recall]
    assert np.mean(recalls) == pytest.approx(recall, abs=0.02)
    naive_recall, naive_prevalence = np.mean(naive, axis=0)
    assert naive_recall > recall + 0.2
    assert naive_prevalence > 2 * prevalence
    for each in figures:
        assert each.precision is not None
        assert each.precision.value == pytest.approx(precision)

    def held(name: str, truth: float) -> float:
        intervals = [getattr(each, name).interval for each in figures]
        return float(np.mean([i.low <= truth <= i.high for i in intervals]))

    assert held("prevalence", prevalence) >= 0.94
    assert held("recall", recall) >= 0.94


def test_where_all_are_chosen_the_figures_are_those_of_a_count() -> None:
    is_fraud = np.array([1, 1, 0, 1, 0, 0], np.int8)
    alerted = np.array([True, True, True, False, False, False])
    found = sampled_figures(Reviewed(is_fraud, np.ones(6), alerted, 6))
    assert found.recall is not None
    assert found.precision is not None
    assert found.recall.value == pytest.approx(2 / 3)
    assert found.precision.value == pytest.approx(2 / 3)
    assert found.prevalence.value == pytest.approx(0.5)
    assert found.prevalence.interval is not None
    assert found.prevalence.interval.low == found.prevalence.interval.high == pytest.approx(0.5)


def test_no_fraud_found_by_chance_is_not_none_there() -> None:
    """The upper end is the exact Poisson one, 3.689 for none (Garwood 1936), times the weight."""
    is_fraud = np.array([1, 1] + [0] * 50, np.int8)
    probability = np.concatenate([[1.0, 1.0], np.full(50, 0.1)])
    alerted = np.arange(52) < 2
    found = sampled_figures(Reviewed(is_fraud, probability, alerted, 502))
    assert found.recall is not None
    assert found.recall.interval is not None
    assert found.recall.value == 1
    assert found.recall.interval.high == 1
    assert found.recall.interval.low == pytest.approx(2 / (2 + 36.89), abs=1e-4)


def test_those_without_a_verdict_hand_their_weight_to_their_kind() -> None:
    whole = np.array([1, 0, 1, 0, 0, 0], np.int8)
    probability = np.array([1, 1, 0.2, 0.2, 0.2, 0.2])
    alerted = np.array([True, True, False, False, False, False])
    some = whole.copy()
    some[[3, 5]] = -1
    found = sampled_figures(Reviewed(some, probability, alerted, 22))
    assert found.prevalence.value == pytest.approx((1 + 2 * 5) / 22)
    assert found.recall is not None
    assert found.recall.value == pytest.approx(1 / 11)


def test_what_cannot_be_told_is_refused() -> None:
    alerts = np.ones(3, bool)
    verdicts = np.array([1, 0, 1], np.int8)
    with pytest.raises(InputError, match="nothing of the 97 others"):
        sampled_figures(Reviewed(verdicts, np.ones(3), alerts, 100))
    with pytest.raises(InputError, match="none of the 2 chosen that are not alerted and random"):
        sampled_figures(
            Reviewed(
                np.array([1, -1, -1], np.int8),
                np.array([1, 0.5, 0.5]),
                np.array([True, False, False]),
                5,
            )
        )
