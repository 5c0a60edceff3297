"""`fraudnet promote`: the rule, the aliases, and the way back, in a real registry."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from fraudnet.artifact.gates import ARTIFACT, BUDGETS
from fraudnet.cli import main
from fraudnet.device.artifact import open_artifact
from fraudnet.training.runs import CANDIDATE, CHAMPION, PREVIOUS, TEST_OUTDATED
from tests.registry.runs import add_export, log_run, scores
from tests.training.test_privacy import identifiers, named_in
from tests.training.world import World, logging_to, make_store

pytestmark = pytest.mark.xdist_group("trained")

WEAK, STRONG = 0.3, 0.4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_store(tmp_path_factory.mktemp("registry"))


@pytest.fixture(autouse=True)
def tracking(store: str) -> Iterator[None]:
    with logging_to(store):
        yield


@pytest.fixture(scope="module")
def runs(store: str, world: World) -> dict[str, str]:
    """Exported runs by what they are; all gates of most are passed."""
    made: dict[str, str] = {}
    with logging_to(store):
        for name, skill, gates in (
            ("weak", WEAK, None),
            ("strong", STRONG, None),
            ("like weak", WEAK, None),
            ("greedy", STRONG, {ARTIFACT: True, BUDGETS: False}),
        ):
            made[name] = log_run(scores(skill, seed=len(made)))
            add_export(made[name], world, gates)
    return made


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A registered model of the test's own."""
    return f"model-{request.node.name[:60]}"


def promote(*arguments: str, expect: int = 0) -> None:
    assert main(["promote", "--resamples", "200", *arguments]) == expect


def aliases(store: str, model: str) -> dict[str, str]:
    """Alias to the run whose version has it."""
    client = mlflow.MlflowClient(store)
    found = client.get_registered_model(model).aliases
    return {
        alias: str(client.get_model_version(model, version).run_id)
        for alias, version in found.items()
    }


def test_the_better_one_becomes_champion_and_the_former_is_kept(
    store: str, runs: dict[str, str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(runs["weak"], "--name", model)
    assert aliases(store, model) == {CHAMPION: runs["weak"]}
    capsys.readouterr()
    promote(runs["strong"], "--name", model, "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["promoted"] is True
    assert said["difference"]["low"] > 0
    assert aliases(store, model) == {CHAMPION: runs["strong"], PREVIOUS: runs["weak"]}
    version = mlflow.MlflowClient(store).get_model_version(model, said["version"])
    assert version.tags["promotion"] == said["reason"]
    promote(runs["strong"], "--name", model)
    assert "is the champion already" in capsys.readouterr().out

    promote("--rollback", "--name", model)
    assert aliases(store, model) == {CHAMPION: runs["weak"], PREVIOUS: runs["strong"]}
    promote("--rollback", "--name", model)
    assert aliases(store, model) == {CHAMPION: runs["strong"], PREVIOUS: runs["weak"]}


def test_the_champion_scores_as_the_artifact_does(
    runs: dict[str, str], model: str, world: World
) -> None:
    promote(runs["weak"], "--name", model)
    windows = {name: values[:3] for name, values in world.trained.windows.items()}
    found = mlflow.pyfunc.load_model(f"models:/{model}@{CHAMPION}").predict(windows)
    expected = world.trained.network.scores(windows)["fraud_probability"].numpy()[:, 0, 0]
    assert found["fraud_probability"] == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("loser", ["weak", "like weak"])
def test_the_loser_stays_candidate(
    loser: str, store: str, runs: dict[str, str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    best = "strong" if loser == "weak" else "weak"
    promote(runs[best], "--name", model)
    capsys.readouterr()
    promote(runs[loser], "--name", model, expect=1)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "not better by more than the interval: average precision" in error
    assert aliases(store, model) == {CHAMPION: runs[best], CANDIDATE: runs[loser]}
    promote(CANDIDATE, "--name", model, expect=1)
    assert len(mlflow.MlflowClient(store).search_model_versions(f"name='{model}'")) == 2


def test_a_luckier_draw_is_no_better_network(runs: dict[str, str], model: str) -> None:
    """Of two as good, whichever has the higher average precision is not promoted for it."""
    measured = {
        name: mlflow.get_run(runs[name]).data.metrics["test_average_precision"]
        for name in ("weak", "like weak")
    }
    lower, higher = sorted(measured, key=lambda name: measured[name])
    assert measured[higher] > measured[lower]
    promote(runs[lower], "--name", model)
    promote(runs[higher], "--name", model, expect=1)
    promote(runs[higher], "--name", model, "--confidence", "0.0001")


def test_gates_come_before_figures(
    store: str, runs: dict[str, str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(runs["greedy"], "--name", model, expect=1)
    printed = capsys.readouterr()
    assert "gate budgets failed: size 2 (at most 1): as the test wants it" in printed.err
    assert "it does not become candidate" in printed.out
    assert mlflow.MlflowClient(store).search_registered_models(f"name='{model}'") == []
    promote(runs["weak"], "--name", model)
    promote(runs["greedy"], "--name", model, expect=1)
    assert aliases(store, model) == {CHAMPION: runs["weak"]}


def test_budgets_of_another_file_show_nothing(
    store: str, world: World, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = log_run(scores(STRONG))
    add_export(run_id, world, sha256="ab" * 32)
    promote(run_id, "--name", model, "--dry-run", expect=1)
    printed = capsys.readouterr()
    assert "gate budgets is of another file than the last that was exported" in printed.err
    assert "it would not become candidate" in printed.out
    promote(run_id, "--name", model, expect=1)
    assert mlflow.MlflowClient(store).search_registered_models(f"name='{model}'") == []


def test_gates_that_were_not_run_are_not_passed(
    world: World, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = log_run(scores(WEAK))
    add_export(run_id, world, {ARTIFACT: True})
    promote(run_id, "--name", model, expect=1)
    assert "gate budgets not run: fraudnet gate runs it" in capsys.readouterr().err


def test_a_damaged_file_is_not_promoted(
    store: str, world: World, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = log_run(scores(STRONG))
    add_export(run_id, world)
    run = mlflow.MlflowClient(store).get_run(run_id)
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    place = mlflow.MlflowClient(store).get_logged_model(output.model_id).artifact_location
    (file,) = Path(place.removeprefix("file://")).glob("data/*.tflite")
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content.tobytes())
    promote(run_id, "--name", model, expect=1)
    assert "the logged file is not what was exported" in capsys.readouterr().err


def test_a_dry_run_says_it_and_changes_nothing(
    store: str, runs: dict[str, str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(runs["weak"], "--name", model, "--dry-run")
    assert "it would become champion" in capsys.readouterr().out
    assert mlflow.MlflowClient(store).search_registered_models(f"name='{model}'") == []
    promote(runs["strong"], "--name", model)
    before = aliases(store, model)
    promote(runs["weak"], "--name", model, "--dry-run", expect=1)
    assert "it would stay candidate" in capsys.readouterr().out
    assert aliases(store, model) == before


def test_other_data_than_the_champion_s_are_refused(
    store: str, runs: dict[str, str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(runs["weak"], "--name", model)
    promote(runs["strong"], "--name", model, "--period", "validation", expect=2)
    error = capsys.readouterr().err
    assert "has no scores of the validation period" in error
    assert aliases(store, model) == {CHAMPION: runs["weak"], CANDIDATE: runs["strong"]}


def test_the_first_champion_must_be_measured_too(
    store: str, world: World, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = log_run(scores(STRONG))
    add_export(run, world)
    mlflow.MlflowClient(store).set_tag(run, TEST_OUTDATED, "true")
    promote(run, "--name", model, expect=2)
    assert "threshold was chosen anew after its test" in capsys.readouterr().err
    assert aliases(store, model) == {CANDIDATE: run}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "give either a RUN or --rollback"),
        (["abc", "--rollback"], "give either a RUN or --rollback"),
        (["--rollback", "--dry-run"], "--rollback knows no --dry-run"),
        (["--rollback"], "has no previous champion to go back to"),
        (["champion", "--confidence", "95"], "--confidence must lie between 0 and 1"),
    ],
)
def test_wrong_words_are_said(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    promote("--name", "none", *arguments, expect=2)
    assert reason in capsys.readouterr().err


def test_run_that_was_not_exported_is_said(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    promote(log_run(scores(WEAK)), "--name", model, expect=2)
    assert "holds no exported network; fraudnet export" in capsys.readouterr().err


def test_export_records_the_gates(world: World) -> None:
    tags: dict[str, Any] = (
        mlflow.MlflowClient(world.store).get_run(world.trained.facts.mlflow_run_id).data.tags
    )
    assert tags["gate.artifact"].startswith("passed: float32, near Keras on ")
    assert tags["gate.budgets"] == "passed: all 5 budgets hold; budgets of its experiment"
    assert tags["gate.budgets.sha256"] == open_artifact(world.artifact).sha256


def test_no_account_is_named_in_the_registry(
    store: str, runs: dict[str, str], model: str, world: World
) -> None:
    promote(runs["weak"], "--name", model)
    folder = Path(store.removeprefix("sqlite:///")).parent
    for path in folder.rglob("*"):
        if path.is_file():
            assert named_in(path, identifiers(world)) == set(), path
