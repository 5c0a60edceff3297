"""What `score_sequence` answers in one TFLite runtime, to windows laid end to end."""

import sys
import time
from pathlib import Path

import numpy as np

from fraudnet.artifact.signatures import SEQUENCE
from fraudnet.device.runtime import Network
from fraudnet.latency.answering import Answers, Windows, ask_apart

LATENCY = "latency_ns"


def lengthwise(runtime: str, model: bytes, windows: Windows) -> Answers:
    """The answers to the newest transactions of windows that are laid end to end as one sequence.

    Args:
        runtime: that is asked.
        model: a flatbuffer with the signature `score_sequence`.
        windows: [W, R] by input.

    Returns:
        The answers to windows, [W] by output; the latency is of the one call.

    Raises:
        NotLoaded: the runtime lacks an operator, crashes, or needs too long.
    """
    outputs = ask_apart(__name__, runtime, model, windows)
    return Answers(latency_us=outputs.pop(LATENCY) / 1e3, outputs=outputs)


def _answer(model: str, given: str, found: str) -> None:
    with np.load(given) as stored:
        windows = dict(stored)
    length = windows["valid"].shape[1]
    sequence = {name: values.reshape(1, -1) for name, values in windows.items()}
    positions = sequence["valid"].shape[1]
    network = Network(Path(model).read_bytes(), SEQUENCE, positions=positions)
    begin = time.perf_counter_ns()
    outputs = network.run_sequence(sequence)
    taken = time.perf_counter_ns() - begin
    # The first answer is to the first whole window.
    newest = {name: values[::length] for name, values in outputs.items()}
    np.savez(found, **newest, **{LATENCY: np.array([taken])})


if __name__ == "__main__":
    _answer(*sys.argv[1:])
