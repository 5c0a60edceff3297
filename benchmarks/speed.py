"""How fast the network trains: beside one window a transaction, and where a step's time goes."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.detection import versions
from benchmarks.results_file import refuse_unwritable, write_results
from benchmarks.speed_data import load_fold
from fraudnet.errors import InputError
from fraudnet.windows.chunks import chunks_over

if TYPE_CHECKING:
    from benchmarks.speed_parts import Timing
    from benchmarks.speed_windows import Race

PROGRAM = "python -m benchmarks.speed"
CHUNK_LENGTH, BATCH_CHUNKS = 32, 16  # that the Handbook's experiment has

_DESCRIPTION = """\
Train the network as it comes on 28 days, densely; then the same network on one window for each
transaction (gathered, batched, compiled alike), until it reaches the same average precision on a
week of validation; then windows once more, for as many passes, written as one may at first: with
Keras's own layers and Model.fit. Before that, time one training step with each of the decisions
behind it undone, and steps of windows with Keras's own layers. Without --data: on simulated
transactions. What is compiled in a first step is counted, and shown apart."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --every 40 --epochs 2 --window-epochs 1 2 --rounds 3"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--data", type=Path, metavar="FILE", help="the Handbook's transactions, with labels"
    )
    for name, default, text in (
        ("training-days", 28, "length of the training period"),
        ("every", 10, "learn from one account in N only"),
        ("epochs", 12, "passes of the dense training"),
        ("window-batch", 256, "windows a step"),
        ("rounds", 15, "steps of each variant that are timed"),
    ):
        made.add_argument(
            f"--{name}", type=int, default=default, metavar="N",
            help=f"{text} (default: %(default)s)",
        )  # fmt: skip
    made.add_argument(
        "--window-epochs", type=int, nargs="+", default=[1, 2, 3, 4, 6, 8, 12, 16], metavar="N",
        help="passes of each fit on windows, until one is as good (default: %(default)s)",
    )  # fmt: skip
    made.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write all figures to")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(arguments: argparse.Namespace, command: str) -> None:
    for name in ("training_days", "every", "epochs", "window_batch", "rounds", "window_epochs"):
        if np.min(getattr(arguments, name)) < 1:
            raise InputError(f"--{name.replace('_', '-')}: give at least 1")
    if arguments.window_epochs != sorted(set(arguments.window_epochs)):
        raise InputError("--window-epochs: give rising numbers")
    if arguments.json:
        refuse_unwritable(arguments.json)
    fold = load_fold(arguments.data, arguments.training_days, arguments.every)
    # TensorFlow takes seconds to load, and wrong input is known before.
    from benchmarks.speed_parts import VARIANTS, WINDOW_VARIANTS, time_variants
    from benchmarks.speed_windows import race
    from fraudnet.network.network import NetworkConfig, build_network
    from fraudnet.training.fitting import TrainingConfig

    config = TrainingConfig(
        seed=arguments.seed,
        epochs=arguments.epochs,
        chunk_length=CHUNK_LENGTH,
        batch_chunks=BATCH_CHUNKS,
    )
    span = build_network(NetworkConfig(), fold.histories.specification).receptive_field
    chunks = chunks_over(fold.histories, fold.training.rows, span, CHUNK_LENGTH)
    timings = time_variants(chunks, VARIANTS, BATCH_CHUNKS, arguments.rounds)
    Console().print(parts_table(timings, f"{BATCH_CHUNKS} x {span - 1 + CHUNK_LENGTH} positions"))
    windows = chunks_over(fold.histories, fold.training.rows, span, 1)
    of_windows = time_variants(windows, WINDOW_VARIANTS, arguments.window_batch, arguments.rounds)
    Console().print(parts_table(of_windows, f"{arguments.window_batch} windows"))
    found = race(fold, config, arguments.window_batch, arguments.window_epochs)
    Console().print(race_table(found))
    if arguments.json:
        report = {
            "command": command,
            "versions": versions(),
            "cores": os.cpu_count(),
            "training_transactions": int(fold.training.rows.sum()),
            "validation_transactions": int(fold.validation.sum()),
            "receptive_field": span,
            "race": asdict(found),
            "parts": [asdict(timing) for timing in timings],
            "window_parts": [asdict(timing) for timing in of_windows],
        }
        write_results(arguments.json, report)


def parts_table(timings: "Sequence[Timing]", step: str) -> Table:
    """A line a variant."""
    made = Table(title=f"One training step, {step}", box=box.SIMPLE, padding=(0, 1, 0, 0))
    made.add_column("variant")
    for heading in ("ms,\nmedian", "quartiles", "times\nours", "first\ncall, s"):
        made.add_column(heading, justify="right", no_wrap=True)
    for t in timings:
        made.add_row(
            t.name,
            f"{t.median_ms:.1f}",
            f"{t.lower_ms:.1f} .. {t.upper_ms:.1f}",
            f"{t.times_ours:.2f}",
            f"{t.first_call_s:.1f}",
        )
    return made


def race_table(found: "Race") -> Table:
    """Ours, then each fit on windows, the one that is written as one may at first last."""
    untried = len(found.windows) == 1 and found.windows[0].epochs > 1
    made = Table(
        title="Dense training and one window a transaction",
        box=box.SIMPLE,
        caption=f"dense training is {_verdict(found.times, found.reached)}\n"
        "than windows in steps like its own,\n"
        f"{_verdict(found.first_written_times, found.first_written_reached)}\n"
        "than as many epochs by Keras's own layers and Model.fit"
        + "\n(fewer epochs were not tried)"
        * untried,
    )
    made.add_column("training")
    headings = ("epochs", "seconds", "first\nstep, s", "transactions\na second")
    for heading in (*headings, "validation\nprecision"):
        made.add_column(heading, justify="right", no_wrap=True)
    names = ["dense", *["windows"] * len(found.windows), "windows, Keras's layers and fit"]
    for name, fit in zip(names, (found.dense, *found.windows, found.first_written), strict=True):
        made.add_row(
            name,
            str(fit.epochs),
            f"{fit.seconds:.1f}",
            f"{fit.first_step_s:.1f}",
            f"{fit.transactions_a_second:,.0f}",
            f"{fit.average_precision:.3f}",
        )
    return made


def _verdict(times: float, reached: bool) -> str:
    """How many times faster, and whether the other is as good."""
    if reached:
        return f"{times:.1f} times faster"
    return f"at least {times:.1f} times faster (windows are not as good yet)"


if __name__ == "__main__":
    sys.exit(main())
