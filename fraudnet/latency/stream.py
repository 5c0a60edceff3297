"""Arrivals that do not wait for the server: an open loop, so that waiting counts.

A loop that sends the next transaction when the last is answered pauses whenever the server does,
and leaves out just the times that customers would have waited (coordinated omission; Tene, "How
NOT to Measure Latency", 2013; Schroeder, Wierman, Harchol-Balter, "Open Versus Closed", NSDI 2006).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Stream:
    """Times of an open loop, by arrival.

    Attributes:
        arrival_us: when each was to arrive, since the loop began, [N].
        service_us: how long the server was busy with it, [N].
        response_us: from when it was to arrive to when it was answered, [N]: service and waiting,
            and how late the operating system woke the server.
    """

    arrival_us: npt.NDArray[np.float64]
    service_us: npt.NDArray[np.float64]
    response_us: npt.NDArray[np.float64]

    @property
    def longest_queue(self) -> int:
        """Most that had arrived and were not answered, at any arrival (itself included)."""
        answered = self.arrival_us + self.response_us  # in order: there is one server
        before = np.searchsorted(answered, self.arrival_us, side="right")
        return int((np.arange(1, len(answered) + 1) - before).max())

    @property
    def utilisation(self) -> float:
        """Share of the time that the server was busy."""
        span_us = float((self.arrival_us + self.response_us)[-1])
        return float(self.service_us.sum()) / span_us


def poisson_arrivals_us(rate_per_s: float, count: int, seed: int) -> npt.NDArray[np.float64]:
    """Times of a Poisson process: gaps are independent and exponential of mean 1 / rate, [N]."""
    gaps = np.random.default_rng(seed).exponential(1e6 / rate_per_s, count)
    return np.cumsum(gaps)


def run_open_loop(
    arrival_us: npt.NDArray[np.float64],
    serve: Sequence[Callable[[], object]],
    clock_ns: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Stream:
    """Serve each arrival when it comes, or as soon after as those before it allow.

    Args:
        arrival_us: since the beginning, ascending, [N].
        serve: what each asks for, [N].
        clock_ns: monotonic.
        sleep: waits so many seconds.
    """
    count = len(arrival_us)
    service, response = np.empty(count), np.empty(count)
    begin = clock_ns()
    for i, (due_us, ask) in enumerate(zip(arrival_us.tolist(), serve, strict=True)):
        early_us = due_us - (clock_ns() - begin) / 1e3
        if early_us > 0:
            sleep(early_us / 1e6)
        start = clock_ns()
        ask()
        end = clock_ns()
        service[i] = (end - start) / 1e3
        response[i] = (end - begin) / 1e3 - due_us
    return Stream(arrival_us, service, response)
