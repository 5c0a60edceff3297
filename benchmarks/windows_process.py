"""A system in a process of its own, so that its time and memory are its own."""

import gc
import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import psutil  # type: ignore[import-untyped]
import pyarrow as pa

from benchmarks.windows_peers import SYSTEMS, Result, Unload

Answer = TypeVar("Answer")

SAMPLE_SECONDS = 0.003  # between two looks at the memory


@dataclass(frozen=True)
class Run:
    """What one building took.

    Attributes:
        seconds: wall-clock time.
        extra_bytes: the most resident memory while it ran, less that before it.
    """

    seconds: float
    extra_bytes: int


def write_table(table: pa.Table, file: Path) -> None:
    """Write a table as its processes read it, chunks as they are."""
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


class SystemProcess:
    """A system that has taken a table into its own form and waits to be run.

    Use it in a `with` statement.
    """

    def __init__(self, system: str, file: Path) -> None:
        """Start the process and wait until it is ready.

        Args:
            system: a name in `SYSTEMS`.
            file: of a table, as `write_table` writes it.
        """
        self._system = system
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(system, file, theirs), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is seen here
        self.rows = self._answer(int)
        self._memory = psutil.Process(self._process.pid).memory_info

    def run(self) -> Run:
        """Build once."""
        before = most = self._memory().rss
        self._connection.send("run")
        while not self._connection.poll(SAMPLE_SECONDS):
            most = max(most, self._memory().rss)
        return Run(self._answer(float), max(most, self._memory().rss) - before)

    def result(self) -> Result:
        """What the last run built."""
        self._connection.send("result")
        return self._answer(Result)

    def _answer(self, kind: type[Answer]) -> Answer:
        try:
            answer = self._connection.recv()
        except EOFError:
            raise RuntimeError(f"the process of {self._system} ended before it answered") from None
        assert isinstance(answer, kind)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()  # which ends the process
        self._process.join()


def _serve(system: str, file: Path, connection: Connection) -> None:
    os.environ["POLARS_MAX_THREADS"] = str(os.cpu_count())  # read when polars is imported
    with pa.OSFile(str(file)) as source:  # not mapped: the table is in memory before the first run
        table = pa.ipc.open_file(source).read_all()
    rows = table.num_rows
    build = SYSTEMS[system](table)
    del table
    gc.collect()
    pa.default_memory_pool().release_unused()
    connection.send(rows)
    unload: Unload | None = None
    while True:
        try:
            wish = connection.recv()
        except EOFError:
            return
        if wish == "result" and unload is not None:
            connection.send(unload())
            continue
        unload = None  # what an earlier run built makes room
        begin = time.perf_counter()
        unload = build()
        connection.send(time.perf_counter() - begin)
