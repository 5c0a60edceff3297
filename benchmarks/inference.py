"""How long one decision takes, from an account's raw history, and how many a second in bulk."""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.inference_contestants import CONTESTANTS, History, contract_of, features_of, pack
from benchmarks.results_file import refuse_unwritable, write_results
from benchmarks.speed_data import load_fold
from fraudnet.device.contract import StepTerms
from fraudnet.device.window import Window
from fraudnet.errors import InputError

if TYPE_CHECKING:
    from fraudnet.network.network import Network
    from fraudnet.windows.histories import Histories
    from fraudnet.windows.labels import KnownRows

PROGRAM = "python -m benchmarks.inference"
PEER = "ai_edge_litert"
HISTORIES = 500
SEQUENCE_ROWS = 100_000
BULK_THREADS = 2

_DESCRIPTION = """\
Time single decisions on one thread, each from one account's history as a device keeps it (packed
rows, or a state, for the networks, Python's own lists for the trees) and a new transaction: this
project's artifact in both TFLite runtimes, by its window and by its step (from a state that holds
the history), the same network in ONNX Runtime, LightGBM as it is
called from Python on features computed from the same history, and LightGBM's C path for single
rows. Each in a process of its own, in turn, --rounds times. Then transactions a second by the
artifact's score_sequence on two threads. Latency does not hang on what the weights are: the
network's are random, the trees (200 of 31 leaves) are fitted. Without --data: simulated
transactions."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --data handbook.parquet --json benchmarks/results/inference.json"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM, description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--data", type=Path, metavar="FILE", help="the Handbook's transactions")
    made.add_argument("--rounds", type=int, default=3, metavar="N", help="(default: 3)")
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write all figures to")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(options: argparse.Namespace, command: str) -> None:
    if options.json:
        refuse_unwritable(options.json)
    fold = load_fold(options.data, 28, 1)
    report = measure(fold.histories, fold.training, options.rounds) | {"command": command}
    if options.json:
        write_results(options.json, report)
    _print(report)


def measure(histories: "Histories", training: "KnownRows", rounds: int) -> dict[str, Any]:
    """Latencies by contestant, ratios to the artifact's, and transactions a second in bulk."""
    import keras

    from fraudnet.artifact.convert import convert, convert_step
    from fraudnet.artifact.flatbuffer import slim
    from fraudnet.artifact.signatures import SEQUENCE, STEP
    from fraudnet.network.network import NetworkConfig, build_network
    from fraudnet.network.step import Step

    keras.utils.set_random_seed(0)
    network = build_network(NetworkConfig(), histories.specification)
    rng = np.random.default_rng(0)
    rows = rng.choice(np.flatnonzero(training.rows), HISTORIES, replace=False)
    terms = StepTerms(STEP, Step(network).length)
    contract = contract_of(histories.specification, network.receptive_field, terms)
    given = [history_of(histories, int(row), Window(contract)) for row in rows]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "given.pickle").write_bytes(pickle.dumps((contract, given)))
        model = slim(convert(network), SEQUENCE, convert_step(network))
        (folder / "model.tflite").write_bytes(model)
        _write_onnx(network, folder / "model.onnx")
        _write_trees(given, folder / "model.lightgbm")
        taken: dict[str, list[list[int]]] = {name: [] for name in CONTESTANTS}
        for _ in range(rounds):
            for contestant, times in taken.items():
                times.append(_timed(contestant, folder))
        versions = {
            name: version(name)
            for name in ("ai-edge-litert", "tflite-runtime", "onnxruntime", "lightgbm", "numpy")
        }
    latency = {name: _percentiles(times) for name, times in taken.items()}
    return {
        "versions": versions,
        "histories": HISTORIES,
        "mean_transactions_in_window": float(np.mean([len(each.amount) for each in given])),
        "rounds": rounds,
        "latency_us": latency,
        "times_ours": {
            name: {q: each[q] / latency[PEER][q] for q in each} for name, each in latency.items()
        },
        "score_sequence_transactions_per_second": _bulk(model, network, histories),
    }


def history_of(histories: "Histories", row: int, window: Window) -> History:
    """The last transactions of a row's account that a window holds, that row's the newest."""
    first = max(int(histories.offsets[histories.account[row]]), row - window.length + 1)
    rows = range(first, row + 1)
    entries = [i for i in histories.specification.inputs if i.kind == "reputation"]
    counts = {f"{i.statistic}_{i.days}d": histories.columns[i.name] for i in entries}
    made = History(
        timestamp_us=[int(histories.timestamp_us[r]) for r in rows],
        amount=[float(histories.amount[r]) for r in rows],
        reputation=[{name: int(values[r]) for name, values in counts.items()} for r in rows],
        packed=[],
    )
    return replace(made, packed=[pack(made, place, window) for place in range(len(rows) - 1)])


def _write_onnx(network: "Network", path: Path) -> None:
    import tensorflow as tf
    import tf2onnx

    inputs = network.specification.inputs
    signature = [tf.TensorSpec((1, network.receptive_field), i.dtype, i.name) for i in inputs]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def window(*values: Any) -> Any:  # noqa: ANN401
        named = {i.name: value for i, value in zip(inputs, values, strict=True)}
        return network.scores(named, training=False)["fraud_probability"]

    tf2onnx.convert.from_function(window, signature, opset=17, output_path=str(path))


def _write_trees(given: list[History], path: Path) -> None:
    """Fitted to random labels: all leaves are used, which labels matters to no latency."""
    import lightgbm

    features = np.array([features_of(each) for each in given] * 20)
    rng = np.random.default_rng(0)
    features += rng.normal(scale=0.1, size=features.shape)
    labels = rng.integers(0, 2, len(features))
    parameters = {"objective": "binary", "num_leaves": 31, "verbose": -1, "seed": 0}
    lightgbm.train(parameters, lightgbm.Dataset(features, labels), 200).save_model(path)


def _timed(contestant: str, folder: Path) -> list[int]:
    command = [sys.executable, "-m", "benchmarks.inference_contestants", contestant, str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise InputError(f"{contestant} cannot be measured: {done.stderr.strip().splitlines()[-1]}")
    taken: list[int] = json.loads(done.stdout)
    return taken


def _percentiles(rounds: list[list[int]]) -> dict[str, float]:
    """Of each round, then the median of the rounds: another program may disturb one of them."""
    return {
        name: float(np.median([np.percentile(times, q) for times in rounds])) / 1e3
        for name, q in (("p50", 50), ("p99", 99))
    }


def _bulk(model: bytes, network: "Network", histories: "Histories") -> float:
    """By two interpreters, each on one thread and half of the accounts."""
    from fraudnet.artifact.sequences import score_rows

    wanted = np.zeros(len(histories), bool)
    wanted[:SEQUENCE_ROWS] = True
    halves = [wanted & (histories.account % BULK_THREADS == part) for part in range(BULK_THREADS)]
    begin = time.perf_counter()
    with ThreadPoolExecutor(BULK_THREADS) as pool:
        list(
            pool.map(
                lambda half: score_rows(model, network.receptive_field, histories, half), halves
            )
        )
    return float(wanted.sum() / (time.perf_counter() - begin))


def _print(report: dict[str, Any]) -> None:
    table = Table(title="One decision from a raw history, one thread", box=box.SIMPLE)
    for column in ("", "p50, us", "p99, us", f"times {PEER}, p50", "p99"):
        table.add_column(column, justify="right" if column else "left")
    for name, latency in report["latency_us"].items():
        ratio = report["times_ours"][name]
        table.add_row(
            name, f"{latency['p50']:.0f}", f"{latency['p99']:.0f}",
            f"{ratio['p50']:.2f}", f"{ratio['p99']:.2f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    rate = report["score_sequence_transactions_per_second"]
    console.print(f"score_sequence: {rate:,.0f} transactions a second on {BULK_THREADS} threads")


if __name__ == "__main__":
    sys.exit(main())
