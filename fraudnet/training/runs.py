"""Runs in MLflow: found by what people call them, with their scores."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from fraudnet.errors import InputError
from fraudnet.evaluation.scores import Scores, read_scores
from fraudnet.training.trained import load_facts

PERIODS = ("validation", "test")
TEST_OUTDATED = "test.outdated"
"""Tag of a run whose threshold was chosen anew after its test: "true", else "false"."""
CHAMPION, CANDIDATE, PREVIOUS = "champion", "candidate", "previous_champion"
RUN_HELP = (
    "a run's id or its beginning, the directory that `fraudnet train` wrote, champion, candidate "
    "or previous_champion"
)


@dataclass(frozen=True)
class Figures:
    """What a run was measured to be in a period.

    Attributes:
        run: of MLflow.
        period: `validation` or `test`.
        scores: of that period's rows; None where the run holds none.
    """

    run: Run
    period: str
    scores: Scores | None

    @property
    def label(self) -> str:
        """The run's name and the beginning of its id."""
        return f"{self.run.info.run_name} {self.run.info.run_id[:8]}"

    @property
    def values(self) -> dict[str, float]:
        """Figures of the period by name without it, then those that are of no period."""
        metrics: dict[str, float] = self.run.data.metrics
        prefix = f"{self.period}_"
        own = {n.removeprefix(prefix): v for n, v in metrics.items() if n.startswith(prefix)}
        prefixes = tuple(f"{period}_" for period in PERIODS)
        return own | {n: v for n, v in metrics.items() if not n.startswith(prefixes)}


def find_run(client: MlflowClient, text: str, name: str) -> Run:
    """The run that `text` means.

    Args:
        client: of the store.
        text: an alias, a directory with a trained network, a run id or its beginning.
        name: registered model that the aliases are of.

    Raises:
        InputError: it means no run, or several.
    """
    if text in (CHAMPION, CANDIDATE, PREVIOUS):
        version = version_of(client, name, text)
        if version is None:
            raise InputError(
                f"model {name!r} has no {text}; fraudnet promote makes one (another model: --name)"
            )
        return client.get_run(str(version.run_id))
    if Path(text).is_dir():
        text = load_facts(Path(text)).mlflow_run_id
    if not re.fullmatch("[0-9a-f]{1,32}", text):
        raise InputError(f"{text!r} names no run; expected {RUN_HELP}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"attributes.run_id LIKE '{text}%'", max_results=2)
    if not found:
        raise InputError(
            f"the MLflow store has no run {text}; `mlflow runs list` shows them, and "
            "MLFLOW_TRACKING_URI names the store"
        )
    if len(found) > 1:
        raise InputError(f"several runs begin with {text}; give more of the id")
    return found[0]


def version_of(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version of a registered model that has an alias, or None."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException:
        return None


def figures_of_run(client: MlflowClient, run: Run, period: str) -> Figures:
    """A run's figures of a period, with its scores if it has them.

    Raises:
        InputError: the run was not measured on that period, or at another threshold than its own,
            or its scores cannot be read.
    """
    run_id = run.info.run_id
    if period == "test" and run.data.tags.get(TEST_OUTDATED) == "true":
        raise InputError(
            f"run {run_id[:8]}: its threshold was chosen anew after its test; fraudnet evaluate "
            "measures it at the present one"
        )
    if not any(name.startswith(f"{period}_") for name in run.data.metrics):
        measured = "fraudnet evaluate" if period == "test" else "fraudnet train"
        raise InputError(
            f"run {run_id[:8]} has no figures of the {period} period: {measured} logs them"
        )
    path = f"scores/{period}.parquet"
    if path not in [file.path for file in client.list_artifacts(run_id, "scores")]:
        return Figures(run, period, None)
    with tempfile.TemporaryDirectory() as folder:
        return Figures(
            run, period, read_scores(Path(client.download_artifacts(run_id, path, folder)))
        )
