"""The fairness table, by hand."""

import numpy as np
import pytest

from fraudnet.evaluation.fairness import groups_of
from fraudnet.evaluation.metrics import Scored
from fraudnet.evaluation.slices import Grouping
from tests.evaluation.made import scored, some_of
from tests.evaluation.test_slices import naive_rates

THRESHOLD = 0.5


def example(
    counts: dict[str, tuple[int, int, int, int]],
) -> tuple[Scored, Grouping]:
    """Of each group: caught, missed, false alarms, left alone; every row an account of its own."""
    kinds = [(0.9, 1), (0.1, 1), (0.9, 0), (0.1, 0)]
    rows = [
        (at, *kind)
        for at, numbers in enumerate(counts.values())
        for kind, number in zip(kinds, numbers, strict=True)
        for _ in range(number)
    ]
    group, score, is_fraud = (np.array(each) for each in zip(*rows, strict=True))
    count = len(rows)
    given = Scored(
        score.astype(np.float32),
        is_fraud.astype(np.int8),
        np.arange(count),
        np.arange(count),
        np.ones(count),
    )
    return given, Grouping("band", tuple(counts), group)


def test_rates_and_ratios_by_hand() -> None:
    given, grouping = example({"young": (10, 10, 30, 150), "old": (40, 10, 20, 730)})
    old, young = groups_of(given, THRESHOLD, grouping, 200, 0)
    assert (old.value, old.transactions, old.frauds) == ("old", 800, 50)
    assert (young.value, young.transactions, young.frauds) == ("young", 200, 20)
    assert old.rates == pytest.approx(
        {
            "selection_rate": 60 / 800,
            "recall": 0.8,
            "false_positive_rate": 20 / 750,
            "precision": 40 / 60,
        }
    )
    assert old.ratios == {}
    assert {name: ratio.value for name, ratio in young.ratios.items()} == pytest.approx(
        {
            "selection_rate": (40 / 200) / (60 / 800),
            "recall": 0.5 / 0.8,
            "false_positive_rate": (30 / 180) / (20 / 750),
            "precision": (10 / 40) / (40 / 60),
        }
    )
    for ratio in young.ratios.values():
        assert ratio.interval is not None
        assert ratio.interval.low < ratio.value < ratio.interval.high
    assert young.unlike == ["selection_rate", "recall", "false_positive_rate", "precision"]
    assert old.unlike == []


def test_equal_groups_are_alike_and_so_are_small_differences() -> None:
    given, grouping = example({"a": (40, 10, 20, 731), "b": (38, 12, 21, 720)})
    _, other = groups_of(given, THRESHOLD, grouping, 200, 0)
    assert other.unlike == []


def test_a_difference_of_few_is_no_finding() -> None:
    given, grouping = example({"many": (40, 10, 20, 730), "few": (1, 1, 0, 10)})
    _, few = groups_of(given, THRESHOLD, grouping, 200, 0)
    assert few.ratios["recall"].value == pytest.approx(0.5 / 0.8)
    assert few.unlike == []


def test_no_ratio_is_made_up() -> None:
    given, grouping = example({"many": (0, 10, 0, 100), "few": (1, 1, 1, 10)})
    many, few = groups_of(given, THRESHOLD, grouping, 50, 0)
    assert many.rates == {"selection_rate": 0.0, "recall": 0.0, "false_positive_rate": 0.0}
    assert few.ratios == {}


def test_it_is_the_naive_count_of_random_rows() -> None:
    given = scored(count=900, accounts=90)
    grouping = Grouping("third", ("a", "b", "c"), given.account % 3)
    for group in groups_of(given, THRESHOLD, grouping, 20, 0):
        part = some_of(given, given.account % 3 == "abc".index(group.value))
        expected = naive_rates(part, THRESHOLD)
        assert group.rates == pytest.approx({name: expected[name] for name in group.rates})
        assert len(group.rates) == 4
