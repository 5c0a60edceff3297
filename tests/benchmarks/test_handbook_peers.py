"""The tuned peers: what they read, that their choice is the best on the trials, that they learn."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from benchmarks import handbook_sequences
from benchmarks.handbook_features import handbook_features, with_reputation
from benchmarks.handbook_folds import Fold, rows_of, trials_of
from benchmarks.handbook_sequences import SequenceNetwork, Sequences, build_cnn, build_lstm
from benchmarks.handbook_task import Floats, Model, Settings, Task
from benchmarks.handbook_trees import (
    LEARNING_RATES,
    LIGHTGBM,
    TREES,
    XGBOOST,
    Boosting,
    Labels,
    Library,
    Scorer,
)
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.specification import FeatureSpecification, Reputation
from tests.benchmarks.tables import handbook_table
from tests.windows.tables import DAY_US, Row, table_of

END = datetime(2018, 9, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def task() -> Task:
    """Fold 4 with 7 days; on its large frauds the amount says most."""
    specification = FeatureSpecification(reputation=None)
    histories = build_histories(handbook_table(), specification, 7.0)
    training, test = rows_of(histories, Fold(4, 7))
    return Task(histories, training, test, 7, 0, trials_of(histories, 7, END))


def precision_of(task: Task, score: Floats) -> float:
    return float(average_precision_score(task.histories.is_fraud[task.test], score))


MODELS: dict[str, Callable[[], Model]] = {
    "xgboost": lambda: Boosting(XGBOOST, handbook_features),
    "lightgbm": lambda: Boosting(LIGHTGBM, handbook_features),
    "cnn": lambda: SequenceNetwork(build_cnn, handbook_features),
    "lstm": lambda: SequenceNetwork(build_lstm, handbook_features),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("cnn", "lstm")]


@pytest.mark.parametrize("name", ["xgboost", "lightgbm", *SLOW])
def test_it_learns_and_no_label_of_the_test_is_read(
    name: str, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handbook_sequences, "BATCH", 16)  # else an epoch is four steps
    model = MODELS[name]()
    answer = model(task)
    by_chance = float(task.histories.is_fraud[task.test].mean())
    assert answer.score.shape == (int(task.test.sum()),)
    assert precision_of(task, answer.score) > 5 * by_chance
    assert answer.tune_seconds is not None
    assert answer.tune_seconds > 0
    late = task.histories.timestamp_us >= task.histories.timestamp_us[task.test].min()
    hidden = np.where(late, 0, task.histories.is_fraud).astype(np.int8)
    blind = replace(task, histories=replace(task.histories, is_fraud=hidden))
    np.testing.assert_allclose(model(blind).score, answer.score, atol=1e-3)


@pytest.mark.parametrize("library", [XGBOOST, LIGHTGBM])
def test_the_first_trees_are_those_of_a_shorter_fit(library: Library, task: Task) -> None:
    """So that numbers of trees can be tried without a fit each."""
    features = handbook_features(task.histories)
    rows, unseen = features[task.training.rows], features[task.test]
    ((shape, values),) = library.shapes.items()
    given = {shape: values[0], "learning_rate": 0.1}
    short, whole = (
        library.fit(rows, task.training.is_fraud, given | {"trees": trees}, 3) for trees in (5, 20)
    )
    np.testing.assert_allclose(whole(unseen, 5), short(unseen, 5), rtol=1e-5)
    assert not np.allclose(whole(unseen, 20), short(unseen, 5), rtol=1e-3)


class Planted:
    """A library that is right with one combination of settings, and the more wrong beside it."""

    def __init__(self, best: tuple[int, float, int]) -> None:
        self.best = best
        self.fitted: list[tuple[int, int]] = []  # rows, seed

    def fit(self, features: Floats, is_fraud: Labels, given: Settings, seed: int) -> Scorer:
        assert len(is_fraud) == len(features)
        self.fitted.append((len(features), seed))

        def score(unseen: Floats, trees: int) -> Floats:
            found = given["size"], given["learning_rate"], trees
            right = found == self.best
            amount = unseen[:, 0]
            return amount if right else -amount

        return score


@pytest.mark.parametrize("best", [(2, 0.05, 25), (7, 0.1, 200), (2, 0.1, 400)])
def test_the_best_combination_on_the_trials_is_chosen_once(
    best: tuple[int, float, int], task: Task
) -> None:
    planted = Planted(best)
    model = Boosting(Library(planted.fit, {"size": (2, 7)}), handbook_features)
    for seed in (0, 5):
        answer = model(replace(task, seed=seed))
        assert answer.settings == dict(zip(("size", "learning_rate", "trees"), best, strict=True))
    tried = 2 * len(LEARNING_RATES) * len(task.trials)
    assert best[2] in TREES
    assert [seed for _, seed in planted.fitted] == [0] * tried + [0, 5]
    trained = int(task.training.rows.sum())
    assert [rows for rows, _ in planted.fitted[tried:]] == [trained, trained]


def test_epochs_are_those_after_which_the_trial_was_best(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    precisions = iter([0.1, 0.3, 0.2, 0.4, 0.4, 0.3, 0.2, 0.9])
    fits: list[object] = []

    def fit(*given: object) -> None:
        fits.append(given[-1])

    monkeypatch.setattr(handbook_sequences, "_fit", fit)
    monkeypatch.setattr(handbook_sequences, "average_precision_score", lambda *_: next(precisions))
    answer = SequenceNetwork(build_cnn, handbook_features)(task)
    assert answer.settings == {"epochs": 4}
    assert fits == [1] * 7 + [4]


HISTORY = st.lists(
    st.builds(
        Row,
        account=st.sampled_from("abc"),
        timestamp_us=st.integers(0, 20).map(lambda day: day * DAY_US),
        counterparty=st.just("m"),
        amount=st.just(1.0),
        category=st.none(),
        distance=st.none(),
        is_fraud=st.just(0),
        label_time_us=st.none(),
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=100)
@given(HISTORY, st.data())
def test_sequences_are_those_of_a_loop(rows: list[Row], data: st.DataObject) -> None:
    histories = build_histories(table_of(rows), FeatureSpecification(), 7.0)
    count = len(histories)
    features = np.random.default_rng(1).normal(3, 2, (count, 4)).astype(np.float32)
    features[:, 3] = 5  # says nothing, divides nothing
    masks = st.lists(st.booleans(), min_size=count, max_size=count).filter(any)
    fitted, wanted = (np.array(data.draw(masks)) for _ in range(2))
    found = Sequences(histories, features, fitted).of(wanted)
    deviation = features[fitted].std(axis=0)
    mean = features[fitted].mean(axis=0)
    for sequence, row in zip(found, np.flatnonzero(wanted), strict=True):
        for step in range(5):
            at = row - 4 + step
            if at < 0 or histories.account[at] != histories.account[row]:
                np.testing.assert_array_equal(sequence[step], 0)
                continue
            expected = (features[at] - mean) / np.where(deviation == 0, 1, deviation)
            np.testing.assert_allclose(sequence[step], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("build", [build_lstm, build_cnn])
def test_networks_give_one_logit_a_sequence(
    build: Callable[[int], keras.Model],
) -> None:
    network = build(15)
    assert network.output_shape == (None, 1)
    assert network.input_shape == (None, 5, 15)


def histories_with(reputation: Reputation | None) -> Histories:
    rows = [Row(f"a{at % 3}", at * DAY_US, f"m{at % 2}", is_fraud=at % 2) for at in range(30)]
    return build_histories(table_of(rows), FeatureSpecification(reputation=reputation), 7.0)


def test_our_reputation_stands_after_the_features() -> None:
    histories = histories_with(Reputation(windows_days=(2, 9)))
    features = handbook_features(histories)
    found = with_reputation(histories, features)
    names = [name for name in histories.columns if name.startswith("counterparty_")]
    assert len(names) >= 4
    np.testing.assert_array_equal(found[:, : features.shape[1]], features)
    ours = {tuple(column) for column in found[:, features.shape[1] :].T.tolist()}
    assert ours == {tuple(histories.columns[name].tolist()) for name in names}
    bare = histories_with(None)
    np.testing.assert_array_equal(with_reputation(bare, features), features)
