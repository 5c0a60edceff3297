"""The search for coefficients: its grid, its tree of runs, and what it chooses."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Run

from fraudnet.cli import main
from fraudnet.errors import InputError
from fraudnet.network.network import NetworkConfig
from fraudnet.network.scaling import Coefficients, scaled
from fraudnet.search.scaling import Candidate, Outcome, best, candidates, grid, search, within_noise
from fraudnet.training.experiment import Experiment
from fraudnet.training.nested import nested_run
from fraudnet.training.tracking import tracked_run
from tests.training.world import SETTINGS, experiment, logging_to, make_store

BASE = NetworkConfig()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[None]:
    with logging_to(make_store(tmp_path)):
        yield


def children(run_id: str) -> list[Run]:
    found: list[Run] = mlflow.search_runs(
        experiment_names=["fraudnet"], output_format="list",
        filter_string=f"tags.mlflow.parentRunId = '{run_id}'",
    )  # fmt: skip
    return sorted(found, key=lambda run: run.info.start_time)


@given(
    st.lists(st.floats(1, 1.41), min_size=1, max_size=4),
    st.lists(st.floats(1, 1.41), min_size=1, max_size=4),
)
def test_every_candidate_doubles_the_work(depths: list[float], lengths: list[float]) -> None:
    found = grid(depths, lengths)
    assert {(c.depth, c.length) for c in found} == {(a, c) for a in depths for c in lengths}
    assert all(isclose(c.depth * c.width**2 * c.length, 2) for c in found)


def test_pairs_that_would_need_a_narrower_network_are_left_out() -> None:
    found = [(c.depth, c.length) for c in grid([1, 1.5, 2], [1, 1.5])]
    assert found == [(1, 1), (1, 1.5), (1.5, 1), (2, 1)]
    assert grid([2.0], [1.0])[0].width == 1.0


@pytest.mark.parametrize("given_", [([0.9], [1.0]), ([1.0], [float("nan")]), ([1.5], [1.5])])
def test_coefficients_that_cannot_be(given_: tuple[list[float], list[float]]) -> None:
    with pytest.raises(InputError, match=r"at least 1|at most 2"):
        grid(*given_)


def test_what_rounds_to_one_network_is_trained_once() -> None:
    tried = [Coefficients(1.2, 1.21, 1.15), Coefficients(1.2, 1.2, 1.15), Coefficients(1, 1.4, 1)]
    assert scaled(BASE, 1, tried[0]) == scaled(BASE, 1, tried[1])
    base, both, other = candidates(BASE, 1, tried)
    assert (base.coefficients, base.network) == ((), BASE)
    assert both.coefficients == tuple(tried[:2])
    assert other == Candidate((tried[2],), scaled(BASE, 1, tried[2]))


def test_candidates_that_are_all_the_base_are_refused() -> None:
    with pytest.raises(InputError, match=r"phi = 0\.01 all candidates round to the base"):
        candidates(BASE, 0.01, grid([1, 1.2], [1, 1.2]))


def outcome(coefficients: int, macs: int, *found: float) -> Outcome:
    made_by = (Coefficients(1.1, 1.2, 1.3),) * coefficients
    return Outcome(Candidate(made_by, BASE), 10, 20, macs, found, "id")


def test_best_is_the_highest_mean_and_of_equals_the_cheapest() -> None:
    base, cheap = outcome(0, 1, 0.9), outcome(1, 2, 0.5, 0.7)
    assert best([base, outcome(1, 3, 0.7, 0.5), cheap, outcome(1, 1, 0.8, 0.1)]) is cheap
    assert cheap.deviation == pytest.approx(0.02**0.5)
    assert base.deviation is None


def test_what_seeds_differ_by_is_noise() -> None:
    base = outcome(0, 1, 0.90, 0.92)
    assert within_noise([base, outcome(1, 2, 0.91, 0.93)])
    assert within_noise([base, outcome(1, 2, 0.95, 0.97)]) is False
    assert within_noise([outcome(0, 1, 0.9), outcome(1, 2, 0.99)]) is None


@dataclass(frozen=True)
class Given:
    """The part of a prepared data set that is handed on."""

    experiment: Experiment


@pytest.mark.usefixtures("store")
def test_runs_are_a_tree_of_candidates_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[int, int]] = []

    def train(prepared: Given) -> Any:  # noqa: ANN401
        network, seed = prepared.experiment.network, prepared.experiment.training.seed
        trained.append((network.width, seed))
        with tracked_run("train"):
            mlflow.log_metric("seen", seed)
        figures = {"validation": {"average_precision": network.width / 100 + seed / 1000}}
        return SimpleNamespace(facts=SimpleNamespace(metrics=figures))

    monkeypatch.setattr("fraudnet.search.scaling.train", train)
    tried = candidates(BASE, 1, [Coefficients(1, 1.4, 1)])
    with tracked_run("scale search") as parent:
        prepared: Any = Given(experiment("training.seed=3"))
        base, wider = search(prepared, tried, seeds=2)
    assert trained == [(40, 3), (40, 4), (56, 3), (56, 4)]
    assert wider.average_precision == pytest.approx((0.563, 0.564))
    first, second = children(parent.info.run_id)
    assert (first.info.run_id, second.info.run_id) == (base.run_id, wider.run_id)
    assert second.info.run_name == "depth 1, width 1.400, length 1"
    assert second.data.metrics["validation_average_precision"] == pytest.approx(0.5635)
    assert second.data.metrics["macs"] == wider.macs > base.macs
    assert second.data.params["width"] == "56"
    assert [run.data.metrics for run in children(wider.run_id)] == [{"seen": 3}, {"seen": 4}]


@pytest.mark.usefixtures("store")
def test_a_run_that_mlflow_has_begun_is_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    with tracked_run("begun by mlflow run") as begun:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", begun.info.run_id)
    with (
        tracked_run("scale search") as parent,
        nested_run("child") as child,
        tracked_run("train") as inner,
    ):
        assert inner.info.run_id == child.info.run_id != parent.info.run_id
    assert parent.info.run_id == begun.info.run_id
    assert [run.info.run_id for run in children(begun.info.run_id)] == [child.info.run_id]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--phi", "0"], "--phi must be above 0"),
        (["--phi", "nan"], "--phi must be above 0"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--depths", "0.5"], "coefficients must be at least 1, got 0.5"),
        (["--size", "nanu"], "did you mean 'nano'?"),
    ],
)
def test_options_that_cannot_be(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "search", "--data", "none.csv", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_search_from_data_to_coefficients(
    payments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    output = tmp_path / "made" / "search.json"
    words = ["scale", "search", "--data", str(payments), *settings, "--output", str(output)]
    assert main([*words, "--depths", "1", "1.5", "--lengths", "1"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    result = json.loads(output.read_text())
    base, *others = result["candidates"]
    assert base["coefficients"] == []
    assert len(others) == 2
    top = max(others, key=lambda each: each["average_precision_mean"])
    assert result["best"] == top
    (coefficients,) = top["coefficients"]
    assert f"best: depth {coefficients['depth']:g}, width {coefficients['width']:.3f}" in shown
    (parent,) = [
        run for run in mlflow.search_runs(["1"], output_format="list")
        if "mlflow.parentRunId" not in run.data.tags
    ]  # fmt: skip
    logged = mlflow.artifacts.load_dict(f"{parent.info.artifact_uri}/scale_search.json")
    assert logged == result
    assert [run.info.run_id for run in children(parent.info.run_id)] == [
        each["run_id"] for each in result["candidates"]
    ]
    for each in result["candidates"]:
        (training,) = children(each["run_id"])
        metrics = training.data.metrics
        assert metrics["validation_average_precision"] == each["average_precision"][0]
        assert not [name for name in metrics if name.startswith("test")]
        assert training.data.params["network.width"] == str(each["network"]["width"])
