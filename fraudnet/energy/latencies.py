"""Latencies measured elsewhere: the log of TFLite's benchmark_model, or `fraudnet bench --json`.

benchmark_model (tensorflow/lite/tools/benchmark/benchmark_model.cc) ends its log with

    Inference timings in us: Init: 5685, First inference: 18535, Warmup (avg): 14462,
    Inference (avg): 14575.2

(on one line), and names what it was given before that, as `Num threads: [1]`. Energy follows the
mean, so that is read.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraudnet.errors import InputError

_SUMMARY = re.compile(r"Inference timings in us: .*Inference \(avg\): ([-+.\deE]+)")
_THREADS = re.compile(r"(?:Num threads|#threads used for CPU inference): \[(-?\d+)\]")
_DELEGATES = re.compile(r"Use (gpu|NNAPI|hexagon|coreml)[^:]*: \[1\]", re.IGNORECASE)


@dataclass(frozen=True)
class Latency:
    """Microseconds that one inference takes on one thread, and where that was read."""

    latency_us: float
    source: str


def read_latency(path: Path, runtime: str | None = None) -> Latency:
    """Read the latency of one inference on one thread.

    Args:
        path: what benchmark_model printed, or the JSON of `fraudnet bench`.
        runtime: the runtime of the JSON to take; default: the only one that there is.

    Raises:
        InputError: it is neither, holds no latency on one thread, or was run on an accelerator.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(
            f"{path}: cannot read it: {reason}; name benchmark_model's log, or the JSON of "
            "`fraudnet bench`"
        ) from error
    if text.lstrip().startswith("{"):
        return _from_bench(text, path, runtime)
    return _from_log(text, path)


def _from_log(text: str, path: Path) -> Latency:
    found = _SUMMARY.findall(text)
    if not found:
        raise InputError(
            f"{path}: no line `Inference timings in us: ... Inference (avg): ...`; is it the whole "
            "log of benchmark_model?"
        )
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} runs of benchmark_model; give one")
    if delegate := _DELEGATES.search(text):
        raise InputError(
            f"{path}: run with {delegate[1]}; the profile's power is a processor core's, so run "
            "benchmark_model without"
        )
    # benchmark_model's own default, -1, is one thread for the processor.
    threads = max((int(count) for count in _THREADS.findall(text)), default=1)
    if threads > 1:
        raise InputError(
            f"{path}: run on {threads} threads; the profile's power is one core's, so run "
            "benchmark_model with --num_threads=1"
        )
    return Latency(_positive(found[0], path), f"benchmark_model, mean: {path}")


def _from_bench(text: str, path: Path, runtime: str | None) -> Latency:
    try:
        report = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); make it again") from error
    entries = report.get("single")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: no list 'single'; make it with `fraudnet bench --json`")
    one_thread = {
        str(entry.get("runtime")): entry
        for entry in entries
        if entry.get("threads", 1) == 1 and "p50_us" in entry
    }
    known = ", ".join(one_thread) or "none"
    if runtime is None and len(one_thread) == 1:
        runtime = next(iter(one_thread))
    if runtime not in one_thread:
        raise InputError(
            f"{path}: give --runtime, one of those measured on one thread: {known}"
            if runtime is None
            else f"{path}: no latency of {runtime!r} on one thread; there are: {known}"
        )
    return Latency(
        _positive(one_thread[runtime]["p50_us"], path), f"fraudnet bench, {runtime}, p50: {path}"
    )


def _positive(value: Any, path: Path) -> float:  # noqa: ANN401  (whatever the file holds)
    try:
        latency_us = float(value)
    except (TypeError, ValueError):
        latency_us = 0.0
    if not 0 < latency_us < float("inf"):
        raise InputError(f"{path}: the latency must be a number of microseconds, got {value!r}")
    return latency_us
