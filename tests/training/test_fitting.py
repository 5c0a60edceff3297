"""The weights: what they are fitted to, and that nothing else moves them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from fraudnet.errors import InputError
from fraudnet.network.network import Network, build_network
from fraudnet.training import fitting
from fraudnet.training.batches import Batch, Batches
from fraudnet.training.fitting import TrainingConfig, fit_network, scheduled_optimizer
from fraudnet.training.prepare import Prepared, prepare
from fraudnet.training.scoring import predict_rows
from fraudnet.training.step import TrainingStep
from fraudnet.windows.chunks import chunks_over
from fraudnet.windows.histories import Histories
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import labelled_rows
from tests.training.world import experiment, table_read

# A compiled step for each fit takes most of the time.
pytestmark = pytest.mark.xdist_group("fitting")

TINY = (
    "network.width=4",
    "network.dilations=[1]",
    "network.squeeze_window=2",
    "network.normal_window=2",
    "network.head=4",
    "network.embedding=2",
    "features.reputation.windows_days=[7]",
    "training.epochs=6",
    "training.batch_chunks=16",
)
Array = NDArray[Any]
Mask = NDArray[np.bool_]


class Recording:
    """What is told of a fit."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.found: list[float | None] = []
        self.transactions = 0
        self.told: list[object] = []

    def begin(self, epochs: int, transactions: int, first: int) -> None:
        self.told.append(("begin", epochs, transactions, first))

    def step(self, transactions: int) -> None:
        self.transactions += transactions

    def epoch(self, number: int, loss: float, average_precision: float | None) -> None:
        self.told.append(number)
        self.losses.append(loss)
        self.found.append(average_precision)

    def end(self) -> None:
        self.told.append("end")


@dataclass(frozen=True)
class Fit:
    network: Network
    recording: Recording

    @property
    def weights(self) -> dict[str, Array]:
        return {weight.path: weight.numpy() for weight in self.network.logit.weights}


def known(prepared: Prepared, histories: Histories, wanted: Mask) -> KnownRows:
    """The wanted rows of the training period, all labels known."""
    all_ = known_rows(histories, prepared.split.training, datetime(9999, 1, 1, tzinfo=UTC))
    return replace(all_, rows=all_.rows & wanted)


def fit(prepared: Prepared, histories: Histories, wanted: Mask, averaging: float = 0.9) -> Fit:
    config = prepared.experiment.training.model_copy(update={"weight_averaging": averaging})
    keras.utils.set_random_seed(config.seed)
    network = build_network(prepared.experiment.network, prepared.experiment.features)
    recording = Recording()
    fit_network(network, known(prepared, histories, wanted), config, [recording])
    return Fit(network, recording)


@pytest.fixture(scope="module")
def prepared(payments: Path) -> Prepared:
    return prepare(payments, experiment(*TINY))


@pytest.fixture(scope="module")
def wanted(prepared: Prepared) -> Mask:
    return labelled_rows(prepared.histories, prepared.split.training)


@pytest.fixture(scope="module")
def fitted(prepared: Prepared, wanted: Mask) -> Fit:
    return fit(prepared, prepared.histories, wanted)


def test_the_loss_falls(fitted: Fit) -> None:
    losses = fitted.recording.losses
    assert losses[0] > losses[2] > losses[5]


def test_progress_sees_the_weights_of_the_epoch(prepared: Prepared, wanted: Mask) -> None:
    network = build_network(prepared.experiment.network, prepared.experiment.features)
    seen = []

    class Seeing(Recording):
        def epoch(self, number: int, loss: float, average_precision: float | None) -> None:
            super().epoch(number, loss, average_precision)
            seen.append(network.logit.get_layer("stem").weights[0].numpy())

    config = prepared.experiment.training.model_copy(update={"epochs": 2, "weight_averaging": 0.0})
    begin = network.logit.get_layer("stem").weights[0].numpy()
    fit_network(network, known(prepared, prepared.histories, wanted), config, [Seeing()])
    assert all(np.any(old != new) for old, new in pairwise([begin, *seen]))
    np.testing.assert_array_equal(seen[-1], network.logit.get_layer("stem").weights[0].numpy())


def test_progress_is_told_of_every_transaction_and_epoch(wanted: Mask, fitted: Fit) -> None:
    rows = int(wanted.sum())
    assert fitted.recording.transactions == 6 * rows
    assert fitted.recording.told == [("begin", 6, rows, 0), *range(6), "end"]
    assert fitted.recording.found == [None] * 6


def test_frauds_are_ranked_far_above_chance(prepared: Prepared, wanted: Mask, fitted: Fit) -> None:
    network, histories = fitted.network, prepared.histories
    logit = predict_rows(network.logit, network.receptive_field, histories, wanted)["logit"][:, 0]
    label = histories.is_fraud[wanted]
    assert average_precision_score(label, logit) > 4 * label.mean()


def test_what_is_not_wanted_changes_no_weight(
    prepared: Prepared, wanted: Mask, fitted: Fit
) -> None:
    histories = prepared.histories
    later = ~prepared.split.training.contains(histories.timestamp_us)
    assert later.sum() > 5000
    assert (~wanted & ~later).sum() > 300
    columns: dict[str, Array] = {name: values.copy() for name, values in histories.columns.items()}
    for values in columns.values():
        values[later] = values[later] * 3 + 1
    columns["category"][later] = 1
    changed = replace(
        histories,
        columns=columns,
        amount=np.where(later, 1e6, histories.amount),
        is_fraud=np.where(wanted, histories.is_fraud, 1).astype(np.int8),
    )
    again = fit(prepared, changed, wanted).weights
    assert again.keys() == fitted.weights.keys()
    for path, values in fitted.weights.items():
        assert values.tobytes() == again[path].tobytes(), path


def test_the_standardisation_is_that_of_the_wanted_rows(
    prepared: Prepared, wanted: Mask, fitted: Fit
) -> None:
    rows = table_read(prepared).to_pylist()
    source = prepared.histories.source_row
    chosen = set(source[wanted].tolist())
    before: dict[str, int] = {}
    amounts, gaps, distances = [], [], []
    for at in sorted(range(len(rows)), key=lambda i: (rows[i]["timestamp"], i)):
        row = rows[at]
        second = int(row["timestamp"].timestamp() * 1e6) // 1_000_000
        if at in chosen:
            amounts.append(np.sign(row["amount"]) * np.log1p(abs(row["amount"])))
            distances.append(np.log1p(row["distance"] or 0.0))
            if row["account_id"] in before:
                gaps.append(np.log1p(second - before[row["account_id"]]))
        before[row["account_id"]] = second
    features = fitted.network.features
    columns = (amounts, gaps, distances)
    assert features.mean.numpy() == pytest.approx([np.mean(c) for c in columns], rel=1e-4)
    assert features.deviation.numpy() == pytest.approx([np.std(c) for c in columns], rel=1e-4)


def test_the_weights_are_the_running_mean_over_the_steps(
    prepared: Prepared, wanted: Mask, fitted: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Array] = []

    class Recorded(TrainingStep):
        def __call__(self, batch: Batch) -> tf.Tensor:
            loss = super().__call__(batch)
            steps.append(self.weights.numpy())
            return loss

    monkeypatch.setattr(fitting, "TrainingStep", Recorded)
    plain = fit(prepared, prepared.histories, wanted, averaging=0.0)
    mean = steps[0].astype(np.float64)
    for step in steps[1:]:
        mean = 0.9 * mean + 0.1 * step
    found, last = (
        np.concatenate([weight.numpy().ravel() for weight in of.network.logit.trainable_weights])
        for of in (fitted, plain)
    )
    assert found == pytest.approx(mean, rel=1e-3, abs=1e-5)
    np.testing.assert_array_equal(last, steps[-1])
    assert np.abs(found - last).max() > 1e-3


def test_the_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    config = TrainingConfig(learning_rate=0.02, warmup_share=0.2, weight_decay=0.3)
    optimizer = scheduled_optimizer(config, 50)
    rates = []
    for step in range(51):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates[:11], 0.02 * np.arange(11) / 10, atol=1e-8)
    falling = 0.01 * (1 + np.cos(np.pi * np.arange(41) / 40))
    np.testing.assert_allclose(rates[10:], falling, atol=1e-8)


def test_weights_decay_by_the_rate_alone_where_nothing_pulls_at_them() -> None:
    """Decoupled: the decay is not divided by the gradients' size."""
    config = TrainingConfig(learning_rate=0.02, warmup_share=0.0, weight_decay=0.3)
    optimizer = scheduled_optimizer(config, 50)
    weights = keras.Variable([1.0, -2.0])
    optimizer.build([weights])
    optimizer.apply([tf.zeros(2)], [weights])
    np.testing.assert_allclose(weights, np.array([1.0, -2.0]) * (1 - 0.02 * 0.3), rtol=1e-6)


@pytest.mark.parametrize("only", [0, 1])
def test_a_period_of_one_class_is_refused_before_anything_is_fitted(
    prepared: Prepared, wanted: Mask, only: int
) -> None:
    network = build_network(prepared.experiment.network, prepared.experiment.features)
    before = [weight.numpy() for weight in network.logit.weights]
    chosen = wanted & (prepared.histories.is_fraud == only)
    with pytest.raises(InputError, match="the training period holds no fraud or no genuine"):
        fit_network(
            network, known(prepared, prepared.histories, chosen), prepared.experiment.training
        )
    for old, weight in zip(before, network.logit.weights, strict=True):
        assert np.array_equal(old, weight.numpy())


def permuted(path: Path, folder: Path) -> Path:
    """The file with its labels in a random order, label times left out."""
    header, *lines = path.read_text().splitlines()
    rows = [line.split(",") for line in lines if line.count(",") == header.count(",")]
    names = header.replace('"', "").split(",")
    label, time = names.index("is_fraud"), names.index("label_time")
    order = np.random.default_rng(0).permutation(len(rows))
    labels = [rows[at][label] for at in order]
    for row, value in zip(rows, labels, strict=True):
        row[label], row[time] = value, ""
    changed = folder / "permuted.csv"
    changed.write_text("\n".join([header, *map(",".join, rows)]) + "\n")
    return changed


def test_labels_in_random_order_cannot_be_learnt(payments: Path, tmp_path: Path) -> None:
    # A label is known at once: a row that counted itself would tell its own.
    at_once = ("features.reputation.refresh=transaction", "split.label_delay_days=0")
    prepared = prepare(permuted(payments, tmp_path), experiment(*TINY, *at_once))
    histories = prepared.histories
    wanted = labelled_rows(histories, prepared.split.training)
    network = fit(prepared, histories, wanted).network
    checked = ~prepared.split.training.contains(histories.timestamp_us) & (histories.is_fraud >= 0)
    logit = predict_rows(network.logit, network.receptive_field, histories, checked)["logit"][:, 0]
    label = histories.is_fraud[checked]
    rng = np.random.default_rng(1)
    by_chance = [average_precision_score(label, rng.permutation(logit)) for _ in range(200)]
    assert average_precision_score(label, logit) < max(by_chance) + np.std(by_chance)


@pytest.mark.parametrize("fraud_weight", [0.5, 1.0, 20.0])
def test_a_fraud_weighs_as_declared_and_a_step_is_a_mean(
    prepared: Prepared, wanted: Mask, fraud_weight: float
) -> None:
    chunks = chunks_over(prepared.histories, wanted, 5, 32)
    rows = known(prepared, prepared.histories, wanted)
    counted = told = 0
    for batch in Batches(chunks, rows, 16, 0, fraud_weight, 0.1).epoch(0):
        labels, weights = batch.label.numpy(), batch.weight.numpy()
        told += batch.transactions
        assert weights.mean() == pytest.approx(1.0, rel=1e-5)
        genuine = np.unique(weights[(labels == 0) & (weights > 0)])
        fraud = np.unique(weights[(labels == 1) & (weights > 0)])
        assert len(genuine) == 1
        if len(fraud):
            assert fraud / genuine == pytest.approx(fraud_weight, rel=1e-5)
        counted += int((weights > 0).sum())
    assert counted == told == wanted.sum()
