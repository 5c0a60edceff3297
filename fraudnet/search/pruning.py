"""What ends a trial early: others that were better as far on, or the time that is over."""

import time

import mlflow
import numpy as np
import optuna
from optuna.trial import Trial
from sklearn.metrics import average_precision_score

from fraudnet.network.network import Network
from fraudnet.training.prepare import Prepared, known_of
from fraudnet.training.scoring import RowScorer


class OutOfTimeError(Exception):
    """The time is over in the middle of a trial."""


TENTHS = 10
"""Of a fit, after which trials are compared: the rate of one of more epochs falls later."""


class PrunedByMedian:
    """Told of a fit: reports average precision as it goes on, and ends what is not worth it.

    Where the fit is made again (`training.refit`), only the first is reported.

    Args:
        network: that is fitted.
        prepared: whose validation period is scored.
        trial: of Optuna.
        deadline: moment of `time.monotonic` at which the fit is given up.
    """

    def __init__(self, network: Network, prepared: Prepared, trial: Trial, deadline: float) -> None:
        known = known_of(prepared, prepared.split.validation)
        self._is_fraud = known.is_fraud
        self._score = RowScorer(network.logit, network.receptive_field, known.histories, known.rows)
        self._trial, self._deadline, self._fits = trial, deadline, 0
        self._epochs, self._reported = 0, 0

    def begin(self, epochs: int, transactions: int, first: int) -> None:  # noqa: ARG002
        """Count the fits."""
        self._fits += 1
        self._epochs = epochs

    def step(self, transactions: int) -> None:  # noqa: ARG002
        """Give up when the time is over.

        Raises:
            OutOfTimeError: it is.
        """
        if time.monotonic() > self._deadline:
            raise OutOfTimeError

    def epoch(self, number: int, loss: float, average_precision: float | None) -> None:  # noqa: ARG002
        """Report, if another tenth of the fit is done.

        Raises:
            TrialPruned: the trial is not worth going on, or its weights are no longer finite.
        """
        if self._fits > 1:
            return
        logit = self._score()["logit"][:, 0]
        if not np.isfinite(logit).all():
            raise optuna.TrialPruned("the weights are no longer finite")
        found = float(average_precision_score(self._is_fraud, logit))
        mlflow.log_metric("epoch_validation_average_precision", found, step=number)
        tenth = TENTHS * (number + 1) // self._epochs
        if tenth == self._reported:
            return
        self._reported = tenth
        self._trial.report(found, tenth)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"below the median after epoch {number + 1}")

    def end(self) -> None:
        """Nothing is left to do."""
