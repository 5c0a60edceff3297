"""What MLflow is told of a training, and which run it goes to."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from matplotlib.image import imread
from mlflow.entities import Run

from fraudnet.errors import InputError
from fraudnet.evaluation.scores import read_scores
from fraudnet.training.runs import TEST_OUTDATED
from fraudnet.training.tracking import TrackedProgress, log_configuration, store_hint, tracked_run
from fraudnet.training.train import evaluate
from fraudnet.transactions.fingerprint import fingerprint
from tests.training.world import BAD_LINES, World, experiment, logging_to, make_store

pytestmark = pytest.mark.xdist_group("trained")

FIGURES = {"precision_recall", "calibration", "score_histogram", "alerts_a_day"}


@pytest.fixture(scope="module")
def client(world: World) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(world.store)


@pytest.fixture(scope="module")
def run(world: World, client: mlflow.MlflowClient) -> Run:
    return client.get_run(world.trained.facts.mlflow_run_id)


@pytest.fixture
def tracking(scratch: str) -> Iterator[None]:
    with logging_to(scratch):
        yield


def artifacts(world: World, run: Run) -> Path:
    return world.logged / str(run.info.run_id) / "artifacts"


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = str(value)
    return found


def test_the_params_are_the_resolved_configuration(world: World, run: Run) -> None:
    resolved = json.loads((world.model / "trained.json").read_text())["experiment"]
    assert run.data.params == flat(resolved)
    assert "'online'" in run.data.params["features.categorical"]
    assert run.data.params["split.label_delay_days"] == "7.0"
    assert json.loads((artifacts(world, run) / "experiment.json").read_text()) == resolved


def test_the_run_is_finished_and_named_after_the_command(run: Run) -> None:
    assert (run.info.status, run.info.run_name) == ("FINISHED", "train")


def test_the_test_is_of_the_present_threshold(run: Run) -> None:
    assert run.data.tags[TEST_OUTDATED] == "false"


def test_a_fit_that_is_watched_and_made_again_has_two_curves(tmp_path: Path) -> None:
    with logging_to(make_store(tmp_path)):
        with tracked_run("fit") as run:
            for loss, found in ((0.5, 0.75), (0.25, None)):
                told = TrackedProgress()
                told.begin(1, 10, 0)
                told.epoch(0, loss, found)
                told.end()
        logged = mlflow.get_run(run.info.run_id).data.metrics
    assert (logged["stopping_training_loss"], logged["training_loss"]) == (0.5, 0.25)
    assert logged["stopping_average_precision"] == 0.75


def test_the_loss_of_every_epoch_is_there(run: Run, client: mlflow.MlflowClient) -> None:
    history = client.get_metric_history(run.info.run_id, "training_loss")
    assert [entry.step for entry in history] == [0, 1, 2, 3]
    assert history[0].value > history[3].value


def test_the_data_are_there_by_name_and_fingerprint(world: World, run: Run) -> None:
    assert run.inputs is not None
    (given,) = run.inputs.dataset_inputs
    fingerprint = world.trained.facts.training_data["fingerprint"]
    assert isinstance(fingerprint, str)
    assert (given.dataset.name, given.dataset.digest) == ("transactions.csv", fingerprint[7:39])
    assert json.loads(given.dataset.source) == {"name": "transactions.csv"}
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


@pytest.mark.parametrize("context", ["training", "test"])
def test_how_the_data_were_read_is_there(world: World, run: Run, context: str) -> None:
    report = json.loads((artifacts(world, run) / "data" / f"{context}.json").read_text())
    expected = world.prepared.report.to_dict() | {"source": "transactions.csv"}
    assert report == expected
    assert report["rows_quarantined"] == len(BAD_LINES)


@pytest.mark.parametrize("period", ["validation", "test"])
def test_four_figures_of_each_period_are_there(world: World, run: Run, period: str) -> None:
    files = list((artifacts(world, run) / "figures" / period).iterdir())
    assert {file.name for file in files} == {f"{name}.png" for name in FIGURES}
    for file in files:
        picture = imread(file)
        assert min(picture.shape[:2]) >= 400
        assert picture[..., :3].std() > 0.02


def test_the_figures_of_each_period_are_metrics(world: World, run: Run) -> None:
    expected = {
        f"{period}_{name}": value
        for period in ("validation", "test")
        for name, value in world.trained.facts.metrics[period].items()
    }
    assert expected.keys() >= {"validation_average_precision_low", "test_roc_auc"}
    assert {name: run.data.metrics.get(name) for name in expected} == expected


def test_report_card_and_scores_are_there(world: World, run: Run) -> None:
    for name in ("report.html", "MODEL_CARD.md"):
        assert (artifacts(world, run) / name).read_text() == (world.model / name).read_text()
    scores = {path.name for path in (artifacts(world, run) / "scores").iterdir()}
    assert scores == {"validation.parquet", "test.parquet"}


@pytest.mark.parametrize("period", ["validation", "test"])
def test_the_scores_are_those_of_the_source_rows(world: World, run: Run, period: str) -> None:
    found = read_scores(artifacts(world, run) / "scores" / f"{period}.parquet")
    facts = world.trained.facts
    assert found.fingerprint == fingerprint(world.table)
    assert found.period == facts.periods[period]
    assert found.threshold == facts.threshold.probability
    table = world.table.take(found.row)
    begin, end = (datetime.fromisoformat(f"{m}+00:00") for m in found.period.split(" .. "))
    moments = world.table["timestamp"].to_pylist()
    labels = world.table["is_fraud"].to_pylist()
    expected = [
        row for row, (moment, label) in enumerate(zip(moments, labels, strict=True))
        if begin <= moment < end and label is not None
    ]  # fmt: skip
    assert found.row.tolist() == expected
    assert found.amount.tolist() == table["amount"].to_pylist()
    assert found.is_fraud.tolist() == table["is_fraud"].to_pylist()
    assert found.timestamp_us.tolist() == table["timestamp"].cast("int64").to_pylist()
    pairs = set(zip(found.account.tolist(), table["account_id"].to_pylist(), strict=True))
    assert len(pairs) == len(set(found.account.tolist())) == len(set(table["account_id"]))
    place = np.argsort(world.prepared.histories.source_row)
    for name in ("fraud_probability", "ood_distance"):
        answers = world.answers[name][place[found.row]]
        np.testing.assert_allclose(getattr(found, name), answers, rtol=1e-3, atol=1e-5)


def test_the_export_adds_parity_size_and_file(world: World, run: Run) -> None:
    exported = world.said["export"]
    assert run.data.metrics["artifact_bytes"] == world.artifact.stat().st_size
    for name in ("windows", "worst_probability_difference", "different_decisions"):
        assert run.data.metrics[f"parity_{name}"] == exported[name]
    logged = artifacts(world, run) / "artifact" / "fraud.tflite"
    assert logged.read_bytes() == world.artifact.read_bytes()


@pytest.mark.usefixtures("tracking")
def test_inside_a_tracked_run_that_run_goes_on() -> None:
    with tracked_run("outer") as outer:
        with tracked_run("inner", "another run") as inner:
            assert inner.info.run_id == outer.info.run_id
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == outer.info.run_id
        assert mlflow.get_run(outer.info.run_id).info.status == "RUNNING"
    assert mlflow.active_run() is None
    assert mlflow.get_run(outer.info.run_id).info.status == "FINISHED"


@pytest.mark.usefixtures("tracking")
def test_an_evaluation_inside_a_tracked_run_adds_to_it(world: World) -> None:
    with tracked_run("trained before") as before:
        pass
    facts = world.trained.facts.model_copy(update={"mlflow_run_id": before.info.run_id})
    with tracked_run("main") as outer:
        evaluate(world.prepared, replace(world.trained, facts=facts))
    assert mlflow.get_run(before.info.run_id).data.metrics == {}
    found = mlflow.get_run(outer.info.run_id).data.metrics
    expected = world.trained.facts.metrics["test"]["roc_auc"]
    assert found["test_roc_auc"] == pytest.approx(expected)


@pytest.mark.usefixtures("tracking")
def test_a_finished_run_is_added_to() -> None:
    with tracked_run("one") as one:
        mlflow.log_metric("first", 1.0)
    with tracked_run("two", one.info.run_id) as two:
        mlflow.log_metric("second", 2.0)
    assert two.info.run_id == one.info.run_id
    found = mlflow.get_run(one.info.run_id)
    assert (found.data.metrics, found.info.run_name) == ({"first": 1.0, "second": 2.0}, "one")


@pytest.mark.usefixtures("tracking")
def test_a_run_that_the_store_does_not_hold_gives_way_to_a_new_one() -> None:
    with tracked_run("evaluate", "0" * 32) as run:
        pass
    assert run.info.run_id != "0" * 32
    assert run.info.run_name == "evaluate"


@pytest.mark.usefixtures("tracking")
def test_a_run_that_mlflow_has_begun_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with tracked_run("begun by mlflow run") as begun:
        pass
    with tracked_run("other") as other:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", begun.info.run_id)
    with tracked_run("train", other.info.run_id) as run:
        pass
    assert run.info.run_id == begun.info.run_id


@pytest.mark.usefixtures("tracking")
def test_a_run_whose_work_fails_is_marked() -> None:
    begun: list[str] = []

    def work() -> None:
        with tracked_run("train") as run:
            begun.append(run.info.run_id)
            raise InputError("no")

    with pytest.raises(InputError):
        work()
    assert mlflow.get_run(begun[0]).info.status == "FAILED"


@pytest.mark.usefixtures("tracking")
def test_a_long_vocabulary_can_be_logged() -> None:
    words = [f"a kind of shop with a long name, number {number}" for number in range(500)]
    features = {"column": "category", "vocabulary": words, "max_size": 500}
    long = experiment(f"features.categorical=[{json.dumps(features).replace(': ', '= ')}]")
    assert long.features.categorical[0].vocabulary == tuple(words)
    with tracked_run("train") as run:
        log_configuration(long)
    logged = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/experiment.json")
    assert logged == long.model_dump(mode="json")


@pytest.mark.parametrize(
    "store", ["sqlite:///{}/file/mlflow.db", "sqlite:///{}/file", "nonsense://{}"]
)
def test_a_store_that_cannot_be_used_is_said(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a database" * 500)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.format(tmp_path))
    with (
        pytest.raises(InputError, match="set MLFLOW_TRACKING_URI to another") as caught,
        tracked_run("train"),
    ):
        pytest.fail("the work must not begin")
    assert "\n" not in str(caught.value)


def test_without_a_store_it_is_a_database_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    try:
        with tracked_run("train") as run:
            mlflow.log_param("colour", "green")
        hint = store_hint()
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # back to the environment's
    assert hint == "mlflow ui --backend-store-uri sqlite:///mlflow.db"
    found = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").get_run(run.info.run_id)
    assert found.data.params == {"colour": "green"}
