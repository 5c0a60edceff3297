"""`fraudnet simulate`: a made-up payment world, written to a file."""

import argparse
import json
from datetime import date
from pathlib import Path

_EPILOG = """\
The kind of each fraud stands in the column fraud_kind, which training never sees. The same
arguments give the same file.

exit status: 0 done, 2 wrong input

example:
  fraudnet simulate --accounts 500 --days 60 --output transactions.parquet"""


def add_simulation_arguments(parser: argparse.ArgumentParser) -> None:
    """What is simulated, for `simulate` and `main`."""
    # The simulator's own defaults, which cannot be imported here: they need pyarrow.
    for name, type_, default, text in (
        ("accounts", int, 2_000, "accounts that pay"),
        ("counterparties", int, 2_500, "counterparties that are paid"),
        ("days", int, 120, "days it goes on"),
        ("transactions-per-day", float, 2.0, "mean of genuine transactions a day and account"),
        ("fraud-share", float, 0.008, "frauds among all transactions, about"),
    ):
        parser.add_argument(
            f"--{name}", type=type_, default=default, metavar="N",
            help=f"{text} (default: %(default)s)",
        )  # fmt: skip
    parser.add_argument(
        "--start", type=date.fromisoformat, default=date(2025, 1, 1), metavar="DATE",
        help="first day, UTC (default: %(default)s)",
    )  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet simulate`."""
    parser.description = "Simulate transactions of accounts with habits, and six kinds of fraud."
    parser.epilog = _EPILOG
    add_simulation_arguments(parser)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another seed, another world"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE",
        help="file to write: .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Simulate and write.

    Raises:
        InputError: an argument is out of its range, or the file cannot be written.
    """
    rows, frauds = simulate_to(arguments.output, arguments)
    if arguments.json:
        print(json.dumps({"path": str(arguments.output), "rows": rows, "frauds": frauds}))
    else:
        print(f"{arguments.output}: {rows:,} transactions, {frauds:,} of them frauds")
    return 0


def simulate_to(path: Path, arguments: argparse.Namespace) -> tuple[int, int]:
    """Simulate as the arguments say; returns how many transactions and frauds were written.

    Raises:
        InputError: as `run`.
    """
    import pyarrow.compute as pc

    from fraudnet.transactions.simulator import SimulatorConfig, simulate
    from fraudnet.transactions.writing import write_transactions

    config = SimulatorConfig(
        accounts=arguments.accounts,
        counterparties=arguments.counterparties,
        days=arguments.days,
        start=arguments.start,
        transactions_per_day=arguments.transactions_per_day,
        fraud_share=arguments.fraud_share,
        seed=arguments.seed,
    )
    table = simulate(config)
    write_transactions(table, path)
    return len(table), int(pc.sum(table["is_fraud"]).as_py() or 0)
