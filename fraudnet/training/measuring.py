"""A period's figures of a trained network, and the scores that they are of; both are logged."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from fraudnet.errors import InputError
from fraudnet.evaluation.calibration import (
    Predicted,
    calibration_figures,
    calibration_intervals,
    reliability_diagram,
)
from fraudnet.evaluation.figures import figures
from fraudnet.evaluation.further import figures_with_intervals
from fraudnet.evaluation.metrics import Scored
from fraudnet.evaluation.scores import Scores, write_scores
from fraudnet.network.network import Network
from fraudnet.training.calibration import cross_fitted
from fraudnet.training.prepare import Prepared, known_of
from fraudnet.training.scoring import logits_of, score, scored_of
from fraudnet.training.tracking import log_figures
from fraudnet.transactions.place import place_of
from fraudnet.windows.periods import Period
from fraudnet.windows.prequential import rows_to_test


@dataclass(frozen=True)
class Measured:
    """A period's rows, their scores and what they are worth.

    Attributes:
        rows: [N] of all rows of the histories, which were measured.
        scored: those.
        predicted: their probabilities before and after calibration.
        scores: the same for a file, with their distances from the familiar.
        figures: of them, by name.
    """

    rows: npt.NDArray[np.bool_]
    scored: Scored
    predicted: Predicted
    scores: Scores
    figures: dict[str, float]


def measure(
    prepared: Prepared, network: Network, period: Period, threshold: float, name: str
) -> Measured:
    """Figures of a period's labelled rows; they, pictures and scores are logged.

    Args:
        prepared: the data.
        network: calibrated.
        period: of the data.
        threshold: from which probability on a transaction is flagged.
        name: of the period: validation or test.

    Raises:
        InputError: the period lacks frauds or genuine transactions.
    """
    histories, alerts = prepared.histories, prepared.experiment.alerts
    split = prepared.experiment.split
    since = prepared.split.training.begin if split.without_compromised else None
    rows = rows_to_test(histories, period, since)
    answers = score(network, histories, rows)
    scored = scored_of(histories, rows, answers["fraud_probability"])
    resamples, seed = prepared.experiment.evaluation.resamples, prepared.experiment.training.seed
    try:
        found = figures_with_intervals(
            scored, threshold, alerts.per_day, alerts.accounts_per_day, resamples, seed
        )
    except ValueError as error:
        raise InputError(
            f"{place_of(prepared.source)}: the {name} period {period} {error}"
        ) from error
    logits = logits_of(network, histories, rows)
    calibration = prepared.experiment.calibration
    predicted = Predicted(
        is_fraud=scored.is_fraud,
        weight=calibration.weights(scored.is_fraud),
        uncalibrated=expit(logits),
        calibrated=scored.score,
    )
    if name == "validation":  # that the calibration was fitted to: it would flatter itself
        known = known_of(prepared, period).rows[rows]
        again = cross_fitted(logits, scored.is_fraud, known, scored.account, calibration)
        predicted = replace(predicted, calibrated=again)
    found |= calibration_figures(predicted)
    found |= calibration_intervals(predicted, scored.account, resamples, seed)
    mlflow.log_metrics({f"{name}_{key}": value for key, value in found.items()})
    pictures = figures(scored, threshold, alerts.per_day)
    log_figures(pictures | {"calibration": reliability_diagram(predicted)}, name)
    scores = _scores_of(prepared, rows, answers, threshold, name)
    _log_scores(scores, name)
    return Measured(rows, scored, predicted, scores, found)


def _scores_of(
    prepared: Prepared,
    rows: npt.NDArray[np.bool_],
    answers: dict[str, npt.NDArray[np.float32]],
    threshold: float,
    period: str,
) -> Scores:
    """The scores of a period's rows.

    Args:
        prepared: the data.
        rows: of the histories, which were scored.
        answers: `fraud_probability` and `ood_distance` of those.
        threshold: from which on a transaction is flagged.
        period: validation or test.
    """
    histories = prepared.histories
    return Scores(
        row=histories.source_row[rows],
        account=histories.account[rows].astype(np.int32),
        timestamp_us=histories.timestamp_us[rows],
        amount=histories.amount[rows],
        is_fraud=histories.is_fraud[rows],
        fraud_probability=answers["fraud_probability"],
        ood_distance=answers["ood_distance"],
        fingerprint=prepared.fingerprint,
        period=str(getattr(prepared.split, period)),
        threshold=threshold,
    )


def _log_scores(scores: Scores, period: str) -> None:
    """Log the scores of a period, validation or test, to MLflow as `scores/PERIOD.parquet`."""
    with TemporaryDirectory(prefix="fraudnet-scores-") as folder:
        path = Path(folder) / f"{period}.parquet"
        write_scores(scores, path)
        mlflow.log_artifact(str(path), "scores")
