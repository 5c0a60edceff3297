"""What MLflow is told of a run. No account, counterparty or transaction id is among it."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from matplotlib.figure import Figure
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from fraudnet.configuration import Section
from fraudnet.errors import InputError
from fraudnet.transactions.place import place_of

EXPERIMENT = "fraudnet"
DEFAULT_STORE = "sqlite:///mlflow.db"


@contextmanager
def tracked_run(name: str, run_id: str | None = None) -> Iterator[Run]:
    """An MLflow run around a piece of work.

    Inside another tracked run that run goes on. Else the run that `mlflow run` has begun, else
    `run_id`, else a new one; in the store that MLFLOW_TRACKING_URI names, or `mlflow.db` here.

    Args:
        name: of the run, if a new one is begun.
        run_id: a finished run to add to.

    Raises:
        InputError: the store, or that run in it, cannot be used.
    """
    active = mlflow.active_run()
    if active is not None:
        yield active
        return
    with opened_store():
        begun = os.environ.get("MLFLOW_RUN_ID") or (run_id if run_id and _known(run_id) else None)
        if begun is None:
            mlflow.set_experiment(EXPERIMENT)
        run = mlflow.start_run(run_id=begun, run_name=None if begun else name)
    with run:
        yield run


@contextmanager
def opened_store() -> Iterator[mlflow.MlflowClient]:
    """The store that MLFLOW_TRACKING_URI names, or `mlflow.db` here.

    Raises:
        InputError: what is asked of it inside cannot be had.
    """
    try:
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            mlflow.set_tracking_uri(DEFAULT_STORE)
        yield mlflow.MlflowClient()
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"MLflow store {place_of(mlflow.get_tracking_uri())}: {reason}; "
            "set MLFLOW_TRACKING_URI to another"
        ) from error


def is_tracked(run_id: str) -> bool:
    """Whether the store holds a run; where there is no store none is made.

    Raises:
        InputError: the store cannot be used.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not Path("mlflow.db").exists():
        return False
    with opened_store():
        return _known(run_id)


def store_hint() -> str:
    """The command that shows the runs."""
    return f"mlflow ui --backend-store-uri {place_of(mlflow.get_tracking_uri())}"


def log_configuration(section: Section) -> None:
    """Log a resolved configuration: as a file, and its keys as parameters."""
    values = section.model_dump(mode="json")
    mlflow.log_dict(values, "experiment.json")
    mlflow.log_params(dict(_flat(values)))


def log_data(name: str, fingerprint: str, context: str, report: Mapping[str, Any]) -> None:
    """Log which data went in: the file's name, its fingerprint, how it was read."""
    dataset = MetaDataset(  # type: ignore[abstract]  # MLflow makes it without a profile too
        source=_FileSource(name),
        name=name,
        digest=fingerprint.removeprefix("sha256:")[:32],
    )
    mlflow.log_input(dataset, context=context)
    mlflow.log_dict({**report, "source": name}, f"data/{context}.json")


def log_figures(figures: Mapping[str, Figure], period: str) -> None:
    """Log figures as pictures under `figures/PERIOD`."""
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"figures/{period}/{name}.png")


class TrackedProgress:
    """A progress bar over the transactions, and each epoch's figures in MLflow."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._epochs = self._transactions = 0
        self._begun = 0.0

    def begin(self, epochs: int, transactions: int, first: int) -> None:
        """Show the bar."""
        self._epochs, self._transactions = epochs, transactions
        self._bar = tqdm(
            total=epochs * transactions,
            initial=first * transactions,
            desc="training",
            unit=" transactions",
            unit_scale=True,
            mininterval=1.0,
        )
        self._begun = time.monotonic()

    def step(self, transactions: int) -> None:
        """Move it."""
        if self._bar is not None:
            self._bar.update(transactions)

    def epoch(self, number: int, loss: float, average_precision: float | None) -> None:
        """Log the figures and show them."""
        seconds, self._begun = time.monotonic() - self._begun, time.monotonic()
        # A fit that is watched for its best epoch may be made again on all rows.
        part = "" if average_precision is None else "stopping_"
        found = {
            f"{part}training_loss": loss,
            f"{part}training_transactions_per_second": self._transactions / max(seconds, 1e-9),
        }
        shown = {"epoch": f"{number + 1}/{self._epochs}", "loss": f"{loss:.4f}"}
        if average_precision is not None:
            found["stopping_average_precision"] = average_precision
            shown["average_precision"] = f"{average_precision:.3f}"
        mlflow.log_metrics(found, step=number)
        if self._bar is not None:
            self._bar.set_postfix(shown)

    def end(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


class _FileSource(DatasetSource):
    """A file by its name alone: where it lies on this machine is nobody's business."""

    def __init__(self, name: str) -> None:
        self._name = name

    @staticmethod
    def _get_source_type() -> str:
        return "file"

    def load(self, **_: Any) -> Any:  # noqa: ANN401  (MLflow's own)
        raise InputError(f"{self._name}: MLflow holds its fingerprint, not its content")

    @staticmethod
    def _can_resolve(_: Any) -> bool:  # noqa: ANN401
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "_FileSource":  # noqa: ANN401
        return cls(str(raw_source))

    def to_dict(self) -> dict[str, str]:
        """MLflow stores it."""
        return {"name": self._name}

    @classmethod
    def from_dict(cls, source_dict: dict[str, str]) -> "_FileSource":
        """MLflow reads it."""
        return cls(source_dict["name"])


def _known(run_id: str) -> bool:
    try:
        mlflow.get_run(run_id)
    except MlflowException:
        return False
    return True


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
