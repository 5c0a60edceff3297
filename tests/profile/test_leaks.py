"""Planted leaks are found, and columns that tell nothing are not accused."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from fraudnet.profile.drift import compared_periods
from fraudnet.profile.leaks import (
    GIVEN_AWAY,
    Evidence,
    LeakReport,
    Ranking,
    chance_deviation,
    leaks_of,
    target_rate,
)
from fraudnet.profile.ledger import ledger_of
from fraudnet.profile.readings import readings
from fraudnet.windows.periods import SplitConfig
from tests.profile.made import DAY_US, FIRST_US, Columns, columns, recipe, table


def leaks(made: Columns, **further: object) -> LeakReport:
    ledger = ledger_of(table(made))
    return leaks_of(ledger, recipe(**further), compared_periods(ledger.timestamp_us, SplitConfig()))


def flagged(report: LeakReport) -> set[str]:
    return {each.column for each in report.flagged}


def reading(report: LeakReport, column: str, what: str) -> Evidence:
    (found,) = [each for each in report.evidence if (each.column, each.what) == (column, what)]
    return found


def reordered(made: Columns, order: npt.NDArray[np.int64]) -> Columns:
    return {name: np.asarray(values)[order] for name, values in made.items()}


@pytest.mark.parametrize("seed", range(6))
def test_columns_that_tell_nothing_are_not_flagged(seed: int) -> None:
    random = np.random.default_rng(seed)
    made = columns(3000 + 2000 * (seed % 2), seed, fraud_share=(0.01, 0.1, 0.5)[seed % 3])
    rows = len(made["timestamp"])
    made["noise"] = random.random(rows)
    made["flag"] = [None if each < 0.5 else 1.0 for each in random.random(rows)]
    made["shop"] = [f"shop {each}" for each in random.integers(0, 500, rows)]
    report = leaks(made, numeric=["noise", "flag"], categorical=["shop"])
    assert report.flagged == []
    assert {each.column for each in report.evidence} >= {"noise", "flag", "shop", "row order"}
    assert reading(report, "transaction_id", "by value").roc_auc == 0.5


def test_a_useful_column_is_not_a_leak() -> None:
    made = columns(8000, 1)
    fraud = made["is_fraud"] == 1
    made["amount"] = np.where(fraud, 4.0, 1.0) * made["amount"]
    made["category"] = np.where(fraud & (np.arange(8000) % 2 == 0), "rent", made["category"])
    report = leaks(made)
    assert report.flagged == []
    assert 0.7 < (reading(report, "amount", "by order").roc_auc or 0) < GIVEN_AWAY


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_number_that_follows_the_label_is_found(sign: float) -> None:
    made = columns(4000, 2)
    made["balance"] = sign * (made["is_fraud"] + np.random.default_rng(0).normal(0, 0.1, 4000))
    report = leaks(made, numeric=["balance"])
    assert flagged(report) == {"balance"}
    assert (reading(report, "balance", "by order").roc_auc or 0) > 0.99


def test_a_number_whose_two_ends_are_fraud_is_found() -> None:
    made = columns(4000, 3)
    sign = np.where(np.arange(4000) % 2, 10.0, -10.0)
    noise = np.random.default_rng(0).normal(0, 1, 4000)
    made["z"] = noise + sign * (made["is_fraud"] == 1)
    report = leaks(made, numeric=["z"])
    assert flagged(report) == {"z"}


def test_a_number_whose_top_is_pure_fraud_is_found_although_its_roc_auc_is_low() -> None:
    made = columns(6000, 4)
    told = (made["is_fraud"] == 1) & (np.arange(6000) % 10 < 7)
    made["z"] = np.random.default_rng(0).normal(0, 1, 6000) + 10.0 * told
    report = leaks(made, numeric=["z"])
    found = reading(report, "z", "by order")
    assert (found.roc_auc or 1) < 0.95
    assert found.pure_share == pytest.approx(0.7, abs=0.2)
    assert "almost surely" in found.reasons[0]


def test_a_category_that_follows_the_label_is_found() -> None:
    made = columns(4000, 5)
    made["status"] = np.where(made["is_fraud"] == 1, "blocked", "settled")
    report = leaks(made, categorical=["status"])
    assert flagged(report) == {"status"}
    found = reading(report, "status", "by value")
    assert found.roc_auc == 1.0
    assert found.average_precision == 1.0
    assert found.reasons[0] == "'blocked' has 100% of all frauds; 100.0% of its rows are fraud"


def test_a_value_that_is_pure_fraud_is_found_with_half_of_the_frauds() -> None:
    made = columns(4000, 6)
    told = (made["is_fraud"] == 1) & (np.arange(4000) % 10 < 6)
    made["status"] = np.where(told, "manual review", "settled")
    assert flagged(leaks(made, categorical=["status"])) == {"status"}
    told &= np.arange(4000) % 10 < 2
    made["status"] = np.where(told, "manual review", "settled")
    assert flagged(leaks(made, categorical=["status"])) == set()


def test_a_null_pattern_is_found_where_the_values_tell_nothing() -> None:
    made = columns(4000, 7)
    filled = (made["is_fraud"] == 1) | (np.random.default_rng(1).random(4000) < 0.002)
    random = np.random.default_rng(0)
    made["reference"] = [f"{random.integers(10**9)}" if each else None for each in filled]
    made["days"] = [random.random() if each else None for each in filled]
    report = leaks(made, categorical=["reference"], numeric=["days"])
    assert flagged(report) == {"reference", "days"}
    for column in ("reference", "days"):
        assert (reading(report, column, "is null").roc_auc or 0) > 0.99


def test_values_that_share_nothing_but_their_spelling_are_found() -> None:
    made = columns(4000, 8)
    kind = np.where(made["is_fraud"] == 1, "FRD", "TXN")
    made["reference"] = [f"{each}-{i * 7919 % 4001:05}" for i, each in enumerate(kind)]
    assert flagged(leaks(made, categorical=["reference"])) == {"reference"}


def test_rows_ordered_by_label_are_found() -> None:
    made = columns(4000, 9)
    frauds_last = reordered(made, np.argsort(made["is_fraud"], kind="stable"))
    assert flagged(leaks(frauds_last)) == {"row order"}
    frauds_first = reordered(made, np.argsort(-made["is_fraud"], kind="stable"))
    assert flagged(leaks(frauds_first)) == {"row order"}
    by_day = np.lexsort((-made["is_fraud"], made["timestamp"] // DAY_US))
    assert flagged(leaks(reordered(made, by_day))) == {"row order"}
    assert flagged(leaks(reordered(made, np.random.default_rng(0).permutation(4000)))) == set()


def test_transaction_ids_that_differ_by_label_are_found() -> None:
    made = columns(4000, 10)
    fraud = made["is_fraud"] == 1
    number = np.random.default_rng(0).permutation(4000)
    for ids in (
        [str(each + 10**6 * mark) for each, mark in zip(number, fraud, strict=True)],
        [f"{'F' if mark else 'G'}{each:05}" for each, mark in zip(number, fraud, strict=True)],
        [f"{each:0{9 if mark else 7}}" for each, mark in zip(number, fraud, strict=True)],
    ):
        report = leaks(made | {"transaction_id": ids})
        assert flagged(report) == {"transaction_id"}


def test_frauds_with_other_decimals_are_found() -> None:
    made = columns(4000, 11)
    fraud = made["is_fraud"] == 1
    amount = np.where(fraud, np.round(made["amount"]), made["amount"].round(1) + 0.05)
    report = leaks(made | {"amount": amount})
    assert flagged(report) == {"amount"}
    assert reading(report, "amount", "number of decimals").reasons


def test_frauds_with_other_fractions_of_a_second_are_found() -> None:
    made = columns(4000, 12)
    made["timestamp"] = made["timestamp"] + np.where(made["is_fraud"] == 1, 123_456, 0)
    assert flagged(leaks(made)) == {"timestamp"}


def test_report_columns_and_label_times_are_named_and_marked_as_never_features() -> None:
    made = columns(4000, 13)
    made["kind"] = np.where(made["is_fraud"] == 1, "stolen", "none")
    known = made["timestamp"] + DAY_US
    made["label_time"] = [
        int(t) if f else None for t, f in zip(known, made["is_fraud"], strict=True)
    ]
    report = leaks(made, report=["kind"])
    assert flagged(report) == {"kind", "label_time"}
    assert all(each.never_feature for each in report.flagged)
    # A report column may hold anything, so what it holds is not shown.
    assert not any("stolen" in reason for each in report.flagged for reason in each.reasons)


def test_scores_are_fitted_on_the_training_period_alone() -> None:
    made = columns(6000, 14)
    random = np.random.default_rng(0)
    training = made["timestamp"] < FIRST_US + 35 * DAY_US
    label = np.where(training, made["is_fraud"], random.random(6000) < 0.05)
    made["status"] = np.where(label == 1, "blocked", "settled")
    found = reading(leaks(made, categorical=["status"]), "status", "by value")
    assert found.roc_auc == pytest.approx(0.5, abs=0.1)
    assert found.reasons == ()


def test_with_few_frauds_in_the_test_period_the_frauds_are_halved() -> None:
    made = columns(4000, 15)
    made["is_fraud"] = np.where(made["timestamp"] < FIRST_US + 50 * DAY_US, made["is_fraud"], 0)
    made["status"] = np.where(made["is_fraud"] == 1, "blocked", "settled")
    report = leaks(made, categorical=["status"])
    assert "the test period 0" in report.note
    assert abs(report.training_frauds - report.test_frauds) <= 1
    assert "status" in flagged(report)
    assert reading(report, "status", "by value").roc_auc == 1.0


def test_a_handful_of_frauds_proves_nothing() -> None:
    made = columns(400, 16)
    made["is_fraud"] = (np.arange(400) % 100 == 50).astype(np.int8)
    made["status"] = np.where(made["is_fraud"] == 1, "blocked", "settled")
    report = leaks(made, categorical=["status"])
    assert reading(report, "status", "by value").roc_auc == 1.0
    assert report.flagged == []


def test_what_is_read_off_a_null_is_null() -> None:
    made = columns(400, 19)
    made["reference"] = [None if i % 5 == 0 else f"{'ab'[i % 2]}{i}" for i in range(400)]
    null = np.arange(400) % 5 == 0
    ledger = ledger_of(table(made))
    found = readings(ledger, recipe(categorical=["reference"]), np.ones(400, bool))
    of_it = {each.what: each for each in found if each.column == "reference"}
    assert set(of_it) == {
        "is null",
        "by value",
        "by order",
        "length",
        "first three characters",
        "what is not a digit",
    }
    assert of_it.pop("is null").codes is not None
    for each in of_it.values():
        if each.codes is not None:
            assert ((each.codes == -1) == null).all()
        else:
            assert each.values is not None
            assert (np.isnan(each.values) == null).all()


@pytest.mark.parametrize("label", [0, 1, None])
def test_without_two_classes_the_report_says_what_it_needs(label: int | None) -> None:
    report = leaks(columns(300, 17) | {"is_fraud": [label] * 300})
    assert report.evidence == []
    assert "needs labels" in report.note


def test_one_fraud_is_little_but_no_error() -> None:
    report = leaks(columns(300, 18) | {"is_fraud": [1] + [0] * 299})
    assert "no ROC AUC" in report.note
    assert report.flagged == []
    assert all(each.roc_auc is None for each in report.evidence)


@pytest.mark.parametrize("seed", range(20))
def test_a_ranking_agrees_with_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(2, 200))
    fraud = random.random(rows) < 0.3
    fraud[:2] = [True, False]
    score = random.integers(0, random.choice([2, 10, 10**6]), rows) / 7
    ranking = Ranking(fraud, score)
    assert ranking.roc_auc() == pytest.approx(roc_auc_score(fraud, score))
    assert ranking.average_precision() == pytest.approx(average_precision_score(fraud, score))
    limit = max(0.95, 1 - (1 - fraud.mean()) / 10)
    best = 0.0
    for threshold in score:
        above = score >= threshold
        if above.sum() >= 20 and fraud[above].mean() >= limit:
            best = max(best, fraud[above].sum() / fraud.sum())
    assert ranking.pure_share() == pytest.approx(best)


def test_chance_deviates_as_its_formula_says() -> None:
    random = np.random.default_rng(0)
    fraud = np.arange(60) < 12
    areas = [Ranking(fraud, random.random(60)).roc_auc() for _ in range(4000)]
    assert chance_deviation(fraud) == pytest.approx(np.std(areas), rel=0.05)


def test_the_target_rate_is_that_of_a_loop() -> None:
    random = np.random.default_rng(0)
    codes, fraud = random.integers(0, 9, 300), random.random(300) < 0.2
    expected = [
        (sum(fraud[codes == value]) + 10 * sum(fraud) / 300) / (sum(codes == value) + 10)
        for value in range(9)
    ]
    assert target_rate(codes, fraud) == pytest.approx(expected)
