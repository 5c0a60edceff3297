"""`fraudnet device`: what the owner of a device does to its artifact and its store."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from fraudnet.device.update import Installed, previous_path, roll_back, update_artifact

_EPILOG = """\
exit status: 0 done, 2 what was given cannot be used; nothing was changed

examples:
  fraudnet device update new.tflite --artifact fraud.tflite --public-key release.key.pub
  fraudnet device rollback --artifact fraud.tflite"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet device`."""
    parser.description = "Update the artifact of a device, or go back."
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    update = actions.add_parser(
        "update",
        help="verify a new artifact on this device, then put it in place",
        description="Verify a new artifact on this device (signature, format, test vectors), then "
        "put it in place at once. The old one is kept for rollback.",
    )
    update.add_argument("new", type=Path, metavar="NEW", help="the new .tflite; NEW.sig beside it")
    rollback = actions.add_parser(
        "rollback",
        help="bring back the artifact before the last update",
        description="Bring back the artifact before the last update; again, and nothing changes.",
    )
    for action in (update, rollback):
        action.add_argument(
            "--artifact", type=Path, required=True, metavar="FILE", help="the .tflite in use"
        )
        action.add_argument(
            "--public-key", type=Path, metavar="FILE",
            help="refuse an artifact that is not signed with this key (PEM)",
        )  # fmt: skip
        action.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do it.

    Raises:
        DeviceInputError: what was given cannot be used.
    """
    if arguments.action == "update":
        installed = update_artifact(arguments.new, arguments.artifact, arguments.public_key)
    else:
        installed = roll_back(arguments.artifact, arguments.public_key)
    _print_installed(arguments.artifact, installed, arguments.json)
    return 0


def _print_installed(artifact: Path, installed: Installed, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"artifact": str(artifact)} | asdict(installed)))
        return
    state = "is now" if installed.changed else "was already"
    print(f"{artifact}: {state} sha256 {installed.sha256}; scorers that start from now on use it")
    if installed.previous_sha256 not in (None, installed.sha256):
        print(f"{previous_path(artifact)}: the one before, sha256 {installed.previous_sha256}")
