"""The artifact as an MLflow model: `mlflow.pyfunc.load_model` scores windows from the .tflite.

MLflow imports this module to load the file, so nothing is pickled.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, Schema, TensorSpec

import fraudnet
from fraudnet.artifact.export import Exported
from fraudnet.device.artifact import Artifact, open_artifact, read_documents
from fraudnet.device.contract import Contract

Windows = dict[str, npt.NDArray[np.generic]]


class WindowScorer:
    """Raw windows in, [N, T] by input name; probability and distance out by theirs, [N] each."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    def predict(self, windows: Windows) -> dict[str, npt.NDArray[np.float32]]:
        """Score every window."""
        contract, network = self._artifact.contract, self._artifact.network
        columns = {i.name: np.asarray(windows[i.name], i.dtype) for i in contract.inputs}
        answers = [
            network.run({name: values[row : row + 1] for name, values in columns.items()})
            for row in range(len(columns["valid"]))
        ]
        return {name: np.array([a[name] for a in answers], np.float32) for name in contract.outputs}

    def get_raw_model(self) -> Artifact:
        """The artifact that it scores with; MLflow's name for it."""
        return self._artifact


def _load_pyfunc(path: str) -> WindowScorer:
    """MLflow calls it; opens the artifact with the device's reader: digest and vectors checked."""
    return WindowScorer(open_artifact(Path(path)))


def log_artifact(exported: Exported) -> ModelInfo:
    """Log the file, its parity with Keras, worst windows and size, and a model that scores from it.

    Args:
        exported: what `export` returned; a run is active.
    """
    mlflow.log_artifact(str(exported.path), "artifact")
    for number, (runtime, parity) in enumerate(exported.parity.items()):
        mlflow.log_dict({"runtime": runtime, **parity.figures()}, f"artifact/parity_{number}.json")
    mlflow.log_metrics({f"parity_{n}": v for n, v in exported.furthest().items()})
    with TemporaryDirectory() as folder:
        np.savez_compressed(Path(folder) / "worst_windows.npz", **exported.worst)
        mlflow.log_artifacts(folder, "artifact")
    mlflow.log_metric("artifact_bytes", exported.bytes)
    contract = open_artifact(exported.path).contract
    info: ModelInfo = mlflow.pyfunc.log_model(
        name="model",
        loader_module=__name__,
        data_path=str(exported.path.resolve()),
        signature=_signature(contract),
        input_example=_example(exported.path, contract),
        pip_requirements=[f"fraudnet[train]=={fraudnet.__version__}"],
    )
    return info


def _signature(contract: Contract) -> ModelSignature:
    """Named tensors: the contract's inputs for any number of windows, and its outputs."""
    length = contract.window_length
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(i.dtype), (-1, length), i.name) for i in contract.inputs
    ]
    outputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(np.float32), (-1,), name) for name in contract.outputs
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _example(path: Path, contract: Contract) -> Windows:
    vector: dict[str, Any] = read_documents(path)["vectors.json"][0]["inputs"]
    return {i.name: np.array([vector[i.name]], i.dtype) for i in contract.inputs}
