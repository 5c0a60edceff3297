"""What a flatbuffer answers in one TFLite runtime, and how soon, asked in a process of its own.

One of the two runtimes cannot be loaded beside TensorFlow, and any may crash.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.device.errors import DeviceInputError
from fraudnet.device.runtime import CHOICE, RUNTIMES, TENSORFLOW, Network

Windows = dict[str, npt.NDArray[np.generic]]
MOST_SECONDS = 600.0
WARM_UP = 100
EVICTING_BYTES = 64 * 2**20
"""More than the last cache of a phone or a small computer holds."""
_LATENCY, _LOADING, _FIRST = "latency_ns", "loading_ns", "first_ns"


@dataclass(frozen=True)
class Answers:
    """Of one runtime.

    Attributes:
        outputs: [W] by name.
        latency_us: [N] microseconds an inference; N = W unless repetitions were asked for.
        loading_us: to load the model and allocate its tensors.
        first_us: the first inference after that.
    """

    outputs: dict[str, npt.NDArray[np.float32]]
    latency_us: npt.NDArray[np.float64]
    loading_us: float = 0.0
    first_us: float = 0.0


class NotLoaded(Exception):  # noqa: N818  (no error: a runtime may lack an operator)
    """The runtime does not run the model; the reason is the message."""


def installed() -> list[str]:
    """The runtimes that a device may use: the one that the environment chooses, or all there are.

    Raises:
        DeviceInputError: there is none.
    """
    asked = os.environ.get(CHOICE)
    found = [name for name in ([asked] if asked else RUNTIMES) if find_spec(name)]
    if not found:
        raise DeviceInputError(f"no TFLite runtime is installed; pip install {RUNTIMES[0]}")
    return found


def installed_with_tensorflow() -> list[str]:
    """As `installed`, and TensorFlow's own runtime, which nobody scores with but many compare to.

    Raises:
        DeviceInputError: there is none.
    """
    tensorflow = not os.environ.get(CHOICE) and find_spec(TENSORFLOW) is not None
    return [*installed(), *([TENSORFLOW] if tensorflow else [])]


def version_of(runtime: str) -> str:
    """The distribution's name and version, as in `tflite-runtime 2.14.0`."""
    names = [runtime.replace("_", "-")]
    if runtime == TENSORFLOW:
        names += ["tensorflow-cpu", "tensorflow-macos"]
    for name in names:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return names[0]


def answers_of(
    runtime: str,
    model: bytes,
    signature: str,
    windows: Windows,
    *,
    threads: int = 1,
    repetitions: int | None = None,
    cold: bool = False,
) -> Answers:
    """Ask for the answer to every window, one at a time.

    Args:
        runtime: one of `installed_with_tensorflow`.
        model: the flatbuffer.
        signature: that takes one window.
        windows: [W, R] by input.
        threads: that the runtime may use.
        repetitions: inferences that are timed, over the windows in turn; default: each once.
        cold: the processor's caches are emptied before each (by writing to more memory than they
            hold), and nothing is warmed up.

    Raises:
        NotLoaded: the runtime lacks an operator, crashes, or needs too long.
    """
    options = {"threads": threads, "repetitions": repetitions, "cold": cold}
    outputs = ask_apart(__name__, runtime, model, windows, signature, json.dumps(options))
    return Answers(
        latency_us=outputs.pop(_LATENCY) / 1e3,
        loading_us=float(outputs.pop(_LOADING)) / 1e3,
        first_us=float(outputs.pop(_FIRST)) / 1e3,
        outputs=outputs,
    )


def ask_apart(
    module: str, runtime: str, model: bytes, windows: Windows, *options: str
) -> dict[str, npt.NDArray[Any]]:
    """Run a module that is given files of a model and of windows, one to write to, and options.

    Args:
        module: that writes arrays to the third of the files, by `numpy.savez`.
        runtime: that it uses.
        model: the flatbuffer.
        windows: [W, R] by input.
        options: further arguments.

    Returns:
        What it wrote, by name.

    Raises:
        NotLoaded: it does not end well, or not in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, given, found = (Path(folder) / n for n in ("model.tflite", "given.npz", "found.npz"))
        file.write_bytes(model)
        np.savez(given, **windows)
        run_apart(module, runtime, [file, given, found, *options])
        with np.load(found) as stored:
            return dict(stored)


def run_apart(module: str, runtime: str, arguments: Sequence[object]) -> None:
    """Run a module as a process of its own that uses a runtime.

    Raises:
        NotLoaded: it does not end well, or not in time.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
    try:
        done = subprocess.run(
            command, env=os.environ | {CHOICE: runtime}, timeout=MOST_SECONDS,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NotLoaded(f"gives no answer within {MOST_SECONDS:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it says nothing"]
        raise NotLoaded(f"ends with status {done.returncode}: {said[-1]}")


class CacheEvictor:
    """Memory that is written to, so that the processor's caches hold nothing else."""

    def __init__(self) -> None:
        self._memory = np.zeros(EVICTING_BYTES // 8, np.int64)

    def evict(self) -> None:
        """Write to all of it."""
        self._memory += 1


def _answer(model: str, given: str, found: str, signature: str, options: str) -> None:
    asked = json.loads(options)
    with np.load(given) as stored:
        windows = dict(stored)
    count = len(windows["valid"])
    repetitions = asked["repetitions"] or count
    singles = [{name: v[i : i + 1] for name, v in windows.items()} for i in range(count)]
    content = Path(model).read_bytes()
    begin = time.perf_counter_ns()
    network = Network(content, signature, asked["threads"])
    loaded = time.perf_counter_ns()
    network.run(singles[0])
    first = time.perf_counter_ns()
    evictor = CacheEvictor() if asked["cold"] else None
    for i in range(0 if evictor else WARM_UP):
        network.run(singles[i % count])
    outputs: dict[str, Any] = {name: np.empty(count, np.float32) for name in network.outputs}
    latency = np.empty(repetitions, np.int64)
    for i in range(repetitions):
        window = singles[i % count]
        if evictor:
            evictor.evict()
        start = time.perf_counter_ns()
        answer = network.run(window)
        latency[i] = time.perf_counter_ns() - start
        for name, value in answer.items():
            outputs[name][i % count] = value
    times = {_LATENCY: latency, _LOADING: loaded - begin, _FIRST: first - loaded}
    np.savez(found, **{name: np.asarray(values) for name, values in (outputs | times).items()})


if __name__ == "__main__":
    _answer(*sys.argv[1:])
