"""Calibration's figures against loops and scikit-learn, and the diagram against both."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.container import ErrorbarContainer
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from fraudnet.evaluation.bootstrap import resampled
from fraudnet.evaluation.calibration import (
    Predicted,
    binned,
    calibration_figures,
    calibration_intervals,
    expected_calibration_error,
    reliability_diagram,
)

Array = NDArray[Any]


def drawn(count: int = 2000, seed: int = 0) -> tuple[Array, Array]:
    """Probabilities that are twice too high, and labels."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.3, 6, count)
    return probability, (rng.random(count) < probability / 2).astype(np.int8)


def test_the_bins_are_those_of_scikit_learn() -> None:
    probability, is_fraud = drawn()
    ones = np.ones(2000)
    found = binned(probability, is_fraud, ones, ones, 20)
    share, mean = calibration_curve(is_fraud, probability, n_bins=20, strategy="quantile")
    assert found.count.tolist() == [100] * 20
    assert found.observed == pytest.approx(share)
    assert found.predicted == pytest.approx(mean)
    error = expected_calibration_error(probability, is_fraud)
    assert error == pytest.approx(np.abs(share - mean).mean())
    assert error == pytest.approx(probability.mean() / 2, rel=0.2)


def naive_error(rows: list[tuple[float, int, int]], bins: int) -> float:
    """Each row has a probability, a label and how often it is there."""
    repeated = sorted((p, label) for p, label, times in rows for _ in range(times))
    held: dict[int, list[tuple[float, int]]] = {}
    for p, label in repeated:
        places = [at for at, (other, _) in enumerate(repeated) if other == p]
        middle = (places[0] + places[-1] + 1) / 2
        held.setdefault(min(int(bins * middle / len(repeated)), bins - 1), []).append((p, label))
    errors = [
        abs(sum(label for _, label in bin_) - sum(p for p, _ in bin_)) for bin_ in held.values()
    ]
    return sum(errors) / len(repeated)


ROWS = st.lists(
    st.tuples(st.integers(0, 64).map(lambda n: n / 64), st.integers(0, 1), st.integers(1, 4)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200)
@given(ROWS, st.sampled_from([1, 2, 4, 8, 16]), st.randoms())
def test_the_error_is_that_of_a_loop_whatever_the_order(
    rows: list[tuple[float, int, int]], bins: int, random: Random
) -> None:
    random.shuffle(rows)
    probability, is_fraud, weight = (np.array(column) for column in zip(*rows, strict=True))
    found = expected_calibration_error(probability, is_fraud, weight.astype(float), bins)
    assert found == pytest.approx(naive_error(rows, bins), abs=1e-12)


def test_the_figures_before_and_after() -> None:
    probability, is_fraud = drawn()
    predicted = Predicted(is_fraud, np.ones(2000), probability, probability / 2)
    figures = calibration_figures(predicted)
    for ending, p in (("_uncalibrated", probability), ("", probability / 2)):
        assert figures[f"brier_score{ending}"] == pytest.approx(brier_score_loss(is_fraud, p))
        likelihood = np.where(is_fraud, p, 1 - p)
        assert figures[f"log_loss{ending}"] == pytest.approx(-np.log(likelihood).mean())
        error = figures[f"expected_calibration_error{ending}"]
        assert error == pytest.approx(expected_calibration_error(p, is_fraud))
    assert len(figures) == 6
    for name in ("brier_score", "log_loss", "expected_calibration_error"):
        assert figures[name] < figures[f"{name}_uncalibrated"]


def test_weights_stand_for_so_many_transactions() -> None:
    probability, is_fraud = drawn(400)
    weight = np.random.default_rng(1).integers(1, 5, 400)
    once = calibration_figures(Predicted(is_fraud, weight.astype(float), probability, None))
    often = np.repeat(np.arange(400), weight)
    expected = Predicted(is_fraud[often], np.ones(len(often)), probability[often], None)
    assert once == pytest.approx(calibration_figures(expected))
    assert list(once) == [
        "expected_calibration_error_uncalibrated",
        "brier_score_uncalibrated",
        "log_loss_uncalibrated",
    ]


def test_the_intervals_are_those_of_rows_that_are_there_several_times() -> None:
    probability, is_fraud = drawn(600)
    rng = np.random.default_rng(3)
    account, weight = rng.integers(0, 40, 600), rng.integers(1, 4, 600).astype(float)
    predicted = Predicted(is_fraud, weight, probability, (probability / 2).astype(np.float32))
    found = calibration_intervals(predicted, account, 50, 8)
    draws: dict[str, list[float]] = {}
    for times in resampled(40, 50, 8):
        rows = np.repeat(np.arange(600), times[account])
        for ending, p in (("_uncalibrated", probability), ("", predicted.calibrated)):
            assert p is not None
            score = brier_score_loss(is_fraud[rows], p[rows], sample_weight=weight[rows])
            draws.setdefault(f"brier_score{ending}", []).append(score)
            loss = log_loss(is_fraud[rows], p[rows], sample_weight=weight[rows])
            draws.setdefault(f"log_loss{ending}", []).append(loss)
    assert len(found) == 2 * len(draws) == 8
    for name, values in draws.items():
        low, high = np.quantile(values, [0.025, 0.975])
        assert (found[f"{name}_low"], found[f"{name}_high"]) == pytest.approx((low, high)), name


def test_the_diagram_shows_before_and_after_with_wilson_intervals() -> None:
    probability, is_fraud = drawn()
    figure = reliability_diagram(Predicted(is_fraud, np.ones(2000), probability, probability / 2))
    figure.canvas.draw()
    (axes,) = figure.axes
    containers = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    assert [each.get_label() for each in containers] == ["before", "after"]
    for container, p, style in zip(containers, (probability, probability / 2), ":-", strict=True):
        line, _, (bars,) = container.lines
        assert line is not None
        assert line.get_linestyle() == style
        order = np.argsort(p)
        cumulated = np.cumsum(p[order]) - p[order] / 2
        bin_ = (12 * cumulated / p.sum()).astype(int)
        points, segments = np.array(line.get_xydata()), bars.get_segments()
        assert len(points) == len(segments) == 12
        for at in range(12):
            held = order[bin_ == at]
            frauds = int(is_fraud[held].sum())
            expected = (p[held].mean(), frauds / len(held))
            assert points[at] == pytest.approx(np.array(expected))
            interval = binomtest(frauds, len(held)).proportion_ci(method="wilson")
            ends = segments[at][:, 1]
            assert (ends.min(), ends.max()) == pytest.approx((interval.low, interval.high))


def test_a_diagram_without_an_after_shows_the_before() -> None:
    probability, is_fraud = drawn(50)
    figure = reliability_diagram(Predicted(is_fraud, np.ones(50), probability, None))
    figure.canvas.draw()
    assert len(figure.axes[0].containers) == 1
