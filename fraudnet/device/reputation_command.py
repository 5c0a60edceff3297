"""`fraudnet reputation`: look into a snapshot on the device, or make it the next day's."""

import argparse
import json
from pathlib import Path

import numpy as np

from fraudnet.device.errors import DeviceInputError
from fraudnet.device.increment import apply_increment
from fraudnet.device.reputation import read_counts

_EPILOG = """\
exit status: 0 done, 2 a file is damaged, or the increment was made from another snapshot

examples:
  fraudnet reputation inspect feed/2025-04-19.reputation
  fraudnet reputation update feed/2025-04-19.reputation feed/2025-04-20.increment"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet reputation`."""
    parser.description = "The daily counts of counterparties that a device looks up."
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = actions.add_parser("inspect", help="say what a snapshot holds")
    inspect.add_argument("snapshot", type=Path)
    inspect.add_argument("--json", action="store_true", help="print JSON")
    update = actions.add_parser("update", help="apply an increment to a snapshot")
    update.add_argument("snapshot", type=Path, help="that the increment was made from")
    update.add_argument("increment", type=Path)
    update.add_argument(
        "--output", type=Path, metavar="FILE", help="the new snapshot (default: in place)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Inspect or update.

    Raises:
        DeviceInputError: a file cannot be used.
    """
    if arguments.action == "update":
        target = arguments.output or arguments.snapshot
        apply_increment(arguments.snapshot, arguments.increment, target)
        print(f"{target}: updated")
    else:
        _inspect(arguments.snapshot, arguments.json)
    return 0


def _inspect(path: Path, as_json: bool) -> None:
    try:
        held = read_counts(path)
    except OSError as error:
        raise DeviceInputError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DeviceInputError(f"{path}: damaged ({error}); fetch it again") from error
    moment = f"{np.datetime64(held.as_of_us, 'us')}Z"
    if as_json:
        said = {"key": held.key, "as_of": moment, "columns": held.columns, "rows": len(held.hashes)}
        print(json.dumps(said))
    else:
        print(
            f"{path}: as of {moment}, {', '.join(held.columns)} of {len(held.hashes):,} values of "
            f"{held.key}"
        )
