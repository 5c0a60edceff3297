"""What `fraudnet review --report quality` may be told besides the case database."""

import argparse
import os
from pathlib import Path

from fraudnet.errors import InputError


def add_quality_arguments(parser: argparse.ArgumentParser) -> None:
    """The report's own arguments; each is passed on by the environment variable of its name."""
    group = parser.add_argument_group("the report on quality, all optional")
    group.add_argument(
        "--artifact", type=Path, metavar="FILE", help="for its budget, precision and distances"
    )
    group.add_argument(
        "--device-store", type=Path, action="append", metavar="FILE", dest="device_stores",
        help="of a device, for all its transactions; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--scores", type=Path, metavar="FILE",
        help="Parquet that the training logged under scores/, to compare with",
    )  # fmt: skip
    group.add_argument("--group", metavar="COLUMN", help="of the fairness groups")
    group.add_argument("--budget", type=float, metavar="N", help="alerts a day")


def quality_environment(arguments: argparse.Namespace) -> dict[str, str]:
    """Environment variables for the notebook, of the arguments that were given.

    Raises:
        InputError: a file is not there.
    """
    stores: list[Path] = arguments.device_stores or []
    files = [path for path in (arguments.artifact, *stores, arguments.scores) if path]
    if missing := next((path for path in files if not path.is_file()), None):
        raise InputError(f"{missing}: no such file")
    given = {
        "ARTIFACT": arguments.artifact and str(arguments.artifact.resolve()),
        "DEVICE_STORES": os.pathsep.join(str(path.resolve()) for path in stores),
        "SCORES": arguments.scores and str(arguments.scores.resolve()),
        "GROUP": arguments.group,
        "BUDGET": None if arguments.budget is None else str(arguments.budget),
    }
    return {f"FRAUDNET_{name}": value for name, value in given.items() if value}
