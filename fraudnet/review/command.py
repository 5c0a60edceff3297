"""`fraudnet review`: the review notebook as a page."""

import argparse
from pathlib import Path

from fraudnet.errors import InputError
from fraudnet.review.places import NOTEBOOKS, find_upwards
from fraudnet.review.quality_command import add_quality_arguments, quality_environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--store", required=True, metavar="DATABASE",
        help="the team's case database: a SQLite file, or a PostgreSQL URL",
    )  # fmt: skip
    parser.add_argument(
        "--html", type=Path, required=True, metavar="FILE", help="page to write (HTML)"
    )
    parser.add_argument(
        "--report", choices=[*NOTEBOOKS], default="cases",
        help="the cases for who decides, or their quality for who leads (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--notebook",
        type=Path,
        metavar="FILE",
        help="notebook to run (default: the report's, here or in a directory above)",
    )
    add_quality_arguments(parser)
    parser.epilog = (
        "example: fraudnet review --store build/demo/reviews.sqlite --html build/demo/review.html"
    )


def run(arguments: argparse.Namespace) -> int:
    """Execute the notebook on a case database and write what it shows.

    Raises:
        InputError: the database, the notebook or the page's directory cannot be used, or the
            packages of `fraudnet[review]` are not installed.
        CheckFailed: a cell of the notebook ends in an error.
    """
    try:
        from fraudnet.review.database import CaseDatabase
        from fraudnet.review.notebook import execute_notebook
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed; the review needs pip install 'fraudnet[review]'"
        ) from error
    CaseDatabase(arguments.store)  # refused before the notebook starts
    named = arguments.notebook or NOTEBOOKS[arguments.report]
    notebook = find_upwards(named)
    if notebook is None:
        raise InputError(
            f"{named}: no such file here or in a directory above; run in a clone of "
            "fraudnet, or name the notebook with --notebook FILE"
        )
    if not arguments.html.parent.is_dir():
        raise InputError(f"{arguments.html}: no directory {arguments.html.parent}; make it first")
    is_url = "://" in arguments.store
    place = arguments.store if is_url else str(Path(arguments.store).resolve())
    environment = {"FRAUDNET_STORE": place, **quality_environment(arguments)}
    execute_notebook(notebook, arguments.html, environment)
    print(f"{arguments.html}: open it in a browser; to work with it, open {notebook} in JupyterLab")
    return 0
