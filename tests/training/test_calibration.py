"""Calibration against maximum likelihood by scipy, distance against scipy's Mahalanobis."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial.distance import mahalanobis
from scipy.special import expit

from fraudnet.errors import InputError
from fraudnet.network.layers import MahalanobisDistance, PlattCalibration
from fraudnet.training.calibration import fit_calibration, fit_distance

Floats = NDArray[Any]


def log_loss(parameters: Floats, logit: Floats, is_fraud: Floats) -> float:
    z = parameters[0] * logit.astype(np.float64) + parameters[1]
    return float(np.mean(np.logaddexp(0, z) - is_fraud * z))


def most_likely(logit: Floats, is_fraud: Floats) -> Floats:
    """Slope and intercept that minimise the log loss."""
    found = minimize(
        log_loss, [0.0, 0.0], (logit, is_fraud), "Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 10_000, "maxfev": 10_000},
    )  # fmt: skip
    assert found.success
    parameters: Floats = found.x
    return parameters


def drawn(slope: float, intercept: float, seed: int, count: int = 4000) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 2, count).astype(np.float32)
    share = expit(slope * logit + intercept)
    return logit, (rng.random(count) < share).astype(np.int8)


def calibrated(logit: Floats, is_fraud: Floats) -> Floats:
    layer = PlattCalibration()
    layer.build((None, None, 1))
    fit_calibration(layer, logit, is_fraud)
    return np.array([layer.slope.numpy(), layer.intercept.numpy()])


@pytest.mark.parametrize(
    ("slope", "intercept", "seed"), [(1, 0, 0), (0.3, -3, 1), (2.5, -4, 2), (0.02, 3, 3)]
)
def test_slope_and_intercept_are_the_most_likely(slope: float, intercept: float, seed: int) -> None:
    logit, is_fraud = drawn(slope, intercept, seed)
    found, expected = calibrated(logit, is_fraud), most_likely(logit, is_fraud)
    assert found == pytest.approx(expected, rel=5e-3, abs=1e-3)
    assert log_loss(found, logit, is_fraud) <= log_loss(expected, logit, is_fraud) + 1e-7


def test_probabilities_add_up_to_the_frauds() -> None:
    logit, is_fraud = drawn(0.5, -3, 4)
    slope, intercept = calibrated(logit, is_fraud)
    expected = expit(slope * logit + intercept)
    assert expected.sum() == pytest.approx(is_fraud.sum(), rel=1e-3)


@pytest.mark.parametrize("only", [0, 1])
def test_a_single_class_cannot_be_calibrated_on(only: int) -> None:
    logit, _ = drawn(1, 0, 5)
    with pytest.raises(InputError, match=r"lengthen split\.validation_days"):
        calibrated(logit, np.full(len(logit), only, np.int8))


def test_no_row_at_all_cannot_be_calibrated_on() -> None:
    with pytest.raises(InputError, match=r"lengthen split\.validation_days"):
        calibrated(np.empty(0, np.float32), np.empty(0, np.int8))


def test_a_ranking_upside_down_is_refused() -> None:
    logit, is_fraud = drawn(1, -1, 6)
    with pytest.raises(InputError, match="ranks fraud below genuine"):
        calibrated(-logit, is_fraud)


def test_frauds_that_are_all_above_the_others_give_finite_probabilities() -> None:
    logit = np.linspace(-9, 9, 300).astype(np.float32)
    slope, intercept = calibrated(logit, (logit > 8).astype(np.int8))
    assert np.isfinite([slope, intercept]).all()
    probability = expit(slope * logit + intercept)
    assert (probability[logit > 8] > 0.5).all()
    assert (probability[logit <= 8] < 0.5).all()


def correlated(count: int = 800, channels: int = 6, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels))
    drawn: Floats = rng.normal(size=(count, channels)) @ mixing + rng.normal(size=channels)
    return drawn.astype(np.float32)


def distances(fitted_to: Floats, at: Floats) -> Floats:
    layer = MahalanobisDistance()
    layer.build((None, None, fitted_to.shape[1]))
    fit_distance(layer, fitted_to)
    found: Floats = layer(at[None]).numpy()[0, :, 0]
    return found


def shrunk_inverse(activations: Floats) -> Floats:
    covariance = np.cov(activations.astype(np.float64).T)
    ridge = 1e-3 * np.diag(covariance).mean()
    inverse: Floats = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    return inverse


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_is_that_of_mahalanobis_with_the_shrunk_covariance(seed: int) -> None:
    activations = correlated(seed=seed)
    at = np.concatenate([activations[:50], 20 * correlated(20, seed=seed + 100)])
    mean, inverse = activations.astype(np.float64).mean(axis=0), shrunk_inverse(activations)
    expected = [mahalanobis(point, mean, inverse) ** 2 for point in at.astype(np.float64)]
    assert distances(activations, at) ** 2 == pytest.approx(np.array(expected), rel=1e-4)


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
def test_the_scale_of_all_activations_does_not_matter(factor: float) -> None:
    activations, at = correlated(), correlated(seed=1)
    scaled = distances(np.float32(factor) * activations, np.float32(factor) * at)
    assert scaled == pytest.approx(distances(activations, at), rel=1e-4)


def test_channels_that_never_change_keep_the_distance_finite() -> None:
    activations, at = correlated(), correlated(seed=1)
    activations[:, 2] = at[:, 2] = 3.0
    activations[:, 4] = activations[:, 5]
    expected = [
        mahalanobis(point, activations.mean(axis=0, dtype=np.float64), shrunk_inverse(activations))
        for point in at.astype(np.float64)
    ]
    assert distances(activations, at) == pytest.approx(np.array(expected), rel=1e-3)
    at[:, 2] = 4.0
    assert (distances(activations, at) > np.array(expected) + 1).all()


def test_activations_that_are_all_alike_are_at_no_distance() -> None:
    same = np.full((10, 4), 0.5, np.float32)
    assert distances(same, same).tolist() == [0.0] * 10
    assert np.isfinite(distances(same, same + 1)).all()
