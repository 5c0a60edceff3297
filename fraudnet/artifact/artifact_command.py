"""`fraudnet artifact`: look into an artifact, check it, sign it, compare it with another."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fraudnet.errors import InputError

if TYPE_CHECKING:
    from fraudnet.artifact.difference import Difference

_EPILOG = """\
keygen writes KEY (private, PEM, for its owner's eyes) and KEY.pub; sign writes FILE.sig, an Ed25519
signature of the whole file. Keep the private key off the machine that serves the file.

exit status: 0 done, 2 a file is no whole artifact, is not signed by the key that is asked for, or
does not answer as it says

example:
  fraudnet artifact verify build/demo/fraud.tflite
  fraudnet artifact keygen release.key
  fraudnet artifact sign build/demo/fraud.tflite --key release.key
  fraudnet artifact verify build/demo/fraud.tflite --public-key release.key.pub
  fraudnet artifact diff build/demo/fraud.tflite build/older.tflite"""

_FILES = {"inspect": 1, "verify": 1, "sign": 1, "diff": 2, "keygen": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet artifact`."""
    parser.description = (
        "Look into an artifact, check it against its signature and its own test vectors, sign it, "
        "or compare it with another."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "action", choices=_FILES,
        help="inspect: print what it says of itself; verify: run its vectors in each runtime; "
        "sign; diff: what differs between two; keygen: make a pair of keys",
    )  # fmt: skip
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE",
        help="the .tflite; two of them for diff; the private key to make for keygen",
    )  # fmt: skip
    parser.add_argument("--key", type=Path, metavar="FILE", help="private key to sign with")
    parser.add_argument(
        "--public-key", type=Path, metavar="FILE", help="key that verify wants a signature of"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do it.

    Raises:
        ArtifactError: a file is no whole artifact, or not signed, or does not answer as it says.
        DeviceInputError: no TFLite runtime is installed, or a public key cannot be used.
        InputError: the arguments do not fit the action, or a file cannot be used or written.
    """
    action, files = arguments.action, arguments.files
    if len(files) != _FILES[action]:
        raise InputError(f"{action} takes {_FILES[action]} FILE, {len(files)} are given")
    match action:
        case "inspect" | "verify":
            from fraudnet.artifact.inspect import inspect, verify

            if action == "inspect":
                inspect(files[0], arguments.json)
            else:
                verify(files[0], arguments.json, arguments.public_key)
        case "keygen":
            from fraudnet.artifact.signing import generate_key

            print(f"{files[0]}: private, keep it; {generate_key(files[0])}: give it to devices")
        case "sign":
            from fraudnet.artifact.signing import sign

            if arguments.key is None:
                raise InputError("sign needs --key FILE; `fraudnet artifact keygen` makes one")
            print(f"{sign(files[0], arguments.key)}: signature of {files[0]}")
        case "diff":
            from fraudnet.artifact.difference import difference

            found = difference(*files)
            if arguments.json:
                print(json.dumps(found.as_dict()))
            else:
                _print_difference(found)
    return 0


def _print_difference(found: "Difference") -> None:
    for name, (first, second) in found.sizes.items():
        print(f"{name}: {first:,} -> {second:,}")
    for name, (first, second) in found.operators.items():
        print(f"operator {name}: {first} -> {second}")
    for name, values in found.contract.items():
        print(f"{name}: {_short(values[0])} -> {_short(values[1])}")
    if found.answers is None:
        print("answers: not compared, the inputs differ")
        return
    for name, largest in found.answers.items():
        print(f"{name}: differs by at most {largest:.3g} on {found.windows} test vectors")
    print(f"decisions: {found.different_decisions} of {found.windows} differ")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
