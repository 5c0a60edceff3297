"""`fraudnet sweep`: trials in nested runs, pruning, what a kill leaves, and what comes out."""

import fcntl
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import mlflow
import numpy as np
import optuna
import pytest
from mlflow.entities import Run
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from fraudnet.cli import main
from fraudnet.errors import CheckFailed, InputError
from fraudnet.search import pruning
from fraudnet.search.pruning import PrunedByMedian
from fraudnet.search.space import Space, parse_space
from fraudnet.search.sweep import STORAGE, SweepConfig, Swept, sweep
from fraudnet.training.experiment import Experiment, load_experiment
from fraudnet.training.prepare import Prepared, prepare
from fraudnet.training.train import train
from tests.training.test_privacy import identifiers, named_in
from tests.training.world import SETTINGS, World, experiment, logging_to, make_store

pytestmark = pytest.mark.xdist_group("trained")

SPACE = {
    "training": {"learning_rate": {"low": 0.003, "high": 0.03, "log": True}},
    "network": {"dropout": {"choices": [0.0, 0.1, 0.3]}},
}
SHORT = ("training.epochs=2", "training.stopping_days=0")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_store(tmp_path_factory.mktemp("sweeps"))


@pytest.fixture(autouse=True)
def tracking(store: str) -> Iterator[None]:
    with logging_to(store):
        yield


@pytest.fixture(scope="module")
def base() -> Experiment:
    return experiment(*SHORT)


@pytest.fixture(scope="module")
def prepared(payments: Path, base: Experiment) -> Prepared:
    return prepare(payments, base)


@pytest.fixture(scope="module")
def space() -> Space:
    return parse_space(SPACE, "own")


@pytest.fixture(scope="module")
def swept(
    store: str,
    prepared: Prepared,
    base: Experiment,
    space: Space,
    tmp_path_factory: pytest.TempPathFactory,
) -> Swept:
    folder = tmp_path_factory.mktemp("swept")
    with logging_to(store):
        return sweep(prepared, base, space, SweepConfig("own", 3), folder)


def children(client: mlflow.MlflowClient, parent: str) -> list[Run]:
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`mlflow.parentRunId` = '{parent}'")
    return sorted(found, key=lambda run: int(run.data.tags["trial"]))


def opened(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(storage=f"sqlite:///{folder / STORAGE}", study_name=name)


@pytest.mark.slow
def test_each_trial_is_a_run_under_the_sweep_s(swept: Swept, store: str) -> None:
    client = mlflow.MlflowClient(store)
    parent, runs = client.get_run(swept.mlflow_run_id), children(client, swept.mlflow_run_id)
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "sweep own")
    assert [run.info.run_name for run in runs] == ["trial 0", "trial 1", "trial 2"]
    study = opened(swept.experiment.parent, "own")
    for run, trial in zip(runs, study.trials, strict=True):
        assert run.data.params["training.learning_rate"] == str(
            trial.params["training.learning_rate"]
        )
        assert run.data.params["network.dropout"] == str(trial.params["network.dropout"])
        assert run.data.metrics["validation_average_precision"] == trial.value
        name = "epoch_validation_average_precision"
        by_epoch = client.get_metric_history(run.info.run_id, name)
        assert {5 * (e.step + 1): e.value for e in by_epoch} == trial.intermediate_values
    assert len({run.data.params["training.learning_rate"] for run in runs}) == 3


@pytest.mark.slow
def test_the_test_period_is_not_touched(swept: Swept, store: str) -> None:
    runs = children(mlflow.MlflowClient(store), swept.mlflow_run_id)
    assert [name for run in runs for name in run.data.metrics if name.startswith("test")] == []


@pytest.mark.slow
def test_the_first_trial_is_the_experiment_itself(swept: Swept, base: Experiment) -> None:
    first = opened(swept.experiment.parent, "own").trials[0].params
    assert first["training.learning_rate"] == base.training.learning_rate
    assert first["network.dropout"] == base.network.dropout


@pytest.mark.slow
def test_the_best_is_an_experiment_that_gives_what_the_trial_gave(
    swept: Swept, payments: Path, base: Experiment
) -> None:
    values = [trial.value for trial in opened(swept.experiment.parent, "own").trials]
    assert swept.average_precision == max(values)  # type: ignore[type-var]
    found = load_experiment(str(swept.experiment))
    changed = found.model_dump()
    for key, value in swept.values.items():
        section, name = key.split(".")
        assert changed[section][name] == value
        changed[section][name] = getattr(getattr(base, section), name)
    assert Experiment.model_validate(changed) == base
    again = train(prepare(payments, found))
    measured = again.facts.metrics["validation"]["average_precision"]
    assert measured == pytest.approx(swept.average_precision, abs=1e-9)


@pytest.mark.slow
def test_the_same_call_adds_nothing_and_more_trials_go_on(
    swept: Swept, prepared: Prepared, base: Experiment, space: Space, store: str
) -> None:
    folder = swept.experiment.parent
    assert sweep(prepared, base, space, SweepConfig("own", 3), folder) == swept
    more = sweep(prepared, base, space, SweepConfig("own", 4), folder)
    assert more.mlflow_run_id == swept.mlflow_run_id
    assert more.states["complete"] + more.states["pruned"] == 4
    assert len(children(mlflow.MlflowClient(store), swept.mlflow_run_id)) == 4


@pytest.mark.slow
def test_another_question_is_refused(
    swept: Swept, prepared: Prepared, base: Experiment, space: Space
) -> None:
    folder, config = swept.experiment.parent, SweepConfig("own", 3)
    other = parse_space({"network": SPACE["network"]}, "own")
    with pytest.raises(InputError, match="was begun with another space; give"):
        sweep(prepared, base, other, config, folder)
    with pytest.raises(InputError, match="another data and experiment"):
        sweep(
            replace(prepared, fingerprint="sha256:0"), experiment("alerts.per_day=9"), space,
            config, folder,
        )  # fmt: skip


@pytest.mark.slow
def test_what_is_worse_than_the_median_is_pruned(
    prepared: Prepared, base: Experiment, tmp_path: Path, store: str
) -> None:
    """Earlier trials knew nearly all after each tenth; no rate can do that."""
    space = parse_space({"training": {"learning_rate": {"low": 1e-7, "high": 1e-6}}}, "own")
    with pytest.raises(CheckFailed):
        sweep(prepared, base, space, SweepConfig("pruned", 0), tmp_path)
    study = opened(tmp_path, "pruned")
    distributions: dict[str, BaseDistribution] = {
        "training.learning_rate": FloatDistribution(1e-7, 1e-6)
    }
    for rate in (2e-7, 4e-7, 6e-7, 8e-7):
        params = {"training.learning_rate": rate}
        by_tenth = dict.fromkeys(range(11), 0.99)
        study.add_trial(
            optuna.create_trial(
                value=rate, params=params, distributions=distributions, intermediate_values=by_tenth
            )
        )
    found = sweep(prepared, base, space, SweepConfig("pruned", 5), tmp_path)
    assert found.states == {"complete": 4, "pruned": 1, "fail": 0}
    assert (found.best_trial, found.values) == (3, {"training.learning_rate": 8e-7})
    (run,) = children(mlflow.MlflowClient(store), found.mlflow_run_id)
    assert run.data.tags["pruned"] == "below the median after epoch 1"
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("epochs", "tenths"),
    [(1, [10]), (4, [2, 5, 7, 10]), (12, [*range(1, 11)]), (24, [*range(1, 11)])],
)
def test_fits_of_any_length_are_compared_as_far_on(
    epochs: int, tenths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = SimpleNamespace(is_fraud=np.array([0, 1]), histories=None, rows=None)
    monkeypatch.setattr(pruning, "known_of", lambda *_: known)
    monkeypatch.setattr(pruning, "RowScorer", lambda *_: lambda: {"logit": np.zeros((2, 1))})
    monkeypatch.setattr(pruning, "mlflow", MagicMock())
    trial = optuna.create_study().ask()
    told: Any = PrunedByMedian(MagicMock(), MagicMock(), trial, np.inf)
    told.begin(epochs, 10, 0)
    for number in range(epochs):
        told.epoch(number, 0.5, None)
    (held,) = trial.study.trials
    assert [*held.intermediate_values] == tenths


def test_values_that_do_not_fit_each_other_are_given_up(
    prepared: Prepared, base: Experiment, tmp_path: Path
) -> None:
    """32 channels divided by 64: each fits alone."""
    keys = {"squeeze_reduction": {"choices": [64]}, "expansion": {"choices": [1]}}
    with pytest.raises(CheckFailed, match="no trial was completed"):
        sweep(prepared, base, parse_space({"network": keys}, "own"), SweepConfig("x", 1), tmp_path)
    (trial,) = opened(tmp_path, "x").trials
    assert trial.state == TrialState.PRUNED


@pytest.mark.slow
def test_the_time_ends_a_trial_which_is_begun_anew(
    prepared: Prepared, base: Experiment, space: Space, tmp_path: Path
) -> None:
    hour = SweepConfig("late", 1, minutes=60)
    with pytest.MonkeyPatch.context() as patch:
        # An hour later at the first step.
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600)
        patch.setattr("fraudnet.search.pruning.time", later)
        with pytest.raises(CheckFailed, match="no trial was completed; call again"):
            sweep(prepared, base, space, hour, tmp_path)
    cut, waiting = opened(tmp_path, "late").trials
    assert (cut.state, waiting.state) == (TrialState.FAIL, TrialState.WAITING)
    with pytest.raises(CheckFailed, match="no trial was completed; call again"):
        sweep(prepared, base, space, replace(hour, minutes=1e-9), tmp_path)
    assert len(opened(tmp_path, "late").trials) == 2
    found = sweep(prepared, base, space, hour, tmp_path)
    assert found.states == {"complete": 1, "pruned": 0, "fail": 1}
    assert found.best_trial == 1
    assert opened(tmp_path, "late").trials[1].params == cut.params


def test_two_at_once_are_refused(
    prepared: Prepared, base: Experiment, space: Space, tmp_path: Path
) -> None:
    with (tmp_path / "own.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process works at this sweep"):
            sweep(prepared, base, space, SweepConfig("own", 1), tmp_path)


@pytest.mark.slow
def test_no_account_is_named(swept: Swept, store: str, world: World) -> None:
    names = identifiers(world)
    runs = Path(store.removeprefix("sqlite:///")).parent
    for path in [*runs.rglob("*"), *swept.experiment.parent.iterdir()]:
        if path.is_file():
            assert named_in(path, names) == set(), path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trials", "0"], "--trials must be at least 1"),
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--study", "../up"], "--study '../up': expected letters"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--space", "none.toml"], "none.toml: no such file"),
    ],
)
def test_wrong_options_are_said(
    arguments: list[str],
    said: str,
    payments: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ["sweep", "--data", str(payments), "--output", str(tmp_path)]
    assert main([*common, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_sweep_goes_on_as_if_it_had_not_been(
    payments: Path, tmp_path: Path, store: str
) -> None:
    """Killed in the middle of its second trial: that one is begun anew, and all values agree."""
    own = tmp_path / "own.toml"
    own.write_text(
        "[training.learning_rate]\nlow = 0.003\nhigh = 0.03\nlog = true\n"
        "[network.dropout]\nchoices = [0.0, 0.1, 0.3]\n"
    )
    settings = [word for setting in (*SETTINGS, *SHORT) for word in ("--set", setting)]

    def command(name: str) -> list[str]:
        return [
            sys.executable, "-m", "fraudnet", "sweep", "--data", str(payments), *settings,
            "--space", str(own), "--trials", "2", "--study", "killed", "--seed", "4",
            "--output", str(tmp_path / name), "--json",
        ]  # fmt: skip

    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(command("cut"), stderr=errors, stdout=subprocess.DEVNULL)
        try:
            _wait_for_second_trial(tmp_path / "cut", process)
        finally:
            process.kill()
            process.wait()
    said: dict[str, dict[str, Any]] = {}
    for name in ("cut", "whole"):
        done = subprocess.run(command(name), capture_output=True, text=True, check=True)
        said[name] = json.loads(done.stdout)
    cut, whole = (opened(tmp_path / name, "killed").trials for name in ("cut", "whole"))
    assert [trial.state.name for trial in cut] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert cut[1].params == cut[2].params
    kept = [trial for trial in cut if trial.state == TrialState.COMPLETE]
    assert [trial.params for trial in kept] == [trial.params for trial in whole]
    assert [trial.value for trial in kept] == pytest.approx([trial.value for trial in whole])
    assert said["cut"]["average_precision"] == pytest.approx(said["whole"]["average_precision"])
    client = mlflow.MlflowClient(store)
    runs = children(client, said["cut"]["mlflow_run_id"])
    assert [run.info.status for run in runs] == ["FINISHED", "KILLED", "FINISHED"]
    assert client.get_run(said["cut"]["mlflow_run_id"]).info.status == "FINISHED"


def _wait_for_second_trial(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    begun = (
        "SELECT count(DISTINCT param_name) FROM trials JOIN trial_params USING (trial_id) "
        "JOIN trial_user_attributes USING (trial_id) WHERE number = 1 AND key = 'mlflow_run_id'"
    )
    # Read only: a study opened by Optuna makes the tables that the process is about to make.
    storage = f"file:{folder / STORAGE}?mode=ro"
    until = time.monotonic() + 200
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.2)
        try:
            with closing(sqlite3.connect(storage, uri=True)) as connection:
                ((parameters,),) = connection.execute(begun).fetchall()
        except sqlite3.OperationalError:  # the file or its tables are being made
            continue
        if parameters == 2:
            return
    raise AssertionError("the sweep never came to its second trial")
