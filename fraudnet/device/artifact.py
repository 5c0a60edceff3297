"""Open an artifact: one .tflite whose zip tail says what it reads and what it must answer."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import DISTANCE, PROBABILITY, SEQUENCE, Contract, parse_contract
from fraudnet.device.errors import ArtifactError
from fraudnet.device.runtime import Network, Tensor
from fraudnet.device.signature import check_signed
from fraudnet.device.tail import CONTRACT, VECTORS, read_regular, split

WINDOW_LIMIT = 65_536  # positions
INPUTS_LIMIT = 1_000
MESSAGE_LIMIT = 1_000  # characters; what a message quotes may be as long as the document
LARGEST = {
    "float32": float(np.finfo(np.float32).max),
    "int32": float(np.iinfo(np.int32).max),
}


@dataclass(frozen=True)
class Artifact:
    """An artifact that has been checked against its own contract and test vectors."""

    contract: Contract
    network: Network
    model: bytes  # the flatbuffer
    sha256: str

    def sequence_network(self, answers: int) -> Network | None:
        """The network of `answers` transactions in a row, after the context of the first.

        None: the artifact has no signature for that.
        """
        if SEQUENCE not in self.contract.signatures:
            return None
        positions = self.contract.window_length - 1 + answers
        return Network(self.model, SEQUENCE, positions=positions)


def open_artifact(path: Path, public_key: Path | None = None, threads: int = 1) -> Artifact:
    """Reads, checks and loads an artifact.

    Args:
        path: the .tflite.
        public_key: PEM of the key that it must be signed with; None: it need not be.
        threads: that the runtime may use.

    Raises:
        ArtifactError: the file is missing, truncated, damaged, of another format or version, or
            does not answer its own test vectors; or is not signed with the key.
        DeviceInputError: no TFLite runtime is installed, or the key cannot be used.
    """
    with _named(path):
        content = read_regular(path)
        if public_key is not None:
            check_signed(path, content, public_key)
        model, contract, documents = _described(content)
        network = Network(model, contract.signature, threads)
        _check_match("input", {i.name: (i.shape, i.dtype) for i in contract.inputs}, network.inputs)
        _check_match("output", contract.outputs, network.outputs)
        _check_answers(contract, network, documents[VECTORS])
        return Artifact(contract, network, model, hashlib.sha256(content).hexdigest())


def read_documents(path: Path) -> dict[str, Any]:
    """Reads `contract.json` and `vectors.json` of an artifact, with no runtime.

    The vectors are a list of at least one; what is in it is not checked.

    Raises:
        ArtifactError: the file is missing, truncated, damaged, or of another format or version.
    """
    with _named(path):
        return _described(read_regular(path))[2]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}; give the path of a .tflite file") from error
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {_one_line(str(error))}") from error


def _one_line(message: str) -> str:
    """Printable and short, whatever the file had written into it."""
    line = "".join(c if c.isprintable() else " " for c in message)
    return line if len(line) <= MESSAGE_LIMIT else f"{line[:MESSAGE_LIMIT]}..."


def _described(content: bytes) -> tuple[bytes, Contract, dict[str, Any]]:
    """The flatbuffer, and what the file says of it; checked before the runtime sees it.

    A runtime crashes on a damaged flatbuffer.
    """
    model, documents, sealed = split(content)
    contract = parse_contract(documents[CONTRACT])
    if not sealed and documents[CONTRACT]["format_version"] != 1:
        raise ArtifactError("no sha256 at its end, as all but version 1 have; copy it again")
    if documents[CONTRACT].get("model_sha256") != hashlib.sha256(model).hexdigest():
        raise ArtifactError("the model differs from its sha256 in contract.json; copy it again")
    _check_limits(contract)
    _check_names(documents[CONTRACT])
    if not isinstance(documents[VECTORS], list) or not documents[VECTORS]:
        raise ArtifactError("vectors.json holds no test vector; export the artifact again")
    return model, contract, documents


def _check_limits(contract: Contract) -> None:
    """Before anything is allocated."""
    if not 1 <= contract.window_length <= WINDOW_LIMIT:
        raise ArtifactError(
            f"contract.json: window_length is {contract.window_length}; expected 1 to "
            f"{WINDOW_LIMIT:,}"
        )
    if len(contract.inputs) > INPUTS_LIMIT:
        raise ArtifactError(
            f"contract.json has {len(contract.inputs):,} inputs; expected at most {INPUTS_LIMIT:,}"
        )
    shape = [1, contract.window_length]
    for entry in contract.inputs:
        if list(entry.shape) != shape or not all(type(size) is int for size in entry.shape):
            raise ArtifactError(
                f"input {entry.name!r} has shape {list(entry.shape)}, expected {shape}"
            )
        if entry.dtype not in LARGEST:
            raise ArtifactError(
                f"input {entry.name!r} is {entry.dtype!r}, expected {' or '.join(LARGEST)}"
            )
        words = entry.vocabulary
        if not all(isinstance(word, str) for word in words) or len(set(words)) < len(words):
            raise ArtifactError(
                f"input {entry.name!r}: its vocabulary is not of strings that differ; export the "
                "artifact again"
            )


def _check_names(document: Mapping[str, Any]) -> None:
    for key in ("inputs", "outputs"):
        names = [entry["name"] for entry in document[key]]
        if len(set(names)) < len(names):
            raise ArtifactError(f"contract.json has two {key} of one name; export it again")


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


def _check_answers(contract: Contract, network: Network, vectors: Sequence[Any]) -> None:
    for i, vector in enumerate(vectors):
        try:
            arrays = {
                entry.name: _array(vector["inputs"][entry.name], entry.dtype).reshape(entry.shape)
                for entry in contract.inputs
            }
            expected = {
                name: _array([vector["outputs"][name]], "float32").item()
                for name in (PROBABILITY, DISTANCE)
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"vectors.json[{i}] does not fit the contract ({error!r}); export it again"
            ) from error
        answer = network.run(arrays)
        # Written so that NaN fails.
        for name, value in expected.items():
            near = contract.tolerance
            if not math.isclose(answer[name], value, rel_tol=near, abs_tol=near):
                raise ArtifactError(
                    f"self-check failed: test vector {i} gives {name} {answer[name]:.6g}, expected "
                    f"{value:.6g}; copy the file again, or try the other TFLite runtime"
                )


def _array(values: object, dtype: str) -> NDArray[np.generic]:
    """A flat list of numbers as an array of a type that holds them."""
    if not isinstance(values, list) or not set(map(type, values)) <= {int, float}:
        raise ValueError("expected a list of numbers")
    found = np.array(values, np.float64)
    if (np.abs(found) > LARGEST[dtype]).any():
        raise ValueError(f"a number is too large for {dtype}")
    return found.astype(dtype)
