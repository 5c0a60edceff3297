"""What `step` answers in one TFLite runtime, one transaction after another, in a process apart."""

import sys
import time
from pathlib import Path

import numpy as np

from fraudnet.artifact.signatures import STEP
from fraudnet.device.contract import DISTANCE, PROBABILITY
from fraudnet.device.runtime import load
from fraudnet.device.stepping import STATE
from fraudnet.latency.answering import Answers, Windows, ask_apart

LATENCY = "latency_ns"


def stepwise(runtime: str, model: bytes, windows: Windows) -> Answers:
    """The answers to the newest transactions of windows, from the states before their first.

    Args:
        runtime: that is asked.
        model: a flatbuffer with the signature `step`.
        windows: [W, R] by input, in the order of the specification.

    Raises:
        NotLoaded: the runtime lacks an operator, crashes, or needs too long.
    """
    outputs = ask_apart(__name__, runtime, model, windows)
    return Answers(latency_us=outputs.pop(LATENCY) / 1e3, outputs=outputs)


def _answer(model: str, given: str, found: str) -> None:
    run = load(Path(model).read_bytes()).get_signature_runner(STEP)
    length = run.get_input_details()[STATE]["shape"][1]
    with np.load(given) as stored:
        windows = dict(stored)
    outputs: dict[str, list[float]] = {PROBABILITY: [], DISTANCE: []}
    latency = []
    for i, valid in enumerate(windows["valid"] > 0):
        answer = {STATE: np.zeros((1, length), np.float32)}
        rows = np.stack([values[i] for values in windows.values()], axis=-1).astype(np.float32)
        for row in rows[valid]:
            begin = time.perf_counter_ns()
            answer = run(transaction=row[None], state=answer[STATE])
            taken = time.perf_counter_ns() - begin
        latency.append(taken)
        for name, values in outputs.items():
            values.append(answer[name].item())
    arrays = {name: np.array(values, np.float32) for name, values in outputs.items()}
    np.savez(found, **arrays, **{LATENCY: np.array(latency)})


if __name__ == "__main__":
    _answer(*sys.argv[1:])
