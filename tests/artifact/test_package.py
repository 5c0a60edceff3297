"""The file: a flatbuffer that an interpreter loads as it is, what it says of itself at its end."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudnet.artifact.package import package, write_atomically
from fraudnet.device.artifact import open_artifact, read_documents
from fraudnet.device.contract import parse_contract
from fraudnet.energy.counting import count_bytes
from fraudnet.errors import InputError
from tests.artifact.runtimes import answers_of
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")


@pytest.fixture(scope="module")
def documents(world: World) -> dict[str, Any]:
    """Read by zipfile alone."""
    with zipfile.ZipFile(world.artifact) as tail:
        return {name: json.loads(tail.read(name)) for name in tail.namelist()}


@pytest.fixture(scope="module")
def contract(documents: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = documents["contract.json"]
    return found


def test_the_tail_is_a_zip_of_two_documents(world: World, documents: dict[str, Any]) -> None:
    assert list(documents) == ["contract.json", "vectors.json"]
    with zipfile.ZipFile(world.artifact) as tail:
        assert tail.testzip() is None
    assert read_documents(world.artifact) == documents


def test_the_digest_is_of_the_flatbuffer(world: World, contract: dict[str, Any]) -> None:
    with zipfile.ZipFile(world.artifact) as tail:
        start = tail.getinfo("contract.json").header_offset
    model = world.artifact.read_bytes()[:start]
    assert model[4:8] == b"TFL3"
    assert contract["model_sha256"] == hashlib.sha256(model).hexdigest()


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_an_interpreter_loads_the_file_as_it_is(
    world: World, documents: dict[str, Any], runtime: str, tmp_path: Path
) -> None:
    copied = tmp_path / "fraud.tflite"
    shutil.copy(world.artifact, copied)
    vectors, inputs = documents["vectors.json"], world.trained.network.specification.inputs
    windows = {i.name: np.array([v["inputs"][i.name] for v in vectors], i.dtype) for i in inputs}
    found = answers_of(runtime, copied, windows)
    assert found["signatures"].tolist() == ["score_window", "score_sequence", "step"]
    for name in ("fraud_probability", "ood_distance"):
        told = [vector["outputs"][name] for vector in vectors]
        assert found[name] == pytest.approx(told, rel=1e-4, abs=1e-5)


def test_the_vectors_are_windows_with_the_answers_of_keras(
    world: World, documents: dict[str, Any]
) -> None:
    vectors = documents["vectors.json"]
    inputs = world.trained.network.specification.inputs
    windows = {i.name: np.array([v["inputs"][i.name] for v in vectors], i.dtype) for i in inputs}
    assert len(vectors) >= 6
    assert {values.shape for values in windows.values()} == {
        (len(vectors), world.trained.facts.receptive_field)
    }
    expected = world.trained.network.scores(windows)
    for name in ("fraud_probability", "ood_distance"):
        told = np.array([vector["outputs"][name] for vector in vectors])
        assert told == pytest.approx(expected[name].numpy()[:, 0, 0], rel=1e-4, abs=1e-6)


def test_the_vectors_are_suspicious_short_and_odd_windows(
    world: World, documents: dict[str, Any]
) -> None:
    vectors = documents["vectors.json"]
    told = [vector["outputs"]["fraud_probability"] for vector in vectors]
    scores = world.trained.network.scores(world.trained.windows)
    among = scores["fraud_probability"].numpy()[:, 0, 0]
    length = world.trained.windows["valid"].sum(axis=1)
    assert max(told) >= among[length <= 24].max() - 1e-6
    assert min(told) < np.median(among)
    assert sum(set(vector["inputs"]["amount"]) == {0.0} for vector in vectors) == 1
    assert len(told) == len(set(told)) >= 6
    assert sum(sum(vector["inputs"]["valid"]) == 1 for vector in vectors) >= 1


def test_the_device_reads_what_it_needs(world: World, contract: dict[str, Any]) -> None:
    facts, parsed = world.trained.facts, parse_contract(contract)
    assert (parsed.signature, parsed.window_length) == ("score_window", facts.receptive_field)
    assert parsed.threshold == facts.threshold.probability
    assert parsed.distance_threshold == facts.sentinel.distance_threshold
    told = {"score": facts.score_quantiles, "distance": facts.ood_quantiles}
    read = {"score": parsed.score_quantiles, "distance": parsed.distance_quantiles}
    assert read == {k: {float(q): v for q, v in each.items()} for k, each in told.items()}
    assert contract["sentinel"] == {
        "layer": facts.sentinel.layer,
        "form": facts.sentinel.form,
        "shrinkage": 0.01,
        "false_alarm_rate": 0.01,
        "distance_threshold": facts.sentinel.distance_threshold,
    }
    assert parsed.columns == {"category": "categorical", "distance": "numeric"}
    inputs = [(i.name, i.dtype, i.kind, i.shape) for i in parsed.inputs]
    shape = (1, facts.receptive_field)
    assert inputs == [(i.name, i.dtype, i.kind, shape) for i in facts.experiment.features.inputs]
    (category,) = (i for i in parsed.inputs if i.kind == "categorical")
    assert category.vocabulary == facts.experiment.features.categorical[0].vocabulary
    assert parsed.reputation is not None
    assert parsed.reputation.max_age_days == 2.0
    assert parsed.reputation.columns == (
        "count_1d", "fraud_1d", "count_7d", "fraud_7d", "count_30d", "fraud_30d",
        "genuine_recency_35d", "fraud_recency_35d", "onset_recency_35d", "run_recency_35d",
        "run_fraud_35d",
    )  # fmt: skip


@pytest.mark.parametrize(
    "key",
    [
        "threshold", "calibration", "ood_quantiles", "score_quantiles", "training_data", "periods",
        "metrics",
    ],
)  # fmt: skip
def test_the_contract_holds_the_facts(world: World, contract: dict[str, Any], key: str) -> None:
    facts = json.loads((world.model / "trained.json").read_text())
    assert contract[key] == facts[key]
    assert contract[key]


def test_the_contract_names_run_experiment_and_maker(
    world: World, contract: dict[str, Any]
) -> None:
    facts = json.loads((world.model / "trained.json").read_text())
    assert contract["mlflow_run_id"] == facts["mlflow_run_id"]
    assert contract["experiment"] == facts["experiment"]
    assert contract["training_data"]["fingerprint"].startswith("sha256:")
    assert contract["metrics"].keys() == {"validation", "test"}
    assert contract["created_by"].startswith("fraudnet ")


def test_the_contract_holds_what_the_network_costs(world: World, contract: dict[str, Any]) -> None:
    costs, count = contract["costs"], count_bytes(world.artifact.read_bytes(), "the artifact")
    with zipfile.ZipFile(world.artifact) as tail:
        assert costs["model_bytes"] == tail.getinfo("contract.json").header_offset
    assert (costs["macs"], costs["parameter_bytes"]) == (count.macs, count.parameter_bytes)
    assert costs["peak_live_activation_bytes"] == count.peak_live_activation_bytes
    energy = costs["energy"]
    assert (energy["device"], energy["inferences_per_day"]) == ("pixel-8", 5000.0)
    for figure in ("energy_per_inference_uj", "battery_percent_per_day"):
        assert 0 < energy[figure]["low"] <= energy[figure]["high"]


def test_the_artifact_opens_as_on_a_device(world: World) -> None:
    opened = open_artifact(world.artifact)
    assert opened.sha256 == hashlib.sha256(world.artifact.read_bytes()).hexdigest()


def test_the_same_arguments_give_the_same_bytes(contract: dict[str, Any]) -> None:
    model = b"\x1c\x00\x00\x00TFL3" + bytes(100)
    turned = dict(reversed(contract.items()))
    assert package(model, contract, [{"a": 1}]) == package(model, turned, [{"a": 1}])
    assert package(model, contract, [{"a": 1}]) != package(model, contract, [{"a": 2}])


def test_a_written_file_can_be_read_by_others_and_replaces_the_older(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "fraud.tflite"
    for content in (b"one", b"two"):
        write_atomically(path, content)
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.chmod"])
def test_a_write_that_fails_leaves_the_older_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "fraud.tflite"
    path.write_bytes(b"older")
    with monkeypatch.context() as patch:
        patch.setattr(broken, failing)
        with pytest.raises(InputError, match="cannot be written: No space left"):
            write_atomically(path, b"newer")
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def failing(*_: object) -> Callable[..., None]:
    raise OSError(28, "No space left on device")
