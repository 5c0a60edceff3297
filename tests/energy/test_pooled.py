import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime

from fraudnet.energy import pooled
from fraudnet.energy.pooled import Effect, Pooled, Rows, fit

EFFECTS = (
    Effect(("board",), 0.5),
    Effect(("system",), 0.3, by_kind=True),
    Effect(("model",), 0.1),
    Effect(("board",), 0.2, slope=True),
)


def made_rows(rng: np.random.Generator, count: int = 24) -> Rows:
    work = rng.uniform(1, 5, (count, 3))
    return Rows(
        labels={
            "board": rng.choice(["a", "b"], count),
            "system": rng.choice(["s", "t", "u"], count),
            "model": rng.choice(["m", "n", "o", "p"], count),
        },
        target=np.exp(rng.normal(0, 0.5, count)) * work.sum(axis=1),
        work=work,
        shares=work / work.sum(axis=1, keepdims=True),
        intensity=rng.normal(2, 1, count),
    )


def design(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Columns of a plain linear model with one coefficient a deviation, and their effects."""
    columns, of = [np.ones(len(rows))], [-1]
    for index, effect in enumerate(EFFECTS):
        labels = rows.labels[effect.labels[0]]
        for value in np.unique(np.concatenate([labels, ["a", "b", "s", "t", "u"]])):
            kinds = rows.shares.T if effect.by_kind else [np.ones(len(rows))]
            for kind in kinds:
                columns.append((labels == value) * kind * (rows.intensity if effect.slope else 1))
                of.append(index)
    return np.array(columns).T, np.array(of)


def test_prediction_is_that_of_a_linear_model_with_normal_coefficients() -> None:
    rows = made_rows(np.random.default_rng(0))
    spreads = np.log([0.5, 0.3, 0.1, 0.2, 0.05])
    fitted = Pooled(EFFECTS, spreads, np.log([2.0, 0.5]))
    known, asked = rows[:18], rows[18:]
    columns, of = design(rows)
    prior = np.array([25.0 if effect < 0 else np.exp(2 * spreads[effect]) for effect in of])
    outcome = np.log(known.target / (known.work @ [1, 2, 0.5]))  # type: ignore[operator]
    precision = columns[:18].T @ columns[:18] / 0.05**2 + np.diag(1 / prior)
    variance = np.linalg.inv(precision)
    mean = variance @ columns[:18].T @ outcome / 0.05**2
    predicted, error = fitted.predict(known, asked)
    work = np.log(asked.work @ [1, 2, 0.5])  # type: ignore[operator]
    np.testing.assert_allclose(predicted, columns[18:] @ mean + work, rtol=1e-6)
    own = np.sum(columns[18:] @ variance * columns[18:], axis=1)
    np.testing.assert_allclose(error, np.sqrt(own + 0.05**2), rtol=1e-6)


def test_residuals_are_those_of_predicting_each_row_from_the_others() -> None:
    rows = made_rows(np.random.default_rng(1))
    fitted = Pooled(EFFECTS, np.log([0.5, 0.3, 0.1, 0.2, 0.05]), np.log([2.0, 0.5]))
    every = np.arange(len(rows))
    expected = []
    for row in every:
        middle, error = fitted.predict(rows[every != row], rows[every == row])
        expected.append((np.log(rows.target[row]) - middle[0]) / error[0])
    np.testing.assert_allclose(fitted.residuals(rows), expected, rtol=1e-6)


def test_spreads_and_weights_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With much data and a weak prior, what the rows were made with comes back."""
    monkeypatch.setattr(pooled, "_WEIGHT_PRIOR", 5.0)
    rng = np.random.default_rng(2)
    count = 300
    work = np.exp(rng.uniform(0, 4, (count, 3)))
    systems = rng.integers(0, 60, count)
    factors = rng.normal(0, 0.7, 60)
    target = (work @ [1.0, 3.0, 0.2]) * np.exp(factors[systems] + rng.normal(0, 0.05, count))
    shares, intensity = np.ones((count, 1)), np.zeros(count)
    rows = Rows({"system": systems.astype(str)}, target, work, shares, intensity)
    fitted = fit(rows, (Effect(("system",), 0.3),), 0.2, (1.0, 1.0))
    assert fitted.weights == pytest.approx([1, 3, 0.2], rel=0.05)
    assert np.exp(fitted.log_spreads) == pytest.approx([0.7, 0.05], rel=0.2)


def test_fit_stands_at_a_maximum() -> None:
    """The gradient of a likelihood written out anew vanishes where the fit ends."""
    rows = made_rows(np.random.default_rng(3), 40)
    fitted = fit(rows, EFFECTS, 0.1, (2.0, 0.5))
    start = np.log([0.5, 0.3, 0.1, 0.2, 0.1, 2.0, 0.5])

    def loss(point: NDArray[np.float64]) -> float:
        outcome = np.log(rows.target / (rows.work @ np.exp([0, *point[5:]])))
        variance = 25 * np.ones((40, 40)) + np.exp(2 * point[4]) * np.eye(40)
        for effect, spread in zip(EFFECTS, point, strict=False):
            labels = rows.labels[effect.labels[0]]
            kinds = rows.shares @ rows.shares.T if effect.by_kind else 1.0
            if effect.slope:
                kinds = np.outer(rows.intensity, rows.intensity)
            variance = variance + np.exp(2 * spread) * (labels[:, None] == labels) * kinds
        likelihood = outcome @ np.linalg.solve(variance, outcome) + np.linalg.slogdet(variance)[1]
        deviation = np.array([1, 1, 1, 1, 1, 0.5, 0.5])
        return float(0.5 * likelihood + 0.5 * np.sum(((point - start) / deviation) ** 2))

    found = np.concatenate([fitted.log_spreads, fitted.log_weights])
    assert np.abs(approx_fprime(found, loss)).max() < 1e-3
    assert loss(found) < loss(start)
