"""How much memory it takes to make more transactions ready for training than one would hold."""

import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.windows_growth import simulate_in_a_process
from benchmarks.windows_process import SAMPLE_SECONDS

DEFAULT_ROWS = 20_000_000
MEMORY_LIMIT_MB = 1000
RECEPTIVE_FIELD = 156
CHUNK_LENGTH = 128


def on_disk(rows: int) -> dict[str, Any]:
    """Prepare a simulated Parquet file under a memory limit, in a process of its own.

    Args:
        rows: about.

    Returns:
        Rows, seconds, and the most resident memory of the whole process, TensorFlow included.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "transactions.parquet"
        simulate_in_a_process(rows, file)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_prepare, args=(file, theirs), daemon=True)
        process.start()
        theirs.close()
        memory = psutil.Process(process.pid).memory_info
        before = most = 0
        while process.is_alive() and not ours.poll(SAMPLE_SECONDS):
            most = max(most, memory().rss)
        before = most if ours.recv() == "loaded" else 0
        while process.is_alive() and not ours.poll(SAMPLE_SECONDS):
            most = max(most, memory().rss)
        answer: dict[str, Any] = ours.recv()
        process.join()
        return {
            **answer,
            "file_bytes": file.stat().st_size,
            "memory_limit_mb": MEMORY_LIMIT_MB,
            "resident_bytes_before": before,
            "resident_bytes": most,
        }


def _prepare(file: Path, connection: Connection) -> None:
    from fraudnet.training.experiment import load_experiment
    from fraudnet.training.prepare import prepare
    from fraudnet.windows.chunks import chunks_over

    connection.send("loaded")
    limit = f"data.memory_limit_mb={MEMORY_LIMIT_MB}"
    begin = time.perf_counter()
    prepared = prepare(file, load_experiment("simulated", [limit]))
    seconds = time.perf_counter() - begin
    histories = prepared.histories
    training = prepared.split.training.contains(histories.timestamp_us)
    chunks = chunks_over(histories, training, RECEPTIVE_FIELD, CHUNK_LENGTH)
    chunks.gather(next(chunks.batches(32, seed=0)))  # the first batch, from all over the files
    report = prepared.report
    connection.send(
        {
            "rows": report.rows_in,
            "rows_used": report.rows_used,
            "accounts": report.accounts,
            "chunks": len(chunks),
            "seconds": seconds,
        }
    )


def on_disk_line(measured: dict[str, Any]) -> str:
    """The figures in one line."""
    return (
        f"on disk: {measured['rows']:,} transactions ready for training in "
        f"{measured['seconds']:.0f} s and at most {measured['resident_bytes'] / 1e9:.2f} GB "
        f"({measured['resident_bytes_before'] / 1e9:.2f} GB before the first row)"
    )
