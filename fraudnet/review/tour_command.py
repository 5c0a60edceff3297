"""`fraudnet tour`: the tour's notebook as a page."""

import argparse
from pathlib import Path

from fraudnet.errors import InputError
from fraudnet.review.places import DEFAULT_TOUR, find_upwards


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Go the whole way on the sample data, with a picture at each step, and keep it as one page "
        "that needs neither a kernel nor a network."
    )
    parser.add_argument(
        "--html", type=Path, required=True, metavar="FILE", help="page to write (HTML)"
    )
    parser.epilog = (
        "exit status: 0 done, 1 a cell failed, 2 wrong input\n\n"
        "example:\n  fraudnet tour --html tour.html"
    )


def run(arguments: argparse.Namespace) -> int:
    """Execute the notebook and write what it shows.

    Raises:
        InputError: the notebook or the page's directory is not there, or the packages of
            `fraudnet[train,review]` are not installed.
        CheckFailed: a cell of the notebook ends in an error.
    """
    try:
        from fraudnet.review.notebook import execute_notebook
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed; the tour needs pip install 'fraudnet[train,review]'"
        ) from error
    notebook = find_upwards(DEFAULT_TOUR)
    if notebook is None:
        raise InputError(
            f"{DEFAULT_TOUR}: no such file here or in a directory above; run in a clone of fraudnet"
        )
    if not arguments.html.parent.is_dir():
        raise InputError(f"{arguments.html}: no directory {arguments.html.parent}; make it first")
    seconds = execute_notebook(notebook, arguments.html, {})
    slowest = max(seconds, key=lambda cell: seconds[cell])
    print(
        f"{arguments.html}: open it in a browser; to go it yourself, open {notebook} in JupyterLab "
        f"({sum(seconds.values()):.0f} s, the slowest cell {slowest!r} {seconds[slowest]:.1f} s)"
    )
    return 0
