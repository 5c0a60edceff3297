"""A training's calibration, threshold, distance and figures, each from the rows it may see."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from fraudnet.errors import InputError
from fraudnet.evaluation.calibration import expected_calibration_error
from fraudnet.training.calibration import CalibrationConfig, cross_fitted
from fraudnet.training.prepare import Prepared, prepare
from fraudnet.training.scoring import predict_rows, score
from fraudnet.training.tracking import tracked_run
from fraudnet.training.train import evaluate, train
from fraudnet.training.trained import load_trained, save_trained
from fraudnet.transactions.fingerprint import fingerprint
from tests.training.test_calibration import most_likely
from tests.training.test_sentinel import expected_distances
from tests.training.world import TRAINING_END, World, experiment, logging_to

pytestmark = pytest.mark.xdist_group("trained")

Mask = NDArray[np.bool_]
DELAY = timedelta(days=7)
PERIODS = {
    "training": (datetime(2025, 1, 1, tzinfo=UTC), TRAINING_END),
    "validation": (TRAINING_END + DELAY, TRAINING_END + 2 * DELAY),
    "test": (TRAINING_END + 3 * DELAY, TRAINING_END + 4 * DELAY),
}


def rows_of(world: World) -> list[dict[str, Any]]:
    """The table's rows, in the order of the histories."""
    rows = world.table.to_pylist()
    return [rows[at] for at in world.prepared.histories.source_row]


def chosen(world: World, period: str, *, known: bool = False, labelled: bool = True) -> Mask:
    begin, end = PERIODS[period]
    return np.array(
        [
            begin <= row["timestamp"] < end
            and not (labelled and row["is_fraud"] is None)
            and not (known and (row["label_time"] or row["timestamp"] + DELAY) > end + DELAY)
            for row in rows_of(world)
        ]
    )


def test_the_flags_of_the_validation_period_are_within_the_alert_budget(world: World) -> None:
    probability = world.answers["fraud_probability"][chosen(world, "validation", labelled=False)]
    threshold = world.trained.facts.threshold.probability
    budget = 7 * 10
    last_in, first_out = np.sort(probability)[::-1][budget - 1 : budget + 1]
    assert threshold == pytest.approx((last_in + first_out) / 2, abs=1e-6)
    assert first_out < threshold <= last_in
    assert world.trained.facts.threshold.alerts_per_day == 10
    assert world.trained.facts.threshold.terms == {"per_day": 10}


@pytest.mark.parametrize("period", ["validation", "test"])
def test_the_calibration_is_measured_before_and_after(world: World, period: str) -> None:
    """After: on the validation period by a calibration that has not seen the account."""
    checked = chosen(world, period)
    label = world.prepared.histories.is_fraud[checked]
    logit = world.answers["logit"][checked]
    after = world.answers["fraud_probability"][checked]
    if period == "validation":
        known = chosen(world, period, known=True)[checked]
        account = world.prepared.histories.account[checked]
        found = cross_fitted(logit, label, known, account, CalibrationConfig())
        assert found is not None
        assert (np.abs(found - after) > 1e-4).mean() > 0.5
        after = found
    figures = world.trained.facts.metrics[period]
    for ending, probability in (("", after), ("_uncalibrated", expit(logit))):
        expected = {
            f"brier_score{ending}": brier_score_loss(label, probability),
            f"log_loss{ending}": log_loss(label, probability),
            f"expected_calibration_error{ending}": expected_calibration_error(probability, label),
        }
        assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-3)


def test_the_calibration_is_the_most_likely_on_labels_that_are_known_in_time(world: World) -> None:
    checked = chosen(world, "validation", known=True)
    assert (chosen(world, "validation") & ~checked).sum() > 20
    slope, intercept = most_likely(
        world.answers["logit"][checked], world.prepared.histories.is_fraud[checked]
    )
    calibration = world.trained.facts.calibration
    assert calibration["slope"] == pytest.approx(slope, rel=1e-2)
    assert calibration["intercept"] == pytest.approx(intercept, rel=1e-2)
    assert world.trained.network.calibration.slopes.numpy() == [calibration["slope"]]
    assert world.trained.network.calibration.intercept.numpy() == calibration["intercept"]


def test_the_distance_is_from_genuine_training_rows(world: World) -> None:
    network, histories = world.trained.network, world.prepared.histories
    everything = np.ones(len(histories), bool)
    sentinel = world.trained.facts.sentinel
    found = predict_rows(network.hidden, network.receptive_field, histories, everything)
    activations = found[sentinel.layer].astype(np.float64)
    genuine = activations[chosen(world, "training", known=True) & (histories.is_fraud == 0)]
    some = np.random.default_rng(0).choice(len(histories), 200, replace=False)
    expected = expected_distances(genuine, sentinel.form, sentinel.rank, activations[some])
    assert world.answers["ood_distance"][some] == pytest.approx(expected, rel=1e-3)


def test_the_quantiles_are_of_validation_rows_known_to_be_genuine(world: World) -> None:
    genuine = chosen(world, "validation", known=True) & (world.prepared.histories.is_fraud == 0)
    distance = world.answers["ood_distance"][genuine]
    shares = ("0.1", "0.25", "0.5", "0.75", "0.9", "0.99", "0.999")
    expected = {q: np.quantile(distance, float(q)) for q in shares}
    assert world.trained.facts.ood_quantiles == pytest.approx(expected, rel=1e-4)
    score = world.answers["fraud_probability"][chosen(world, "validation", labelled=False)]
    expected = {q: np.quantile(score, float(q)) for q in shares}
    assert world.trained.facts.score_quantiles == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_sentinel_alarms_at_the_wanted_rate_on_genuine_validation_rows(world: World) -> None:
    genuine = chosen(world, "validation", known=True) & (world.prepared.histories.is_fraud == 0)
    sentinel = world.trained.facts.sentinel
    alarms = world.answers["ood_distance"][genuine] > sentinel.distance_threshold
    assert sentinel.false_alarm_rate == 0.01
    assert alarms.mean() == pytest.approx(0.01, abs=1.5 / genuine.sum())


def test_the_sentinel_is_the_best_of_every_layer_and_form(world: World) -> None:
    sentinel = world.trained.facts.sentinel
    assert set(sentinel.mean_auroc) == {
        f"{layer}_{form}"
        for layer in ("features", "stem", "block0", "block1", "head")
        for form in ("full", "channel")
    }
    best = sentinel.mean_auroc[f"{sentinel.layer}_{sentinel.form}"]
    assert best == max(sentinel.mean_auroc.values()) == np.mean(list(sentinel.auroc.values()))
    assert list(sentinel.auroc) == ["amounts", "clock", "stuck_amount", "gaps", "reputation"]


@pytest.mark.parametrize("period", ["validation", "test"])
def test_the_figures_are_those_of_scikit_learn(world: World, period: str) -> None:
    checked = chosen(world, period)
    label = world.prepared.histories.is_fraud[checked]
    probability = world.answers["fraud_probability"][checked]
    flagged = probability >= world.trained.facts.threshold.probability
    amount = np.abs(world.prepared.histories.amount[checked])
    expected = {
        "transactions": len(label),
        "fraud_share": label.mean(),
        "average_precision": average_precision_score(label, probability),
        "roc_auc": roc_auc_score(label, probability),
        "alerts_per_day": flagged.sum() / 7,
        "recall_at_alert_budget": recall_score(label, flagged),
        "precision_at_alert_budget": precision_score(label, flagged),
        "value_recall_at_alert_budget": np.average(flagged, weights=amount * label),
    }
    figures = world.trained.facts.metrics[period]
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    further = {
        "card_precision_at_10", "card_precision_at_10_ceiling", "partial_auc_fpr_1pct",
        "partial_auc_fpr_5pct", "recall_at_fpr_1pct", "recall_at_10_alerts_a_day",
        "compromised_accounts", "never_detected_share", "mean_frauds_before_detection",
        "mean_money_lost_before_detection", "brier_score", "log_loss",
        "expected_calibration_error", "brier_score_uncalibrated", "log_loss_uncalibrated",
        "expected_calibration_error_uncalibrated",
    }  # fmt: skip
    assert figures.keys() >= further
    assert figures["partial_auc_fpr_5pct"] == pytest.approx(
        roc_auc_score(label, probability, max_fpr=0.05), rel=1e-4
    )
    assert all(np.isfinite(value) for value in figures.values())


def test_without_reputation_every_count_is_unknown(world: World) -> None:
    network, histories = world.trained.network, world.prepared.histories
    columns = {
        name: np.full(len(histories), -1, np.float32) if "counterparty_" in name else values
        for name, values in histories.columns.items()
    }
    checked = chosen(world, "test")
    bare = replace(histories, columns=columns)
    answers = predict_rows(network.scores, network.receptive_field, bare, checked)
    score = answers["fraud_probability"][:, 0]
    label = histories.is_fraud[checked]
    flagged = score >= world.trained.facts.threshold.probability
    figures = world.trained.facts.metrics["test"]
    assert not np.allclose(score, world.answers["fraud_probability"][checked])
    assert {
        name: figures[f"{name}_without_reputation"]
        for name in ("average_precision", "roc_auc", "recall_at_alert_budget", "alerts_per_day")
    } == pytest.approx(
        {
            "average_precision": average_precision_score(label, score),
            "roc_auc": roc_auc_score(label, score),
            "recall_at_alert_budget": recall_score(label, flagged),
            "alerts_per_day": flagged.sum() / 7,
        },
        rel=1e-4,
    )
    assert "roc_auc_without_reputation" not in world.trained.facts.metrics["validation"]


def test_it_has_learnt_something(world: World) -> None:
    figures = world.trained.facts.metrics["validation"]
    assert figures["average_precision"] > 3 * figures["fraud_share"]


def test_the_facts_are_of_this_data_and_network(world: World) -> None:
    facts = world.trained.facts
    assert facts.training_data == {
        "fingerprint": fingerprint(world.table),
        "rows": len(world.prepared.histories),
        "recipe": "canonical",
    }
    assert facts.periods == {
        name: f"{begin:%Y-%m-%d} 00:00 .. {end:%Y-%m-%d} 00:00"
        for name, (begin, end) in PERIODS.items()
    }
    assert facts.receptive_field == world.trained.network.receptive_field
    asked = experiment()
    assert facts.experiment.model_copy(update={"features": asked.features}) == asked


def test_the_windows_end_in_the_validation_period_and_hold_its_frauds(world: World) -> None:
    windows, rows = world.trained.windows, rows_of(world)
    count = min(2000, int(chosen(world, "validation", labelled=False).sum()))
    length = world.trained.facts.receptive_field
    assert {values.shape for values in windows.values()} == {(count, length)}
    assert windows["valid"][:, -1].all()

    def shown(mask: Mask) -> set[tuple[float, int, int]]:
        return {
            (
                float(np.float32(rows[at]["amount"])),
                int(rows[at]["timestamp"].timestamp() // 86_400),
                int(rows[at]["timestamp"].timestamp() % 86_400),
            )
            for at in np.flatnonzero(mask)
        }

    newest = (windows[name][:, -1].tolist() for name in ("amount", "day", "second"))
    held = set(zip(*newest, strict=True))
    period = chosen(world, "validation", labelled=False)
    assert held <= shown(period)
    assert shown(period & (world.prepared.histories.is_fraud == 1)) <= held


def test_a_test_period_that_was_seen_is_refused_and_nothing_is_logged(world: World) -> None:
    seen = experiment("split.test_days=15")
    prepared = prepare(world.data, seen)
    client = mlflow.MlflowClient(world.store)
    before = client.get_run(world.trained.facts.mlflow_run_id).to_dictionary()
    with logging_to(world.store), pytest.raises(InputError) as caught:
        evaluate(prepared, world.trained)
    assert "2025-02-15 00:00 .. 2025-03-02 00:00 begins before the validation period" in str(
        caught.value
    )
    assert client.get_run(world.trained.facts.mlflow_run_id).to_dictionary() == before


def test_a_test_period_may_begin_where_the_validation_ended(world: World, scratch: str) -> None:
    prepared = prepare(world.data, experiment("split.test_days=14", "split.training_days=20"))
    features = prepared.experiment.features
    assert features == world.prepared.experiment.features
    with logging_to(scratch), tracked_run("another"):
        again = evaluate(prepared, world.trained)
    assert again.facts.periods["test"] == "2025-02-16 00:00 .. 2025-03-02 00:00"
    begin = PERIODS["validation"][1].timestamp() * 1e6
    checked = (prepared.histories.timestamp_us >= begin) & (prepared.histories.is_fraud >= 0)
    expected = average_precision_score(
        prepared.histories.is_fraud[checked], world.answers["fraud_probability"][checked]
    )
    assert again.facts.metrics["test"]["average_precision"] == pytest.approx(expected, rel=1e-3)
    assert again.facts.metrics["validation"] == world.trained.facts.metrics["validation"]


def relabelled(world: World, period: str, label: int) -> Prepared:
    """The prepared data with one label for all of a period."""
    prepared = world.prepared
    changed = prepared.histories.is_fraud.copy()
    changed[chosen(world, period, labelled=False)] = label
    return replace(prepared, histories=replace(prepared.histories, is_fraud=changed))


@pytest.mark.parametrize("label", [-1, 0, 1])
def test_a_test_period_without_both_classes_is_refused(
    world: World, scratch: str, label: int
) -> None:
    prepared = relabelled(world, "test", label)
    with (
        logging_to(scratch),
        tracked_run("another"),
        pytest.raises(InputError, match=r"test period .* needs both frauds and genuine"),
    ):
        evaluate(prepared, world.trained)


@pytest.mark.parametrize(
    ("period", "mend"),
    [("training", "bring more data"), ("validation", "lengthen split.validation_days")],
)
@pytest.mark.parametrize("label", [-1, 0, 1])
def test_periods_without_both_classes_are_refused_before_anything_is_fitted(
    world: World, scratch: str, period: str, mend: str, label: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: object) -> None:
        raise AssertionError("was fitted")

    monkeypatch.setattr("fraudnet.training.train.fit_network", fit)
    prepared = relabelled(world, period, label)
    message = rf"the {period} period .* holds no fraud .*: {mend}$"
    with logging_to(scratch), tracked_run("another"), pytest.raises(InputError, match=message):
        train(prepared)


@pytest.mark.slow
def test_an_isotonic_calibration_undoes_a_fraud_weight_and_is_kept(
    world: World, scratch: str, tmp_path: Path
) -> None:
    asked = experiment("training.fraud_weight=10", "calibration.method=isotonic")
    prepared = prepare(world.data, asked)
    with logging_to(scratch), tracked_run("another"):
        trained = train(prepared)
    save_trained(trained, tmp_path / "model")
    network = load_trained(tmp_path / "model").network
    windows = {name: values[:200] for name, values in trained.windows.items()}
    before, after = (
        each.scores(windows)["fraud_probability"].numpy() for each in (trained.network, network)
    )
    assert np.array_equal(before, after)
    assert trained.facts.calibration["knots"] == network.calibration.knots.numpy().tolist()

    checked = chosen(world, "validation", known=True)
    probability = score(network, prepared.histories, checked)["fraud_probability"]
    share = prepared.histories.is_fraud[checked].mean()
    assert probability.mean() == pytest.approx(share, rel=0.05)
    figures = trained.facts.metrics["validation"]
    for name in ("expected_calibration_error", "brier_score", "log_loss"):
        assert figures[name] < figures[f"{name}_uncalibrated"]
