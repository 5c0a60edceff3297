"""One decision from one account's raw history, by each contestant, in a process of its own.

`python -m benchmarks.inference_contestants NAME FOLDER` reads what `prepare` wrote and prints one
JSON list of nanoseconds, a decision each. Whatever the model reads is computed from the history
inside the time: the window's arrays, or hand-made features.
"""

import ctypes
import gc
import json
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import DISTANCE, PROBABILITY, Contract, Input, StepTerms
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Past, Window

ROUND = 2_000  # decisions that are timed
WARM_UP = 500  # every history once
DAY_US = 86_400_000_000
DAYS = (1, 7, 30)


@dataclass(frozen=True)
class History:
    """Transactions of one account, column by column, oldest first; as a store keeps them."""

    timestamp_us: list[int]
    amount: list[float]
    reputation: list[dict[str, int]]  # counts as known when each was scored; {} = unknown
    packed: list[bytes]  # all but the newest, as the device's store holds them


Decide = Callable[[History], float]


def contract_of(
    specification: Any,  # noqa: ANN401  (TensorFlow's side)
    length: int,
    step: StepTerms | None = None,
) -> Contract:
    """The terms of the benchmark's network, as a device reads them."""
    return Contract(
        signature="score_window",
        window_length=length,
        inputs=tuple(
            Input(
                name=i.name,
                dtype=i.dtype,
                shape=(1, length),
                kind=i.kind,
                statistic=f"{i.statistic}_{i.days}d" if i.kind == "reputation" else "",
            )
            for i in specification.inputs
        ),
        outputs=dict.fromkeys((PROBABILITY, DISTANCE), ((1, 1), "float32")),
        threshold=0.5,
        tolerance=1e-4,
        distance_threshold=None,
        reputation=None,
        step=step,
    )


def features_of(history: History) -> list[float]:
    """The Handbook's features of the newest transaction, as a scorer in Python computes them.

    Amount, weekend, night; the account's count and mean amount over 1, 7 and 30 days; and the
    counterparty's reputation, as the network gets it.
    """
    now = history.timestamp_us[-1]
    second, day = now % DAY_US // 1_000_000, now // DAY_US
    found = [history.amount[-1], float((day + 3) % 7 >= 5), float(second < 6 * 3600)]
    times, amounts = np.array(history.timestamp_us), np.array(history.amount)
    for days in DAYS:
        first = int(np.searchsorted(times, now - days * DAY_US, side="right"))
        found += [float(len(times) - first), float(amounts[first:].mean())]
    return found + [float(v) for v in history.reputation[-1].values()]


def inputs_of(history: History, window: Window) -> dict[str, NDArray[np.generic]]:
    """The artifact's inputs: the newest transaction packed, behind those that are."""
    return Past(window, history.packed, None).window(pack(history, -1, window))


def pack(history: History, place: int, window: Window) -> bytes:
    """A transaction of a history as the device's store holds it."""
    return window.pack(_transaction(history, place), history.reputation[place])


def _transaction(history: History, place: int) -> Transaction:
    moment_us, amount = history.timestamp_us[place], history.amount[place]
    return Transaction("", "", moment_us, None, amount, {})


def _tflite(runtime: str, folder: Path, contract: Contract) -> Decide:
    os.environ["FRAUDNET_TFLITE_RUNTIME"] = runtime
    from fraudnet.device.runtime import Network

    network = Network((folder / "model.tflite").read_bytes(), contract.signature)
    window = Window(contract)
    return lambda history: network.run(inputs_of(history, window))[PROBABILITY]


def _step(runtime: str, folder: Path, contract: Contract) -> Decide:
    """From the newest transaction, and the state after those before it, as a process keeps it."""
    os.environ["FRAUDNET_TFLITE_RUNTIME"] = runtime
    from fraudnet.device.stepping import Stepper

    stepper = Stepper((folder / "model.tflite").read_bytes(), contract)
    states: dict[int, NDArray[np.float32]] = {}

    def one(history: History, at: int, state: NDArray[np.float32]) -> Any:  # noqa: ANN401
        return stepper.step(_transaction(history, at), history.reputation[at], state)

    def decide(history: History) -> float:
        key = id(history)
        if key not in states:  # in the warm-up
            state = stepper.begin()
            for at in range(len(history.amount) - 1):
                _, state = one(history, at, state)
            states[key] = state
        found: float = one(history, -1, states[key])[0][PROBABILITY]
        return found

    return decide


def _onnx(folder: Path, contract: Contract) -> Decide:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    (first, *_), window = session.get_outputs(), Window(contract)
    return lambda history: float(session.run([first.name], inputs_of(history, window))[0].item(0))


def _lightgbm(folder: Path) -> Decide:
    import lightgbm

    booster = lightgbm.Booster(model_file=folder / "model.lightgbm")
    return lambda history: float(booster.predict([features_of(history)], num_threads=1)[0])


def _lightgbm_fast(folder: Path) -> Decide:
    """The C interface's path for single rows, through ctypes."""
    import lightgbm

    # Kept: it owns the handle.
    booster = lightgbm.Booster(model_file=folder / "model.lightgbm")
    library, width = lightgbm.basic._LIB, booster.num_feature()  # type: ignore[attr-defined]
    row, out = (ctypes.c_double * width)(), (ctypes.c_double * 1)()
    fast, length = ctypes.c_void_p(), ctypes.c_int64()
    status = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 0, 0, -1, 1, width, b"num_threads=1", ctypes.byref(fast)
    )
    if status:
        raise RuntimeError(f"LightGBM's fast path does not begin: status {status}")

    def decide(history: History) -> float:
        row[:] = features_of(history)  # type: ignore[assignment]
        library.LGBM_BoosterPredictForMatSingleRowFast(fast, row, ctypes.byref(length), out)
        return out[0]

    decide.booster = booster  # type: ignore[attr-defined]
    return decide


CONTESTANTS: dict[str, Callable[[Path, Contract], Decide]] = {
    "ai_edge_litert": lambda folder, contract: _tflite("ai_edge_litert", folder, contract),
    "tflite_runtime": lambda folder, contract: _tflite("tflite_runtime", folder, contract),
    "ai_edge_litert, step": lambda folder, contract: _step("ai_edge_litert", folder, contract),
    "tflite_runtime, step": lambda folder, contract: _step("tflite_runtime", folder, contract),
    "onnxruntime": _onnx,
    "lightgbm": lambda folder, _: _lightgbm(folder),
    "lightgbm_fast": lambda folder, _: _lightgbm_fast(folder),
}


def main(name: str, folder: Path) -> None:
    """Time a contestant."""
    with (folder / "given.pickle").open("rb") as file:
        contract, histories = pickle.load(file)
    decide = CONTESTANTS[name](folder, contract)
    gc.collect()
    gc.freeze()
    taken = []
    for number in range(WARM_UP + ROUND):
        history = histories[number % len(histories)]
        begin = time.perf_counter_ns()
        decide(history)
        taken.append(time.perf_counter_ns() - begin)
    print(json.dumps(taken[WARM_UP:]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
