"""`fraudnet device`: what the owner of a device does to its artifact and its store."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from fraudnet.device.errors import DeviceInputError, TransactionError
from fraudnet.device.keys import add_key_arguments, read_keys
from fraudnet.device.records import Records
from fraudnet.device.repair import set_aside_files
from fraudnet.device.runtime import quiet_runtime
from fraudnet.device.scorer import Options, Scorer
from fraudnet.device.shadow import ShadowCounts, read_counts
from fraudnet.device.store import Store
from fraudnet.device.update import previous_path, roll_back, update_artifact

_EPILOG = """\
A new artifact is first compared in the shadow, then put in place, and taken back if need be. Keys
of a store come from a file or from FRAUDNET_ACCOUNT_KEY and FRAUDNET_ENCRYPTION_KEY, never from
the command line.

exit status: 0 done, 2 what was given cannot be used, and nothing was changed

examples:
  fraudnet score --artifact fraud.tflite --shadow new.tflite --store cases.sqlite transactions.csv
  fraudnet device shadow --store cases.sqlite
  fraudnet device update new.tflite --artifact fraud.tflite --public-key release.key.pub
  fraudnet device rollback --artifact fraud.tflite
  fraudnet device explain --artifact fraud.tflite --store cases.sqlite
  fraudnet device history "account 7" --store cases.sqlite
  fraudnet device export --store cases.sqlite > all.jsonl
  fraudnet device forget "account 7" --store cases.sqlite"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet device`."""
    parser.description = "A device's artifact and store: update, compare, explain, show, erase."
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    update = _action(actions, "update", "verify a new artifact on this device, put it in place")
    update.description = (
        "Verify a new artifact on this device (signature, format, test vectors), then put it in "
        "place at once. The old one is kept for rollback."
    )
    update.add_argument("new", type=Path, metavar="NEW", help="the new .tflite; NEW.sig beside it")
    rollback = _action(actions, "rollback", "bring back the artifact before the last update")
    rollback.description = (
        "Bring back the artifact before the last update; twice is as good as once."
    )
    shadow = _action(actions, "shadow", "how artifacts in the shadow compare with the one in use")
    explain = _action(actions, "explain", "look for the reasons of flags that were deferred")
    explain.add_argument(
        "ids", nargs="*", metavar="TRANSACTION", help="ids (default: all flags without reasons)"
    )
    history = _action(actions, "history", "what is stored of an account, as JSON lines")
    export = _action(actions, "export", "all that is stored, as JSON lines")
    forget = _action(actions, "forget", "erase an account, its cases and their verdicts")
    for action in (history, forget):
        action.add_argument("account", metavar="ACCOUNT", help="its id")
    for action in (update, rollback, explain):
        action.add_argument(
            "--artifact", type=Path, required=True, metavar="FILE", help="the .tflite in use"
        )
        action.add_argument(
            "--public-key", type=Path, metavar="FILE",
            help="refuse an artifact that is not signed with this key (PEM)",
        )  # fmt: skip
    for action in (shadow, explain, history, export, forget):
        action.add_argument(
            "--store", type=Path, required=True, metavar="FILE",
            help="the SQLite file that `fraudnet score --store` wrote",
        )  # fmt: skip
        add_key_arguments(action)
    for action in (update, rollback, shadow, forget):
        action.add_argument("--json", action="store_true", help="print JSON")


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=summary, description=f"{summary.capitalize()}.")


def run(arguments: argparse.Namespace) -> int:
    """Do it.

    Raises:
        DeviceInputError: what was given cannot be used.
    """
    _ACTIONS[arguments.action](arguments)
    return 0


def _install(arguments: argparse.Namespace) -> None:
    artifact = arguments.artifact
    with quiet_runtime():
        if arguments.action == "update":
            installed = update_artifact(arguments.new, artifact, arguments.public_key)
        else:
            installed = roll_back(artifact, arguments.public_key)
    if arguments.json:
        print(json.dumps({"artifact": str(artifact)} | asdict(installed)))
        return
    state = "is now" if installed.changed else "was already"
    print(f"{artifact}: {state} sha256 {installed.sha256}; scorers that start from now on use it")
    if installed.previous_sha256 not in (None, installed.sha256):
        print(f"{previous_path(artifact)}: the one before, sha256 {installed.previous_sha256}")


def _shadow(arguments: argparse.Namespace) -> None:
    with _store(arguments) as store:
        found = read_counts(store)
    if arguments.json:
        print(json.dumps([counts.figures() for counts in found]))
    elif not found:
        print("no artifact was in the shadow; `fraudnet score --shadow FILE` puts one there")
    else:
        for counts in found:
            _print_counts(counts)


def _print_counts(counts: ShadowCounts) -> None:
    figures = counts.figures()
    print(
        f"{counts.artifact_sha256[:16]} beside {counts.beside_sha256[:16]}: {counts.compared:,} "
        f"decisions compared, {counts.failed:,} that it could not answer\n"
        f"  flagged by it alone {counts.flagged_by_it_alone:,}, without it "
        f"{counts.flagged_without_it:,}; familiar differs {counts.familiar_differs:,}"
    )
    if counts.compared:
        print(
            f"  probability shifts by {figures['shift_mean']:+.4f} on average, "
            f"{figures['shift_mean_abs']:.4f} either way, at most {counts.shift_largest:.4f}"
        )


def _explain(arguments: argparse.Namespace) -> None:
    store = _existing(arguments.store)
    keys = read_keys(arguments)
    options = Options(
        keep=None,
        keep_cases_days=None,
        account_key=keys.account_key,
        encryption_key=keys.encryption_key,
    )
    with quiet_runtime():
        scorer = Scorer(arguments.artifact, store, public_key=arguments.public_key, options=options)
    with scorer:
        wanted = arguments.ids or scorer.unexplained()
        if not wanted:
            print("notice: no flag of this artifact is without reasons", file=sys.stderr)
        for transaction_id in wanted:
            try:
                reasons = scorer.explain(transaction_id)
            except TransactionError as error:  # its history is no longer kept
                if arguments.ids:
                    raise
                print(f"notice: {error}", file=sys.stderr)
                continue
            said = {"transaction_id": transaction_id, "reasons": [asdict(r) for r in reasons]}
            print(json.dumps(said))


def _history(arguments: argparse.Namespace) -> None:
    found = False
    with _store(arguments) as store:
        for held in _records(arguments, store).history(arguments.account):
            print(held.line())
            found = True
    if not found:
        print(f"notice: {arguments.store} holds nothing of this account", file=sys.stderr)


def _export(arguments: argparse.Namespace) -> None:
    with _store(arguments) as store:
        for line in _records(arguments, store).export():
            print(line)


def _forget(arguments: argparse.Namespace) -> None:
    with _store(arguments) as store:
        counts = _records(arguments, store).forget(arguments.account)
    if arguments.json:
        print(json.dumps(counts))
    else:
        told = ", ".join(f"{count} {table}" for table, count in counts.items())
        print(f"{arguments.store}: {told} erased")
    beside = [*set_aside_files(arguments.store), Path(f"{arguments.store}.quarantine.jsonl")]
    if left := [str(path) for path in beside if path.exists()]:
        print(f"notice: not looked into, and may hold it too: {', '.join(left)}", file=sys.stderr)


def _store(arguments: argparse.Namespace) -> Store:
    keys = read_keys(arguments)
    return Store(
        _existing(arguments.store),
        encryption_key=keys.encryption_key,
        account_key=keys.account_key,
    )


def _records(arguments: argparse.Namespace, store: Store) -> Records:
    return Records(store, read_keys(arguments).account_key)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DeviceInputError(
            f"{path}: no store there; give the file that `fraudnet score --store` wrote"
        )
    return path


_ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "update": _install,
    "rollback": _install,
    "shadow": _shadow,
    "explain": _explain,
    "history": _history,
    "export": _export,
    "forget": _forget,
}
