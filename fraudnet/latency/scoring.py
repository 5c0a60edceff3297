"""How long a whole decision takes, in a process of its own.

The account's history is looked up, its window filled, the network run, and transaction, decision
and case are committed.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.device.decisions import Decision
from fraudnet.device.errors import DeviceInputError
from fraudnet.device.reading import read_rows
from fraudnet.device.scorer import Scorer
from fraudnet.device.transactions import Transaction
from fraudnet.latency.answering import CacheEvictor, run_apart
from fraudnet.latency.stream import Stream, poisson_arrivals_us, run_open_loop
from fraudnet.latency.transactions import made_up

WARM_UP = 50
_FLAGGED, _LATENCY, _ERROR = "flagged", "latency_ns", "error"


@dataclass(frozen=True)
class Workload:
    """What is scored.

    Attributes:
        artifact: the .tflite.
        folder: where the store is put while it is measured; how long a commit takes hangs on it.
        accounts: made-up ones, each with as long a history as the window takes.
        seed: of their transactions, and of the arrivals.
        history: real transactions to store before, as `fraudnet score` takes them.
        transactions: real ones to score, instead of made-up ones.
        reputation: snapshot of counterparty counts.
    """

    artifact: str
    folder: str
    accounts: int = 20
    seed: int = 0
    history: str | None = None
    transactions: str | None = None
    reputation: str | None = None


@dataclass(frozen=True)
class Scored:
    """Times of whole decisions in microseconds, [N], and the share of them that opened a case."""

    latency_us: npt.NDArray[np.float64]
    flagged_share: float


def time_scoring(
    workload: Workload, runtime: str, *, threads: int = 1, repetitions: int, cold: bool = False
) -> Scored:
    """Score one transaction after the other.

    Args:
        workload: what is scored.
        runtime: that runs the network.
        threads: that it may use.
        repetitions: decisions that are timed, after 50 that are not.
        cold: as for `answers_of`; nothing is warmed up.

    Raises:
        NotLoaded: the runtime does not run it.
        DeviceInputError: the workload cannot be scored.
    """
    found = _apart(workload, runtime, threads=threads, repetitions=repetitions, cold=cold)
    return Scored(found[_LATENCY] / 1e3, float(found[_FLAGGED].mean()))


def time_stream(
    workload: Workload, runtime: str, *, rate_per_s: float, arrivals: int, threads: int = 1
) -> Stream:
    """Score transactions that arrive at a rate, as a Poisson process, whether or not there is time.

    Args:
        workload: what is scored.
        runtime: that runs the network.
        rate_per_s: arrivals a second, above 0.
        arrivals: how many.
        threads: that the runtime may use.

    Raises:
        NotLoaded: the runtime does not run it.
        DeviceInputError: the workload cannot be scored.
    """
    found = _apart(
        workload, runtime, threads=threads, repetitions=arrivals, cold=False, rate=rate_per_s
    )
    return Stream(*(found[name] for name in ("arrival_us", "service_us", "response_us")))


def _apart(workload: Workload, runtime: str, **options: Any) -> dict[str, npt.NDArray[Any]]:  # noqa: ANN401
    try:
        with tempfile.TemporaryDirectory(prefix=".fraudnet-bench-", dir=workload.folder) as folder:
            found = Path(folder) / "found.npz"
            asked = {"workload": asdict(workload), "store": f"{folder}/store.sqlite", **options}
            run_apart(__name__, runtime, [json.dumps(asked), found])
            with np.load(found) as stored:
                times = dict(stored)
    except OSError as error:
        raise DeviceInputError(
            f"{workload.folder}: {error.strerror or error}; give a folder for the store with "
            "--folder"
        ) from error
    if _ERROR in times:
        raise DeviceInputError(str(times[_ERROR]))
    return times


def _main(options: str, found: str) -> None:
    asked = json.loads(options)
    try:
        np.savez(found, **_measured(asked, Workload(**asked["workload"])))
    except DeviceInputError as error:
        np.savez(found, **{_ERROR: str(error)})


def _measured(asked: dict[str, Any], workload: Workload) -> dict[str, npt.NDArray[Any]]:
    warm_up = 0 if asked["cold"] else WARM_UP
    reputation = workload.reputation and Path(workload.reputation)
    with Scorer(
        Path(workload.artifact), Path(asked["store"]), reputation or None, threads=asked["threads"]
    ) as scorer:
        transactions = _prepared(scorer, workload, warm_up + asked["repetitions"])
        for transaction in transactions[:warm_up]:
            scorer.score(transaction)
        measured = transactions[warm_up:]
        if "rate" in asked:
            arrivals = poisson_arrivals_us(asked["rate"], len(measured), workload.seed)
            stream = run_open_loop(arrivals, [partial(scorer.score, each) for each in measured])
            return asdict(stream)
        evictor = CacheEvictor() if asked["cold"] else None
        timed = [_timed(scorer.score, each, evictor) for each in measured]
    latency, flagged = zip(*timed, strict=True)
    return {_LATENCY: np.array(latency), _FLAGGED: np.array(flagged)}


def _timed(
    score: Callable[[Transaction], Decision], transaction: Transaction, evictor: CacheEvictor | None
) -> tuple[int, bool]:
    if evictor:
        evictor.evict()
    start = time.perf_counter_ns()
    decision = score(transaction)
    return time.perf_counter_ns() - start, decision.flagged


def _prepared(scorer: Scorer, workload: Workload, count: int) -> list[Transaction]:
    """Store the history; returns the transactions to score."""
    if workload.history:
        scorer.add_history(_real(scorer, workload.history))
    if workload.transactions:
        found = list(islice(_real(scorer, workload.transactions), count))
        if len(found) < count:
            raise DeviceInputError(
                f"{workload.transactions}: {len(found)} transactions that can be scored, {count} "
                "are needed; ask for fewer repetitions or arrivals"
            )
        return found
    past = 0
    if not workload.history:
        past = workload.accounts * (scorer.contract.window_length - 1)
        scorer.add_history(made_up(scorer.contract, workload.accounts, past, workload.seed))
    return list(made_up(scorer.contract, workload.accounts, count, workload.seed, first=past))


def _real(scorer: Scorer, path: str) -> Any:  # noqa: ANN401
    rows = (row.parsed for row in read_rows(Path(path), scorer.contract.columns))
    return (parsed for parsed in rows if isinstance(parsed, Transaction))


if __name__ == "__main__":
    _main(*sys.argv[1:])
