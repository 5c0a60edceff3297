"""`fraudnet data`: list what is known, check or profile a source."""

import argparse
import json
import sys
from pathlib import Path

from fraudnet.transactions.place import parse_source

_EPILOG = """\
SOURCE is a file (delimited text, compressed too, JSON lines, Parquet), a folder of Parquet files,
or a database's table as URL#TABLE, such as sqlite:///bank.db#transactions.

exit status: 0 done, 2 the source cannot be used

examples:
  fraudnet data list
  fraudnet data check data/sample_transactions.csv.gz --quarantine bad.parquet
  fraudnet data profile data/sample_transactions.csv.gz --output profile.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet data`."""
    parser.description = "Public data sets that there are recipes for; what a source holds."
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    known = actions.add_parser("list", help="the recipes: where to get the data, and its traps")
    known.add_argument("--json", action="store_true", help="print JSON")
    check = actions.add_parser("check", help="read a source and count what cannot be used")
    _add_source(check)
    check.add_argument(
        "--quarantine", type=Path, metavar="FILE",
        help="where the rows that cannot be used are written, .parquet or .jsonl",
    )  # fmt: skip
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    profile = actions.add_parser("profile", help="write a page of what a source holds")
    _add_source(profile)
    profile.add_argument(
        "--output", type=Path, default=Path("profile.html"), metavar="FILE",
        help="the page (default: %(default)s)",
    )  # fmt: skip
    profile.add_argument("--json", action="store_true", help="print the page's figures as JSON")
    for name, text in (
        ("label-delay-days", "until a label is known (default: the recipe's)"),
        ("validation-days", "of the split whose drift is shown (default: 7)"),
        ("test-days", "likewise, the last days (default: 7)"),
    ):
        profile.add_argument(f"--{name}", type=float, metavar="N", help=text)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=parse_source, metavar="SOURCE", help="see above")
    parser.add_argument(
        "--recipe", default="canonical", metavar="NAME|FILE.toml",
        help="how its columns map on to ours (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max-bad-share", type=float, default=0.05, metavar="SHARE",
        help="of the rows that may be bad, 0 to 1 (default: %(default)s)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """List, check or profile.

    Raises:
        InputError: the source or an option cannot be used.
    """
    {"list": _list, "check": _check, "profile": _profile}[arguments.action](arguments)
    return 0


def _list(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.markup import escape

    from fraudnet.transactions.recipe import load_recipe, shipped_recipes

    recipes = [load_recipe(name) for name in shipped_recipes()]
    shown = ("name", "description", "size", "licence", "source", "label_delay_days", "traps")
    if arguments.json:
        print(json.dumps([{key: getattr(each, key) for key in shown} for each in recipes]))
        return
    console = Console(highlight=False, soft_wrap=True)
    for recipe in recipes:
        console.print(f"[bold]{recipe.name}[/bold]: {escape(recipe.description)}")
        for key in ("size", "licence", "source"):
            if value := getattr(recipe, key):
                console.print(f"  {key}: {escape(value)}")
        for trap in recipe.traps:
            console.print(f"  - {escape(trap)}")


def _check(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from tqdm import tqdm

    from fraudnet.transactions.reading import Reading, ReadOptions
    from fraudnet.transactions.recipe import load_recipe

    options = ReadOptions(arguments.quarantine, arguments.max_bad_share)
    reading = Reading(arguments.source, load_recipe(arguments.recipe), options)
    # A piece at a time, so that a source may be larger than memory.
    with tqdm(unit=" rows", unit_scale=True, disable=None, leave=False) as progress:
        for piece in reading:
            progress.update(len(piece))
    report = reading.report()
    if arguments.json:
        print(json.dumps(report.to_dict()))
    else:
        Console().print(report.table())


def _profile(arguments: argparse.Namespace) -> None:
    from fraudnet.configuration import parse_section
    from fraudnet.profile.profile import write_profile
    from fraudnet.transactions.reading import (
        ReadOptions,
        read_transactions,
        refuse_overwriting,
    )
    from fraudnet.transactions.recipe import load_recipe
    from fraudnet.windows.periods import SplitConfig

    refuse_overwriting(arguments.source, arguments.output)
    recipe = load_recipe(arguments.recipe)
    names = ("label_delay_days", "validation_days", "test_days")
    given = {name: getattr(arguments, name) for name in names}
    split = {"label_delay_days": recipe.label_delay_days}
    split |= {name: value for name, value in given.items() if value is not None}
    config = parse_section(SplitConfig, split, "options and recipe")
    options = ReadOptions(max_bad_share=arguments.max_bad_share)
    read = read_transactions(arguments.source, recipe, options)
    print(read.report.line(), file=sys.stderr)
    profile = write_profile(read, config, config.label_delay_days, arguments.output)
    if arguments.json:
        print(json.dumps(profile.to_dict()))
    else:
        print(f"{arguments.output}: written; open it in a browser")
