"""How well shifted input is told from genuine input of the same period, and at what cost."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.detection import versions
from benchmarks.results_file import refuse_unwritable, write_results
from benchmarks.speed_data import load_fold
from fraudnet.errors import InputError

if TYPE_CHECKING:
    from benchmarks.ood_held_out import HeldOut
    from benchmarks.ood_measure import Row

PROGRAM = "python -m benchmarks.ood"
BATCH_CHUNKS, CHUNK_LENGTH = 32, 64
WITHIN = 0.01  # of the best AUROC: as good as it
WIDTH = 120  # that the table of shifts takes at least
BROKEN = {  # headings that would be too wide in one word
    "Mahalanobis": "Mahala-\nnobis",
    "neighbours": "neigh-\nbours",
    "uncertainty": "uncer-\ntainty",
}

_DESCRIPTION = """\
Train the network as it comes on 28 days, take genuine windows of a later week and shift them:
wrong unit, wrong clock, stuck fields, bots, re-coded categories; beside them customers of another
data set, and frauds. Each method's distance is fitted on genuine windows of the training period, of
which others, shifted alike, choose the layer that ours reads. Then train without a kind of fraud,
and measure what of it an alert budget finds with and without the most distant. Without --data: on
simulated transactions."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --every 20 --epochs 2 --windows 200 --held-out 0"""


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
    made.add_argument(
        "--other", type=Path, metavar="FILE",
        help="the Handbook's transactions, as other customers than simulated ones (without --data; "
        "with it, simulated customers are the other ones)",
    )  # fmt: skip
    for name, default, text in (
        ("training-days", 28, "length of the training period"),
        ("every", 4, "use one account in N only"),
        ("epochs", 12, "passes of the training"),
        ("windows", 3000, "genuine windows of the later week, at most"),
    ):
        made.add_argument(
            f"--{name}", type=int, default=default, metavar="N",
            help=f"{text} (default: %(default)s)",
        )  # fmt: skip
    made.add_argument(
        "--held-out", type=int, default=2, metavar="N",
        help="train again without each of the N most frequent kinds of fraud, 2 or more, or 0 for "
        "none (default: %(default)s)",
    )  # fmt: skip
    made.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write all figures to")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _check(arguments: argparse.Namespace) -> None:
    for name in ("training_days", "every", "epochs", "windows"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name.replace('_', '-')}: give at least 1")
    if arguments.held_out == 1 or arguments.held_out < 0:
        raise InputError("--held-out: give 0, or 2 and more: each is tuned on the next")
    if arguments.data and arguments.other:
        raise InputError("--other: not with --data, whose other customers are simulated")
    if arguments.json:
        refuse_unwritable(arguments.json)


def _run(arguments: argparse.Namespace, command: str) -> None:
    _check(arguments)
    days, every = arguments.training_days, arguments.every
    fold = load_fold(arguments.data, days, every, with_category=True)
    other = None
    if arguments.data or arguments.other:
        other = load_fold(arguments.other, days, every)
    # TensorFlow takes seconds to load, and wrong input is known before.
    from benchmarks.ood_held_out import frequent_kinds, hold_out
    from benchmarks.ood_measure import Detectors, as_dict, measure
    from benchmarks.ood_reading import Reading, draw_rows
    from fraudnet.training.fitting import TrainingConfig

    kinds = frequent_kinds(fold, arguments.held_out)
    config = TrainingConfig(
        seed=arguments.seed,
        epochs=arguments.epochs,
        batch_chunks=BATCH_CHUNKS,
        chunk_length=CHUNK_LENGTH,
    )
    reading = Reading(fold, fold.training, config)
    rows = draw_rows(fold, arguments.windows, arguments.seed)
    detectors = Detectors(reading, rows, arguments.seed)
    found = measure(reading, detectors, rows, fold, other)
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(shifts_table(found, detectors.macs, detectors.ours))
    held_out = hold_out(fold, kinds, config, arguments.windows) if kinds else []
    if held_out:
        console.print(held_out_table(held_out))
    if arguments.json:
        report = {
            "command": command,
            "versions": versions(),
            "training_transactions": int(fold.training.rows.sum()),
            "references": len(rows.references),
            "windows": len(rows.genuine),
            "network_macs_per_position": reading.macs,
            "macs_per_position": detectors.macs,
            "ours": detectors.ours,
            "layers": detectors.layers,
            "choices": as_dict(detectors.choices),
            "rows": [asdict(row) for row in found],
            "held_out": [asdict(each) for each in held_out],
        }
        write_results(arguments.json, report)


def shifts_table(rows: "Sequence[Row]", macs: Mapping[str, int], ours: str) -> Table:
    """A line a shift, a column a method; where ours falls short it is marked."""
    by_shift: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_shift.setdefault(row.shift, {})[row.method] = row
    asked = {shift: each for shift, each in by_shift.items() if not shift.startswith("fraud")}
    short = {shift for shift, each in asked.items() if falls_short(each, ours)}
    made = Table(
        title="AUROC, and share of the shifted that pass where 95 % of the genuine do",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        caption=f"! {ours}, is more than {WITHIN} AUROC below the best: "
        f"{len(short)} of {len(asked)}, frauds of kinds that were learnt not counted",
    )
    made.add_column("shift", no_wrap=True)
    for method in macs:
        heading = "\n".join(BROKEN.get(word, word) for word in method.split())
        made.add_column(heading, justify="right", no_wrap=True)
    for shift, each in by_shift.items():
        cells = (f"{each[m].auroc:.3f}\n{each[m].fpr95:.2f}" for m in macs)
        made.add_row(("! " if shift in short else "  ") + shift, *cells)
    made.add_row("  MACs a position", *(f"{count:,}" for count in macs.values()))
    return made


def falls_short(each: "Mapping[str, Row]", ours: str) -> bool:
    """Whether a method is more than .01 AUROC below the best on one shift."""
    return each[ours].auroc < max(row.auroc for row in each.values()) - WITHIN


def held_out_table(found: "Sequence[HeldOut]") -> Table:
    """A line a kind of fraud that was not learnt from."""
    made = Table(title="Frauds of a kind that was not learnt", box=box.SIMPLE)
    made.add_column("kind")
    headings = ("frauds", "AUROC,\nprobability", "AUROC,\nours", "share to\ndistance")
    for heading in (*headings, "recall,\nalone", "recall,\nshared", "all kinds,\nalone", "shared"):
        made.add_column(heading, justify="right")
    for each in found:
        made.add_row(
            each.kind,
            str(each.frauds),
            f"{each.auroc['probability']:.3f}",
            f"{each.auroc[each.method]:.3f}",
            f"{each.share:.2f}",
            f"{each.recall_alone:.3f}",
            f"{each.recall_shared:.3f}",
            f"{each.all_kinds_alone:.3f}",
            f"{each.all_kinds_shared:.3f}",
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
