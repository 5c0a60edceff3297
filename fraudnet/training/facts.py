"""What is told of a network that was trained."""

import mlflow
import numpy as np
import numpy.typing as npt

from fraudnet.evaluation.thresholds import Threshold
from fraudnet.network.network import Network
from fraudnet.training.calibration import description
from fraudnet.training.experiment import Experiment
from fraudnet.training.prepare import Prepared
from fraudnet.training.sentinel import Candidate, SentinelFacts
from fraudnet.training.trained import Facts

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)


def facts_of(
    prepared: Prepared,
    network: Network,
    threshold: Threshold,
    probability: npt.NDArray[np.float32],
    genuine_distance: npt.NDArray[np.float32],
    compared: list[Candidate],
    run_id: str,
    validation_figures: dict[str, float],
) -> Facts:
    """The facts of a network that was fitted and calibrated, before its test.

    Args:
        prepared: the data.
        network: calibrated.
        threshold: that was chosen.
        probability: [N] of the validation period's rows.
        genuine_distance: [M] from the familiar, of those known to be genuine.
        compared: where the distance could be taken, the best first.
        run_id: of the MLflow run.
        validation_figures: by name.
    """
    experiment, split = prepared.experiment, prepared.split
    return Facts(
        experiment=experiment,
        receptive_field=network.receptive_field,
        threshold=threshold,
        calibration={
            "method": experiment.calibration.method,
            **description(network.calibration),
            "period": str(split.validation),
        },
        ood_quantiles=_quantiles(genuine_distance),
        score_quantiles=_quantiles(probability),
        sentinel=_sentinel(experiment, genuine_distance, compared),
        training_data={
            "fingerprint": prepared.fingerprint,
            "rows": len(prepared.histories),
            "recipe": experiment.data.recipe,
        },
        periods={name: str(getattr(split, name)) for name in ("training", "validation", "test")},
        mlflow_run_id=run_id,
        metrics={"validation": validation_figures},
    )


def _quantiles(values: npt.NDArray[np.float32]) -> dict[str, float]:
    return {f"{q:g}": float(np.quantile(values, q)) for q in QUANTILES}


def _sentinel(
    experiment: Experiment,
    genuine_distance: npt.NDArray[np.float32],
    compared: list[Candidate],
) -> SentinelFacts:
    best, rate = compared[0], experiment.sentinel.false_alarm_rate
    threshold = float(np.quantile(genuine_distance, 1 - rate))
    mlflow.log_metric("sentinel_distance_threshold", threshold)
    return SentinelFacts(
        layer=best.layer,
        form=best.form,
        rank=len(best.familiar.covariance.excess),
        shrinkage=experiment.sentinel.shrinkage,
        false_alarm_rate=rate,
        distance_threshold=threshold,
        auroc=best.auroc,
        mean_auroc={each.name: each.mean_auroc for each in compared},
    )
