"""Runs within a run."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import mlflow
from mlflow.entities import Run


@contextmanager
def nested_run(name: str, tags: Mapping[str, str] | None = None) -> Iterator[Run]:
    """A new MLflow run, a child of the active one; what `tracked_run` wraps within goes to it.

    Args:
        name: of the run.
        tags: that it has from its first moment, however soon it is killed.
    """
    # MLflow would take the run that `mlflow run` has begun, which is the parent, for the child.
    begun = os.environ.pop("MLFLOW_RUN_ID", None)
    try:
        run = mlflow.start_run(run_name=name, nested=True, tags=dict(tags or {}))
    finally:
        if begun is not None:
            os.environ["MLFLOW_RUN_ID"] = begun
    with run:
        yield run
