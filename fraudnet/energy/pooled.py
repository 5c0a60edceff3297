"""Energies of many systems and models fitted together, so that each borrows from the others.

With y the logarithm of an energy over the work that it bought (or of a power),

    y = mean + sum of effects + noise,

and an effect is one normal deviation for each value of a label: a board, a system, a runtime on one
kind of operation; or a slope on the model's arithmetic intensity. This is a linear mixed model;
given how widely each effect spreads, its best prediction and that prediction's variance are those
of a Gaussian process whose covariance is the sum over effects (Rasmussen and Williams, Gaussian
Processes for Machine Learning, 2006, equations 2.25 and 2.26). Spreads, and the weights of the
work, maximise the marginal likelihood (equation 5.8) times a prior that keeps them in place where
the data say little: four models cannot tell bytes from multiply-accumulates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MEAN_VARIANCE = 25.0  # of a mean that nothing is known of: e^5 either way
_SPREAD_PRIOR = 1.0  # standard deviation of a spread's logarithm around what its effect states
_WEIGHT_PRIOR = 0.5  # the same of a weight


@dataclass(frozen=True)
class Effect:
    """A deviation for each combination of values of some labels.

    Attributes:
        labels: names of the labels; one deviation for each combination; none: one for all rows.
        spread: its standard deviation to begin with, in logarithms.
        by_kind: one deviation for each kind of work too, mixed by the model's shares of it.
        slope: the deviation is one for a unit of the model's intensity.
    """

    labels: tuple[str, ...]
    spread: float
    by_kind: bool = False
    slope: bool = False


@dataclass(frozen=True)
class Rows:
    """What was measured.

    Attributes:
        labels: by name, one text a row.
        target: what was measured, [rows], above 0.
        work: amounts of each kind of work, [rows, kinds of work]; None: the target is no energy.
        shares: of the kinds of operation in a row's model, [rows, kinds], each row sums to 1.
        intensity: logarithm of multiply-accumulates a byte of the model's parameters, [rows].
    """

    labels: Mapping[str, NDArray[np.str_]]
    target: NDArray[np.float64]
    work: NDArray[np.float64] | None
    shares: NDArray[np.float64]
    intensity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: Any) -> "Rows":  # noqa: ANN401  (whatever indexes an array)
        return Rows(
            {name: values[rows] for name, values in self.labels.items()},
            self.target[rows],
            None if self.work is None else self.work[rows],
            self.shares[rows],
            self.intensity[rows],
        )


@dataclass(frozen=True)
class Pooled:
    """A fit.

    Attributes:
        effects: as they were given.
        log_spreads: of each effect, then of the noise.
        log_weights: of each kind of work after the first, whose weight is 1.
    """

    effects: tuple[Effect, ...]
    log_spreads: NDArray[np.float64]
    log_weights: NDArray[np.float64]

    @property
    def weights(self) -> NDArray[np.float64]:
        """What a unit of each kind of work costs, the first being 1."""
        weights: NDArray[np.float64] = np.exp(np.concatenate([[0.0], self.log_weights]))
        return weights

    def bought(self, rows: Rows) -> NDArray[np.float64]:
        """Weighted work of each row, or 1 where the target is no energy."""
        return np.ones(len(rows)) if rows.work is None else rows.work @ self.weights

    def predict(self, known: Rows, asked: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logarithm of the target of rows that were not measured, and its standard deviation.

        Args:
            known: measured rows, whatever the spreads were fitted on.
            asked: rows to predict; their targets are not looked at.
        """
        variances = np.exp(2 * self.log_spreads)
        covariance = _covariance(self.effects, variances[:-1], known, known)
        covariance += variances[-1] * np.eye(len(known))
        cross = _covariance(self.effects, variances[:-1], known, asked)
        outcome = np.log(known.target / self.bought(known))
        solved = np.linalg.solve(covariance, np.column_stack([outcome, cross]))
        own = np.diagonal(_covariance(self.effects, variances[:-1], asked, asked))
        variance = own + variances[-1] - np.sum(cross * solved[:, 1:], axis=0)
        return cross.T @ solved[:, 0] + np.log(self.bought(asked)), np.sqrt(variance)

    def residuals(self, rows: Rows) -> NDArray[np.float64]:
        """Each row's error in standard deviations, were it predicted from all others.

        Rasmussen and Williams, equation 5.12.
        """
        variances = np.exp(2 * self.log_spreads)
        covariance = _covariance(self.effects, variances[:-1], rows, rows)
        inverse = np.linalg.inv(covariance + variances[-1] * np.eye(len(rows)))
        outcome = np.log(rows.target / self.bought(rows))
        standardised: NDArray[np.float64] = inverse @ outcome / np.sqrt(np.diagonal(inverse))
        return standardised


def fit(rows: Rows, effects: Sequence[Effect], noise: float, weights: Sequence[float]) -> Pooled:
    """Fit spreads and weights.

    Args:
        rows: at least one.
        effects: which deviations there are.
        noise: spread of what no effect explains, to begin with.
        weights: of each kind of work after the first, to begin with; empty where there is none.
    """
    from scipy.optimize import minimize

    spreads = np.log([*(effect.spread for effect in effects), noise])
    start = np.concatenate([spreads, np.log(np.asarray(weights, float))])
    deviation = np.repeat([_SPREAD_PRIOR, _WEIGHT_PRIOR], [len(spreads), len(weights)])
    alike = np.array([_alike(effect, rows, rows) for effect in effects] + [np.eye(len(rows))])

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        pooled = Pooled(tuple(effects), point[: len(spreads)], point[len(spreads) :])
        variances = np.exp(2 * pooled.log_spreads)
        inverse = np.linalg.inv(np.tensordot(variances, alike, 1) + _MEAN_VARIANCE)
        bought = pooled.bought(rows)
        pull = inverse @ np.log(rows.target / bought)
        by_spread = -variances * np.sum(alike * (np.outer(pull, pull) - inverse), axis=(1, 2))
        by_weight = np.zeros(0)
        if rows.work is not None:
            by_weight = -pull @ (rows.work * pooled.weights / bought[:, None])[:, 1:]
        off = (point - start) / deviation
        value = 0.5 * (np.log(rows.target / bought) @ pull - np.linalg.slogdet(inverse)[1])
        gradient = np.concatenate([by_spread, by_weight]) + off / deviation
        return float(value + 0.5 * off @ off), gradient

    point = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return Pooled(tuple(effects), point[: len(spreads)], point[len(spreads) :])


def _covariance(
    effects: Sequence[Effect], variances: NDArray[np.float64], first: Rows, second: Rows
) -> NDArray[np.float64]:
    alike = np.array([_alike(effect, first, second) for effect in effects])
    total: NDArray[np.float64] = np.tensordot(variances, alike, 1) + _MEAN_VARIANCE
    return total


def _alike(effect: Effect, first: Rows, second: Rows) -> NDArray[np.float64]:
    """Covariance of an effect's deviations in two rows, of variance 1: [first, second]."""
    same = np.ones((len(first), len(second)))
    for name in effect.labels:
        same *= first.labels[name][:, None] == second.labels[name][None, :]
    if effect.by_kind:
        same *= first.shares @ second.shares.T
    return same * np.outer(first.intensity, second.intensity) if effect.slope else same
