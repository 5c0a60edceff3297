"""`fraudnet review quality`: what it may be told besides the case database."""

import argparse
import math
import os
from pathlib import Path

from fraudnet.errors import InputError
from fraudnet.review.places import QUALITY_NOTEBOOK


def add_quality_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's own arguments; most are passed on by the environment variable of the name."""
    parser.epilog = (
        "example: fraudnet review quality --store build/demo/reviews.sqlite --artifact "
        "build/demo/fraud.tflite --device-store build/demo/cases.sqlite "
        "--html build/demo/quality.html"
    )
    parser.add_argument(
        "--html", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="page to write (HTML)"
    )
    parser.add_argument(
        "--notebook", type=Path, default=QUALITY_NOTEBOOK, metavar="FILE",
        help="notebook to run (default: %(default)s, here or in a directory above)",
    )  # fmt: skip
    parser.add_argument(
        "--artifact",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="for its budget, precision and distances",
    )
    parser.add_argument(
        "--device-store", type=Path, action="append", metavar="FILE", dest="device_stores",
        help="of a device, for all its transactions; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--scores", type=Path, metavar="FILE",
        help="Parquet that the training logged under scores/, to compare with",
    )  # fmt: skip
    parser.add_argument("--group", metavar="COLUMN", help="of the fairness groups")
    parser.add_argument("--budget", type=float, metavar="N", help="alerts a day")


def quality_environment(arguments: argparse.Namespace, place: str) -> dict[str, str]:
    """Environment variables for the notebook, of the arguments that were given.

    Args:
        arguments: of `add_quality_arguments`.
        place: the case database, an absolute path or a URL.

    Raises:
        InputError: a file is not there, or the budget is no number of alerts.
    """
    if arguments.budget is not None and not 0 < arguments.budget < math.inf:
        raise InputError(f"--budget {arguments.budget}: expected alerts a day, such as 30")
    stores: list[Path] = arguments.device_stores or []
    files = [path for path in (arguments.artifact, *stores, arguments.scores) if path]
    if missing := next((path for path in files if not path.is_file()), None):
        raise InputError(f"{missing}: no such file")
    given = {
        "CASES": place,
        "ARTIFACT": arguments.artifact and str(arguments.artifact.resolve()),
        "DEVICE_STORES": os.pathsep.join(str(path.resolve()) for path in stores),
        "SCORES": arguments.scores and str(arguments.scores.resolve()),
        "GROUP": arguments.group,
        "BUDGET": None if arguments.budget is None else str(arguments.budget),
    }
    return {f"FRAUDNET_{name}": value for name, value in given.items() if value}
