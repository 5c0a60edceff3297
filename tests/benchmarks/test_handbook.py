from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.handbook import Fold, Plan, Row, measure, rows_to_score
from benchmarks.handbook_models import handbook_features
from benchmarks.handbook_table import table
from fraudnet.errors import InputError
from fraudnet.transactions.reading import Transactions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.periods import labelled_rows, microseconds
from fraudnet.windows.specification import FeatureSpecification
from tests.benchmarks.tables import handbook_file, handbook_table
from tests.windows.tables import DAY_US, table_of
from tests.windows.tables import Row as Bought

ROOT = Path(__file__).parents[2]
HANDBOOK = ROOT.parent / "shared" / "data" / "handbook.parquet"
START = microseconds(datetime(2018, 7, 25, tzinfo=UTC))  # day s of fold 4


def bought(account: str, day: int, is_fraud: int | None = 0, second: int = 0) -> Bought:
    """A transaction on day s + `day` of fold 4."""
    return Bought(account, START + day * DAY_US + second * 1_000_000, "m", 1.0, is_fraud=is_fraud)


FOLD = Fold(4, 7)


def scored_rows(rows: list[Bought], fold: Fold = FOLD) -> set[int]:
    """Which of the rows are test rows."""
    histories = build_histories(table_of(rows), FeatureSpecification(), 7.0)
    return set(histories.source_row[rows_to_score(histories, fold)].tolist())


@pytest.mark.parametrize(
    ("number", "days", "trained", "test"),
    [
        (1, 7, ("08-15", "08-22"), ("08-29", "09-05")),
        (2, 7, ("08-08", "08-15"), ("08-22", "08-29")),
        (3, 7, ("08-01", "08-08"), ("08-15", "08-22")),
        (4, 7, ("07-25", "08-01"), ("08-08", "08-15")),
        (1, 28, ("07-25", "08-22"), ("08-29", "09-05")),
        (4, 90, ("05-03", "08-01"), ("08-08", "08-15")),
    ],
)
def test_folds_are_those_of_the_handbook(
    number: int, days: int, trained: tuple[str, str], test: tuple[str, str]
) -> None:
    fold = Fold(number, days)
    for period, ends in ((fold.training, trained), (fold.test, test)):
        assert (f"{period.begin:%Y-%m-%d}", f"{period.end:%Y-%m-%d}") == tuple(
            f"2018-{end}" for end in ends
        )


def test_the_days_of_the_delay_are_used_for_nothing() -> None:
    rows = [bought(f"a{day}", day) for day in range(-30, 30)]
    histories = build_histories(table_of(rows), FeatureSpecification(), 7.0)
    day = histories.timestamp_us // DAY_US - START // DAY_US
    for days in (1, 7, 28):
        fold = Fold(4, days)
        training = labelled_rows(histories, fold.training)
        assert sorted(day[training]) == list(range(7 - days, 7))
        assert sorted(day[rows_to_score(histories, fold)]) == list(range(14, 21))


@pytest.mark.parametrize("k", range(7))
def test_on_test_day_k_a_fraud_is_known_from_day_s_to_day_s_6_k(k: int) -> None:
    for fraud in range(-2, 14):
        rows = [bought("a", fraud, 1, second=86_399), bought("a", 14 + k), bought("b", 14 + k)]
        assert scored_rows(rows) == ({2} if 0 <= fraud <= 6 + k else {1, 2}), fraud


def test_longer_training_leaves_the_test_rows_as_they_are() -> None:
    rows = [bought("a", -3, 1), bought("a", 15), bought("b", 15, 1), bought("b", 16)]
    assert scored_rows(rows, Fold(4, 28)) == scored_rows(rows, Fold(4, 7)) == {1, 2, 3}


BOUGHT = st.lists(
    st.builds(
        bought,
        st.sampled_from("abcdef"),
        st.integers(-1, 22),
        st.sampled_from([0, 0, 0, 1, None]),
        st.integers(0, 86_399),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=300)
@given(BOUGHT)
def test_test_rows_are_those_of_a_loop_over_days_and_customers(rows: list[Bought]) -> None:
    days = [(row.timestamp_us - START) // DAY_US for row in rows]
    expected = set()
    for k in range(7):
        known = {
            row.account
            for row, day in zip(rows, days, strict=True)
            if row.is_fraud == 1 and (0 <= day <= 6 or 6 <= day <= 6 + k)
        }
        expected |= {
            at
            for at, row in enumerate(rows)
            if days[at] == 14 + k and row.is_fraud is not None and row.account not in known
        }
    assert scored_rows(rows) == expected


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Transactions:
    path = handbook_file(tmp_path_factory.mktemp("data"))
    return read_transactions(path, load_recipe("handbook"))


def test_every_fit_of_the_plan_is_one_row(small: Transactions) -> None:
    plan = Plan(models=["random_forest"], training_days=[7, 14], folds=[4, 3, 4], seeds=2)
    rows = measure(small, plan)
    assert [(row.training_days, row.fold, row.seed) for row in rows] == [
        (days, fold, seed) for days in (7, 14) for fold in (4, 3) for seed in (0, 1)
    ]
    for row in rows:
        assert row.model == "random_forest"
        assert row.parameters is None
        assert row.train_seconds > 0
        assert 0.5 < row.roc_auc <= 1
        assert 0.1 < row.average_precision <= 1
        assert 0 < row.card_precision_at_100 <= row.card_precision_at_100_ceiling < 0.1


def test_labels_of_the_test_and_what_comes_after_change_no_score(small: Transactions) -> None:
    """The forest of a cut file ranks as that of the whole file."""
    plan = Plan(models=["random_forest"], training_days=[7], folds=[4])
    cut = small.table.filter(np.array(small.table["timestamp"].cast("int64")) < START + 21 * DAY_US)
    less = Transactions(cut, small.report, small.recipe)
    [whole], [part] = measure(small, plan), measure(less, plan)
    assert asdict(whole) | {"train_seconds": 0} == asdict(part) | {"train_seconds": 0}


@pytest.mark.parametrize(
    ("days", "plan", "says"),
    [
        (65, Plan(), "holds the days 2018-07-01 to 2018-09-03, .* need 2018-07-04 to 2018-09-04"),
        (66, Plan(training_days=[90]), "need 2018-05-03 to 2018-09-04"),
        (30, Plan(training_days=[7], folds=[4]), "need 2018-07-25 to 2018-08-14"),
    ],
)
def test_too_short_a_span_says_which_dates_are_needed(
    tmp_path: Path, days: int, plan: Plan, says: str
) -> None:
    transactions = read_transactions(handbook_file(tmp_path, days), load_recipe("handbook"))
    with pytest.raises(InputError, match=says):
        measure(transactions, plan)


@pytest.mark.parametrize(
    ("begin", "end", "says"),
    [(0, 7, "fold 4: .* training .*07-25.* labelled fraud"), (14, 21, "test.*08-08.*fraud")],
)
def test_a_period_without_fraud_is_named(tmp_path: Path, begin: int, end: int, says: str) -> None:
    whole = handbook_table()
    day = (np.array(whole["timestamp"].cast("int64")) - START) // DAY_US
    kept = whole.filter((day < begin) | (day >= end) | (np.array(whole["is_fraud"]) == 0))
    pq.write_table(kept, tmp_path / "kept.parquet")
    transactions = read_transactions(tmp_path / "kept.parquet", load_recipe("handbook"))
    with pytest.raises(InputError, match=says):
        measure(transactions, Plan(models=["random_forest"], training_days=[7], folds=[4]))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"models": ["xgboost"]}, "choose among fraudnet, random_forest"),
        ({"folds": [5]}, "no fold 5"),
        ({"training_days": [0]}, "give 1 to 3650"),
        ({"training_days": [10**9]}, "give 1 to 3650"),
        ({"seeds": 0}, "give at least 1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Plan(**values)  # type: ignore[arg-type]


def test_the_table_averages_seeds_then_folds() -> None:
    def row(model: str, fold: int, seed: int, precision: float) -> Row:
        return Row(model, seed, fold, 7, 0.75, precision, 0.25, 0.5, 12.0, None)

    rows = [row("random_forest", 1, 0, 0.4), row("random_forest", 2, 0, 0.6)]
    rows += [row("fraudnet", 1, 0, 0.5), row("fraudnet", 1, 1, 0.7), row("fraudnet", 2, 0, 0.8)]
    cells = [list(column.cells) for column in table(rows).columns]
    assert cells[0] == ["random_forest", "fraudnet"]
    assert cells[3] == ["0.500\n±0.100", "0.700\n±0.100"]
    assert cells[4] == ["1.000", "1.400"]
    alone = [list(column.cells) for column in table(rows[2:3]).columns]
    assert (alone[3], alone[4]) == (["0.500"], ["not run"])


@pytest.fixture(scope="module")
def handbook() -> Transactions:
    if not HANDBOOK.exists():
        pytest.skip(f"{HANDBOOK} is not there")
    return read_transactions(HANDBOOK, load_recipe("handbook"))


@pytest.fixture(scope="module")
def histories(handbook: Transactions) -> Histories:
    return build_histories(handbook.table, FeatureSpecification(), 7.0)


@pytest.mark.data
def test_fold_4_has_the_transactions_that_the_handbook_counts(histories: Histories) -> None:
    """Chapter 3, "Baseline fraud detection system", gives the sizes of this fold."""
    fold = Fold(4, 7)
    for mask, count, frauds in (
        (labelled_rows(histories, fold.training), 67_240, 598),
        (rows_to_score(histories, fold), 58_264, 385),
    ):
        assert (int(mask.sum()), int(histories.is_fraud[mask].sum())) == (count, frauds)


@pytest.mark.data
def test_features_are_those_that_the_handbook_prints(
    handbook: Transactions, histories: Histories
) -> None:
    """Chapter 3, "Baseline feature transformation": customer 0 and terminal 3059."""
    features = handbook_features(histories)
    identifiers = handbook.table["transaction_id"].to_pylist()
    row = {identifiers[source]: at for at, source in enumerate(histories.source_row)}
    for identifier, customer in {
        "12169": (54.72, 0, 0, 3, 59.523333, 4, 75.54, 4, 75.54),
        "1751455": (27.9, 1, 0, 9, 61.598889, 31, 57.982581, 91, 61.508901),
    }.items():
        np.testing.assert_allclose(features[row[identifier], :9], customer, rtol=1e-5)
    for identifier, terminal in {
        "1701971": (2, 0, 10, 0, 36, 0),
        "1740901": (0, 0, 7, 0, 36, 0),
        "1754154": (1, 0, 12, 0, 41, 0.02439),
    }.items():
        np.testing.assert_allclose(features[row[identifier], 9:], terminal, rtol=1e-3)


@pytest.mark.data
@pytest.mark.timeout(1200)
def test_the_forest_reaches_the_published_figures(handbook: Transactions) -> None:
    rows = measure(handbook, Plan(models=["random_forest"], training_days=[7]))
    for name, published in (
        ("roc_auc", 0.871),
        ("average_precision", 0.678),
        ("card_precision_at_100", 0.299),
    ):
        found = float(np.mean([getattr(row, name) for row in rows]))
        assert found == pytest.approx(published, abs=0.004), name
