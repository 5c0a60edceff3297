"""Percentiles, and the open loop against the recursion of queueing theory."""

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudnet.latency.percentiles import percentiles
from fraudnet.latency.stream import poisson_arrivals_us, run_open_loop


@pytest.mark.parametrize("count", [1, 9, 99, 100, 999, 1000])
def test_a_percentile_that_no_time_lies_beyond_is_not_measured(count: int) -> None:
    times = np.random.default_rng(count).lognormal(5, 1, count)
    found = percentiles(times)
    assert found["count"] == count
    assert found["mean_us"] == pytest.approx(times.sum() / count)
    for name, percent, least in (
        ("p50_us", 50, 2), ("p90_us", 90, 10), ("p99_us", 99, 100), ("p999_us", 99.9, 1000)
    ):  # fmt: skip
        expected = None if count < least else pytest.approx(np.quantile(times, percent / 100))
        assert found[name] == expected, name


class Clock:
    """Time that passes when somebody sleeps or serves."""

    def __init__(self) -> None:
        self.now_ns = 17

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def served(
    arrival_us: NDArray[np.float64], service_us: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """Responses by the loop, and the longest queue."""
    clock = Clock()

    def ask(taken_us: float) -> None:
        clock.sleep(taken_us / 1e6)

    asked = [partial(ask, taken) for taken in service_us.tolist()]
    found = run_open_loop(arrival_us, asked, clock, clock.sleep)
    assert found.service_us == pytest.approx(service_us, abs=1e-2)
    span = (arrival_us + found.response_us)[-1]
    assert found.utilisation == pytest.approx(service_us.sum() / span)
    return found.response_us, found.longest_queue


@pytest.mark.parametrize("load", [0.2, 0.8, 1.5])
def test_responses_are_those_of_lindley(load: float) -> None:
    """W(n+1) = max(0, W(n) + S(n) - A(n+1)); response = waiting + service."""
    rng = np.random.default_rng(3)
    arrival = poisson_arrivals_us(1000.0, 400, seed=5)
    service = rng.exponential(1000 * load, 400)
    waiting = [0.0]
    for before, gap in zip(service, np.diff(arrival), strict=False):
        waiting.append(max(0.0, waiting[-1] + before - gap))
    expected = np.array(waiting) + service
    found, longest = served(arrival, service)
    assert found == pytest.approx(expected, abs=0.1)
    there = [
        sum(arrival[: i + 1] + expected[: i + 1] > arrival[i] + 0.2) for i in range(len(arrival))
    ]
    assert longest == max(there)


def test_a_pause_counts_for_all_who_wait() -> None:
    """One of a hundred takes 50 gaps: in a closed loop 1 % of the times say so, here half do."""
    arrival = np.arange(1, 101) * 1000.0
    service = np.full(100, 10.0)
    service[0] = 50_000
    found, longest = served(arrival, service)
    assert (found > 100).sum() == pytest.approx(50, abs=2)
    assert longest == pytest.approx(50, abs=1)


def test_arrivals_are_a_poisson_process() -> None:
    arrival = poisson_arrivals_us(200.0, 20_000, seed=1)
    gaps = np.diff(arrival)
    assert gaps.mean() == pytest.approx(5000, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    in_a_second = np.bincount((arrival // 1e6).astype(int))[:-1]
    assert in_a_second.var() == pytest.approx(in_a_second.mean(), rel=0.4)
    assert (arrival == poisson_arrivals_us(200.0, 20_000, seed=1)).all()
    assert (arrival != poisson_arrivals_us(200.0, 20_000, seed=2)).any()
