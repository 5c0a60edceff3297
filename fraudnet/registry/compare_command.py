"""`fraudnet compare`: two runs beside each other."""

import argparse
import json
from pathlib import Path

from fraudnet.training.command import REGISTERED

_EPILOG = """\
exit status: 0 done, 2 wrong input (also: the runs were measured on different rows)

example:
  fraudnet compare champion 3f2a91 --period test --figure curves.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet compare`."""
    parser.description = (
        "Show the figures of two runs beside each other, with the intervals of their differences "
        "(bootstrap over accounts, the same accounts for both), and where their configurations "
        "differ. RUN is a run's id or its beginning, the directory that `fraudnet train` wrote, "
        "champion, candidate or previous_champion."
    )
    parser.epilog = _EPILOG
    parser.add_argument("first", metavar="RUN_A", help="the run that the other is compared with")
    parser.add_argument("second", metavar="RUN_B", help="the other; differences are B - A")
    add_measure_arguments(parser)
    parser.add_argument(
        "--allow-other-data", action="store_true",
        help="also runs that were measured on different rows, without intervals",
    )  # fmt: skip
    parser.add_argument(
        "--figure", type=Path, metavar="FILE.png", help="both precision-recall curves in a picture"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_measure_arguments(parser: argparse.ArgumentParser) -> None:
    """How two runs are measured against each other, for `compare` and `promote`."""
    parser.add_argument(
        "--name", default=REGISTERED, metavar="MODEL",
        help="registered model that champion and candidate are of (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--period", default="test", choices=("validation", "test"),
        help="whose figures (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="SHARE",
        help="of resamples inside an interval (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--resamples", type=int, default=1000, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the resampling (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare.

    Raises:
        InputError: a run is not there, or they cannot be compared, or the picture not be written.
    """
    from rich.console import Console

    from fraudnet.errors import InputError
    from fraudnet.evaluation.comparison import Bootstrap
    from fraudnet.registry.compare import (
        as_dictionary,
        compare,
        precision_recall,
        print_comparison,
    )
    from fraudnet.training.runs import figures_of_run, find_run
    from fraudnet.training.tracking import opened_store

    bootstrap = Bootstrap(arguments.confidence, arguments.resamples, arguments.seed)
    with opened_store() as client:
        first, second = (
            figures_of_run(client, find_run(client, text, arguments.name), arguments.period)
            for text in (arguments.first, arguments.second)
        )
    found = compare(first, second, bootstrap, allow_other_data=arguments.allow_other_data)
    if arguments.figure:
        try:
            precision_recall(first, second).savefig(arguments.figure, format="png", dpi=150)
        except OSError as error:
            raise InputError(f"{arguments.figure}: cannot be written: {error.strerror}") from error
    if arguments.json:
        print(json.dumps(as_dictionary(found), indent=2))
    else:
        print_comparison(found, Console())
    return 0
