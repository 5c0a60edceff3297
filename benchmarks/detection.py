"""How well fraud is detected, by public protocols, beside peers measured in the same run."""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any
from typing import Protocol as TypingProtocol

from rich.console import Console
from rich.table import Table

from benchmarks import handbook, handbook_results, kinds, sparkov
from benchmarks.command_line import run
from benchmarks.handbook_comparison import (
    BOOSTING,
    WITH_REPUTATION,
    differences_table,
    goals_table,
)
from benchmarks.handbook_folds import FOLDS, PUBLISHED_TEST_END
from benchmarks.handbook_table import table
from benchmarks.results_file import refuse_unwritable, write_results
from fraudnet.errors import InputError
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import ReadOptions, read_transactions
from fraudnet.transactions.recipe import load_recipe

PROGRAM = "python -m benchmarks.detection"
# Each under the name of the package that imports, whichever distribution brings it.
PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "keras": ("keras",),
    "scikit-learn": ("scikit-learn",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "lightgbm": ("lightgbm",),
}

_DESCRIPTION = """\
Train and score on the four prequential folds of the Fraud Detection Handbook (chapters 5 and 7):
ROC AUC, average precision and card precision@100 over test weeks that begin a week after the
training period ends. Where the file holds the published folds' dates, 2018-07-25 (less what is
trained on beyond 7 days) to 2018-09-04, the folds lie there; else the latest test ends with the
file's last day. Peers are tuned on weeks before the earliest test."""

_EXAMPLE = """\
example:
  python -m benchmarks.detection handbook --data handbook.parquet --training-days 7 \
--models random_forest"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM,
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    protocols = made.add_subparsers(dest="protocol", required=True, metavar="PROTOCOL")
    _add_handbook_arguments(
        protocols.add_parser(
            "handbook",
            help="the Fraud Detection Handbook's folds and scores",
            description=_DESCRIPTION,
            epilog=f"exit status: 0 done, 2 wrong input\n\n{_EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_protocol(protocols, "sparkov", "the Sparkov cut in time", sparkov)
    _add_protocol(protocols, "kinds", "the simulator's kinds of fraud, beside an oracle", kinds)
    return made


class Protocol(TypingProtocol):
    """A module that measures by a protocol of its own."""

    DESCRIPTION: str
    EXAMPLE: str

    def add_arguments(self, made: argparse.ArgumentParser, /) -> None:
        """What it is told on the command line."""

    def run(self, arguments: argparse.Namespace, /) -> tuple[Table, dict[str, Any]]:
        """The table to print, and what to write."""


def _add_protocol(protocols: Any, name: str, text: str, protocol: Protocol) -> None:  # noqa: ANN401  (argparse's is private)
    made = protocols.add_parser(
        name,
        help=text,
        description=protocol.DESCRIPTION,
        epilog=f"exit status: 0 done, 2 wrong input\n\n{protocol.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    protocol.add_arguments(made)
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write every row to")
    made.set_defaults(run=protocol.run)


def _run_protocol(arguments: argparse.Namespace, command: str) -> None:
    if arguments.json:
        refuse_unwritable(arguments.json)
    table, report = arguments.run(arguments)
    Console().print(table)
    if arguments.json:
        about = {"protocol": arguments.protocol, "command": command, "versions": versions()}
        write_results(arguments.json, about | report)


def _add_handbook_arguments(made: argparse.ArgumentParser) -> None:
    plan = handbook.Plan()
    made.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="transactions with labels"
    )
    made.add_argument(
        "--recipe", default="handbook", help="recipe to read them with (default: %(default)s)"
    )
    made.add_argument(
        "--models", nargs="+", choices=handbook.MODELS, default=plan.models,
        help=f"models to measure (default: {' '.join(plan.models)})",
    )  # fmt: skip
    made.add_argument(
        "--training-days", nargs="+", type=int, default=plan.training_days, metavar="DAYS",
        help=f"lengths of the training period (default: {' '.join(map(str, plan.training_days))})",
    )  # fmt: skip
    made.add_argument(
        "--folds", nargs="+", type=int, choices=FOLDS, default=plan.folds,
        help="folds to measure, 1 is the latest (default: all four)",
    )  # fmt: skip
    made.add_argument(
        "--seeds", type=int, default=plan.seeds, metavar="N",
        help="repeat every fit with seeds 0 to N - 1 (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--refresh", choices=("transaction", "day"), default=plan.refresh,
        help="counterparty counts that the network reads: as of each transaction, or of the "
        "midnight before, as a device has them (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--json", type=Path, metavar="FILE", help="file to write every row to, when it is measured"
    )
    made.add_argument(
        "--resume", action="store_true",
        help="keep the rows that --json FILE holds already, if they are of the same data, versions "
        "and --refresh; those of a model whose code has changed are measured again",
    )  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(arguments: argparse.Namespace, command: str) -> None:
    protocol = _run_handbook if arguments.protocol == "handbook" else _run_protocol
    protocol(arguments, command)


def _run_handbook(arguments: argparse.Namespace, command: str) -> None:
    plan = handbook.Plan(
        models=arguments.models,
        training_days=arguments.training_days,
        folds=arguments.folds,
        seeds=arguments.seeds,
        refresh=arguments.refresh,
    )
    if arguments.resume and not arguments.json:
        raise InputError("--resume: needs --json FILE, the file to go on with")
    if arguments.json:
        refuse_unwritable(arguments.json)
    transactions = read_transactions(
        arguments.data, load_recipe(arguments.recipe), ReadOptions(require_labels=True)
    )
    end = handbook.end_of_tests(transactions, plan)
    shared = handbook_results.Circumstances(
        data_fingerprint=fingerprint(transactions.table),
        recipe=arguments.recipe,
        latest_test_end=end.isoformat(),
        refresh=plan.refresh,
        versions=versions(),
    )
    rows: list[handbook.Row] = []
    if arguments.resume:
        rows, outdated = handbook_results.resume(arguments.json, shared)
        print(
            f"{PROGRAM}: {len(rows)} rows are there already; {len(outdated)} of older code are not "
            "used",
            file=sys.stderr,
        )
    for row in handbook.measure(transactions, plan, list(rows)):
        rows.append(row)
        if arguments.json:
            handbook_results.write(arguments.json, command, shared, rows)
    _print(sorted(rows, key=handbook.place), end)


def _print(rows: list[handbook.Row], end: datetime) -> None:
    published = end == PUBLISHED_TEST_END
    last = f"{end - timedelta(days=1):%Y-%m-%d}"
    console = Console()
    where = "at their published dates" if published else f"at the end of the file ({last})"
    console.print(table(rows, where))
    if any(row.model in BOOSTING + WITH_REPUTATION for row in rows):
        console.print(differences_table(rows))
    if published and any(row.model.startswith("fraudnet") for row in rows):
        console.print(goals_table(rows))


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that decide the scores; None if not installed."""
    found: dict[str, str | None] = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name, distributions in PACKAGES.items():
        found[name] = next(filter(None, map(_version, distributions)), None)
    return found


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
