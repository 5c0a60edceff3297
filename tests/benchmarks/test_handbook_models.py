from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks import handbook_models
from benchmarks.handbook_features import handbook_features
from benchmarks.handbook_task import Task
from benchmarks.handbook_trees import HandbookForest
from fraudnet.network.network import NetworkConfig
from fraudnet.training.experiment import load_experiment
from fraudnet.training.fitting import TrainingConfig
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import KnownRows
from fraudnet.windows.periods import Period
from fraudnet.windows.specification import FeatureSpecification
from tests.windows.tables import DAY_US, TIMES, Row, past_of, table_of

WINDOWS = (1, 7, 30)
DELAY_US = 7 * DAY_US

ROWS = st.lists(
    st.builds(
        Row,
        account=st.sampled_from("abc"),
        timestamp_us=TIMES,
        counterparty=st.sampled_from(["m", "n", None]),
        amount=st.integers(0, 100_000).map(lambda cents: cents / 100),
        category=st.none(),
        distance=st.none(),
        is_fraud=st.sampled_from([0, 1, None]),
        label_time_us=st.none(),
    ),
    min_size=1,
    max_size=25,
)


def features_of(rows: list[Row]) -> list[list[float]]:
    """In the order of the source."""
    histories = build_histories(table_of(rows), FeatureSpecification(), 7.0)
    features = handbook_features(histories)
    result: list[list[float]] = [[] for _ in rows]
    for at, source in enumerate(histories.source_row):
        result[source] = features[at].tolist()
    return result


def naive(rows: list[Row]) -> list[list[float]]:
    result = []
    for at, row in enumerate(rows):
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row.timestamp_us)
        values = [row.amount, float(moment.weekday() in (5, 6)), float(moment.hour <= 6)]
        for days in WINDOWS:
            begin = row.timestamp_us - days * DAY_US
            spent = [rows[i].amount for i in past_of(rows, at) if rows[i].timestamp_us > begin]
            values += [len(spent), sum(spent) / len(spent)]
        for days in WINDOWS:
            end = row.timestamp_us - DELAY_US
            seen = [
                other.is_fraud == 1
                for other in rows
                if other.counterparty == row.counterparty is not None
                and end - days * DAY_US < other.timestamp_us <= end
            ]
            values += [len(seen), sum(seen) / len(seen) if seen else 0.0]
        result.append(values)
    return result


def known_of(histories: Histories, rows: NDArray[np.bool_]) -> KnownRows:
    ever = Period(datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
    return KnownRows(histories, rows, ever, ever.end)


@settings(deadline=None, max_examples=300)
@given(ROWS)
def test_features_are_those_of_a_loop_over_all_pairs_of_rows(rows: list[Row]) -> None:
    np.testing.assert_allclose(features_of(rows), naive(rows), rtol=1e-5, atol=1e-3)


def test_features_of_many_rows_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(5)
    rows = [
        Row(
            account=f"a{rng.integers(6)}",
            timestamp_us=int(rng.integers(50 * 24)) * DAY_US // 24,
            counterparty=f"m{rng.integers(4)}",
            amount=float(rng.integers(1, 500)),
            is_fraud=int(rng.integers(2)),
        )
        for _ in range(300)
    ]
    np.testing.assert_allclose(features_of(rows), naive(rows), rtol=1e-5)


def test_the_forest_depends_on_its_seed_and_not_on_what_it_was_asked_before() -> None:
    rng = np.random.default_rng(2)
    tables = [
        table_of(
            [
                Row(f"a{at % 9}", at * DAY_US // 20, "m", float(rng.integers(300)), is_fraud=fraud)
                for at, fraud in enumerate(rng.integers(2, size=200).tolist())
            ]
        )
        for _ in range(2)
    ]
    first, second = (build_histories(table, FeatureSpecification(), 7.0) for table in tables)
    training = np.arange(200) % 3 > 0
    model = HandbookForest(handbook_features)
    answers = [
        model(Task(histories, known_of(histories, training), ~training, 7, seed)).score
        for histories, seed in ((first, 0), (second, 0), (first, 0), (first, 1))
    ]
    np.testing.assert_array_equal(answers[0], answers[2])
    assert not np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[3])
    assert answers[0].shape == ((~training).sum(),)


def test_with_28_days_the_shipped_experiment_is_measured() -> None:
    experiment = load_experiment("handbook")
    assert experiment.network == NetworkConfig(amount_pieces=handbook_models.AMOUNT_PIECES)
    assert experiment.training == TrainingConfig(
        epochs=handbook_models.EPOCHS_OF_SOME_WEEKS,
        chunk_length=handbook_models.CHUNK_LENGTH,
        batch_chunks=handbook_models.BATCH_CHUNKS,
    )
    assert experiment.split.training_days in handbook_models.SOME_WEEKS_DAYS
