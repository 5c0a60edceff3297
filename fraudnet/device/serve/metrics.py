"""What a service counts, in the text format of Prometheus (version 0.0.4).

Written here, not by its client library, as the device needs no package for it.
"""

import math
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fraudnet.device.contract import Contract
from fraudnet.device.decisions import Decision
from fraudnet.device.serve.drift import Drift

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCIES_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ANSWERS = ("decision", "fallback", "error")
OUTCOMES = ("scored", "repeated", "refused", "failed")
FALLBACKS = ("deadline", "busy", "failure")


class Histogram:
    """Values counted by upper bounds, as Prometheus has it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def note(self, value: float) -> None:
        """Counts a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self, name: str) -> Iterator[str]:
        """Its lines."""
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum!r}"
        yield f"{name}_count {total}"


class Metrics:
    """Counters of one service; any thread may call.

    Args:
        contract: of the artifact; drift is measured where it tells quantiles.
        artifact_sha256: of the artifact.
        store: the SQLite file.
    """

    def __init__(self, contract: Contract, artifact_sha256: str, store: Path) -> None:
        self._lock = threading.Lock()
        self._artifact_sha256 = artifact_sha256
        self._store = store
        self._answers = Counter(dict.fromkeys(ANSWERS, 0))
        self._outcomes = Counter(dict.fromkeys(OUTCOMES, 0))
        self._fallbacks = Counter(dict.fromkeys(FALLBACKS, 0))
        self._flagged = self._unfamiliar = 0
        self._latency = Histogram(LATENCIES_S)
        self._scoring = Histogram(LATENCIES_S)
        quantiles = {"score": contract.score_quantiles, "distance": contract.distance_quantiles}
        drift = {name: Drift(told) for name, told in quantiles.items()}
        self._drift = {name: each for name, each in drift.items() if each.edges}
        self._values = {name: Histogram(drift.edges) for name, drift in self._drift.items()}

    def answered(self, kind: str, latency_s: float, fallback: str = "") -> None:
        """A caller got an answer; of a fallback, why."""
        with self._lock:
            self._answers[kind] += 1
            self._latency.note(latency_s)
            if fallback:
                self._fallbacks[fallback] += 1

    def came_to_nothing(self, outcome: str) -> None:
        """A transaction was refused, or failed to be stored."""
        with self._lock:
            self._outcomes[outcome] += 1

    def decided(self, decision: Decision) -> None:
        """The scorer decided; what came again counts as repeated and nothing else."""
        with self._lock:
            if decision.repeated:
                self._outcomes["repeated"] += 1
                return
            self._outcomes["scored"] += 1
            self._flagged += decision.flagged
            self._unfamiliar += decision.familiar is False
            self._scoring.note(decision.latency_us / 1e6)
            values = {"score": decision.probability, "distance": decision.ood_distance}
            for name, drift in self._drift.items():
                drift.note(values[name])
                self._values[name].note(values[name])

    def text(self, waiting: int, limit: int, failing: bool) -> str:
        """All of them.

        Args:
            waiting: transactions in the queue.
            limit: most that it takes.
            failing: the last transaction failed to be stored.
        """
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines(waiting, limit, failing))

    def _lines(self, waiting: int, limit: int, failing: bool) -> Iterator[str]:
        yield from _family(
            "fraudnet_info", "gauge", "The artifact at work.",
            [f'fraudnet_info{{artifact_sha256="{self._artifact_sha256}"}} 1'],
        )  # fmt: skip
        yield from _one("fraudnet_healthy", "gauge", "0: the last one failed.", int(not failing))
        yield from _labelled("fraudnet_answers_total", "What callers got.", "kind", self._answers)
        yield from _labelled(
            "fraudnet_fallbacks_total", "Fallbacks by their cause.", "because", self._fallbacks
        )
        yield from _labelled(
            "fraudnet_transactions_total", "What became of them.", "outcome", self._outcomes
        )
        yield from _one("fraudnet_flagged_total", "counter", "Scored and flagged.", self._flagged)
        yield from _one(
            "fraudnet_unfamiliar_total", "counter", "Scored, unlike training.", self._unfamiliar
        )
        yield from _one("fraudnet_queue_length", "gauge", "Transactions that wait.", waiting)
        yield from _one("fraudnet_queue_limit", "gauge", "Most that may wait.", limit)
        yield from _histogram("fraudnet_latency_seconds", "From arrival to answer.", self._latency)
        yield from _histogram(
            "fraudnet_scoring_seconds", "Of the scorer, commit included.", self._scoring
        )
        for name, values in self._values.items():
            yield from _histogram(
                f"fraudnet_{name}", "Buckets end at the validation period's quantiles.", values
            )
        indices = {name: drift.stability_index() for name, drift in self._drift.items()}
        yield from _family(
            "fraudnet_drift", "gauge", "Population stability index against validation.",
            [f'fraudnet_drift{{of="{name}"}} {_number(i)}' for name, i in indices.items()],
        )  # fmt: skip
        yield from _family(
            "fraudnet_drift_transactions", "gauge", "How many the index is of.",
            [
                f'fraudnet_drift_transactions{{of="{name}"}} {len(drift)}'
                for name, drift in self._drift.items()
            ],
        )  # fmt: skip
        yield from _one("fraudnet_store_bytes", "gauge", "The store, log included.", self._bytes())

    def _bytes(self) -> int:
        total = 0
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                total += Path(f"{self._store}{suffix}").stat().st_size
        return total


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value)


def _family(name: str, kind: str, help_: str, samples: Iterable[str]) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
    yield from samples


def _one(name: str, kind: str, help_: str, value: int) -> Iterator[str]:
    return _family(name, kind, help_, [f"{name} {value}"])


def _labelled(name: str, help_: str, label: str, counts: Mapping[str, int]) -> Iterator[str]:
    samples = [f'{name}{{{label}="{value}"}} {count}' for value, count in counts.items()]
    return _family(name, "counter", help_, samples)


def _histogram(name: str, help_: str, histogram: Histogram) -> Iterator[str]:
    return _family(name, "histogram", help_, histogram.samples(name))
