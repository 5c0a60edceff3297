"""What is fitted after the weights: calibration on validation rows, distance on genuine ones."""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from fraudnet.errors import InputError
from fraudnet.network.layers import MahalanobisDistance, PlattCalibration

SHRINKAGE = 1e-3
"""Share of the mean variance added to every variance, so that no scale of features matters."""


def fit_calibration(
    layer: PlattCalibration, logit: npt.NDArray[np.float32], is_fraud: npt.NDArray[np.int8]
) -> None:
    """Fit slope and intercept by maximum likelihood, on rows that the weights have not seen.

    Platt 1999, "Probabilistic Outputs for Support Vector Machines", section 2, without its
    smoothing of the targets. Rows keep their natural shares, so the prior needs no correction.

    Args:
        layer: changed in place.
        logit: [N].
        is_fraud: [N] 1 or 0.

    Raises:
        InputError: one of the two classes is missing, or the logits rank fraud below genuine.
    """
    if len(np.unique(is_fraud)) < 2:
        raise InputError(
            "the validation period holds no fraud or no genuine transaction, so probabilities "
            "cannot be calibrated: lengthen split.validation_days"
        )
    model = LogisticRegression(C=np.inf).fit(logit[:, None].astype(np.float64), is_fraud)
    slope = float(model.coef_[0, 0])
    if slope <= 0:
        raise InputError(
            "the network ranks fraud below genuine on the validation period: it has learnt "
            "nothing; train longer (training.epochs), or check the labels"
        )
    layer.slope.assign(slope)
    layer.intercept.assign(float(model.intercept_[0]))


def fit_distance(layer: MahalanobisDistance, activations: npt.NDArray[np.float32]) -> None:
    """Fit mean and whitening to the activations of genuine training transactions.

    The covariance is shrunk towards a multiple of the identity, by a share of its own mean
    variance (Ledoit and Wolf 2004, "A well-conditioned estimator", equation 5, with a fixed share).

    Args:
        layer: changed in place.
        activations: [N, C].
    """
    rows = activations.astype(np.float64)
    covariance = np.cov(rows, rowvar=False)
    ridge = max(SHRINKAGE * np.trace(covariance) / len(covariance), 1e-12)
    inverse = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    layer.mean.assign(rows.mean(axis=0))
    layer.whitening.assign(np.linalg.cholesky((inverse + inverse.T) / 2))
