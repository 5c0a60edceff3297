"""`fraudnet cases choose` and `figures`: what the model learns from, and what that tells of all."""

import argparse
import json
from dataclasses import asdict
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from fraudnet.device.keys import add_encryption_key_argument, read_encryption_key
from fraudnet.errors import InputError

if TYPE_CHECKING:
    from fraudnet.evaluation.bootstrap import Estimate
    from fraudnet.review.choosing import Span
    from fraudnet.review.database import CaseDatabase

_MOST = 1_000_000_000  # transactions that a budget may ask for


def add_choose(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cases choose`."""
    parser.description = (
        "Put a declared share of the alert budget of some days into the queue, of what no device "
        "flagged. Choose once for each stretch of days, among the stores of all devices."
    )
    parser.add_argument(
        "stores", type=Path, nargs="+", metavar="STORE", help="what `fraudnet score` wrote"
    )
    parser.add_argument(
        "--into", required=True, metavar="DATABASE", help="that the flags were imported into"
    )
    parser.add_argument(
        "--budget", type=int, required=True, metavar="N",
        help="transactions of these days that are looked at, flagged ones among them",
    )  # fmt: skip
    for name, what in (
        ("uncertain", "nearest the threshold"),
        ("unfamiliar", "of the largest distance"),
        ("random", "drawn by chance"),
    ):
        parser.add_argument(
            f"--{name}", type=float, default=0.0, metavar="SHARE",
            help=f"of the budget, {what} (default: 0)",
        )  # fmt: skip
    _add_days(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw (default: 0)")
    add_encryption_key_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def add_figures(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cases figures`, but for the database."""
    parser.description = (
        "Recall and precision of the devices' flags and prevalence of fraud over all that was "
        "scored in some days, from the verdicts, corrected for how transactions entered the queue."
    )
    _add_days(parser)


def choose(database: "CaseDatabase", arguments: argparse.Namespace) -> None:
    """Choose and say what was.

    Raises:
        InputError: there is nothing to choose among, or an argument makes no sense.
    """
    from fraudnet.review.choosing import choose_for_learning
    from fraudnet.review.device_store import DeviceStore
    from fraudnet.review.learning import Shares

    shares = Shares(arguments.uncertain, arguments.unfamiliar, arguments.random)
    if shares == Shares():
        raise InputError("give --uncertain, --unfamiliar or --random a share of the budget")
    if not 1 <= arguments.budget <= _MOST:
        raise InputError(f"--budget {arguments.budget}: give 1 to {_MOST:,}")
    if arguments.seed < 0:
        raise InputError(f"--seed {arguments.seed}: give 0 or more")
    key = read_encryption_key(arguments.encryption_key)
    stores = [DeviceStore(path, encryption_key=key) for path in arguments.stores]
    found = choose_for_learning(
        database, stores, _span(arguments), arguments.budget, shares, arguments.seed
    )
    if arguments.json:
        print(json.dumps(asdict(found)))
        return
    counts = ", ".join(f"{count} {name}" for name, count in found.reasons.items())
    print(
        f"{counts}; of {found.scored - found.flagged:,} scored transactions that were not flagged, "
        f"beside {found.flagged:,} that were"
    )
    imported = found.imported
    if left_out := imported.known + len(imported.conflicting) + imported.forgotten:
        print(
            f"  {left_out} left out: {imported.known} there before, {len(imported.conflicting)} "
            f"there with other content, {imported.forgotten} of accounts that were erased"
        )


def figures(database: "CaseDatabase", arguments: argparse.Namespace) -> None:
    """Print the figures.

    Raises:
        InputError: they cannot be told.
    """
    from fraudnet.review.choosing import figures_of_queue

    found = figures_of_queue(database, _span(arguments))
    if arguments.json:
        print(json.dumps(asdict(found)))
        return
    for name, estimate in vars(found).items():
        print(f"{name:<10} {_shown(estimate)}")


def _shown(estimate: "Estimate | None") -> str:
    if estimate is None or estimate.interval is None:
        return "not to be told: there is none"
    interval = estimate.interval
    return f"{estimate.value:.4f}  (95 %: {interval.low:.4f} to {interval.high:.4f})"


def _add_days(parser: argparse.ArgumentParser) -> None:
    for name, what in (("since", "first day, UTC"), ("until", "day after the last")):
        parser.add_argument(
            f"--{name}", type=date.fromisoformat, required=True, metavar="DATE", help=what
        )


def _span(arguments: argparse.Namespace) -> "Span":
    from fraudnet.review.choosing import Span

    if arguments.since >= arguments.until:
        raise InputError(
            f"--until {arguments.until} is not after --since {arguments.since}; give the day after "
            "the last"
        )
    return Span(*(datetime.combine(day, time()) for day in (arguments.since, arguments.until)))
