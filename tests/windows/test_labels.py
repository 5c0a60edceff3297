"""What is fitted sees no row past its cut-off, and no label that had not arrived."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.errors import LeakError
from fraudnet.network.network import Network, NetworkConfig, Sentinel, build_network
from fraudnet.training.fitting import fit_network
from fraudnet.training.prepare import Prepared, prepare
from fraudnet.training.train import train
from fraudnet.training.trained import Trained
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import KnownRows, known_rows, refuse_later_rows
from fraudnet.windows.periods import Period, microseconds
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification, Reputation
from fraudnet.windows.vocabularies import with_vocabularies
from tests.training.test_fitting import TINY
from tests.training.world import TRAINING_END, experiment, logging_to, make_store, table_read
from tests.windows.tables import DAY_US, DELAYS, SOME_ROWS, TIMES, Row, known_us, table_of

pytestmark = pytest.mark.xdist_group("cut_offs")

Mask = npt.NDArray[np.bool_]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPECIFICATION = FeatureSpecification(reputation=Reputation(refresh="transaction"))


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def built(rows: list[Row], milli_days: int = 7000) -> Histories:
    return build_histories(table_of(rows), SPECIFICATION, milli_days / 1000)


def label_of(row: Row) -> int:
    return -1 if row.is_fraud is None else row.is_fraud


@settings(deadline=None, max_examples=100)
@given(SOME_ROWS, DELAYS, st.data())
def test_labels_that_had_not_arrived_are_hidden(
    rows: list[Row], milli_days: int, data: st.DataObject
) -> None:
    known = [known_us(row, milli_days * 86_400_000) for row in rows]
    some = st.sampled_from([row.timestamp_us for row in rows]) | TIMES
    begin, end = sorted((data.draw(some), data.draw(some)))
    by = data.draw(st.sampled_from(known) | TIMES)
    histories = built(rows, milli_days)
    before = histories.is_fraud.copy()
    found = known_rows(histories, Period(moment(begin), moment(end)), moment(by))
    source = histories.source_row.tolist()
    arrived = [label_of(row) if at <= by else -1 for row, at in zip(rows, known, strict=True)]
    assert found.histories.is_fraud.tolist() == [arrived[at] for at in source]
    assert found.histories.is_fraud.dtype == np.int8
    chosen = [begin <= row.timestamp_us < end and arrived[at] >= 0 for at, row in enumerate(rows)]
    assert found.rows.tolist() == [chosen[at] for at in source]
    assert found.is_fraud.tolist() == [arrived[at] for at in source if chosen[at]]
    assert np.array_equal(histories.is_fraud, before)
    assert (found.period, found.known_by) == (Period(moment(begin), moment(end)), moment(by))


@settings(deadline=None, max_examples=100)
@given(SOME_ROWS, DELAYS, st.data())
def test_a_hidden_label_can_be_told_by_nothing_up_to_then(
    rows: list[Row], milli_days: int, data: st.DataObject
) -> None:
    """As if it had never been given: by no field, and by no count that could be known by then."""
    known = [known_us(row, milli_days * 86_400_000) for row in rows]
    by = data.draw(st.sampled_from(known) | TIMES)
    labels = data.draw(
        st.lists(st.sampled_from([0, 1, None]), min_size=len(rows), max_size=len(rows))
    )
    others = [
        row if at <= by else row._replace(is_fraud=label)
        for row, at, label in zip(rows, known, labels, strict=True)
    ]
    ever = Period(EPOCH, moment(200 * 365 * DAY_US))
    view, other = (known_rows(built(each, milli_days), ever, moment(by)) for each in (rows, others))
    assert np.array_equal(view.rows, other.rows)
    assert not view.rows[view.histories.timestamp_us > by].any()
    then = view.histories.timestamp_us <= by
    for name, values in vars(view.histories).items():
        if name == "columns":
            for column, held in values.items():
                assert held[then].tobytes() == other.histories.columns[column][then].tobytes()
        elif name != "specification":
            assert values.tobytes() == getattr(other.histories, name).tobytes(), name


@settings(deadline=None, max_examples=120)
@given(SOME_ROWS, DELAYS, st.data())
def test_whatever_could_not_be_known_is_refused(
    rows: list[Row], milli_days: int, data: st.DataObject
) -> None:
    histories = built(rows, milli_days)
    some = st.sampled_from([row.timestamp_us for row in rows]) | TIMES
    begin, end = sorted((data.draw(some), data.draw(some)))
    by = data.draw(st.sampled_from(histories.known_us.tolist()) | TIMES)
    hidden = data.draw(st.booleans())
    if hidden:
        labels = np.where(histories.known_us > by, -1, histories.is_fraud).astype(np.int8)
        histories = replace(histories, is_fraud=labels)
    asked = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    if data.draw(st.booleans()):  # else hardly ever are all of them within
        asked &= (histories.timestamp_us >= begin) & (histories.is_fraud >= 0)
    refused = False
    for at, wanted in enumerate(asked):
        label = histories.is_fraud[at]
        refused |= wanted and not begin <= histories.timestamp_us[at] < end
        refused |= label >= 0 and histories.known_us[at] > by
        refused |= wanted and label < 0
    period = Period(moment(begin), moment(end))
    if refused:
        with pytest.raises(LeakError):
            KnownRows(histories, asked, period, moment(by))
    else:
        assert np.array_equal(KnownRows(histories, asked, period, moment(by)).rows, asked)


BEGIN, END, BY = 10 * DAY_US, 20 * DAY_US, 27 * DAY_US


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (Row("c", BEGIN, is_fraud=1), ""),
        (Row("c", END - 1, is_fraud=1), ""),
        (Row("c", BEGIN, is_fraud=1, label_time_us=BY), ""),
        (Row("c", END, is_fraud=1), "lie outside the period 1970-01-11 00:00 .. 1970-01-21 00:00"),
        (Row("c", BEGIN - 1, is_fraud=1), "lie outside the period"),
        (
            Row("c", BEGIN, is_fraud=0, label_time_us=BY + 1),
            "have a label that arrived after 1970-01-28 00:00",
        ),
        (Row("c", BEGIN), "have no label"),
    ],
)
def test_the_refusal_says_why_and_which(row: Row, says: str) -> None:
    """Of one row among others that can be fitted on; nothing is said of one that can."""
    rows = [Row("a", BEGIN, is_fraud=0), row, Row("b", END - 1, is_fraud=1)]
    rows_in = np.ones(3, bool), Period(moment(BEGIN), moment(END)), moment(BY)
    if not says:
        KnownRows(built(rows), *rows_in)
        return
    says = f"^1 rows to fit on {re.escape(says)}.*; one of them is row 1 of the source$"
    with pytest.raises(LeakError, match=says):
        KnownRows(built(rows), *rows_in)


def test_a_label_that_had_not_arrived_is_refused_though_its_row_is_not_asked_for() -> None:
    rows = [Row("a", BEGIN, is_fraud=0), Row("a", BEGIN + 1, is_fraud=1, label_time_us=BY + 1)]
    period, asked = Period(moment(BEGIN), moment(END)), np.array([True, False])
    with pytest.raises(LeakError, match="arrived after"):
        KnownRows(built(rows), asked, period, moment(BY))
    found = known_rows(built(rows), period, moment(BY))
    assert found.rows.tolist() == asked.tolist()
    with pytest.raises(LeakError, match="have no label"):
        replace(found, rows=np.array([True, True]))
    with pytest.raises(LeakError, match="arrived after"):
        replace(found, known_by=moment(BEGIN))


CATEGORY = FeatureSpecification(categorical=(CategoricalColumn(column="category"),))


@settings(deadline=None, max_examples=60)
@given(st.lists(SOME_ROWS, min_size=1, max_size=3), TIMES, st.booleans())
def test_a_vocabulary_is_refused_a_row_at_its_cut_off_or_later(
    pieces: list[list[Row]], before: int, spooled: bool
) -> None:
    tables = [table_of(rows) for rows in pieces]
    if spooled:  # as the pieces on disk have it
        tables = [
            table.append_column("timestamp_us", table["timestamp"].cast(pa.int64())).drop(
                ["timestamp"]
            )
            for table in tables
        ]
    late = [sum(row.timestamp_us >= before for row in rows) for rows in pieces]
    if any(late):
        first = next(at for at, count in enumerate(late) if count)
        says = f"vocabularies: {late[first]} of {len(pieces[first])} rows lie at or after"
        with pytest.raises(LeakError, match=says):
            with_vocabularies(CATEGORY, tables, moment(before))
    else:
        with_vocabularies(CATEGORY, tables, moment(before))


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_the_cut_off_of_a_table_to_the_microsecond(late: int) -> None:
    table = table_of([Row("a", 5), Row("a", DAY_US + late)])
    if late < 0:
        refuse_later_rows(table, moment(DAY_US), "this")
    else:
        with pytest.raises(LeakError, match=r"this: 1 of 2 rows .* 1970-01-02 00:00$"):
            refuse_later_rows(table, moment(DAY_US), "this")


# What `train` fits: everything after a cut-off is altered, and it is trained again.

DELAY = timedelta(days=7)
VALIDATION = Period(TRAINING_END + DELAY, TRAINING_END + 2 * DELAY)
SETTINGS = (
    "sentinel.layer=block0",
    "sentinel.form=full",
    *TINY,
    "training.epochs=2",
    "training.batch_chunks=64",
    "training.learning_rate=0.05",
    "training.weight_averaging=0.5",
)


def altered(table: pa.Table, cut_off: datetime, known_by: datetime) -> pa.Table:
    """Rows from the cut-off on are others in all that they say; so are labels not known by then."""
    rng = np.random.default_rng(9)
    cut, by = microseconds(cut_off), microseconds(known_by)
    time = table["timestamp"].cast(pa.int64()).to_numpy()
    label_time = table["label_time"].cast(pa.int64()).fill_null(-1).to_numpy()
    late = np.where(label_time < 0, time + DELAY // timedelta(microseconds=1), label_time) > by
    at = np.flatnonzero(time >= cut)
    assert len(at) > 1000
    assert (late & (time < cut)).sum() > 20
    order = np.arange(len(time))
    order[at] = rng.permutation(at)
    when = time[order]
    held = when + rng.integers(0, 20 * DAY_US, len(time))
    held = np.where(time >= cut, held, np.where(label_time > by, label_time + DAY_US, label_time))
    changed = {
        "timestamp": pa.array(when, table["timestamp"].type),
        "label_time": pa.array(held, table["label_time"].type, mask=held < 0),
        "is_fraud": pa.array(
            np.where(
                late | (time >= cut),
                rng.integers(0, 2, len(time)),
                table["is_fraud"].fill_null(0).to_numpy(),
            ).astype(np.int8),
            mask=table["is_fraud"].is_null().to_numpy() & ~late & (time < cut),
        ),
    }
    for name in ("account_id", "counterparty_id", "category", "amount", "distance"):
        taken = order.copy()
        taken[at] = rng.permutation(at)
        values = table[name].take(pa.array(taken))
        if name in ("amount", "distance"):
            numbers = values.fill_null(1.0).to_numpy()
            values = pa.array(np.where(time >= cut, numbers * 7 + 1, numbers),
                              mask=values.is_null().to_numpy())  # fmt: skip
        elif name == "category":
            new = (time >= cut) & (rng.random(len(time)) < 0.7)
            values = pa.array(np.where(new, "invented", values.to_numpy(zero_copy_only=False)))
        changed[name] = values
    kept = {name: table[name] for name in table.column_names}
    return pa.table(kept | changed)


@contextmanager
def in_haste() -> Iterator[None]:
    """Nothing is compiled and nothing drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fraudnet.training.measuring.figures", lambda *_: {})
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(False)


def weights(network: Network) -> dict[str, bytes]:
    """All that is fitted: standardisation, weights, distance and calibration."""
    return {weight.path: weight.numpy().tobytes() for weight in network.scores.weights}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cut_offs")


@pytest.fixture(scope="module")
def store(folder: Path) -> str:
    return make_store(folder)


@pytest.fixture(scope="module")
def prepared(payments: Path) -> Prepared:
    return prepare(payments, experiment(*SETTINGS))


@pytest.fixture(scope="module")
def trained(prepared: Prepared, store: str) -> Trained:
    with logging_to(store), in_haste():
        return train(prepared)


def prepared_again(prepared: Prepared, cut_off: datetime, folder: Path) -> Prepared:
    """Everything past the cut-off is altered."""
    table = table_read(prepared)
    path = folder / f"altered-{cut_off:%Y%m%d}.parquet"
    pq.write_table(altered(table, cut_off, cut_off + DELAY), path)
    again = prepare(path, experiment(*SETTINGS))
    assert again.split == prepared.split
    assert again.report.rows_used == prepared.report.rows_used
    later = prepared.histories.timestamp_us >= microseconds(cut_off)
    assert (again.histories.amount != prepared.histories.amount)[later].mean() > 0.9
    return again


@pytest.fixture(scope="module")
def after_training(prepared: Prepared, folder: Path) -> Prepared:
    assert prepared.split.training.end == TRAINING_END
    return prepared_again(prepared, TRAINING_END, folder)


class _FittedUpToCalibrationError(Exception):
    pass


@pytest.fixture(scope="module")
def weights_after_training(after_training: Prepared, store: str) -> dict[str, bytes]:
    """Of a network as it is when the calibration's turn comes."""
    built_networks: list[Network] = []

    def noted(
        config: NetworkConfig, features: FeatureSpecification, knots: int, *sentinel: Sentinel
    ) -> Network:
        built_networks.append(build_network(config, features, knots, *sentinel))
        return built_networks[-1]

    def stop(*_: object) -> None:
        raise _FittedUpToCalibrationError

    with logging_to(store), in_haste(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fraudnet.training.train.build_network", noted)
        patch.setattr("fraudnet.training.train.fit_calibration", stop)
        with pytest.raises(_FittedUpToCalibrationError):
            train(after_training)
    return weights(built_networks[-1])


@pytest.fixture(scope="module")
def after_validation(prepared: Prepared, store: str, folder: Path) -> Trained:
    assert prepared.split.validation == VALIDATION
    again = prepared_again(prepared, VALIDATION.end, folder)
    with logging_to(store), in_haste():
        return train(again)


def test_a_vocabulary_does_not_see_past_the_training_period(
    prepared: Prepared, after_training: Prepared
) -> None:
    (expected,) = prepared.experiment.features.categorical
    assert after_training.experiment.features.categorical == (expected,)
    assert len(expected.vocabulary) > 3
    assert (after_training.histories.columns["category"] == 0).sum() > 1000


def test_standardisation_and_weights_do_not_see_past_the_training_period(
    trained: Trained, weights_after_training: dict[str, bytes]
) -> None:
    expected = weights(trained.network)
    fitted = [weight.path for weight in trained.network.logit.weights]
    assert {"features/mean", "features/deviation", "stem/kernel"} <= set(fitted)
    for path in fitted:
        assert weights_after_training[path] == expected[path], path


def test_the_distance_does_not_see_past_the_training_period(
    trained: Trained, weights_after_training: dict[str, bytes]
) -> None:
    expected = weights(trained.network)
    for path in ("distance/mean", "distance/directions", "distance/excess"):
        assert weights_after_training[path] == expected[path], path


def test_the_calibration_does_not_see_past_the_validation_period(
    trained: Trained, after_validation: Trained
) -> None:
    assert trained.facts.calibration == after_validation.facts.calibration
    assert weights(trained.network) == weights(after_validation.network)


def test_the_threshold_does_not_see_past_the_validation_period(
    trained: Trained, after_validation: Trained
) -> None:
    assert trained.facts.threshold == after_validation.facts.threshold


def test_the_quantiles_of_the_distance_do_not_see_labels_that_had_not_arrived(
    trained: Trained, after_validation: Trained
) -> None:
    assert trained.facts.ood_quantiles == after_validation.facts.ood_quantiles


def test_nothing_can_be_fitted_on_a_row_past_the_cut_off(prepared: Prepared) -> None:
    """`fit_network` takes `KnownRows`, which cannot be made of such rows."""
    histories, training = prepared.histories, prepared.split.training
    known = known_rows(histories, training, training.end + DELAY)
    later = np.flatnonzero(histories.timestamp_us >= microseconds(training.end))
    wanted = known.rows.copy()
    wanted[later[histories.is_fraud[later] >= 0][0]] = True
    features = prepared.experiment.features
    network = build_network(prepared.experiment.network, features)
    before = weights(network)
    makes: tuple[Callable[[], KnownRows], ...] = (
        lambda: replace(known, rows=wanted),
        lambda: replace(known, histories=histories),
        lambda: replace(known, period=Period(training.begin, training.end - timedelta(days=1))),
        lambda: KnownRows(histories, wanted, training, training.end + DELAY),
    )
    for make in makes:
        with pytest.raises(LeakError):
            fit_network(network, make(), prepared.experiment.training)
    assert weights(network) == before


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_later_row_is_told_in_whatever_unit_time_is_kept(unit: str) -> None:
    table = pa.table({"timestamp": pa.array([day(0), day(5)], pa.timestamp(unit, "UTC"))})
    with pytest.raises(LeakError, match="1 of 2 rows"):
        refuse_later_rows(table, day(5), "this")
    refuse_later_rows(table, day(6), "this")


def day(number: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)
