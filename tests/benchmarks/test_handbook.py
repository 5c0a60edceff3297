from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from benchmarks import handbook_models, handbook_trees
from benchmarks.handbook import Plan, Row, measure
from benchmarks.handbook_comparison import difference, differences_table, goals_table
from benchmarks.handbook_features import handbook_features
from benchmarks.handbook_folds import Fold, rows_to_score, trials_of
from benchmarks.handbook_table import table
from benchmarks.handbook_trees import Library, fit_xgboost
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
    rows = list(measure(small, plan))
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
        (
            60,
            Plan(training_days=[28]),
            "holds the days 2018-07-01 to 2018-08-29; .* need 2018-07-04 to 2018-09-04, "
            "or at the end of the file 2018-06-28 to 2018-08-29",
        ),
        (66, Plan(), "need 2018-05-03 to 2018-09-04"),
        (30, Plan(training_days=[7], folds=[4]), "need 2018-07-25 to 2018-08-14"),
    ],
)
def test_too_short_a_span_says_which_dates_are_needed(
    tmp_path: Path, days: int, plan: Plan, says: str
) -> None:
    transactions = read_transactions(handbook_file(tmp_path, days), load_recipe("handbook"))
    with pytest.raises(InputError, match=says):
        list(measure(transactions, plan))


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
        list(measure(transactions, Plan(models=["random_forest"], training_days=[7], folds=[4])))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"models": ["xgbost"]}, "choose among fraudnet, random_forest, xgboost"),
        ({"folds": [5]}, "no fold 5"),
        ({"training_days": [0]}, "give 1 to 3650"),
        ({"training_days": [10**9]}, "give 1 to 3650"),
        ({"seeds": 0}, "give at least 1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Plan(**values)  # type: ignore[arg-type]


def row_of(model: str, fold: int, seed: int, precision: float, days: int = 7) -> Row:
    tuned = 3.0 if model == "xgboost" else None
    return Row(
        model, seed, fold, days, 0.75, precision, 0.25, 0.5, 12.0, None, tuned, None, "c0de"
    )  # fmt: skip


def cells_of(made: Table) -> list[list[str]]:
    """By column."""
    return [[str(cell) for cell in column.cells] for column in made.columns]


def test_the_table_averages_seeds_then_folds() -> None:
    rows = [row_of("random_forest", 1, 0, 0.4), row_of("random_forest", 2, 0, 0.6)]
    rows += [row_of("xgboost", 1, 0, 0.5), row_of("xgboost", 1, 1, 0.7)]
    rows += [row_of("xgboost", 2, 0, 0.8)]
    cells = cells_of(table(rows, "somewhere"))
    assert cells[0] == ["random_forest", "xgboost"]
    assert cells[3] == ["0.500\n±0.100", "0.700\n±0.100"]
    assert cells[7] == ["-", "3.0"]
    assert cells_of(table(rows[2:3], "somewhere"))[3] == ["0.500"]


GAPS = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(0, 2)), st.floats(-0.3, 0.3), min_size=2
)


@given(GAPS)
def test_a_difference_is_paired_by_fold_and_seed(gaps: dict[tuple[int, int], float]) -> None:
    base = {pair: 0.3 + 0.1 * pair[0] for pair in gaps}
    own = [row_of("fraudnet", *pair, base[pair] + gap) for pair, gap in gaps.items()]
    other = [row_of("xgboost", *pair, precision) for pair, precision in base.items()]
    found = difference(own, [*reversed(other), row_of("xgboost", 9, 9, 0.9)])
    assert found is not None
    assert found.mean == pytest.approx(mean(gaps.values()), abs=1e-9)
    assert found.error == pytest.approx(stdev(gaps.values()) / len(gaps) ** 0.5, abs=1e-9)
    folds = {of for of, _ in gaps}
    means = [mean(gap for (of, _), gap in gaps.items() if of == fold) for fold in folds]
    if len(folds) == 1:
        assert found.error_of_folds is None
    else:
        assert found.error_of_folds == pytest.approx(stdev(means) / len(folds) ** 0.5, abs=1e-9)


def test_the_tables_fit_eighty_columns() -> None:
    names = ("fraudnet", "xgboost", "xgboost_reputation", "lightgbm_reputation")
    rows = [row_of(name, fold, 0, 0.7 + fold / 50, days=90) for name in names for fold in (1, 2)]
    rows = [replace(row, train_seconds=1234.5, parameters=123_456) for row in rows]
    rows += [replace(row, tune_seconds=1234.5, average_precision=0.1) for row in rows]
    for made in (table(rows, "somewhere"), differences_table(rows), goals_table(rows)):
        console = Console(width=80, record=True, file=StringIO())
        console.print(made)
        shown = console.export_text()
        assert "…" not in shown
        assert "fraudnet" in shown


def test_rows_that_share_no_fit_have_no_difference() -> None:
    assert difference([row_of("fraudnet", 1, 0, 0.7)], [row_of("xgboost", 2, 0, 0.7)]) is None


def test_every_model_is_set_beside_the_best_boosting_of_each_kind() -> None:
    precisions = {"fraudnet": 0.75, "xgboost": 0.6, "lightgbm": 0.7, "xgboost_reputation": 0.72}
    rows = [row_of(name, fold, 0, p) for name, p in precisions.items() for fold in (1, 2)]
    rows += [row_of("fraudnet", 1, 0, 0.8, days=28)]
    cells = cells_of(differences_table(rows))
    assert list(zip(cells[0], cells[1], cells[2], cells[3], strict=True)) == [
        ("fraudnet", "7", "lightgbm", "+0.0500"),
        ("xgboost_reputation", "7", "lightgbm", "+0.0200"),
        ("fraudnet", "7", "xgboost_\nreputation", "+0.0300"),
        ("xgboost", "7", "xgboost_\nreputation", "-0.1200"),
        ("lightgbm", "7", "xgboost_\nreputation", "-0.0200"),
    ]


def test_goals_say_by_how_much_they_are_met_or_missed() -> None:
    rows = [row_of("fraudnet", fold, 0, 0.740 + fold / 100, days=28) for fold in (1, 2)]
    rows += [row_of("xgboost", 1, 0, 0.9, days=28)]
    lines = list(zip(*cells_of(goals_table(rows)), strict=True))
    assert lines == [
        ("fraudnet", "28", "ROC AUC", "0.750", "0.885", "-0.1350", "missed"),
        ("fraudnet", "28", "average precision", "0.755", "0.730", "+0.0250", "met"),
        ("fraudnet", "28", "card precision@100", "0.250", "0.312", "-0.0620", "missed"),
    ]


def test_trials_are_over_and_labelled_when_the_earliest_test_begins(small: Transactions) -> None:
    histories = build_histories(small.table, FeatureSpecification(), 7.0)
    begin = microseconds(Fold(4, 7).test.begin)
    trials = trials_of(histories, 7, Fold(4, 7).latest_test_end)
    days = [
        sorted(set(histories.timestamp_us[rows] // DAY_US - START // DAY_US))
        for trial in trials
        for rows in (trial.training.rows, trial.validation.rows)
    ]
    assert days == [
        list(range(-14, -7)), list(range(7)), list(range(-21, -14)), list(range(-7, 0)),
    ]  # fmt: skip
    for trial in trials:
        validation, training = trial.validation, trial.training
        assert histories.known_us[validation.rows].max() <= begin
        starts = histories.timestamp_us[validation.rows].min()
        assert (training.histories.known_us[training.histories.is_fraud >= 0] < starts).all()


def test_where_nothing_is_left_to_tune_on_the_models_are_named(tmp_path: Path) -> None:
    whole = handbook_table()
    late = whole.filter(np.array(whole["timestamp"].cast("int64")) >= START)
    pq.write_table(late, tmp_path / "late.parquet")
    transactions = read_transactions(tmp_path / "late.parquet", load_recipe("handbook"))
    plan = Plan(models=["random_forest", "xgboost"], training_days=[7], folds=[4])
    with pytest.raises(InputError, match="7; xgboost are tuned on a week"):
        list(measure(transactions, plan))
    untuned = Plan(models=["random_forest"], training_days=[7], folds=[4])
    assert len(list(measure(transactions, untuned))) == 1


def test_a_file_of_other_dates_has_the_same_folds_at_its_end(small: Transactions) -> None:
    """Moved by whole weeks, every score is that of the published dates."""
    plan = Plan(models=["random_forest"], training_days=[7], folds=[1, 4])
    moment = small.table["timestamp"].cast("int64")
    later = pc.add(moment, 52 * 7 * DAY_US).cast(small.table["timestamp"].type)
    at = small.table.column_names.index("timestamp")
    moved = small.table.set_column(at, "timestamp", later)
    year = timedelta(days=364)
    first, last = small.report.first_timestamp, small.report.last_timestamp
    assert first is not None
    assert last is not None
    report = replace(small.report, first_timestamp=first + year, last_timestamp=last + year)
    there = list(measure(Transactions(moved, report, small.recipe), plan))
    here = list(measure(small, plan))
    assert [asdict(row) | {"train_seconds": 0} for row in there] == [
        asdict(row) | {"train_seconds": 0} for row in here
    ]


def test_rows_that_are_done_are_not_measured_again(small: Transactions) -> None:
    plan = Plan(models=["random_forest"], training_days=[7], folds=[3, 4], seeds=2)
    done = row_of("random_forest", 3, 1, 0.5)
    rows = list(measure(small, plan, [done]))
    assert [(row.fold, row.seed) for row in rows] == [(3, 0), (4, 0), (4, 1)]


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
    rows = list(measure(handbook, Plan(models=["random_forest"], training_days=[7])))
    for name, published in (
        ("roc_auc", 0.871),
        ("average_precision", 0.678),
        ("card_precision_at_100", 0.299),
    ):
        found = float(np.mean([getattr(row, name) for row in rows]))
        assert found == pytest.approx(published, abs=0.004), name


@pytest.mark.data
@pytest.mark.timeout(600)
def test_boosting_reaches_the_figures_that_were_measured_before(
    handbook: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XGBoost 3.2 with 28 days, mean of four folds; of the grid one combination, for time."""
    monkeypatch.setattr(handbook_models, "XGBOOST", Library(fit_xgboost, {"max_depth": (6,)}))
    monkeypatch.setattr(handbook_trees, "LEARNING_RATES", (0.1,))
    monkeypatch.setattr(handbook_trees, "TREES", (100,))
    rows = list(measure(handbook, Plan(models=["xgboost"], training_days=[28])))
    for name, before in (
        ("roc_auc", 0.875),
        ("average_precision", 0.681),
        ("card_precision_at_100", 0.306),
    ):
        found = float(np.mean([getattr(row, name) for row in rows]))
        assert found == pytest.approx(before, abs=0.012), name
