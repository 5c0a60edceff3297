"""`fraudnet review`: the review notebook as a page."""

import argparse
from pathlib import Path

from fraudnet.errors import InputError
from fraudnet.review.places import DEFAULT_NOTEBOOK, find_upwards


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
        "--notebook",
        type=Path,
        default=DEFAULT_NOTEBOOK,
        metavar="FILE",
        help="notebook to run (default: %(default)s, here or in a directory above)",
    )
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
    notebook = find_upwards(arguments.notebook)
    if notebook is None:
        raise InputError(
            f"{arguments.notebook}: no such file here or in a directory above; run in a clone of "
            "fraudnet, or name the notebook with --notebook FILE"
        )
    if not arguments.html.parent.is_dir():
        raise InputError(f"{arguments.html}: no directory {arguments.html.parent}; make it first")
    is_url = "://" in arguments.store
    place = arguments.store if is_url else str(Path(arguments.store).resolve())
    execute_notebook(notebook, arguments.html, {"FRAUDNET_STORE": place})
    print(f"{arguments.html}: open it in a browser; to decide, open {notebook} in JupyterLab")
    return 0
