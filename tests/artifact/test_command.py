"""`fraudnet export` and `fraudnet artifact`: what they say, and their exit status."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudnet.artifact import export as export_module
from fraudnet.artifact.flatbuffer import slim
from fraudnet.artifact.lengthwise import lengthwise
from fraudnet.artifact.package import package
from fraudnet.artifact.stepwise import stepwise
from fraudnet.artifact.verify import keras_answers
from fraudnet.cli import main
from fraudnet.latency.answering import Answers
from fraudnet.training.trained import Windows
from tests.artifact.runtimes import in_a_process, need
from tests.training.world import World, logging_to

pytestmark = pytest.mark.xdist_group("trained")

RUNTIMES = ("ai_edge_litert", "tflite_runtime")
CHOICE = "FRAUDNET_TFLITE_RUNTIME"


def split(path: Path) -> tuple[bytes, dict[str, Any], list[dict[str, Any]]]:
    with zipfile.ZipFile(path) as tail:
        contract, vectors = (json.loads(tail.read(f"{n}.json")) for n in ("contract", "vectors"))
        start = tail.getinfo("contract.json").header_offset
    return path.read_bytes()[:start], contract, vectors


def test_export_says_what_it_wrote_and_how_near_it_is(world: World) -> None:
    said = world.said["export"]
    assert said["path"] == str(world.artifact)
    assert said["bytes"] == world.artifact.stat().st_size
    assert said["windows"] == 10_007
    assert said["variant"] == "float32"
    assert [name.split()[0] for name in said["runtimes"]] == ["ai-edge-litert", "tflite-runtime"]
    assert 0 < said["worst_probability_difference"] <= 1e-5
    assert 0 < said["worst_distance_difference"] <= 1e-3


def test_another_export_gives_the_same_bytes(
    world: World, scratch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "again.tflite"
    with logging_to(scratch):
        assert main(["export", "--model", str(world.model), "--artifact", str(path)]) == 0
    assert path.read_bytes() == world.artifact.read_bytes()
    said, *runtimes = capsys.readouterr().out.splitlines()
    assert said == f"{path}: float32, {path.stat().st_size:,} bytes; against Keras"
    assert len(runtimes) == 2
    assert all("on 10,007 windows the probability differs by at most" in each for each in runtimes)


def refusal(world: World, scratch: str, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What an export says that writes nothing."""
    with logging_to(scratch):
        assert main(["export", "--model", str(world.model), "--artifact", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fraudnet export: float32 in ai-edge-litert ")
    assert not path.exists()
    return error


def test_an_export_that_differs_from_keras_is_status_1(
    world: World,
    scratch: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def nudged(network: object, windows: Windows) -> dict[str, Any]:
        found = keras_answers(network, windows)  # type: ignore[arg-type]
        found["ood_distance"][0] *= 1.1
        return found

    monkeypatch.setattr(export_module, "keras_answers", nudged)
    error = refusal(world, scratch, tmp_path / "fraud.tflite", capsys)
    assert ": the artifact differs from Keras on 10007 windows: " in error
    assert error.endswith("it was not written\n")


Ask = Callable[[str, bytes, Windows], Answers]


def off_by_one(ask: Ask) -> Ask:
    """Answers to the window before."""
    return lambda runtime, model, windows: ask(
        runtime, model, {name: np.roll(values, 1, axis=0) for name, values in windows.items()}
    )


DIFFERENT = "the artifact differs from score_window on 400 "


@pytest.mark.parametrize(
    ("changed", "signature", "said"),
    [
        (
            {"slim": lambda model, _, step: slim(model, "sequences", step)},
            "score_sequence",
            "ends with status 1: ",
        ),
        ({"lengthwise": off_by_one(lengthwise)}, "score_sequence", DIFFERENT),
        ({"stepwise": off_by_one(stepwise)}, "step", DIFFERENT),
    ],
    ids=["missing", "different", "step"],
)
def test_an_export_whose_signatures_answer_otherwise_is_status_1(
    changed: dict[str, Any],
    signature: str,
    said: str,
    world: World,
    scratch: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, function in changed.items():
        monkeypatch.setattr(export_module, name, function)
    error = refusal(world, scratch, tmp_path / "fraud.tflite", capsys)
    assert f": {signature}, last 400 windows: {said}" in error
    assert ("--no-step" in error) == (signature == "step")


def test_inspect_prints_the_contract_as_json(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["artifact", "inspect", str(world.artifact), "--json"]) == 0
    _, contract, _ = split(world.artifact)
    assert json.loads(capsys.readouterr().out) == contract


def test_inspect_shows_what_people_look_at_first(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["artifact", "inspect", str(world.artifact)]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = dict(line.split(": ", 1) for line in lines if ": " in line)
    facts = world.trained.facts
    assert shown["window_length"] == str(facts.receptive_field)
    assert shown["mlflow_run_id"] == facts.mlflow_run_id
    assert f"  probability: {facts.threshold.probability}" in lines[lines.index("threshold:") :]
    assert f"input amount: float32 [1, {facts.receptive_field}]" in "\n".join(lines)
    assert "output fraud_probability: float32 [1, 1]" in lines
    assert max(map(len, lines)) < 500
    assert len([name for name in shown if name.startswith("input ")]) == 17


def test_inspect_needs_no_runtime(world: World) -> None:
    program = (
        "import sys; sys.modules['ai_edge_litert'] = sys.modules['tflite_runtime'] = None;"
        "sys.modules['tensorflow'] = sys.modules['keras'] = sys.modules['mlflow'] = None;"
        "from fraudnet.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = in_a_process("-c", program, "artifact", "inspect", world.artifact)
    assert "window_length: " in done.stdout


def test_verify_runs_the_vectors_in_every_runtime(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in RUNTIMES:
        need(name)
    monkeypatch.delenv(CHOICE, raising=False)
    vectors = len(split(world.artifact)[2])
    digest = hashlib.sha256(world.artifact.read_bytes()).hexdigest()
    verify = ("-m", "fraudnet", "artifact", "verify", world.artifact)
    assert in_a_process(*verify).stdout.splitlines() == [
        f"{world.artifact}: {name} answers all {vectors} test vectors; sha256 {digest}"
        for name in RUNTIMES
    ]
    told = [json.loads(line) for line in in_a_process(*verify, "--json").stdout.splitlines()]
    assert told == [{"runtime": n, "vectors": vectors, "sha256": digest} for n in RUNTIMES]


def test_verify_runs_the_runtime_that_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CHOICE, RUNTIMES[0])
    assert main(["artifact", "verify", str(world.artifact), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runtime"] == RUNTIMES[0]
    assert os.environ[CHOICE] == RUNTIMES[0]


@pytest.mark.parametrize("action", ["inspect", "verify"])
def test_a_damaged_artifact_is_status_2(
    world: World, action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.tflite"
    path.write_bytes(world.artifact.read_bytes()[:-30])
    assert main(["artifact", action, str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fraudnet artifact: {path}: no contract at its end")
    assert error.count("\n") == 1


def test_an_artifact_that_answers_otherwise_is_status_2(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(CHOICE, RUNTIMES[0])
    model, contract, vectors = split(world.artifact)
    vectors[4]["outputs"]["fraud_probability"] += 0.01
    path = tmp_path / "other.tflite"
    path.write_bytes(package(model, contract, vectors))
    assert main(["artifact", "verify", str(path)]) == 2
    assert "self-check failed: test vector 4 gives fraud_probability" in capsys.readouterr().err
    assert os.environ[CHOICE] == RUNTIMES[0]


def test_the_threshold_is_a_number_that_json_keeps(world: World) -> None:
    _, contract, _ = split(world.artifact)
    threshold = contract["threshold"]["probability"]
    assert threshold == world.trained.facts.threshold.probability
    assert np.isfinite(threshold)
