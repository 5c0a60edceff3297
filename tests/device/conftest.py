"""The example network as an artifact, and snapshots of reputation, for the tests of the device."""

import hashlib
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.device.example_network import (
    FLOATS,
    INTEGERS,
    LENGTH,
    OTHER_KINDS,
    OTHER_LENGTH,
    VOCABULARY,
    other_reference,
    other_type,
    reference,
)
from tests.device.served import Served

KINDS: dict[str, dict[str, Any]] = {
    "amount": {"kind": "amount"},
    "day": {"kind": "day"},
    "second": {"kind": "second"},
    "valid": {"kind": "valid"},
    "category": {"kind": "categorical", "column": "category", "vocabulary": list(VOCABULARY)},
    "distance": {"kind": "numeric", "column": "distance"},
    "counterparty_count_7d": {"kind": "reputation", "statistic": "count", "days": 7},
    "counterparty_fraud_7d": {"kind": "reputation", "statistic": "fraud", "days": 7},
}
THRESHOLD = 0.55
DISTANCE_THRESHOLD = 3.0


def contract() -> dict[str, Any]:
    return {
        "format": "fraudnet-artifact",
        "format_version": 1,
        "created_by": "fraudnet test",
        "signature": "score_window",
        "window_length": LENGTH,
        "inputs": [
            {"name": name, "dtype": "float32" if name in FLOATS else "int32"}
            | {"shape": [1, LENGTH]}
            | own
            for name, own in KINDS.items()
        ],
        "outputs": [
            {"name": name, "dtype": "float32", "shape": [1, 1]}
            for name in ("fraud_probability", "ood_distance")
        ],
        "threshold": {"probability": THRESHOLD, "chosen_by": "alert budget"},
        "sentinel": {"layer": "stem", "form": "full", "distance_threshold": DISTANCE_THRESHOLD},
        "reputation": {"key": "counterparty_id", "windows_days": [7], "max_age_days": 2},
    }


def vectors(count: int = 5) -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    made = []
    for _ in range(count):
        window = {name: rng.integers(0, 4, LENGTH).astype(float) for name in FLOATS}
        window |= {name: rng.integers(0, 4, LENGTH) for name in INTEGERS}
        window["valid"] = np.ones(LENGTH)
        window["day"] = window["day"] + 20_000
        probability, distance = reference(window)
        made.append(
            {
                "inputs": {name: values.tolist() for name, values in window.items()},
                "outputs": {"fraud_probability": probability, "ood_distance": distance},
            }
        )
    return made


def with_tail(model: bytes, documents: Mapping[str, object]) -> bytes:
    """The file by way of zipfile, nothing of the writer's; the digest of the model is added."""
    tail = io.BytesIO()
    with zipfile.ZipFile(tail, "w") as archive:
        for name, document in documents.items():
            if name == "contract.json" and isinstance(document, dict):
                document = {"model_sha256": hashlib.sha256(model).hexdigest()} | document
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            archive.writestr(entry, json.dumps(document), zipfile.ZIP_DEFLATED)
        archive.comment = bytes(64)
    content = (model + tail.getvalue())[:-64]
    return content + hashlib.sha256(content).hexdigest().encode()


def write_snapshot(
    path: Path,
    counts: Mapping[str, Sequence[int]],
    as_of_us: int,
    columns: Sequence[str] = ("count_7d", "fraud_7d"),
) -> Path:
    """Writes the format from its description, with nothing of the reader's."""
    hashed = sorted(
        (int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"), row)
        for name, row in counts.items()
    )
    body = b"".join(struct.pack("<Q", key) for key, _ in hashed)
    body += b"".join(struct.pack(f"<{len(row)}H", *row) for _, row in hashed)
    header = json.dumps(
        {"key": "counterparty_id", "as_of_us": as_of_us, "columns": list(columns)}
        | {"rows": len(hashed)}
    ).encode()
    checked = header + b"\0" * (-(16 + len(header)) % 8) + body
    path.write_bytes(b"FNREP002" + struct.pack("<II", len(header), zlib.crc32(checked)) + checked)
    return path


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    command = [sys.executable, "-m", "tests.device.example_network", str(folder)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def model(networks: Path) -> bytes:
    return (networks / "plain.tflite").read_bytes()


@pytest.fixture(scope="session")
def artifact(model: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "fraud.tflite"
    path.write_bytes(with_tail(model, {"contract.json": contract(), "vectors.json": vectors()}))
    return path


@pytest.fixture(scope="session")
def other_artifact(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of a longer window, other columns, other vocabularies, more reputation."""
    told = contract() | {"window_length": OTHER_LENGTH}
    told["threshold"] = {"probability": 0.5}
    told["reputation"] = {"key": "counterparty_id", "windows_days": [7, 30], "max_age_days": 2}
    told["inputs"] = [
        {"name": name, "dtype": other_type(name), "shape": [1, OTHER_LENGTH]} | own
        for name, own in OTHER_KINDS.items()
    ]
    rng = np.random.default_rng(7)
    made = []
    for _ in range(3):
        window = {name: rng.integers(0, 4, OTHER_LENGTH) for name in OTHER_KINDS}
        window |= {"valid": np.ones(OTHER_LENGTH, int), "day": window["day"] + 20_000}
        probability, distance = other_reference(window)
        answer = {"fraud_probability": probability, "ood_distance": distance}
        made.append({"inputs": {n: v.tolist() for n, v in window.items()}, "outputs": answer})
    path = tmp_path_factory.mktemp("artifact") / "other.tflite"
    model = (networks / "other.tflite").read_bytes()
    path.write_bytes(with_tail(model, {"contract.json": told, "vectors.json": made}))
    return path


@pytest.fixture(scope="session")
def sequence_artifact(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact that answers many transactions of an account in one call."""
    signatures = [{"name": name} for name in ("score_window", "score_sequence")]
    told = contract() | {"format_version": 2, "tolerance": 1e-3, "signatures": signatures}
    model = (networks / "sequence.tflite").read_bytes()
    path = tmp_path_factory.mktemp("artifact") / "fraud.tflite"
    path.write_bytes(with_tail(model, {"contract.json": told, "vectors.json": vectors()}))
    return path


@pytest.fixture
def served(artifact: Path, tmp_path: Path) -> Served:
    """`fraudnet serve` on a store of its own."""
    return Served(artifact, tmp_path)


PROGRAM = """
import argparse, sys
from fraudnet.device.command import add_arguments, run
parser = argparse.ArgumentParser(prog="fraudnet score")
add_arguments(parser)
sys.exit(run(parser.parse_args()))
"""


def command_line(*arguments: object, before: str = "") -> list[str]:
    """`fraudnet score` as a process of its own, without the rest of the command line."""
    return [sys.executable, "-c", before + PROGRAM, *map(str, arguments)]
