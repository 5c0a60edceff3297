"""The artifact as an MLflow model: `mlflow.pyfunc.load_model` scores windows from the .tflite.

MLflow runs this file as it is ("models from code"), so nothing is pickled.
"""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import numpy.typing as npt
from mlflow.models import ModelSignature, set_model
from mlflow.types import Schema, TensorSpec

from fraudnet.device.artifact import open_artifact
from fraudnet.device.contract import Contract

KEY = "artifact"


class ArtifactModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow's is untyped
    """Raw windows in, [N, T] by input name; `fraud_probability` and `ood_distance` out, [N] each."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401  (MLflow's own)
        """Open the artifact with the reader of the device: contract, digest and vectors checked."""
        self._artifact = open_artifact(Path(context.artifacts[KEY]))

    def predict(
        self,
        context: Any,  # noqa: ANN401, ARG002  (MLflow's own)
        model_input: dict[str, npt.NDArray[np.generic]],
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Score every window."""
        inputs, network = self._artifact.contract.inputs, self._artifact.network
        columns = {i.name: np.asarray(model_input[i.name], i.dtype) for i in inputs}
        answers = [
            network.run({name: values[row : row + 1] for name, values in columns.items()})
            for row in range(len(next(iter(columns.values()))))
        ]
        names = self._artifact.contract.outputs
        return {name: np.array([a[name] for a in answers], np.float32) for name in names}


def signature_of(contract: Contract) -> ModelSignature:
    """Named tensors: the contract's inputs for any number of windows, and its outputs."""
    inputs = [TensorSpec(np.dtype(i.dtype), (-1, contract.window_length), i.name) for i in contract.inputs]
    outputs = [TensorSpec(np.dtype(np.float32), (-1,), name) for name in contract.outputs]
    return ModelSignature(Schema(inputs), Schema(outputs))


set_model(ArtifactModel())
