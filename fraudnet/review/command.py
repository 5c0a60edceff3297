"""`fraudnet review`: the notebooks as pages, and the labels that the verdicts make."""

import argparse
import os
from pathlib import Path

from fraudnet.errors import InputError
from fraudnet.review.places import DEFAULT_NOTEBOOK, find_upwards
from fraudnet.review.quality_command import add_quality_arguments, quality_environment

_EPILOG = """\
exit status: 0 done, 1 the notebook failed, 2 wrong input

examples:
  fraudnet review export build/labels.csv --store build/demo/reviews.sqlite
  fraudnet review --store build/demo/reviews.sqlite --artifact build/demo/fraud.tflite \\
      --html build/demo/review.html
  fraudnet review quality --store build/demo/reviews.sqlite --html build/demo/quality.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Run the review notebook on the team's case database and keep what it shows as a page; "
        "with `quality`, so the team lead's; with `export`, write what the verdicts say of "
        "transactions, for training."
    )
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_database(parser, None)
    parser.add_argument("--html", type=Path, metavar="FILE", help="page to write (HTML)")
    parser.add_argument(
        "--artifact", type=Path, metavar="FILE", help="the .tflite that scored; it explains cases"
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR",
        help="what `fraudnet train --output` wrote; it explains cases further, and takes a while",
    )  # fmt: skip
    parser.add_argument(
        "--notebook",
        type=Path,
        default=DEFAULT_NOTEBOOK,
        metavar="FILE",
        help="notebook to run (default: %(default)s, here or in a directory above)",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    export = actions.add_parser("export", help="write labels; `fraudnet train --labels` takes them")
    export.add_argument("file", type=Path, metavar="FILE", help=".csv, .parquet or .jsonl")
    quality = actions.add_parser("quality", help="the quality of the alerts, as a page")
    add_quality_arguments(quality)
    for action in (export, quality):
        _add_database(action, argparse.SUPPRESS)  # may stand before the action, too


def run(arguments: argparse.Namespace) -> int:
    """Execute the notebook and write what it shows, or write the labels.

    Raises:
        InputError: the database, the notebook or a file cannot be used, or the packages of
            `fraudnet[review]` are not installed.
        CheckFailed: a cell of the notebook ends in an error.
    """
    if arguments.store is None:
        raise InputError("name the team's case database with --store DATABASE")
    try:
        if arguments.action == "export":
            return _export(arguments)
        return _page(arguments)
    except ModuleNotFoundError as error:
        if (error.name or "fraudnet").startswith("fraudnet"):
            raise
        raise InputError(
            f"{error.name} is not installed; the review needs pip install 'fraudnet[review]'"
        ) from error


def _page(arguments: argparse.Namespace) -> int:
    from fraudnet.review.database import CaseDatabase
    from fraudnet.review.notebook import execute_notebook

    CaseDatabase(arguments.store)  # refused before the notebook starts
    if arguments.html is None:
        raise InputError("name the page to write with --html FILE")
    notebook = find_upwards(arguments.notebook)
    if notebook is None:
        raise InputError(
            f"{arguments.notebook}: no such file here or in a directory above; run in a clone of "
            "fraudnet, or name the notebook with --notebook FILE"
        )
    if not arguments.html.parent.is_dir():
        raise InputError(f"{arguments.html}: no directory {arguments.html.parent}; make it first")
    if arguments.html.is_dir():
        raise InputError(f"{arguments.html}: is a directory; name a file in it")
    is_url = "://" in arguments.store
    place = arguments.store if is_url else str(Path(arguments.store).resolve())
    variables = {"FRAUDNET_CASES": place}
    if arguments.action == "quality":
        from fraudnet.review.quality_sources import open_quality

        variables = quality_environment(arguments, place)
        open_quality(os.environ | variables)  # refused before the notebook starts
    else:
        for path, variable, what in (
            (arguments.artifact, "FRAUDNET_ARTIFACT", "the .tflite that scored"),
            (arguments.model, "FRAUDNET_MODEL", "what `fraudnet train --output` wrote"),
        ):
            if path is not None:
                if not path.exists():
                    raise InputError(f"{path}: not there; give {what}")
                variables[variable] = str(path.resolve())
        if arguments.model is not None:
            variables["FRAUDNET_NETWORK_ON_PAGE"] = "1"
    execute_notebook(notebook, arguments.html, variables)
    print(f"{arguments.html}: open it in a browser; to work with it, open {notebook} in JupyterLab")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from fraudnet.review.database import CaseDatabase
    from fraudnet.review.exporting import export_labels

    found = export_labels(CaseDatabase(arguments.store), arguments.file)
    if found.empty:
        print(f"{arguments.file}: no labels: no case is confirmed fraud or a false positive")
        return 0
    frauds = int(found["is_fraud"].sum())
    print(
        f"{arguments.file}: {len(found):,} labels, {frauds:,} fraud and {len(found) - frauds:,} "
        f"genuine; learn from them with `fraudnet train --labels {arguments.file}`"
    )
    return 0


def _add_database(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--store", default=default, metavar="DATABASE",
        help="the team's case database: a SQLite file, or a PostgreSQL URL",
    )  # fmt: skip
