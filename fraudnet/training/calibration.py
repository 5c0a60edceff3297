"""What is fitted after the weights on validation rows: from logits to probabilities."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from fraudnet.configuration import Section
from fraudnet.errors import InputError
from fraudnet.network.layers import Calibration

KNOTS = 16
"""Of the isotonic calibration: each costs a phone a comparison or two."""
LEAST_SLOPE = 0.05
"""Least slope of an isotonic piece, in slopes of Platt's: a flat one would tie what is ranked."""

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int8]


class CalibrationConfig(Section):
    """How logits become probabilities, and of which share of fraud."""

    method: Literal["platt", "isotonic"] = Field(
        default="platt",
        description="platt: two parameters; isotonic: an increasing line of up to 17 pieces, for "
        "validation periods with many frauds",
    )
    genuine_sampling_rate: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of the genuine transactions that the data hold, where these were "
        "sampled and the frauds were not; probabilities and alerts are those of all transactions",
    )
    prior: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of fraud where the network will be used; none: as in the data",
    )

    @model_validator(mode="after")
    def _one_correction(self) -> Self:
        if self.prior is not None and self.genuine_sampling_rate != 1:
            raise ValueError("give prior or genuine_sampling_rate, not both: either says it all")
        return self

    @property
    def knots(self) -> int:
        """Knots of the layer."""
        return KNOTS if self.method == "isotonic" else 0

    def weights(self, is_fraud: Labels) -> npt.NDArray[np.float64]:
        """How many transactions of deployment each row stands for, [N].

        Importance weights of a prior shift, p'(class) / p(class): Saerens et al. 2002, "Adjusting
        the outputs of a classifier to new a priori probabilities", equation 2.4.

        Args:
            is_fraud: [N] 1, 0, or -1 where unknown, which counts as genuine.
        """
        fraud, other = self._class_weights(is_fraud)
        return np.where(is_fraud == 1, fraud, other)

    def log_odds_shift(self, is_fraud: Labels) -> float:
        """What a prior shift adds to the log-odds that were fitted to rows with these labels.

        Odds are multiplied by the ratio of the classes' weights (Saerens et al. 2002, equation
        2.4; Elkan 2001, "The Foundations of Cost-Sensitive Learning", theorem 2).
        """
        fraud, other = self._class_weights(is_fraud)
        return float(np.log(fraud / other))

    def _class_weights(self, is_fraud: Labels) -> tuple[float, float]:
        if self.prior is None:
            return 1.0, 1 / self.genuine_sampling_rate
        share = np.mean(is_fraud[is_fraud >= 0] == 1)
        return self.prior / share, (1 - self.prior) / (1 - share)


def fit_calibration(
    layer: Calibration, logits: npt.NDArray[np.float32], is_fraud: Labels, config: CalibrationConfig
) -> None:
    """Fit a calibration to rows that the weights have not seen, by maximum likelihood.

    Targets are smoothed (Platt 1999, "Probabilistic Outputs for Support Vector Machines", section
    2.2), so that slopes stay finite where all frauds rank above the rest. The shares of the rows
    are taken for natural, then the log-odds are shifted as the configuration says.

    Args:
        layer: with as many knots as the configuration asks for; changed in place.
        logits: [N].
        is_fraud: [N] 1 or 0.
        config: method and prior.

    Raises:
        InputError: one of the two classes is missing, or the logits rank fraud below genuine.
    """
    refuse_one_class(is_fraud)
    target = _smoothed(is_fraud)
    slope, intercept = _platt(logits, target)
    if slope <= 0:
        raise InputError(
            "the network ranks fraud below genuine on the validation period: it has learnt "
            "nothing; train longer (training.epochs), or check the labels"
        )
    slopes = np.array([slope])
    if config.knots:
        knots = _knots(logits, target, config.knots)
        layer.knots.assign(knots)
        lengths = np.asarray(layer.lengths(logits[:, None]), np.float64)
        # The same line as Platt's, in pieces, from which the likelihood can only rise.
        slopes = np.full(config.knots + 1, slope)
        slopes, intercept = _most_likely(lengths, target, slopes, intercept + slope * knots[0])
    layer.slopes.assign(slopes)
    layer.intercept.assign(intercept + config.log_odds_shift(is_fraud))


def refuse_one_class(is_fraud: Labels) -> None:
    """Nothing can be fitted to validation rows of one class.

    Raises:
        InputError: one of the two classes is missing.
    """
    if len(np.unique(is_fraud)) < 2:
        raise InputError(
            "the validation period holds no fraud or no genuine transaction, so probabilities "
            "cannot be calibrated: lengthen split.validation_days"
        )


def calibrated(layer: Calibration, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The probabilities of logits, [N] each."""
    probability: npt.NDArray[np.float32] = np.asarray(layer(logits[:, None]))[:, 0]
    return probability


def cross_fitted(
    logits: npt.NDArray[np.float32],
    is_fraud: Labels,
    known: npt.NDArray[np.bool_],
    account: npt.NDArray[np.int64],
    config: CalibrationConfig,
) -> npt.NDArray[np.float32] | None:
    """Probabilities of rows by a calibration that has not seen their accounts.

    The accounts are divided into halves, alike in frauds; the calibration that is fitted to one
    half answers for the other.

    Args:
        logits: [N].
        is_fraud: [N] 1 or 0.
        known: [N] the rows that may be fitted to.
        account: [N] codes.
        config: method and prior.

    Returns:
        [N], or None where a half cannot be fitted to.
    """
    codes, position = np.unique(account, return_inverse=True)
    frauds = np.bincount(position, is_fraud == 1)
    half = np.empty(len(codes), np.int64)
    half[np.lexsort((np.random.default_rng(0).random(len(codes)), -frauds))] = (
        np.arange(len(codes)) % 2
    )
    answers = np.empty_like(logits)
    for own in (0, 1):
        layer = Calibration(config.knots)
        layer.build((None, 1))
        fitted = known & (half[position] != own)
        try:
            fit_calibration(layer, logits[fitted], is_fraud[fitted], config)
        except InputError:
            return None
        answers[half[position] == own] = calibrated(layer, logits[half[position] == own])
    return answers


def description(layer: Calibration) -> dict[str, float | list[float]]:
    """The parameters of a calibration, by name."""
    if not layer.knot_count:
        found = {"slope": float(layer.slopes.numpy()[0])}
    else:
        found = {"knots": layer.knots.numpy().tolist(), "slopes": layer.slopes.numpy().tolist()}
    return {**found, "intercept": float(layer.intercept.numpy())}


def _smoothed(is_fraud: Labels) -> npt.NDArray[np.float64]:
    frauds = int((is_fraud == 1).sum())
    genuine = len(is_fraud) - frauds
    return np.where(is_fraud == 1, (frauds + 1) / (frauds + 2), 1 / (genuine + 2))


def _platt(logits: Floats, target: Floats) -> tuple[float, float]:
    """The most likely slope and intercept; a row of target t is t of a fraud, 1 - t of none."""
    rows = np.tile(logits.astype(np.float64)[:, None], (2, 1))
    is_fraud = np.repeat([1, 0], len(target))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    model.fit(rows, is_fraud, sample_weight=np.concatenate([target, 1 - target]))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _knots(logits: Floats, target: Floats, count: int) -> npt.NDArray[np.float64]:
    """Centres of the blocks of isotonic regression, of which the most alike are merged.

    Centres, not ends: Oron and Flournoy 2017, "Centered Isotonic Regression", section 2.
    """
    level = IsotonicRegression().fit_transform(logits.astype(np.float64), target)
    levels, block = np.unique(level, return_inverse=True)
    rows = np.bincount(block).astype(np.float64)
    totals = np.stack([rows, rows * levels, np.bincount(block, logits.astype(np.float64))])
    while totals.shape[1] > count:
        apart, together = _deviance(totals), _deviance(totals[:, 1:] + totals[:, :-1])
        merged = int(np.argmin(together - apart[1:] - apart[:-1]))
        totals[:, merged] += totals[:, merged + 1]
        totals = np.delete(totals, merged + 1, axis=1)
    centres = totals[2] / totals[0]
    return np.pad(centres, (0, count - len(centres)), mode="edge")


def _deviance(totals: Floats) -> npt.NDArray[np.float64]:
    """Negative log-likelihood of each block at its own share, [blocks], from rows and frauds."""
    rows, frauds = totals[0], totals[1]
    share = frauds / rows
    found: npt.NDArray[np.float64] = -rows * (
        share * np.log(share) + (1 - share) * np.log1p(-share)
    )
    return found


def _most_likely(
    lengths: Floats, target: Floats, slopes: Floats, intercept: float
) -> tuple[npt.NDArray[np.float64], float]:
    """Slopes and intercept of the greatest likelihood, from given ones, which set the least slope.

    Args:
        lengths: [N, K + 1] of the pieces.
        target: [N].
        slopes: [K + 1] of the start.
        intercept: of the start.
    """

    def loss(parameters: Floats) -> tuple[float, Floats]:
        log_odds = lengths @ parameters[1:] + parameters[0]
        residual = (expit(log_odds) - target) / len(target)
        value = np.mean(np.logaddexp(0, log_odds) - target * log_odds)
        return float(value), np.concatenate([[residual.sum()], lengths.T @ residual])

    # The outer pieces, which have the fewest rows, are no steeper than they were.
    most = [slopes[0], *[None] * (len(slopes) - 2), slopes[-1]]
    least = LEAST_SLOPE * slopes
    bounds = [(None, None), *zip(least, most, strict=True)]
    start = np.concatenate([[intercept], slopes])
    options = {"maxiter": 500, "ftol": 1e-10, "gtol": 1e-7}
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    return found[1:], float(found[0])
