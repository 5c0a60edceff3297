"""How the time and memory of this project's histories grow with the size of the table."""

import multiprocessing
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.table import Table
from tqdm import tqdm

from benchmarks.windows_process import SystemProcess, write_table
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.transactions.writing import write_transactions

DEFAULT_ROWS = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 20_000_000)
REPEATS = 3
# Of the simulated tables; as in the Handbook's data.
ROWS_AN_ACCOUNT = 350
ROWS_A_COUNTERPARTY = 175
DAYS = 183
LEAST_ROWS = 12 * ROWS_A_COUNTERPARTY  # the simulator has 12 kinds of counterparties


def growth(sizes: Sequence[int], plot: Path) -> dict[str, Any]:
    """Measure this project on simulated tables, each in a fresh process.

    Args:
        sizes: rows of each table, about.
        plot: the image to write.

    Returns:
        For each table, and for time and memory: the cost a row, and its ratio to that of linear
        growth, the slope of the line through 0 that fits all sizes best; and of these ratios the
        one farthest from 1.
    """
    measured = []
    with tempfile.TemporaryDirectory() as folder, tqdm(sizes, disable=None, leave=False) as each:
        for size in each:
            each.set_description(f"{size:,} rows")
            measured.append(_measure(size, Path(folder) / "table.arrow"))
    rows = np.array([entry["rows"] for entry in measured], float)
    worst = {}
    for name, cost, scale in (
        ("seconds", "microseconds_per_row", 1e6),
        ("memory_bytes", "bytes_per_row", 1.0),
    ):
        costs = np.array([entry[name] for entry in measured], float)
        ratios = costs / rows / (rows @ costs / (rows @ rows))
        for entry, ratio in zip(measured, ratios.tolist(), strict=True):
            entry[cost] = entry[name] / entry["rows"] * scale
            entry[f"{name}_to_linear"] = ratio
        worst[f"{name}_to_linear"] = max(ratios.tolist(), key=lambda ratio: abs(ratio - 1))
    report = {"sizes": measured, "worst": worst}
    _plot(report, plot)
    return report


def _measure(size: int, file: Path) -> dict[str, Any]:
    simulate_in_a_process(size, file)
    with SystemProcess("fraudnet", file) as process:
        runs = [process.run() for _ in range(REPEATS)]
    return {
        "rows": process.rows,
        "seconds": median(run.seconds for run in runs),
        "memory_bytes": runs[0].extra_bytes,
    }


def simulate_in_a_process(size: int, file: Path) -> None:
    """Simulate about so many transactions; what the simulator needs is given back.

    Args:
        size: rows.
        file: .parquet, or else as `write_table` writes it.
    """
    maker = multiprocessing.get_context("spawn").Process(target=_simulate, args=(size, file))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise RuntimeError(f"the simulator of {size} rows ended with {maker.exitcode}")


def _simulate(size: int, file: Path) -> None:
    config = SimulatorConfig(
        accounts=size // ROWS_AN_ACCOUNT,
        counterparties=size // ROWS_A_COUNTERPARTY,
        days=DAYS,
        transactions_per_day=ROWS_AN_ACCOUNT / DAYS,
    )
    write = write_transactions if file.suffix == ".parquet" else write_table
    write(simulate(config), file)


def _plot(growth: dict[str, Any], file: Path) -> None:
    """Draw time and memory against rows, with the lines of linear growth."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    rows = [entry["rows"] for entry in growth["sizes"]]
    for axes, name, unit, label in (
        (panels[0], "seconds", 1.0, "seconds"),
        (panels[1], "memory_bytes", 1e6, "memory beyond the table, MB"),
    ):
        linear = [entry[name] / entry[f"{name}_to_linear"] / unit for entry in growth["sizes"]]
        axes.plot(rows, linear, color="0.6", linestyle="--", label="linear growth")
        costs = [entry[name] / unit for entry in growth["sizes"]]
        axes.plot(rows, costs, marker="o", label="measured")
        axes.set(xscale="log", yscale="log", xlabel="transactions", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(file, dpi=120)


def growth_table(growth: dict[str, Any]) -> Table:
    """The figures of all sizes, to print with rich."""
    worst = growth["worst"]
    made = Table(
        title="Growth with the number of transactions",
        box=box.SIMPLE,
        caption="to linear: divided by the slope of the line through 0 that fits best\n"
        f"farthest from linear: time {worst['seconds_to_linear']:.2f}, "
        f"memory {worst['memory_bytes_to_linear']:.2f}",
    )
    for heading in ("rows", "seconds", "µs a row", "to linear", "bytes a row", "to linear"):
        made.add_column(heading, justify="right", no_wrap=True)
    for entry in growth["sizes"]:
        made.add_row(
            f"{entry['rows']:,}",
            f"{entry['seconds']:.3f}",
            f"{entry['microseconds_per_row']:.3f}",
            f"{entry['seconds_to_linear']:.2f}",
            f"{entry['bytes_per_row']:.0f}",
            f"{entry['memory_bytes_to_linear']:.2f}",
        )
    return made
