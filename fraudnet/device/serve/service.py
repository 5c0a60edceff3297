"""A scorer in a thread of its own, behind a bounded queue, with a deadline for every answer."""

import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from fraudnet.device.decisions import Decision
from fraudnet.device.errors import (
    ConflictError,
    DeviceInputError,
    StoreError,
    TransactionError,
)
from fraudnet.device.quarantine import Quarantine
from fraudnet.device.reading import Row, parse_line
from fraudnet.device.scorer import Scorer
from fraudnet.device.serve.metrics import Metrics
from fraudnet.device.shadow import FOLLOW_EVERY
from fraudnet.device.transactions import Transaction

MOST_BYTES = 65_536  # of one transaction
FAILING_S = 30.0  # after a failure; then it is tried again, not taken for lost
MOST_QUARANTINED = 64 * 2**20  # bytes of that file: who sends nonsense for ever fills no disk
Fallback = Literal["allow", "step_up", "block"]


@dataclass(frozen=True)
class Terms:
    """What a caller may count on."""

    budget_s: float  # from a transaction's arrival to its answer
    fallback: Fallback  # the answer where that passes
    queue: int  # transactions that may wait


class BusyError(Exception):
    """The queue is full."""


class Answer(NamedTuple):
    """What a caller gets."""

    kind: Literal["decision", "late", "busy", "failure", "error", "conflict"]
    line: str  # of JSON


@dataclass(eq=False)
class Request:
    """A line that arrived, and what is found about it."""

    row: Row
    source: Path
    arrived_s: float
    outcome: Future[Decision | Exception] = field(default_factory=Future)


class Service:
    """A scorer that any thread may ask; it has a thread of its own, as SQLite wants it.

    Past its deadline a transaction gets the fallback, and stays where it is in the queue: it is
    scored and stored in its turn, and who sends it again gets that decision.

    Args:
        open_scorer: called in that thread.
        store: its SQLite file.
        quarantine: where lines go that cannot be used.
        terms: what callers may count on.

    Raises:
        DeviceInputError: as `Scorer`.
    """

    def __init__(
        self,
        open_scorer: Callable[[], Scorer],
        store: Path,
        quarantine: Quarantine,
        terms: Terms,
    ) -> None:
        self.terms = terms
        self._failure = ("", 0.0)  # why the last transaction could not be stored, and when
        self._quarantine = quarantine
        self._lock = threading.Lock()
        self._queue: queue.Queue[Request | None] = queue.Queue(terms.queue)
        self._closing = False
        self._notices: list[str] = []
        opened: Future[Scorer] = Future()
        self._worker = threading.Thread(target=self._work, args=(open_scorer, opened), daemon=True)
        self._worker.start()
        scorer = opened.result()
        self._kinds = scorer.contract.columns
        self.artifact_sha256 = scorer.artifact_sha256
        self.metrics = Metrics(scorer.contract, scorer.artifact_sha256, store)

    def read(self, line: bytes, number: int, source: Path) -> Request:
        """Reads a line, which arrived now; one that cannot be used has its answer already."""
        text = line.decode("utf-8-sig", errors="surrogateescape").strip()
        row = Row(number, text[:MOST_BYTES], TransactionError(""))
        request = Request(row, source, time.perf_counter())
        if len(line) > MOST_BYTES:
            error = TransactionError(f"longer than {MOST_BYTES:,} bytes; expected one transaction")
            self._refuse(request, error)
            return request
        request.row = Row(number, text, parse_line(text, self._kinds))
        if isinstance(request.row.parsed, TransactionError):
            self._refuse(request, request.row.parsed)
        return request

    def enqueue(self, request: Request, wait: bool = True) -> bool:
        """Gives what can be used to the scorer; False: the queue is full, and is not waited for."""
        if not request.outcome.done():
            try:
                self._queue.put(request, block=wait)
            except queue.Full:
                return False
        return True

    def turn_away(self, request: Request) -> None:
        """Leaves undecided what found the queue full."""
        request.outcome.set_result(BusyError())

    def remaining_s(self, request: Request) -> float:
        """Time to its deadline, at least 0."""
        return max(0.0, request.arrived_s + self.terms.budget_s - time.perf_counter())

    def wait(self, request: Request) -> Answer:
        """The answer, at the deadline at the latest."""
        with suppress(TimeoutError):
            request.outcome.result(self.remaining_s(request))
        return self.answer(request)

    def answer(self, request: Request) -> Answer:
        """The answer as it is now: what was found, else the fallback. Asked for once."""
        if not request.outcome.done() or request.outcome.cancelled():
            return self._fall_back(request, "late", "deadline")
        found = request.outcome.result()
        if isinstance(found, Decision):
            self._count(request, "decision")
            return Answer("decision", found.line())
        if isinstance(found, TransactionError):
            self._count(request, "error")
            told = json.dumps({"error": str(found), "line": request.row.line})
            return Answer("conflict" if isinstance(found, ConflictError) else "error", told)
        if isinstance(found, BusyError):
            return self._fall_back(request, "busy", "busy")
        return self._fall_back(request, "failure", "failure")

    def failure(self) -> str:
        """Why the last transaction could not be stored, of late; else nothing."""
        reason, at_s = self._failure
        return reason if time.monotonic() - at_s < FAILING_S else ""

    def health(self) -> dict[str, object]:
        """What a supervisor wants to know."""
        failure = self.failure()
        return {
            "status": "failing" if failure else "ok",
            "failure": failure or None,
            "waiting": self._queue.qsize(),
            "queue": self.terms.queue,
            "artifact_sha256": self.artifact_sha256,
        }

    def metrics_text(self) -> str:
        """The metrics of Prometheus."""
        return self.metrics.text(self._queue.qsize(), self.terms.queue, bool(self.failure()))

    def close(self) -> list[str]:
        """Decides what is in the queue, closes the store; returns the scorer's notices."""
        self._closing = True
        self._queue.put(None)
        self._worker.join()
        return self._notices

    def _work(self, open_scorer: Callable[[], Scorer], opened: Future[Scorer]) -> None:
        try:
            scorer = open_scorer()
        except BaseException as error:  # whoever made the service is told
            opened.set_exception(error)
            return
        with scorer:
            opened.set_result(scorer)
            while (request := self._next(scorer)) is not None:
                self._decide(scorer, request)
            try:
                self._notices = scorer.notices()
            except DeviceInputError as error:  # the store cannot be read any more
                self._notices = [str(error)]

    def _next(self, scorer: Scorer) -> Request | None:
        behind = True
        while behind and self._queue.empty():  # nobody waits: the shadow decides some more
            behind = scorer.follow_shadow(FOLLOW_EVERY) > 0
        return self._queue.get()

    def _decide(self, scorer: Scorer, request: Request) -> None:
        awaited = request.outcome.set_running_or_notify_cancel()
        try:
            if self._closing and self.failure():  # not ten seconds for each of those that wait
                raise StoreError(self.failure())
            decision = scorer.score(request.row.transaction())
        except TransactionError as error:
            self._refuse(request, error, awaited)
        except Exception as error:  # the service outlives whatever one transaction meets
            reason = f"{type(error).__name__}: {error}"
            self._failure = (reason, time.monotonic())
            self.metrics.came_to_nothing("failed")
            log(f"{_named(request)} is NOT stored: {reason}; send it again")
            if awaited:
                request.outcome.set_result(error)
        else:
            self._failure = ("", 0.0)
            self.metrics.decided(decision)
            if awaited:
                request.outcome.set_result(decision)

    def _refuse(self, request: Request, error: TransactionError, awaited: bool = True) -> None:
        with self._lock:
            try:
                path = self._quarantine.path
                if not path.exists() or path.stat().st_size < MOST_QUARANTINED:
                    self._quarantine.add(request.source, request.row, error)
            except (DeviceInputError, OSError) as failure:
                log(f"line {request.row.line} is not in the quarantine: {failure}")
        self.metrics.came_to_nothing("refused")
        if awaited:
            request.outcome.set_result(error)

    def _fall_back(
        self,
        request: Request,
        kind: Literal["late", "busy", "failure"],
        because: Literal["deadline", "busy", "failure"],
    ) -> Answer:
        latency_s = self._count(request, "fallback", because)
        transaction = request.row.transaction()
        later = because == "deadline"
        what = "it is scored in its turn" if later else "it is NOT stored"
        log(
            f"{_named(request)} got the fallback {self.terms.fallback} after "
            f"{1e3 * latency_s:.0f} ms ({because}); {what}"
        )
        fields = {
            "transaction_id": transaction.transaction_id,
            "account_id": transaction.account_id,
            "fallback": self.terms.fallback,
            "because": because,
            "scored_later": later,
            "latency_us": round(1e6 * latency_s),
        }
        return Answer(kind, json.dumps(fields))

    def _count(self, request: Request, kind: str, because: str = "") -> float:
        latency_s = time.perf_counter() - request.arrived_s
        self.metrics.answered(kind, latency_s, because)
        return latency_s


def log(message: str) -> None:
    """One line on standard error."""
    print(f"fraudnet serve: {message}", file=sys.stderr, flush=True)


def _named(request: Request) -> str:
    parsed = request.row.parsed
    assert isinstance(parsed, Transaction)
    return f"transaction {parsed.transaction_id!r}"
