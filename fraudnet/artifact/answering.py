"""What a flatbuffer answers in one TFLite runtime, asked in a process of its own.

One of the two runtimes cannot be loaded beside TensorFlow, and either may crash.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraudnet.artifact.signatures import STEP
from fraudnet.device.contract import DISTANCE, PROBABILITY
from fraudnet.device.errors import DeviceInputError
from fraudnet.device.runtime import CHOICE, RUNTIMES, Network, load
from fraudnet.device.stepping import STATE

Windows = dict[str, npt.NDArray[np.generic]]
MOST_SECONDS = 600.0
WARM_UP = 100
_LATENCY = "latency_ns"


@dataclass(frozen=True)
class Answers:
    """Of one runtime.

    Attributes:
        outputs: [W] by name.
        latency_us: [W] microseconds an inference, on one thread; the first are not the model's
            alone, but the caches'.
    """

    outputs: dict[str, npt.NDArray[np.float32]]
    latency_us: npt.NDArray[np.float64]


class NotLoaded(Exception):  # noqa: N818  (no error: a runtime may lack an operator)
    """The runtime does not run the model; the reason is the message."""


def installed() -> list[str]:
    """The runtimes that can be asked: the one that the environment chooses, or all there are.

    Raises:
        DeviceInputError: there is none.
    """
    asked = os.environ.get(CHOICE)
    found = [name for name in ([asked] if asked else RUNTIMES) if find_spec(name)]
    if not found:
        raise DeviceInputError(f"no TFLite runtime is installed; pip install {RUNTIMES[0]}")
    return found


def version_of(runtime: str) -> str:
    """The distribution's name and version, as in `tflite-runtime 2.14.0`."""
    distribution = runtime.replace("_", "-")
    return f"{distribution} {version(distribution)}"


def answers_of(runtime: str, model: bytes, signature: str, windows: Windows) -> Answers:
    """Ask for the answer to every window, one at a time; by `step`, one transaction at a time.

    Args:
        runtime: one of `installed`.
        model: the flatbuffer.
        signature: that takes one window.
        windows: [W, R] by input; for `step`, in the order of the specification.

    Raises:
        NotLoaded: the runtime lacks an operator, crashes, or needs too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found, file = (Path(folder) / n for n in ("given.npz", "found.npz", "model.tflite"))
        np.savez(given, **windows)
        file.write_bytes(model)
        command = [sys.executable, "-m", __name__, signature, *map(str, (file, given, found))]
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
        with np.load(found) as stored:
            outputs = dict(stored)
    return Answers(latency_us=outputs.pop(_LATENCY) / 1e3, outputs=outputs)


def _answer(signature: str, model: str, given: str, found: str) -> None:
    with np.load(given) as stored:
        windows = dict(stored)
    content = Path(model).read_bytes()
    if signature == STEP:
        _step_through(content, windows, found)
        return
    network = Network(content, signature)
    count = len(windows["valid"])
    outputs = {name: np.empty(count, np.float32) for name in network.outputs}
    latency = np.empty(count, np.int64)
    for i in [*range(min(WARM_UP, count)), *range(count)]:
        window = {name: values[i : i + 1] for name, values in windows.items()}
        begin = time.perf_counter_ns()
        answer = network.run(window)
        latency[i] = time.perf_counter_ns() - begin
        for name, value in answer.items():
            outputs[name][i] = value
    np.savez(found, **outputs, **{_LATENCY: latency})


def _step_through(model: bytes, windows: Windows, found: str) -> None:
    """Each window's transactions in turn, from the state before the first; the newest's answer."""
    run = load(model).get_signature_runner(STEP)
    (_, length) = run.get_input_details()[STATE]["shape"]
    count = len(windows["valid"])
    outputs = {name: np.empty(count, np.float32) for name in (PROBABILITY, DISTANCE)}
    latency = np.empty(count, np.int64)
    for i in range(count):
        answer = {STATE: np.zeros((1, length), np.float32)}
        rows = np.stack([values[i] for values in windows.values()], axis=-1).astype(np.float32)
        for row in rows[windows["valid"][i] > 0]:
            begin = time.perf_counter_ns()
            answer = run(transaction=row[None], state=answer[STATE])
            latency[i] = time.perf_counter_ns() - begin
        for name, values in outputs.items():
            values[i] = answer[name].item()
    np.savez(found, **outputs, **{_LATENCY: latency})


if __name__ == "__main__":
    _answer(*sys.argv[1:])
