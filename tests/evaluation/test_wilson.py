import numpy as np
import pytest
from scipy.stats import binomtest

from fraudnet.evaluation.wilson import wilson_interval


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_it_is_that_of_scipy(level: float) -> None:
    pairs = [(0, 1), (1, 1), (0, 40), (3, 40), (40, 40), (17, 1000)]
    lower, upper = wilson_interval(
        np.array([k / n for k, n in pairs]), np.array([float(n) for _, n in pairs]), level
    )
    for at, (successes, trials) in enumerate(pairs):
        expected = binomtest(successes, trials).proportion_ci(level, "wilson")
        assert (lower[at], upper[at]) == pytest.approx((expected.low, expected.high), abs=1e-12)
