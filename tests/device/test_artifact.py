"""Artifacts that must be refused, each with one line that says which and the mend."""

import copy
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraudnet.device import ArtifactError, DeviceInputError
from fraudnet.device.artifact import open_artifact
from tests.device.conftest import contract, vectors, with_tail
from tests.device.example_network import LENGTH

Edit = Callable[[dict[str, Any]], object]


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        open_artifact(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_good_one(artifact: Path) -> None:
    opened = open_artifact(artifact)
    assert opened.contract.window_length == LENGTH
    assert opened.contract.columns == {"category": "categorical", "distance": "numeric"}
    assert opened.sha256 == hashlib.sha256(artifact.read_bytes()).hexdigest()


@pytest.mark.parametrize("kept", [0.999, 0.9, 0.5, 0.1])
def test_truncated(artifact: Path, tmp_path: Path, kept: float) -> None:
    content = artifact.read_bytes()
    message = refusal(tmp_path / "cut.tflite", content[: int(kept * len(content))])
    assert "truncated" in message
    assert "copy it again" in message


def test_files_that_are_no_artifact(model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.tflite"
    assert "no contract at its end" in refusal(path, model)
    for content in (b"", b"TFL3", b"PK\3\4 not a network at all", model[100:]):
        assert "not a TFLite file" in refusal(path, content)
    assert "'vectors.json'" in refusal(path, with_tail(model, {"contract.json": contract()}))


def test_damaged_tail(artifact: Path, model: bytes, tmp_path: Path) -> None:
    content = bytearray(artifact.read_bytes())
    for i in range(len(model) + 60, len(model) + 90):  # inside the deflated contract.json
        content[i] ^= 0x5A
    assert "differs from the sha256 at its end" in refusal(
        tmp_path / "damaged.tflite", bytes(content)
    )


def test_damaged_model_is_refused_before_the_runtime_sees_it(model: bytes, tmp_path: Path) -> None:
    told = contract() | {"model_sha256": hashlib.sha256(model).hexdigest()}
    documents = {"contract.json": told, "vectors.json": vectors()}
    good = tmp_path / "good.tflite"
    good.write_bytes(with_tail(model, documents))
    assert open_artifact(good).contract.window_length == LENGTH
    damaged = model[:2000] + bytes(64) + model[2064:]
    assert "sha256" in refusal(tmp_path / "damaged.tflite", with_tail(damaged, documents))


def _set(place: str, value: object) -> Edit:
    *path, last = place.split(".")

    def edit(document: dict[str, Any]) -> None:
        inner: Any = document
        for key in path:
            inner = inner[int(key) if key.isdigit() else key]
        inner[last] = value

    return edit


def _tolerant(value: float) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        document |= {"format_version": 2, "tolerance": value}

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_tolerant(1e9), "tolerance is 1e+09; expected more than 0, at most 0.1"),
        (_tolerant(0.0), "tolerance is 0; expected more than 0, at most 0.1"),
        (_set("format", "other"), "not of format 'fraudnet-artifact'"),
        (_set("format_version", 3), "format version 3, this fraudnet reads 1 and 2"),
        (_set("format_version", True), "format version True, this fraudnet reads 1 and 2"),
        (_set("signature", "step"), "'step'"),
        (_set("window_length", 17), "input 'amount' has shape [1, 16], expected [1, 17]"),
        (_set("threshold.probability", None), "threshold.probability is None; expected float"),
        (_set("threshold.probability", float("nan")), "NaN is no number of JSON"),
        (_set("inputs.0.kind", "magic"), "inputs[0] is of kind 'magic'"),
        (_set("inputs.0.name", "sum"), "input 'amount' is absent in contract.json"),
        (_set("inputs.1.dtype", "float32"), "input 'day' is ((1, 16), 'float32')"),
        (_set("inputs.4.column", "amount"), "inputs[4] reads column 'amount'"),
        (_set("inputs.6.days", "7"), "inputs[6].days is '7'; expected int"),
        (_set("outputs.1.name", "distance"), "no output 'ood_distance'"),
        (_set("reputation.max_age_days", -1), "max_age_days is -1; expected more than 0, at most"),
        (_set("reputation.max_age_days", 1e300), "max_age_days is 1e+300; expected more than 0"),
        (_set("reputation.key", "account_id"), "reputation.key is 'account_id'"),
        (lambda d: d.pop("inputs"), "no key 'inputs'"),
        (lambda d: d.pop("threshold"), "no key 'threshold'"),
        (lambda d: d["inputs"].pop(), "'counterparty_fraud_7d' is absent in contract.json"),
        (lambda d: d["inputs"][4].pop("vocabulary"), "no key 'inputs[4].vocabulary'"),
        (lambda d: d.pop("reputation"), "no key 'reputation'"),
    ],
)
def test_contract_that_does_not_fit(model: bytes, tmp_path: Path, edit: Edit, reason: str) -> None:
    document = copy.deepcopy(contract())
    edit(document)
    content = with_tail(model, {"contract.json": document, "vectors.json": vectors()})
    assert reason in refusal(tmp_path / "other.tflite", content)


def test_vectors_that_do_not_fit(model: bytes, tmp_path: Path) -> None:
    wrong, short = vectors(), vectors()
    wrong[3]["outputs"]["fraud_probability"] += 0.01
    short[2]["inputs"]["amount"].pop()
    for made, reason in [
        (wrong, "self-check failed: test vector 3 gives fraud_probability"),
        (short, "vectors.json[2] does not fit"),
        ([], "no test vector"),
        ([{}], "vectors.json[0] does not fit"),
    ]:
        content = with_tail(model, {"contract.json": contract(), "vectors.json": made})
        assert reason in refusal(tmp_path / "wrong.tflite", content)


def test_signature_that_is_not_the_first(networks: Path, tmp_path: Path) -> None:
    model = (networks / "not_first.tflite").read_bytes()
    content = with_tail(model, {"contract.json": contract(), "vectors.json": vectors()})
    assert "'score_window' is not the first" in refusal(tmp_path / "two.tflite", content)


def test_runtime_of_an_unknown_name(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDNET_TFLITE_RUNTIME", "torch")
    with pytest.raises(DeviceInputError, match="'torch'; expected ai_edge_litert or tflite_run"):
        open_artifact(artifact)


@pytest.mark.parametrize("asked", ["", "ai_edge_litert", "tflite_runtime"])
def test_runtime_that_is_missing_is_named(artifact: Path, asked: str) -> None:
    program = (
        "import sys, pathlib; sys.modules['ai_edge_litert'] = sys.modules['tflite_runtime'] = None;"
        "from fraudnet.device.artifact import open_artifact;"
        "open_artifact(pathlib.Path(sys.argv[1]))"
    )
    environment = os.environ | {"FRAUDNET_TFLITE_RUNTIME": asked}
    done = subprocess.run(
        [sys.executable, "-c", program, str(artifact)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stderr.splitlines()[-1]
    assert (asked or "ai_edge_litert or tflite_runtime") + " cannot be imported" in last
    assert f"pip install {(asked or 'ai-edge-litert').replace('_', '-')}" in last
