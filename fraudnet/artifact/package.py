"""The file: a flatbuffer with its contract and test vectors as a zip at its end."""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.errors import InputError

# The earliest date that a zip can hold, so that equal contents give equal bytes.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

Window = dict[str, npt.NDArray[np.generic]]


def vector(window: Window, answer: dict[str, float]) -> dict[str, Any]:
    """A test vector: one window's inputs, [1, T] each, and the outputs that they must give."""
    inputs = {name: values.reshape(-1).tolist() for name, values in window.items()}
    return {"inputs": inputs, "outputs": answer}


def package(model: bytes, contract: dict[str, Any], vectors: list[dict[str, Any]]) -> bytes:
    """The bytes of an artifact; the same arguments give the same bytes."""
    contract = {**contract, "model_sha256": hashlib.sha256(model).hexdigest()}
    tail = io.BytesIO()
    with zipfile.ZipFile(tail, "w") as archive:
        for name, document in (("contract.json", contract), ("vectors.json", vectors)):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, json.dumps(document, sort_keys=True), compresslevel=9)
    return model + tail.getvalue()


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
