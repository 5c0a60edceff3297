"""How fast account histories and counts as known at the time are built, and in how much memory."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata, util
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.command_line import run
from benchmarks.results_file import refuse_unwritable, write_results
from benchmarks.windows_growth import DEFAULT_ROWS, LEAST_ROWS, growth, growth_table
from benchmarks.windows_on_disk import DEFAULT_ROWS as ON_DISK_ROWS
from benchmarks.windows_on_disk import on_disk, on_disk_line
from benchmarks.windows_peers import PEERS, SYSTEMS, require_equal
from benchmarks.windows_process import Run, SystemProcess, write_table
from fraudnet.errors import InputError
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import read_transactions
from fraudnet.transactions.recipe import load_recipe

PROGRAM = "python -m benchmarks.windows"
OUTPUT = Path("benchmarks/results/windows.json")
REPEATS = dict.fromkeys(SYSTEMS, 5) | {"pandas": 2}
PACKAGES = ("duckdb", "numpy", "pandas", "polars", "pyarrow")

_DESCRIPTION = """\
Sort transactions into account histories, with the offset of each account and six counts of the
counterparty's past: transactions and known frauds of 1, 7 and 30 days, known 7 days late, to the
microsecond. Measured from a table in memory, each system in a process of its own with all cores:
this project, pandas, polars and DuckDB, whose numbers must all be equal."""

_EPILOG = """\
exit status: 0 done, 2 wrong input

example:
  python -m benchmarks.windows --data handbook.parquet --output windows.json"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM,
        description=f"{__doc__}\n\n{_DESCRIPTION}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--data", type=Path, metavar="FILE",
        help="transactions with labels in the Handbook's columns, to measure all systems on",
    )  # fmt: skip
    made.add_argument(
        "--growth", nargs="*", type=int, metavar="ROWS",
        help="measure this project alone on simulated tables of about so many rows "
        f"(default: {' '.join(map(str, DEFAULT_ROWS))})",
    )  # fmt: skip
    made.add_argument(
        "--on-disk", nargs="?", type=int, const=ON_DISK_ROWS, metavar="ROWS",
        help="measure the memory of making about so many simulated rows ready for training "
        f"under a limit (default: {ON_DISK_ROWS})",
    )  # fmt: skip
    made.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="FILE",
        help="JSON file for the figures, which keeps those of a part that is not measured now; "
        "the plot of --growth is written beside it (default: %(default)s)",
    )  # fmt: skip
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(arguments: argparse.Namespace, command: str) -> None:
    sizes = [*(arguments.growth or []), *([arguments.on_disk] if arguments.on_disk else [])]
    if arguments.data is None and arguments.growth is None and arguments.on_disk is None:
        raise InputError("nothing to measure; give --data FILE, --growth or --on-disk")
    if sizes and min(sizes) < LEAST_ROWS:
        raise InputError(f"{min(sizes)} rows are too few; give at least {LEAST_ROWS}")
    report = _earlier(arguments.output)
    about = {"command": command, "machine": machine(), "versions": versions()}
    if arguments.data is not None:
        report["comparison"] = about | compare(arguments.data)
        Console().print(comparison_table(report["comparison"]))
        write_results(arguments.output, report)
    if arguments.growth is not None:
        plot = arguments.output.with_name(f"{arguments.output.stem}_growth.png")
        report["growth"] = about | growth(arguments.growth or DEFAULT_ROWS, plot)
        Console().print(growth_table(report["growth"]))
        write_results(arguments.output, report)
    if arguments.on_disk is not None:
        report["on_disk"] = about | on_disk(arguments.on_disk)
        print(on_disk_line(report["on_disk"]))
        write_results(arguments.output, report)


def _earlier(path: Path) -> dict[str, Any]:
    """The figures that the file holds; refused before minutes are spent if it cannot be written."""
    refuse_unwritable(path)
    if not path.exists():
        return {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        report = None
    if not isinstance(report, dict):
        raise InputError(f"{path}: holds something else; give another file to write")
    return report


def machine() -> dict[str, str | int | None]:
    """The processor and how many of its cores there are."""
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8").splitlines()
        model = next(
            (line.split(":", 1)[1].strip() for line in lines if "model name" in line), model
        )
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.platform(terse=True)}


def versions() -> dict[str, str]:
    """Versions of Python and of what decides the figures, if installed."""
    found = {"python": platform.python_version()}
    return found | {name: metadata.version(name) for name in PACKAGES if util.find_spec(name)}


def compare(path: Path) -> dict[str, Any]:
    """Measure every system on the same rows, in turns, so that a busy machine is so to all.

    Raises:
        InputError: the file cannot be read, or a peer is not installed.
        ValueError: the systems do not agree.
    """
    if absent := [name for name in PEERS if util.find_spec(name) is None]:
        raise InputError(f"{', '.join(absent)}: not installed; pip install '.[benchmarks]'")
    table = read_transactions(path, load_recipe("handbook")).table
    runs = measure(table)
    seconds = {name: median(run.seconds for run in each) for name, each in runs.items()}
    return {
        "data_fingerprint": fingerprint(table),
        "rows": table.num_rows,
        "table_bytes": table.nbytes,
        "systems": {
            name: {
                "seconds": {
                    "median": seconds[name],
                    "min": min(run.seconds for run in each),
                    "max": max(run.seconds for run in each),
                    "runs": len(each),
                },
                "rows_per_second": table.num_rows / seconds[name],
                "times_as_fast_as": {peer: seconds[peer] / seconds[name] for peer in PEERS},
                # Later runs may have room that the first has left.
                "memory_bytes": each[0].extra_bytes,
                "memory_multiple_of_table": each[0].extra_bytes / table.nbytes,
            }
            for name, each in runs.items()
        },
    }


def measure(table: pa.Table) -> dict[str, list[Run]]:
    """The runs of every system, once all that they made is found equal.

    Raises:
        ValueError: it is not.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "table.arrow"
        write_table(table, file)
        systems = {name: stack.enter_context(SystemProcess(name, file)) for name in SYSTEMS}
        runs: dict[str, list[Run]] = {name: [] for name in SYSTEMS}
        turns = [(turn, name) for turn in range(max(REPEATS.values())) for name in SYSTEMS]
        with tqdm(turns, unit="run", disable=None, leave=False) as progress:
            for turn, name in progress:
                progress.set_description(name)
                if turn < REPEATS[name]:
                    runs[name].append(systems[name].run())
        require_equal({name: each.result() for name, each in systems.items()})
    return runs


def comparison_table(comparison: dict[str, Any]) -> Table:
    """The figures of all systems, to print with rich."""
    made = Table(
        title=f"Histories, offsets and 6 counts of {comparison['rows']:,} transactions",
        box=box.SIMPLE,
        padding=0,
        caption="seconds: median (fastest to slowest run)\n"
        "times: how many times as fast\n"
        "memory: the most beyond what was held before, in Arrow tables of "
        f"{comparison['table_bytes'] / 1e6:.1f} MB\n"
        "all numbers of all systems are equal",
    )
    made.add_column("system", no_wrap=True)
    for heading in ("seconds", "rows/s", *(f"times\n{peer}" for peer in PEERS), "memory"):
        made.add_column(heading, justify="right", no_wrap=True)
    for name, figures in comparison["systems"].items():
        seconds = figures["seconds"]
        made.add_row(
            name,
            f"{seconds['median']:.2f} ({seconds['min']:.2f} to {seconds['max']:.2f})",
            f"{figures['rows_per_second']:,.0f}",
            *(f"{figures['times_as_fast_as'][peer]:.2f}" for peer in PEERS),
            f"{figures['memory_multiple_of_table']:.2f}",
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
