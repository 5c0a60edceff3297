"""The whole of a decision on the device, and how fast it catches up."""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.device_contestants import features
from benchmarks.device_world import (
    make_artifact,
    make_snapshot,
    make_store,
    make_tree_store,
    set_threshold,
    transactions,
)
from benchmarks.results_file import refuse_unwritable, write_results
from fraudnet.device.contract import ReputationTerms
from fraudnet.device.reputation import Snapshot, read_counts
from fraudnet.errors import InputError

PROGRAM = "python -m benchmarks.device"
RUNTIMES = ("ai_edge_litert", "tflite_runtime")
TREES = "lightgbm"
WARM_UP = 200
COMPARED = 2_000  # transactions of the catch-up that are scored one by one too
GOALS_MS = {True: 5.0, False: 1.0}  # p99 with durable commits and without
GOAL_PER_SECOND = 30_000

_DESCRIPTION = """\
Time whole decisions, each from a transaction to its commit: this project's scorer in both TFLite
runtimes (counterparty looked up, window, inference, reasons of what is flagged), and LightGBM's C
path for single rows with the Handbook's features asked for in SQL; with commits that wait for the
disk and with such that do not; in stores of --stored transactions of so many --accounts. Then how
many stored transactions a second are decided together. The network's weights are random, one in
two hundred is flagged."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --json benchmarks/results/device.json
  {PROGRAM} --accounts 10 --stored 5000 --decisions 300"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM, description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument(
        "--accounts", type=int, nargs="+", default=[1, 100, 1_000], metavar="N",
        help="(default: 1 100 1000)",
    )  # fmt: skip
    made.add_argument(
        "--stored", type=int, default=1_000_000, metavar="N", help="(default: 1,000,000)"
    )
    made.add_argument(
        "--decisions", type=int, default=5_000, metavar="N", help="that are timed (default: 5,000)"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write all figures to")
    made.add_argument(
        "--folder", type=Path, metavar="DIR",
        help="where the stores are made, on the disk to measure (default: a temporary one)",
    )  # fmt: skip
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _measured, words)


def _measured(options: argparse.Namespace, command: str) -> None:
    if options.json:
        refuse_unwritable(options.json)
    if min(*options.accounts, options.stored, options.decisions, 10**9) < 1:
        raise InputError("--accounts, --stored and --decisions are at least 1")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        report = measure(Path(name), options.accounts, options.stored, options.decisions)
    report["command"] = command
    if options.json:
        write_results(options.json, report)
    _print(report)


def measure(folder: Path, accounts: Sequence[int], stored: int, decisions: int) -> dict[str, Any]:
    """Latencies by accounts, commits and contestant; the rate of the catch-up by runtime."""
    artifact = folder / "fraud.tflite"
    make_artifact(artifact)
    columns = _make_trees(folder, make_snapshot(artifact))
    common = {"folder": str(folder), "stored": stored, "columns": columns, "catch_up": False}
    common |= {"warm_up": WARM_UP, "decisions": decisions}
    latencies: list[dict[str, Any]] = []
    catch_up: list[dict[str, Any]] = []
    for count in accounts:
        stores = {TREES: make_tree_store(folder, count, stored)}
        stores |= dict.fromkeys(RUNTIMES, store := make_store(folder, count, stored))
        arriving = list(transactions(stored, WARM_UP + decisions, stored, count))
        set_threshold(artifact, _copied(store, folder / "spent.sqlite"), arriving)
        for durable in (True, False):
            for name in (*RUNTIMES, TREES):
                copy = _copied(stores[name], folder / "measured.sqlite")
                task = {"name": name, "durable": durable, "accounts": count, "store": str(copy)}
                answer = _run(folder, common | task)
                told = {"accounts": count, "durable_commits": durable, "contestant": name}
                told["flagged"] = answer["flagged"]
                latencies.append(told | _percentiles(answer["taken_ns"]))
        if count == max(accounts):
            catch_up = [_catch_up(folder, common, name, count, stores[name]) for name in RUNTIMES]
        for path in set(stores.values()):
            path.unlink()
    names = ("ai-edge-litert", "tflite-runtime", "lightgbm", "numpy")
    return {
        "versions": {name: version(name) for name in names},
        "stored": stored,
        "decisions": decisions,
        "latency_ms": latencies,
        "catch_up": catch_up,
    }


def _make_trees(folder: Path, snapshot: Path) -> list[str]:
    """200 trees of 31 leaves, fitted to random labels; returns the counts that they read."""
    import lightgbm

    columns = read_counts(snapshot).columns
    opened = Snapshot(snapshot, ReputationTerms(tuple(columns), 10_000.0))
    store = make_tree_store(folder, 5, 2_000)
    with closing(sqlite3.connect(store)) as connection:
        rows = [features(connection, opened, t) for t in transactions(1_000, 1_000, 2_000, 5)]
    store.unlink()
    given = np.repeat(np.array(rows), 10, axis=0)
    rng = np.random.default_rng(0)
    given *= rng.lognormal(0, 0.1, given.shape)
    parameters = {"objective": "binary", "num_leaves": 31, "verbose": -1, "seed": 0}
    data = lightgbm.Dataset(given, rng.integers(0, 2, len(given)))
    lightgbm.train(parameters, data, 200).save_model(folder / "model.lightgbm")
    return columns


def _catch_up(
    folder: Path, common: dict[str, Any], name: str, count: int, store: Path
) -> dict[str, Any]:
    task = {
        "name": name,
        "catch_up": True,
        "accounts": count,
        "store": str(_copied(store, folder / "measured.sqlite")),
        "again": str(_copied(store, folder / "again.sqlite")),
        "every": max(1, common["stored"] // COMPARED),
    }
    return {"contestant": name, "accounts": count} | _run(folder, common | task)


def _copied(store: Path, target: Path) -> Path:
    for suffix in ("", "-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    return Path(shutil.copy(store, target))


def _run(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    (folder / "task.json").write_text(json.dumps(task))
    command = [sys.executable, "-m", "benchmarks.device_contestants", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        raise InputError(f"{task['name']} cannot be measured: {reason}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _percentiles(taken_ns: list[int]) -> dict[str, float]:
    quantiles = {"p50": 50, "p99": 99, "p99_9": 99.9}
    return {name: float(np.percentile(taken_ns, q)) / 1e6 for name, q in quantiles.items()}


def _print(report: dict[str, Any]) -> None:
    title = f"One decision, {report['stored']:,} transactions stored, ms"
    table = Table(title=title, box=box.SIMPLE, width=90)
    for column in ("accounts", "commits", "", "p50", "p99", "p99.9", "goal of p99"):
        table.add_column(column, justify="left" if column in ("", "commits") else "right")
    for each in report["latency_ms"]:
        durable = each["durable_commits"]
        goal = GOALS_MS[durable]
        met = "met" if each["p99"] <= goal else "missed"
        table.add_row(
            f"{each['accounts']:,}", "durable" if durable else "not", each["contestant"],
            *(f"{each[q]:.3f}" for q in ("p50", "p99", "p99_9")),
            "" if each["contestant"] == TREES else f"{goal:g}: {met}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    for each in report["catch_up"]:
        met = "reached" if each["transactions_per_second"] >= GOAL_PER_SECOND else "missed"
        console.print(
            f"catch-up, {each['contestant']}: {each['transactions_per_second']:,.0f} transactions "
            f"a second (goal {GOAL_PER_SECOND:,}: {met}); {each['compared_with_one_by_one']:,} of "
            f"them one by one: {each['other_decisions']} other decisions, probabilities within "
            f"{each['largest_difference']:.1e}",
            soft_wrap=True,
        )


if __name__ == "__main__":
    sys.exit(main())
