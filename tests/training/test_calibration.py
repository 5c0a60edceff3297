"""Calibration against maximum likelihood by scipy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm, rankdata
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from fraudnet.errors import InputError
from fraudnet.network.layers import Calibration
from fraudnet.training import calibration
from fraudnet.training.calibration import CalibrationConfig, cross_fitted
from fraudnet.training.experiment import load_experiment
from tests.network.test_layers import piecewise

Floats = NDArray[Any]
PLATT = CalibrationConfig(method="platt")
ISOTONIC = CalibrationConfig(method="isotonic")


def smoothed(is_fraud: Floats) -> Floats:
    """Platt's targets, by his formulas."""
    positive, negative = is_fraud.sum(), (1 - is_fraud).sum()
    high, low = (positive + 1) / (positive + 2), 1 / (negative + 2)
    return np.array([high if label else low for label in is_fraud])


def log_loss(parameters: Floats, logit: Floats, target: Floats) -> float:
    z = parameters[0] * logit.astype(np.float64) + parameters[1]
    return float(np.mean(np.logaddexp(0, z) - target * z))


def most_likely(logit: Floats, is_fraud: Floats) -> Floats:
    """Slope and intercept that minimise the log loss of smoothed targets."""
    found = minimize(
        log_loss, [0.0, 0.0], (logit, smoothed(is_fraud)), "Nelder-Mead",
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
    layer = fitted(logit, is_fraud, PLATT)
    return np.array([layer.slopes.numpy()[0], layer.intercept.numpy()])


def fitted(logit: Floats, is_fraud: Floats, config: CalibrationConfig) -> Calibration:
    layer = Calibration(config.knots)
    layer.build((None, 1))
    calibration.fit_calibration(layer, logit, is_fraud, config)
    return layer


def probability(layer: Calibration, logit: Floats) -> Floats:
    return calibration.calibrated(layer, logit.astype(np.float32)).astype(np.float64)


@pytest.mark.parametrize(
    ("slope", "intercept", "seed"), [(1, 0, 0), (0.3, -3, 1), (2.5, -4, 2), (0.02, 3, 3)]
)
def test_slope_and_intercept_are_the_most_likely(slope: float, intercept: float, seed: int) -> None:
    logit, is_fraud = drawn(slope, intercept, seed)
    found, expected = calibrated(logit, is_fraud), most_likely(logit, is_fraud)
    assert found == pytest.approx(expected, rel=5e-3, abs=1e-3)
    target = smoothed(is_fraud)
    assert log_loss(found, logit, target) <= log_loss(expected, logit, target) + 1e-7


def test_probabilities_add_up_to_the_frauds() -> None:
    logit, is_fraud = drawn(0.5, -3, 4)
    slope, intercept = calibrated(logit, is_fraud)
    expected = expit(slope * logit + intercept)
    assert expected.sum() == pytest.approx(smoothed(is_fraud).sum(), rel=1e-3)
    assert expected.sum() == pytest.approx(is_fraud.sum(), rel=1e-2)


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


# One line through both cannot rise from 1 in 992 to 11 in 12 within a gap of 0.1.
@pytest.mark.parametrize(
    ("config", "gap", "least"), [(PLATT, 0.1, 0.3), (PLATT, 8, 0.8), (ISOTONIC, 0.1, 0.8)]
)
def test_slopes_stay_small_where_all_frauds_are_above_the_others(
    config: CalibrationConfig, gap: float, least: float
) -> None:
    """Nobody is surer than ten frauds can make one: 11 in 12 (Laplace's rule)."""
    rng = np.random.default_rng(0)
    is_fraud = np.repeat([0, 1], [990, 10]).astype(np.int8)
    logit = np.where(is_fraud, rng.uniform(gap, 1 + gap, 1000), rng.uniform(-9, 0, 1000))
    layer = fitted(logit.astype(np.float32), is_fraud, config)
    found = probability(layer, logit)
    assert found.sum() == pytest.approx(smoothed(is_fraud).sum(), rel=1e-3)
    assert least < found[is_fraud == 1].mean() < 11 / 12 + 0.02
    assert layer.slopes.numpy().max() < 80


def bent(count: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Logits whose true log-odds are no line, with these, and labels."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-4, 3, count).astype(np.float32)
    log_odds = np.where(logit < 0, 0.4, 1.6) * logit - 3 - 0.1 * np.maximum(logit - 3, 0) ** 2
    return logit, log_odds, (rng.random(count) < expit(log_odds)).astype(np.int8)


def test_isotonic_finds_log_odds_that_are_no_line() -> None:
    logit, log_odds, is_fraud = bent(60_000)
    true = expit(log_odds)

    def error(found: Floats) -> float:
        return float(np.abs(found - true).mean())

    found = error(probability(fitted(logit, is_fraud, ISOTONIC), logit))
    steps = IsotonicRegression().fit(logit, is_fraud).predict(logit)
    assert found < 0.3 * error(probability(fitted(logit, is_fraud, PLATT), logit))
    assert found < error(steps)


def test_isotonic_cannot_be_moved_to_a_greater_likelihood() -> None:
    """The conditions of Karush, Kuhn and Tucker, with slopes by finite differences."""
    logit, _, is_fraud = bent(1_500)
    layer, target = fitted(logit, is_fraud, ISOTONIC), smoothed(is_fraud)
    knots, slopes = (w.numpy().astype(np.float64) for w in (layer.knots, layer.slopes))
    intercept = float(layer.intercept.numpy())
    platt = calibrated(logit, is_fraud)[0]

    def loss(intercept: float, slopes: Floats) -> float:
        z = [piecewise(knots.tolist(), slopes.tolist(), intercept, at) for at in logit]
        return float(np.sum(np.logaddexp(0, z) - target * np.array(z)))

    step = 1e-4
    assert loss(intercept, slopes) < loss(*most_likely_line(logit, is_fraud, knots)) - 1
    assert abs(loss(intercept + step, slopes) - loss(intercept - step, slopes)) / step < 2
    outer = (0, len(slopes) - 1)
    for at in range(len(slopes)):
        up, down = slopes.copy(), slopes.copy()
        up[at], down[at] = slopes[at] + step, slopes[at] - step
        gradient = (loss(intercept, up) - loss(intercept, down)) / (2 * step)
        is_least = slopes[at] <= 0.05 * platt * 1.001
        is_most = at in outer and slopes[at] >= platt * 0.999
        assert gradient > -1 or is_most, at
        assert gradient < 1 or is_least, at
        assert slopes[at] >= 0.05 * platt * 0.999


def most_likely_line(logit: Floats, is_fraud: Floats, knots: Floats) -> tuple[float, Floats]:
    """Platt's line, as pieces between the knots."""
    slope, intercept = most_likely(logit, is_fraud)
    return intercept + slope * knots[0], np.full(len(knots) + 1, slope)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(30, 800), st.floats(0.2, 3))
def test_isotonic_ranks_as_the_logits_do(seed: int, count: int, sharpness: float) -> None:
    rng = np.random.default_rng(seed)
    logit = np.round(rng.normal(-1, 2, count), 2).astype(np.float32)
    is_fraud = (rng.random(count) < expit(sharpness * logit)).astype(np.int8)
    is_fraud[np.argmax(logit)], is_fraud[np.argmin(logit)] = 1, 0
    try:
        layer = fitted(logit, is_fraud, ISOTONIC)
    except InputError:
        return
    assert len(layer.knots.numpy()) == 16
    log_odds = np.ravel(layer.log_odds(logit[:, None]))
    assert (rankdata(log_odds) == rankdata(logit)).all()
    found = probability(layer, logit)
    assert 0 < found.min() <= found.max() < 1


def gaussian(count: int, share: float, seed: int) -> tuple[Floats, Floats]:
    """One number a transaction, N(0, 1) of genuine and N(2, 1) of frauds, and labels."""
    rng = np.random.default_rng(seed)
    is_fraud = (rng.random(count) < share).astype(np.int8)
    return (rng.normal(0, 1, count) + 2 * is_fraud).astype(np.float32), is_fraud


def bayes(x: Floats, prior: float) -> Floats:
    fraud, genuine = prior * norm.pdf(x, 2), (1 - prior) * norm.pdf(x, 0)
    return np.asarray(fraud / (fraud + genuine))


AT = np.linspace(-2, 4, 61).astype(np.float32)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_genuine_transactions_that_were_sampled_are_put_back(method: str) -> None:
    x, is_fraud = gaussian(400_000, 0.02, 1)
    kept = (is_fraud == 1) | (np.random.default_rng(2).random(len(x)) < 0.1)
    config = CalibrationConfig.model_validate({"method": method, "genuine_sampling_rate": 0.1})
    found = probability(fitted(x[kept], is_fraud[kept], config), AT)
    assert found == pytest.approx(bayes(AT, 0.02), abs=0.03, rel=0.25)
    weight = config.weights(is_fraud[kept])
    assert np.average(is_fraud[kept], weights=weight) == pytest.approx(0.02, rel=0.05)
    assert weight.sum() == pytest.approx(len(x), rel=0.01)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize("prior", [0.001, 0.3])
def test_another_share_of_fraud_is_that_of_bayes(method: str, prior: float) -> None:
    x, is_fraud = gaussian(200_000, 0.05, 3)
    config = CalibrationConfig.model_validate({"method": method, "prior": prior})
    found = probability(fitted(x, is_fraud, config), AT)
    assert found == pytest.approx(bayes(AT, prior), abs=0.03, rel=0.25)
    weight = config.weights(is_fraud)
    assert np.average(is_fraud, weights=weight) == pytest.approx(prior)
    assert weight.sum() == pytest.approx(len(x))


def test_a_fraud_weight_in_training_is_undone() -> None:
    x, is_fraud = gaussian(200_000, 0.01, 4)
    model = LogisticRegression(C=np.inf, class_weight={0: 1, 1: 10}).fit(x[:, None], is_fraud)
    logit, at = (model.decision_function(v[:, None]).astype(np.float32) for v in (x, AT))
    assert expit(logit).mean() > 4 * is_fraud.mean()
    found = probability(fitted(logit, is_fraud, PLATT), at)
    assert found == pytest.approx(bayes(AT, 0.01), abs=0.02, rel=0.1)


def test_prior_and_sampling_rate_are_not_given_both() -> None:
    with pytest.raises(InputError, match="not both"):
        load_experiment(
            "simulated", ["calibration.prior=0.001", "calibration.genuine_sampling_rate=0.1"]
        )


def accounts(seed: int, count: int = 600) -> tuple[Floats, Floats, Floats]:
    """Logits, labels and accounts, ten transactions each."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 2, count).astype(np.float32)
    is_fraud = (rng.random(count) < expit(logit - 1)).astype(np.int8)
    return logit, is_fraud, rng.permutation(np.repeat(np.arange(count // 10), 10))


@pytest.mark.parametrize("config", [PLATT, ISOTONIC])
def test_cross_fitting_never_answers_from_the_accounts_own_labels(
    config: CalibrationConfig,
) -> None:
    logit, is_fraud, account = accounts(0)
    known = np.ones(len(logit), bool)
    before = cross_fitted(logit, is_fraud, known, account, config)
    assert before is not None
    assert len(np.unique(np.round(before - probability(fitted(logit, is_fraud, config), logit), 5)))
    for own in range(0, 60, 7):
        turned = np.where(account == own, is_fraud[account == own][::-1].repeat(60)[:600], is_fraud)
        if turned[account == own].sum() != is_fraud[account == own].sum():
            continue  # it would change halves
        after = cross_fitted(logit, turned, known, account, config)
        assert after is not None
        assert (after[account == own] == before[account == own]).all()


def test_cross_fitting_is_on_known_labels_alone() -> None:
    logit, is_fraud, account = accounts(1)
    known = np.random.default_rng(2).random(600) < 0.7
    hidden = np.where(known, is_fraud, 0)
    before = cross_fitted(logit, hidden, known, account, PLATT)
    all_ = cross_fitted(logit, hidden, np.ones(600, bool), account, PLATT)
    assert before is not None
    assert all_ is not None
    assert (before != all_).mean() > 0.9


def test_a_half_without_fraud_cannot_be_cross_fitted() -> None:
    logit, is_fraud, account = accounts(3)
    one = np.where(account == 5, is_fraud, 0).astype(np.int8)
    one[np.flatnonzero(account == 5)[0]] = 1
    assert cross_fitted(logit, one, np.ones(600, bool), account, PLATT) is None
