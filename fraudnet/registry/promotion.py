"""Champion and challenger in MLflow's model registry.

A registered model has at most one version of each alias: `champion` is in use, `candidate` wants to
be, `previous_champion` was before and can be had back.

The rule. A candidate becomes champion if

1. all its gates are passed: `gate.artifact` (the .tflite equals Keras) and `gate.budgets` (it keeps
   to all its budgets) as `fraudnet export` and `fraudnet gate` tag the run, and the file that was
   logged is the one that kept to them and answers its own test vectors now. Else it is not even
   candidate;
2. it was measured on the period, and there is no champion, or it is better by more than the
   interval: on the same rows of the same data, the lower end of the paired bootstrap interval (over
   accounts) of the difference in average precision, candidate minus champion, is above 0.
"""

from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from fraudnet.artifact.gates import budgets_of_another_file, gates_not_passed
from fraudnet.device.errors import ArtifactError
from fraudnet.errors import InputError
from fraudnet.evaluation.comparison import Bootstrap, Difference
from fraudnet.registry.compare import differences, why_not_comparable
from fraudnet.training.runs import CANDIDATE, CHAMPION, PREVIOUS, figures_of_run, version_of

CRITERION = "average_precision"


@dataclass(frozen=True)
class Decision:
    """Whether a run's network may become champion, and the sentence that says why."""

    promote: bool
    reason: str
    difference: Difference | None = None


def decide(
    client: MlflowClient, run: Run, champion: ModelVersion | None, period: str, bootstrap: Bootstrap
) -> Decision:
    """Apply the rule to a run whose gates are passed; nothing is changed.

    Args:
        client: of the store.
        run: whose network wants to be champion.
        champion: the present one, or None.
        period: `validation` or `test`.
        bootstrap: how the interval is made.

    Raises:
        InputError: the run was not measured, or not on the same rows as the champion.
    """
    challenger = figures_of_run(client, run, period)
    if champion is None:
        return Decision(True, "all gates are passed, and there is no champion to beat")
    present = figures_of_run(client, client.get_run(str(champion.run_id)), period)
    reason = why_not_comparable(present, challenger)
    if reason is not None:
        raise InputError(
            f"{challenger.label} cannot be compared with the champion, {present.label}: {reason}; "
            "measure both on the same data: fraudnet evaluate"
        )
    found = differences(present, challenger, bootstrap)[CRITERION]
    by = (
        f"average precision {found.second:.4f} on the {period} period, the champion (version "
        f"{champion.version}) {found.first:.4f}; {100 * bootstrap.confidence:g} % interval of the "
        f"difference {found.low:+.4f} .. {found.high:+.4f}"
    )
    if found.low > 0:
        return Decision(True, f"all gates are passed, and it is better: {by}", found)
    return Decision(False, f"not better by more than the interval: {by}", found)


def why_no_candidate(client: MlflowClient, run: Run) -> list[str]:
    """Why a run's exported network may not be used, a sentence each; empty: it may.

    Raises:
        InputError: nothing was exported.
    """
    failed = gates_not_passed(run.data.tags)
    try:
        model = mlflow.pyfunc.load_model(model_uri(exported_model(client, run)))
    except ArtifactError as error:
        return [*failed, f"the logged file is not what was exported: {error}"]
    # Of a failed gate there is no more to say.
    return failed or budgets_of_another_file(run.data.tags, model.get_raw_model().sha256)


def model_uri(model_id: str) -> str:
    """How MLflow names a logged model; the source of the versions made from it."""
    return f"models:/{model_id}"


def exported_model(client: MlflowClient, run: Run) -> str:
    """Id of the model that the last `fraudnet export` logged to a run.

    Raises:
        InputError: none did.
    """
    outputs = run.outputs.model_outputs if run.outputs else []
    models = [client.get_logged_model(output.model_id) for output in outputs]
    if not models:
        raise InputError(
            f"run {run.info.run_id[:8]} holds no exported network; fraudnet export makes and logs "
            "it"
        )
    return str(max(models, key=lambda model: model.creation_timestamp).model_id)


def register(client: MlflowClient, run: Run, name: str) -> ModelVersion:
    """A run's exported network as a version with the alias `candidate`; once, however often called.

    Args:
        client: of the store.
        run: with an exported network.
        name: of the registered model, which is made if it is not there.
    """
    source = model_uri(exported_model(client, run))
    versions = client.search_model_versions(f"name='{name}'")
    version = next((each for each in versions if each.source == source), None)
    if version is None:
        if not client.search_registered_models(f"name='{name}'"):
            client.create_registered_model(name)
        version = client.create_model_version(name, source, str(run.info.run_id))
    client.set_registered_model_alias(name, CANDIDATE, version.version)
    return version


def make_champion(client: MlflowClient, version: ModelVersion, decision: Decision) -> None:
    """Give a version the alias `champion`; the one that had it becomes `previous_champion`."""
    champion = version_of(client, version.name, CHAMPION)
    if champion is not None:
        client.set_registered_model_alias(version.name, PREVIOUS, champion.version)
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    client.delete_registered_model_alias(version.name, CANDIDATE)
    client.set_model_version_tag(version.name, version.version, "promotion", decision.reason)


def roll_back(client: MlflowClient, name: str) -> tuple[ModelVersion, ModelVersion]:
    """Champion and previous champion change places; a second call puts them back.

    Returns:
        The champion now, and the one before.

    Raises:
        InputError: there is none before.
    """
    champion, previous = (version_of(client, name, alias) for alias in (CHAMPION, PREVIOUS))
    if champion is None or previous is None:
        raise InputError(f"model {name!r} has no previous champion to go back to")
    client.set_registered_model_alias(name, CHAMPION, previous.version)
    client.set_registered_model_alias(name, PREVIOUS, champion.version)
    return previous, champion
