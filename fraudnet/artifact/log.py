"""Log an artifact to MLflow: the file itself, and a model that scores from it."""

from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo

import fraudnet
from fraudnet.artifact.export import Exported
from fraudnet.artifact.mlflow_model import KEY, signature_of
from fraudnet.device.artifact import open_artifact


def log_artifact(exported: Exported) -> ModelInfo:
    """Log the file, its parity with Keras and its size, and the pyfunc model.

    Args:
        exported: what `export` returned; a run is active.
    """
    mlflow.log_artifact(str(exported.path), "artifact")
    mlflow.log_metrics({f"parity_{n}": v for n, v in exported.parity.figures().items()})
    mlflow.log_metric("artifact_bytes", exported.bytes)
    signature: ModelSignature = signature_of(open_artifact(exported.path).contract)
    return mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("mlflow_model.py")),
        artifacts={KEY: str(exported.path.resolve())},
        signature=signature,
        pip_requirements=[f"fraudnet[train]=={fraudnet.__version__}"],
    )
