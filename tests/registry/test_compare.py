"""`fraudnet compare`: figures of two runs, intervals, and what may not be compared."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from matplotlib.image import imread

from fraudnet.cli import main
from fraudnet.evaluation.comparison import Bootstrap, paired_differences
from fraudnet.training.runs import TEST_OUTDATED
from tests.registry.runs import log_run, scores
from tests.training.world import logging_to, make_store

RESAMPLES = ("--resamples", "50")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_store(tmp_path_factory.mktemp("compare"))


@pytest.fixture(autouse=True)
def tracking(store: str) -> Iterator[None]:
    with logging_to(store):
        yield


@pytest.fixture(scope="module")
def pair(store: str) -> tuple[str, str]:
    with logging_to(store):
        return log_run(scores(0.3)), log_run(scores(0.5, seed=1), **{"network.width": 16, "new": 1})


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["compare", *arguments, *RESAMPLES, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["compare", *arguments, *RESAMPLES]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_all_figures_stand_beside_each_other(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, *pair)
    logged = [mlflow.get_run(run_id).data.metrics for run_id in pair]
    expected = {n.removeprefix("test_") for n in logged[0] if not n.startswith("validation_")}
    assert found["figures"].keys() == expected
    figure = found["figures"]["average_precision"]
    a, b = (metrics["test_average_precision"] for metrics in logged)
    assert figure == {"a": a, "b": b, "difference": b - a}
    assert [found[x]["run_id"] for x in "ab"] == list(pair)


def test_the_intervals_are_those_of_the_scores(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, *pair, "--confidence", "0.8", "--seed", "3")
    expected = paired_differences(scores(0.3), scores(0.5, seed=1), Bootstrap(0.8, 400, 3))
    assert found["intervals"].keys() == expected.keys()
    for name, interval in found["intervals"].items():
        assert interval["difference"] == pytest.approx(expected[name].value)
        width = expected[name].high - expected[name].low
        assert interval["low"] == pytest.approx(expected[name].low, abs=width / 3)
        assert interval["high"] == pytest.approx(expected[name].high, abs=width / 3)


def test_keys_that_differ_are_named(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, *pair)
    assert found["configuration"] == {
        "network.width": {"a": "8", "b": "16"},
        "new": {"a": None, "b": "1"},
    }


def test_a_table_for_people(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *pair, *RESAMPLES]) == 0
    text = capsys.readouterr().out
    for shown in ("average precision", "95 % interval", "network.width", "ab" * 32, pair[0][:8]):
        assert shown in text


def test_the_beginning_of_an_id_will_do(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, pair[0][:12], pair[1][:12])
    assert [found[x]["run_id"] for x in "ab"] == list(pair)


def test_the_curves_are_drawn(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, *pair, "--figure", str(tmp_path / "curves.png"))
    said(capsys, pair[0], pair[0], "--figure", str(tmp_path / "same.png"))
    drawn = [imread(tmp_path / name) for name in ("curves.png", "same.png")]
    assert drawn[0].shape == drawn[1].shape
    assert (drawn[0] != drawn[1]).any(axis=-1).mean() > 0.002
    assert "cannot be written" in refused(capsys, *pair, "--figure", str(tmp_path / "no" / "x.png"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fingerprint": "sha256:" + "cd" * 32}, "different data (abababababab and cdcdcdcdcdcd)"),
        ({"period": "2025-01-02 00:00 .. 2025-01-09 00:00"}, "their periods differ"),
        ({"row": np.arange(1, 3001)}, "different rows"),
    ],
)
def test_other_rows_are_refused_unless_told(
    change: dict[str, Any], reason: str, pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = log_run(replace(scores(0.4), **change))
    assert reason in refused(capsys, pair[0], other)
    found = said(capsys, pair[0], other, "--allow-other-data")
    assert found["intervals"] == {}
    assert reason in found["not_paired"]
    assert found["figures"]["average_precision"]["difference"] > 0


def test_run_without_scores_is_refused_unless_told(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = log_run(None)
    assert "has no scores of the test period" in refused(capsys, pair[0], other)
    found = said(capsys, pair[0], other, "--allow-other-data")
    assert found["intervals"] == {}
    assert found["b"]["fingerprint"] is None


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("0" * 32, "has no run 000"),
        ("no-such-run", "names no run"),
        ("champion", "model 'fraudnet' has no champion"),
    ],
)
def test_run_that_is_not_there_is_said(
    run: str, reason: str, pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in refused(capsys, pair[0], run)


def test_beginning_of_several_ids_is_refused(
    store: str, pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    client = mlflow.MlflowClient(store)
    begins = [client.create_run("0").info.run_id[0] for _ in range(17)]
    common = max(begins, key=begins.count)
    assert f"several runs begin with {common}" in refused(capsys, pair[0], common)


def test_run_that_was_not_measured_is_said(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.set_experiment("fraudnet")
    with mlflow.start_run() as run:
        mlflow.log_metric("training_loss", 1.0)
    reason = refused(capsys, pair[0], run.info.run_id)
    assert "no figures of the test period: fraudnet evaluate logs them" in reason


def test_a_test_at_a_former_threshold_is_refused(
    store: str, pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = log_run(scores(0.4))
    mlflow.MlflowClient(store).set_tag(other, TEST_OUTDATED, "true")
    assert "threshold was chosen anew after its test" in refused(capsys, pair[0], other)
