"""The champion of MLflow's model registry, to stand beside a network in its report."""

import sys

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fraudnet.errors import InputError
from fraudnet.evaluation.comparison import Bootstrap, paired_differences, why_not_paired
from fraudnet.evaluation.report import Beside
from fraudnet.evaluation.scores import Scores
from fraudnet.training.experiment import Experiment
from fraudnet.training.runs import CHAMPION, figures_of_run, version_of


def champion_beside(
    registered: str, run_id: str, scores: Scores, experiment: Experiment
) -> Beside | None:
    """The champion's figures of a test period, and by how much a network's differ.

    Args:
        registered: model that it is the champion of.
        run_id: of the network, which may be the champion itself.
        scores: the network's, of the test period.
        experiment: whose resamples and seed the differences' intervals are made with.

    Returns:
        None where there is no other champion, or it was not measured on the same rows, which is
        said on standard error.
    """
    client = MlflowClient()
    version = version_of(client, registered, CHAMPION)
    if version is None or version.run_id == run_id:
        return None
    resamples, seed = experiment.evaluation.resamples, experiment.training.seed
    try:
        champion = figures_of_run(client, client.get_run(str(version.run_id)), "test")
        if champion.scores is None:
            raise InputError("it has no scores of the test period")
        if reason := why_not_paired(champion.scores, scores):
            raise InputError(reason)
        differences = paired_differences(
            champion.scores, scores, Bootstrap(resamples=resamples, seed=seed)
        )
    except (InputError, MlflowException) as error:
        print(f"without the champion, run {version.run_id}, beside: {error}", file=sys.stderr)
        return None
    return Beside(f"champion, {champion.label}", champion.values, differences)
