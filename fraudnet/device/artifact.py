"""Open an artifact: one .tflite whose zip tail says what it reads and what it must answer."""

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudnet.device.contract import DISTANCE, PROBABILITY, Contract, parse_contract
from fraudnet.device.errors import ArtifactError
from fraudnet.device.runtime import Network, Tensor
from fraudnet.device.signature import check_signature, signature_path


@dataclass(frozen=True)
class Artifact:
    """An artifact that has been checked against its own contract and test vectors."""

    contract: Contract
    network: Network
    sha256: str


def open_artifact(path: Path, public_key: Path | None = None) -> Artifact:
    """Reads, checks and loads an artifact.

    Args:
        path: the .tflite.
        public_key: PEM of the key that it must be signed with; None: it need not be.

    Raises:
        ArtifactError: the file is missing, truncated, damaged, of another format or version, or
            does not answer its own test vectors; or is not signed with the key.
        DeviceInputError: no TFLite runtime is installed, or the key cannot be used.
    """
    with _named(path):
        content = path.read_bytes()
        if public_key is not None:
            check_signature(content, signature_path(path), public_key)
        return _open(content)


def read_documents(path: Path) -> dict[str, Any]:
    """Reads `contract.json` and `vectors.json` of an artifact, which are not checked.

    Raises:
        ArtifactError: the file is missing, truncated or damaged.
    """
    with _named(path):
        model, documents = _split(path.read_bytes())
        _check_digest(model, documents["contract.json"])
        return documents


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}; give the path of a .tflite file") from error
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _open(content: bytes) -> Artifact:
    model, documents = _split(content)
    contract_document = documents["contract.json"]
    contract = parse_contract(contract_document)
    # Before the runtime sees the model: tflite-runtime crashes on a damaged flatbuffer.
    _check_digest(model, contract_document)
    network = Network(model, contract.signature)
    _check_tensors(contract, network)
    _check_answers(contract, network, documents["vectors.json"])
    return Artifact(contract, network, hashlib.sha256(content).hexdigest())


def _split(content: bytes) -> tuple[bytes, dict[str, Any]]:
    """Splits the file into the flatbuffer and the documents of its zip tail."""
    if content[4:8] != b"TFL3":
        raise ArtifactError("not a TFLite file; give the .tflite that `fraudnet export` wrote")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as tail:
            documents = {
                name: json.loads(tail.read(name)) for name in ("contract.json", "vectors.json")
            }
            start = min(entry.header_offset for entry in tail.infolist())
    except zipfile.BadZipFile as error:
        raise ArtifactError(
            "no contract at its end: the file is truncated, or is a plain .tflite; copy it again "
            "whole, or make it with `fraudnet export`"
        ) from error
    except (KeyError, ValueError, RuntimeError, EOFError, zlib.error) as error:
        raise ArtifactError(f"its zip tail is damaged ({error}); copy the file again") from error
    return content[:start], documents


def _check_digest(model: bytes, contract_document: object) -> None:
    digest = contract_document.get("model_sha256") if isinstance(contract_document, dict) else None
    if digest is not None and digest != hashlib.sha256(model).hexdigest():
        raise ArtifactError("the model differs from its sha256 in contract.json; copy it again")


def _check_tensors(contract: Contract, network: Network) -> None:
    window_shape = (1, contract.window_length)
    for entry in contract.inputs:
        if entry.shape != window_shape:
            raise ArtifactError(
                f"input {entry.name!r} has shape {list(entry.shape)}, expected {list(window_shape)}"
            )
    promised = {entry.name: (entry.shape, entry.dtype) for entry in contract.inputs}
    _check_match("input", promised, network.inputs)
    _check_match("output", contract.outputs, network.outputs)


def _check_match(
    role: str, promised: Mapping[str, tuple[tuple[int, ...], str]], actual: Mapping[str, Tensor]
) -> None:
    for name in sorted(promised.keys() | actual.keys()):
        there = (actual[name].shape, actual[name].dtype) if name in actual else None
        if promised.get(name) != there:
            raise ArtifactError(
                f"{role} {name!r} is {promised.get(name, 'absent')} in contract.json but "
                f"{there or 'absent'} in the model; export the artifact again"
            )


def _check_answers(contract: Contract, network: Network, vectors: object) -> None:
    if not isinstance(vectors, list) or not vectors:
        raise ArtifactError("vectors.json holds no test vector; export the artifact again")
    for i, vector in enumerate(vectors):
        try:
            arrays = {
                entry.name: np.array(vector["inputs"][entry.name], entry.dtype).reshape(entry.shape)
                for entry in contract.inputs
            }
            expected = {name: float(vector["outputs"][name]) for name in (PROBABILITY, DISTANCE)}
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"vectors.json[{i}] does not fit the contract ({error!r}); export it again"
            ) from error
        answer = network.run(arrays)
        for name, value in expected.items():
            near = contract.tolerance
            if not math.isclose(answer[name], value, rel_tol=near, abs_tol=near):
                raise ArtifactError(
                    f"self-check failed: test vector {i} gives {name} {answer[name]:.6g}, expected "
                    f"{value:.6g}; copy the file again, or try the other TFLite runtime"
                )
