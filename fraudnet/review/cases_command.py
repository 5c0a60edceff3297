"""`fraudnet cases`: the team's case database, from the devices' stores to the files it gives."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from fraudnet.device.keys import add_encryption_key_argument, read_encryption_key
from fraudnet.errors import InputError
from fraudnet.review import choose_command

if TYPE_CHECKING:
    import pandas as pd

    from fraudnet.review.database import CaseDatabase

_EPILOG = """\
DATABASE is the path of a SQLite file, or a PostgreSQL URL such as postgresql://user@host/cases
(pip install 'fraudnet[sql]').

exit status: 0 done, 2 wrong input

examples:
  fraudnet cases import phone1.sqlite phone2.sqlite --into reviews.sqlite
  fraudnet cases choose phone1.sqlite phone2.sqlite --into reviews.sqlite --budget 50 \\
      --random 0.1 --since 2025-04-14 --until 2025-04-21
  fraudnet cases figures --database reviews.sqlite --since 2025-04-14 --until 2025-04-21
  fraudnet cases list --database reviews.sqlite --verdict undecided
  fraudnet cases export cases.csv --database reviews.sqlite
  fraudnet cases import cases.sqlite --into reviews.sqlite"""

_SHOWN = [
    "case_id", "account_id", "timestamp", "amount", "transactions", "fraud_probability",
    "ood_distance", "expected_loss", "age", "verdict", "assigned_to", "lease_holder",
]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = "The team's cases, gathered from the stores of many devices."
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_import(actions.add_parser("import", help="take in what devices have flagged"))
    choose_command.add_choose(
        actions.add_parser("choose", help="take in some that no device flagged, to learn from")
    )
    choose_command.add_figures(
        _reading(actions.add_parser("figures", help="recall and precision of all, by those seen"))
    )
    _add_list(_reading(actions.add_parser("list", help="the queue, highest expected loss first")))
    show = _reading(actions.add_parser("show", help="one case: its flags and its verdicts"))
    show.add_argument("case", type=int, metavar="CASE")
    assign = _on_database(actions.add_parser("assign", help="say whose work a case is"))
    assign.add_argument("case", type=int, metavar="CASE")
    assign.add_argument("reviewer", nargs="?", metavar="REVIEWER", help="none: anybody's")
    release = _on_database(
        actions.add_parser("release", help="end a reviewer's lock of a case, for others to take it")
    )
    release.add_argument("case", type=int, metavar="CASE")
    release.add_argument("reviewer", metavar="REVIEWER", help="whose lock it is")
    export = _on_database(actions.add_parser("export", help="write all cases to a file"))
    export.add_argument("file", type=Path, metavar="FILE", help=".csv, .parquet, .json or .jsonl")
    forget = _on_database(actions.add_parser("forget", help="erase an account, for good"))
    forget.add_argument(
        "account", metavar="ACCOUNT", help="as `list` shows it (of a device that hashes, the hash)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says.

    Raises:
        InputError: a store, the database or a case cannot be used.
    """
    try:
        from fraudnet.review.database import CaseDatabase
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed; the cases need pip install 'fraudnet[review]'"
        ) from error
    if arguments.action == "import":
        _import(arguments)
        return 0
    database = CaseDatabase(arguments.into if arguments.action == "choose" else arguments.database)
    _ACTIONS[arguments.action](database, arguments)
    return 0


def _import(arguments: argparse.Namespace) -> None:
    from fraudnet.review.database import CaseDatabase
    from fraudnet.review.device_store import DeviceStore
    from fraudnet.review.importing import import_store
    from fraudnet.transactions.untrusted import printable

    if arguments.device and len(arguments.stores) > 1:
        raise InputError("--device names one device; import its store alone")
    # Read before the database is made: a name that is misspelt leaves no empty one behind.
    key = read_encryption_key(arguments.encryption_key)
    stores = [DeviceStore(path, arguments.device, key) for path in arguments.stores]
    database = CaseDatabase(arguments.into, create=True, gap_hours=arguments.gap_hours)
    for store in stores:
        imported = import_store(database, store)
        if arguments.json:
            told = {"store": str(store.path), "device_id": store.device_id, **asdict(imported)}
            print(json.dumps(told))
            continue
        print(
            f"{store.path}: device {printable(store.device_id)}: {imported.flags} new flags, "
            f"{imported.known} there before, {imported.verdicts} verdicts"
        )
        if imported.conflicting:
            print(
                f"  {len(imported.conflicting)} left out, there with other content (such as "
                f"{printable(imported.conflicting[0])}): the first that came stays"
            )
        if imported.other_scores:
            other = imported.other_scores[0]
            print(
                f"  {len(imported.other_scores)} of those there before have another score here "
                f"(such as {printable(other.transaction_id)}: {other.fraud_probability:.3f}, on "
                f"device {printable(other.first_device_id)} {other.first_fraud_probability:.3f}): "
                "the first that came stays; --json lists all"
            )
        if imported.forgotten:
            print(f"  {imported.forgotten} left out, of accounts that were erased")
        if imported.account_ids_hashed:
            print("  account ids are keyed hashes, and stay so")


def _list(database: "CaseDatabase", arguments: argparse.Namespace) -> None:
    from fraudnet.review.cases import QueueFilter, list_cases
    from fraudnet.review.learning import Reason
    from fraudnet.review.verdicts import VERDICTS

    if arguments.verdict and arguments.verdict not in VERDICTS:
        raise InputError(f"--verdict {arguments.verdict}: expected one of {', '.join(VERDICTS)}")
    reasons = get_args(Reason)
    if arguments.reason and arguments.reason not in reasons:
        raise InputError(f"--reason {arguments.reason}: expected one of {', '.join(reasons)}")
    if arguments.rows < 1:
        raise InputError(f"--rows {arguments.rows}: give at least 1")
    names = [field.name for field in fields(QueueFilter)]
    queue = list_cases(database, QueueFilter(**{n: getattr(arguments, n) for n in names}))
    if arguments.json:
        print_json(queue.head(arguments.rows))
        return
    if queue.empty:
        print("The queue is empty: no such case.")
        return
    print_table(queue[_SHOWN].head(arguments.rows))
    if len(queue) > arguments.rows:
        print(f"{arguments.rows} of {len(queue):,} shown; --rows N shows more.")


def _show(database: "CaseDatabase", arguments: argparse.Namespace) -> None:
    from fraudnet.review.cases import open_case
    from fraudnet.review.verdicts import audit_trail
    from fraudnet.transactions.untrusted import printable

    case = open_case(database, arguments.case)
    trail = audit_trail(database, arguments.case)
    if arguments.json:
        print_json(case.flags)
        print_json(trail)
        return
    print(f"Case {case.case_id}, account {printable(case.account_id)}")
    print_table(case.flags.drop(columns=["reasons", "artifact_sha256"]))
    print_table(trail) if len(trail) else print("No verdict was given yet.")


def _assign(database: "CaseDatabase", arguments: argparse.Namespace) -> None:
    from fraudnet.review.leases import assign

    assign(database, arguments.case, arguments.reviewer)
    print(f"Case {arguments.case} is {arguments.reviewer or 'anybody'}'s work.")


def _release(database: "CaseDatabase", arguments: argparse.Namespace) -> None:
    from fraudnet.review.leases import release

    release(database, arguments.case, arguments.reviewer)
    print(f"Case {arguments.case} can be taken by others.")


def _export(database: "CaseDatabase", arguments: argparse.Namespace) -> None:
    from fraudnet.review.exporting import export_cases

    rows = export_cases(database, arguments.file)
    print(f"{arguments.file}: {rows:,} rows, one a transaction of a case")


def _forget(database: "CaseDatabase", arguments: argparse.Namespace) -> None:
    from fraudnet.review.erasure import forget_account

    erased = forget_account(database, arguments.account)
    print(
        f"{erased.cases} cases, {erased.flags} flags and the notes of {erased.verdicts} verdicts "
        "erased; imports will leave the account out. The devices' own stores and exported files "
        "still hold what they held."
    )
    if not erased.cases:
        print(
            "  No case of this account is there: if one should be, give the id as `fraudnet cases "
            "list` shows it, of a device that hashes ids the hash"
        )


_ACTIONS: dict[str, Callable[["CaseDatabase", argparse.Namespace], None]] = {
    "choose": choose_command.choose, "figures": choose_command.figures,
    "list": _list, "show": _show, "assign": _assign, "release": _release,
    "export": _export, "forget": _forget,
}  # fmt: skip


def print_table(frame: "pd.DataFrame") -> None:
    """Print a frame as aligned text; untrusted texts stay on their line."""
    from fraudnet.transactions.untrusted import printable

    shown = frame.copy()
    for name in shown.select_dtypes(["object", "string"]).columns:
        shown[name] = ["-" if value is None else printable(str(value)) for value in shown[name]]
    if "age" in shown:
        shown["age"] = shown["age"].dt.round("min")
    money = dict.fromkeys(["amount", "expected_loss"], "{:,.2f}".format)
    print(shown.to_string(index=False, na_rep="-", formatters=money, float_format="{:.4g}".format))


def print_json(frame: "pd.DataFrame") -> None:
    """Print one JSON object a line; times as ISO 8601, durations too."""
    print(frame.to_json(orient="records", lines=True, date_format="iso"), end="")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "stores", type=Path, nargs="+", metavar="STORE", help="what `fraudnet score` wrote"
    )
    parser.add_argument("--into", required=True, metavar="DATABASE", help="made if it is not there")
    parser.add_argument(
        "--device", metavar="NAME", help="of the store's device (default: the store's own id)"
    )
    parser.add_argument(
        "--gap-hours", type=float, metavar="H",
        help="flags of an account within this are one case; fixed when the database is made "
        "(default: 72)",
    )  # fmt: skip
    add_encryption_key_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the counts as JSON lines")


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verdict", metavar="VERDICT", help="that is in force")
    parser.add_argument("--account", dest="account_id", metavar="ACCOUNT")
    for name, kind in (
        ("minimum-probability", float), ("minimum-distance", float), ("minimum-amount", float),
        ("maximum-age-days", float), ("assigned-to", str), ("reason", str),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, metavar="N" if kind is float else "NAME")
    parser.add_argument("--rows", type=int, default=20, metavar="N", help="(default: %(default)s)")


def _on_database(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--database", required=True, metavar="DATABASE")
    return parser


def _reading(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    return _on_database(parser)
