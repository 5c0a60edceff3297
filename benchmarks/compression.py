"""What low rank costs and saves: networks of the family compressed, beside smaller ones."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.compression_data import load_source
from benchmarks.compression_plan import METHODS, SIZES, Plan, Row
from benchmarks.detection import versions
from benchmarks.results_file import refuse_unwritable, write_results
from fraudnet.errors import InputError

PROGRAM = "python -m benchmarks.compression"
HALF, LARGEST = 0.5, "large"
ALLOWED = 0.005  # average precision that half the work may cost

_DESCRIPTION = """\
Train members of the family; factor their 1x1 layers to shares of those layers'
multiply-accumulates: plain, whitened, with ranks by measured damage, and fine-tuned; beside
networks of the family of about the same work. Folds lie in time as training, a week's delay, a week
of validation, a week's delay, the Handbook's week of test. All choices are made on the validation;
the test is only scored. Without --data: on simulated transactions."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --sizes nano --shares 0.5 --every 40 --epochs 1 --fine-tune 1"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    plan = Plan()
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
        "--sizes", nargs="+", choices=SIZES, default=plan.sizes,
        help=f"networks to compress (default: {' '.join(plan.sizes)})",
    )  # fmt: skip
    made.add_argument(
        "--shares", nargs="+", type=float, default=plan.shares, metavar="SHARE",
        help=f"of the 1x1 layers' work (default: {' '.join(map(str, plan.shares))})",
    )  # fmt: skip
    made.add_argument(
        "--folds", nargs="+", type=int, choices=(1, 2, 3, 4), default=plan.folds,
        help="folds to measure, 1 is the latest (default: 1)",
    )  # fmt: skip
    for name, text in (
        ("seeds", "repeat every fit with seeds 0 to N - 1"),
        ("training-days", "length of the training period"),
        ("every", "learn from and test on one account in N only"),
        ("batch-chunks", "chunks a step: fewer, where fewer accounts are learnt from"),
        ("epochs", "passes of the training"),
        ("fine-tune", "passes after the factoring"),
    ):
        made.add_argument(
            f"--{name}", type=int, default=getattr(plan, name.replace("-", "_")), metavar="N",
            help=f"{text} (default: %(default)s)",
        )  # fmt: skip
    made.add_argument(
        "--json", type=Path, metavar="FILE", help="file to write every row to, when it is measured"
    )
    made.add_argument(
        "--resume", action="store_true",
        help="keep the networks that --json FILE holds all rows of, if they were measured on the "
        "same data, by the same versions, code and options",
    )  # fmt: skip
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(arguments: argparse.Namespace, command: str) -> None:
    plan = Plan(**{name: getattr(arguments, name) for name in asdict(Plan())})
    if arguments.resume and not arguments.json:
        raise InputError("--resume: needs --json FILE, the file to go on with")
    if arguments.json:
        refuse_unwritable(arguments.json)
    source = load_source(arguments.data)
    # TensorFlow takes seconds to load, and wrong input is known before.
    from benchmarks.code_version import code_version
    from benchmarks.compression_rows import SOURCES, measure

    fits = {"training_days", "every", "batch_chunks", "epochs", "fine_tune", "shares"}
    shared = {
        "data_fingerprint": source.fingerprint,
        "versions": versions(),
        "code": code_version(SOURCES),
        **{
            name: value
            for name, value in json.loads(json.dumps(asdict(plan))).items()
            if name in fits
        },
    }
    rows = _kept(arguments.json, shared, plan) if arguments.resume else []
    for row in measure(source, plan, list(rows)):
        rows.append(row)
        print(
            f"{row.size} {row.method} {row.share:g}: {row.average_precision:.4f}", file=sys.stderr
        )
        if arguments.json:
            report = {"command": command, "cores": os.cpu_count(), **shared}
            write_results(arguments.json, report | {"rows": [asdict(each) for each in rows]})
    console = Console()
    console.print(figures_table(rows))
    console.print(goals_table(rows))


def _kept(path: Path, shared: Mapping[str, Any], plan: Plan) -> list[Row]:
    """Rows of networks that were wholly measured, under the same circumstances."""
    if not path.exists():
        return []
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        found = {name: report[name] for name in shared}
        rows = [Row(**row) for row in report["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be gone on with, it is no results file of this command "
            f"({type(error).__name__}: {error}); leave out --resume, or name another file"
        ) from None
    for name, value in shared.items():
        if found[name] != value:
            raise InputError(
                f"{path}: its {name} is {found[name]!r}, that of this run {value!r}; leave out "
                "--resume to measure all anew, or name another file"
            )
    networks = [row.network for row in rows]
    return [row for row in rows if networks.count(row.network) == plan.rows_of_a_network]


def figures_table(rows: Iterable[Row]) -> Table:
    """A line a size, share and method: means over folds and seeds."""
    made = Table(
        title="1x1 layers of low rank",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        caption="share: of the 1x1 layers' multiply-accumulates; MACs: of one score, all layers",
    )
    made.add_column("network", no_wrap=True)
    for heading in (
        "share",
        "MACs",
        "param.",
        "valid.\nAP",
        "test\nAP",
        "from\nwhole",
        "test\nAUC",
    ):
        made.add_column(heading, justify="right", no_wrap=True)
    by_line = _by_line(rows)
    for (size, method, share), own in by_line.items():
        made.add_row(
            f"{size}, {method.replace('_', ' ')}", f"{share:g}",
            *(f"{_mean(own, name):,.0f}" for name in ("macs", "parameters")),
            f"{_mean(own, 'validation_average_precision'):.4f}",
            f"{_mean(own, 'average_precision'):.4f}",
            f"{_behind(by_line, size, method, share):+.4f}",
            f"{_mean(own, 'roc_auc'):.4f}",
        )  # fmt: skip
    return made


def goals_table(rows: Iterable[Row]) -> Table:
    """The goals, and by how much each is met or missed."""
    made = Table(title="goals, by test AP", box=box.SIMPLE, padding=(0, 1, 0, 0))
    made.add_column("goal")
    for heading in ("difference", "allowed", ""):
        made.add_column(heading, justify="right", no_wrap=True)
    by_line = _by_line(rows)

    def add(goal: str, difference: float, allowed: float) -> None:
        said = "met" if difference >= allowed else "missed"
        made.add_row(goal, f"{difference:+.4f}", f"{allowed:+.3f}", said)

    if (LARGEST, "tuned", HALF) in by_line:
        gap = _behind(by_line, LARGEST, "tuned", HALF)
        add(f"{LARGEST} at half the 1x1 MACs, tuned, beside the whole network", gap, -ALLOWED)
    for size, method, share in by_line:
        if method == "whitened":
            own, other = (by_line[size, name, share] for name in ("whitened", "plain"))
            gap = _mean(own, "average_precision") - _mean(other, "average_precision")
            add(f"{size} at {share:g}, whitened beside plain", gap, 0.0)
    return made


Lines = dict[tuple[str, str, float], list[Row]]


def _by_line(rows: Iterable[Row]) -> Lines:
    """Rows by size, method and share; the whole first, then share by share."""
    found: Lines = {}
    for row in sorted(rows, key=lambda r: (SIZES.index(r.size), -r.share, METHODS.index(r.method))):
        found.setdefault((row.size, row.method, row.share), []).append(row)
    return found


def _behind(lines: Lines, size: str, method: str, share: float) -> float:
    """Mean paired difference of the test's average precision from the whole network's."""
    whole = {row.network: row.average_precision for row in lines.get((size, "whole", 1.0), [])}
    pairs = [
        row.average_precision - whole[row.network]
        for row in lines[size, method, share]
        if row.network in whole
    ]
    return mean(pairs) if pairs else float("nan")


def _mean(rows: Sequence[Row], name: str) -> float:
    return mean(float(getattr(row, name)) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
