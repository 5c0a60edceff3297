"""Look into an artifact without the software that made it: numpy and one TFLite runtime do."""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fraudnet.device.artifact import open_artifact, read_documents
from fraudnet.device.runtime import CHOICE, RUNTIMES

_TOP = (
    "created_by", "format_version", "variant", "runtimes", "parity", "signature", "window_length",
    "threshold", "calibration", "ood_quantiles", "score_quantiles", "sentinel", "training_data",
    "periods", "metrics", "mlflow_run_id", "costs",
)  # fmt: skip


def inspect(path: Path, as_json: bool) -> None:
    """Print the contract: all of it as JSON, or what people look at first.

    Raises:
        ArtifactError: the file is no whole artifact.
    """
    contract = read_documents(path)["contract.json"]
    if as_json:
        print(json.dumps(contract, indent=2, sort_keys=True))
        return
    for key in _TOP:
        if key in contract:
            _print(key, contract[key])
    for entry in contract["inputs"]:
        details = {k: v for k, v in entry.items() if k not in ("name", "dtype", "shape")}
        print(f"input {entry['name']}: {entry['dtype']} {entry['shape']} {_short(details)}")
    for entry in contract["outputs"]:
        print(f"output {entry['name']}: {entry['dtype']} {entry['shape']}")


def verify(path: Path, as_json: bool, public_key: Path | None = None) -> None:
    """Open the artifact as a device does, in every runtime that is installed.

    Args:
        path: the .tflite.
        as_json: print JSON lines.
        public_key: that it must be signed with; None: it need not be.

    Raises:
        ArtifactError: the file is damaged, not signed with the key, or does not answer its own
            test vectors.
        DeviceInputError: no runtime is installed, or the key cannot be used.
    """
    asked = os.environ.get(CHOICE)
    runtimes = [asked] if asked else [name for name in RUNTIMES if find_spec(name)]
    vectors: int | None = None
    for name in runtimes or RUNTIMES[:1]:
        os.environ[CHOICE] = name
        try:
            opened = open_artifact(path, public_key)
        finally:
            os.environ.pop(CHOICE) if asked is None else os.environ.update({CHOICE: asked})
        # Not before its signature is checked.
        vectors = vectors or len(read_documents(path)["vectors.json"])
        if as_json:
            found = {"runtime": name, "vectors": vectors, "sha256": opened.sha256}
            print(json.dumps(found | ({"signed_with": str(public_key)} if public_key else {})))
        else:
            signed = f"; signed with the key of {public_key}" if public_key else ""
            print(
                f"{path}: {name} answers all {vectors} test vectors; sha256 {opened.sha256}{signed}"
            )


def _print(name: str, value: Any, indent: str = "") -> None:  # noqa: ANN401  (whatever JSON holds)
    if isinstance(value, dict) and value:
        print(f"{indent}{name}:")
        for inner, each in value.items():
            _print(inner, each, f"{indent}  ")
    else:
        print(f"{indent}{name}: {_short(value)}")


def _short(value: Any) -> str:  # noqa: ANN401
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 400 else f"{text[:397]}..."
