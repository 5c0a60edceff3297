"""The file: a flatbuffer with its contract and test vectors as a zip at its end."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.device.tail import seal
from fraudnet.errors import InputError

Window = dict[str, npt.NDArray[np.generic]]


def vector(window: Window, answer: dict[str, float]) -> dict[str, Any]:
    """A test vector: one window's inputs, [1, T] each, and the outputs that they must give."""
    inputs = {name: values.reshape(-1).tolist() for name, values in window.items()}
    return {"inputs": inputs, "outputs": answer}


def package(model: bytes, contract: dict[str, Any], vectors: list[dict[str, Any]]) -> bytes:
    """The bytes of an artifact; the same arguments give the same bytes."""
    contract = {**contract, "model_sha256": hashlib.sha256(model).hexdigest()}
    return seal(model, [json.dumps(document, sort_keys=True) for document in (contract, vectors)])


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        InputError: it cannot be written there.
    """
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            beside = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        if beside is not None:
            beside.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
