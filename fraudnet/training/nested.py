"""Runs within a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.entities import Run


@contextmanager
def nested_run(name: str) -> Iterator[Run]:
    """A new MLflow run, a child of the active one; what `tracked_run` wraps within goes to it."""
    # MLflow would take the run that `mlflow run` has begun, which is the parent, for the child.
    begun = os.environ.pop("MLFLOW_RUN_ID", None)
    try:
        run = mlflow.start_run(run_name=name, nested=True)
    finally:
        if begun is not None:
            os.environ["MLFLOW_RUN_ID"] = begun
    with run:
        yield run
