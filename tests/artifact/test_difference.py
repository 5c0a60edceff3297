"""`fraudnet artifact diff`: what differs is said, and nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudnet.artifact.export import converted, export
from fraudnet.artifact.package import package
from fraudnet.cli import main
from fraudnet.device.artifact import open_artifact
from tests.artifact.test_command import split
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")


def differing(capsys: pytest.CaptureFixture[str], *files: Path) -> dict[str, object]:
    capsys.readouterr()
    assert main(["artifact", "diff", *map(str, files), "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_an_artifact_does_not_differ_from_itself(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    found = differing(capsys, world.artifact, world.artifact)
    assert found["contract"] == found["operators"] == {}
    assert found["answers"] == {"fraud_probability": 0.0, "ood_distance": 0.0}
    assert found["different_decisions"] == 0
    assert found["windows"] == 2 * len(split(world.artifact)[2])


def test_another_threshold_is_said(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, contract, vectors = split(world.artifact)
    changed = tmp_path / "changed.tflite"
    before = contract["threshold"]["probability"]
    contract["threshold"]["probability"] = 0.0
    changed.write_bytes(package(model, contract, vectors))
    found = differing(capsys, world.artifact, changed)
    assert found["contract"] == {"threshold.probability": [before, 0.0]}
    answers = [vector["outputs"]["fraud_probability"] for vector in vectors * 2]
    assert found["different_decisions"] == sum(answer < before for answer in answers) > 0
    assert main(["artifact", "diff", str(world.artifact), str(changed)]) == 0
    assert f"threshold.probability: {before} -> 0.0" in capsys.readouterr().out


def test_a_smaller_variant_is_said(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.tflite"
    export(converted(world.trained), path, lambda _: {"macs": 1}, "int8_weights")
    found = differing(capsys, world.artifact, path)
    assert found["contract"]["variant"] == ["float32", "int8_weights"]  # type: ignore[index]
    assert found["operators"] == {"DEQUANTIZE": [0, len(world.trained.network.pointwise)]}
    vectors = [v for file in (world.artifact, path) for v in split(file)[2]]
    answers = [[probability(file, v) for v in vectors] for file in (world.artifact, path)]
    largest = np.abs(np.subtract(answers[0], answers[1])).max()
    assert found["answers"]["fraud_probability"] == pytest.approx(largest)  # type: ignore[index]


def probability(file: Path, vector: dict[str, Any]) -> float:
    opened = open_artifact(file)
    given = {i.name: np.array([vector["inputs"][i.name]], i.dtype) for i in opened.contract.inputs}
    return opened.network.run(given)["fraud_probability"]
