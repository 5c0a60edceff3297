"""Keys of a store, from a file or the environment: a command line is seen by others."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from fraudnet.device.errors import DeviceInputError

KEY_BYTES = 32
_ENVIRONMENT = {
    "account_key": "FRAUDNET_ACCOUNT_KEY",
    "encryption_key": "FRAUDNET_ENCRYPTION_KEY",
}


@dataclass(frozen=True)
class Keys:
    """The secrets that a store is opened with; None: it needs none."""

    account_key: bytes | None
    encryption_key: bytes | None


def add_key_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of a store's keys."""
    for name, use in (
        ("account_key", "account ids are stored as hashes with it"),
        ("encryption_key", "the store is encrypted with it (SQLCipher)"),
    ):
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=Path, metavar="FILE",
            help=f"key file, {KEY_BYTES} bytes or as many in hexadecimal: {use} (default: the "
            f"variable {_ENVIRONMENT[name]}, in hexadecimal; else none)",
        )  # fmt: skip


def read_keys(arguments: argparse.Namespace) -> Keys:
    """The keys that a command was given.

    Raises:
        DeviceInputError: a file cannot be read, or what is given is no key.
    """
    return Keys(
        **{name: _key(getattr(arguments, name), _ENVIRONMENT[name]) for name in _ENVIRONMENT}
    )


def _key(path: Path | None, variable: str) -> bytes | None:
    if path is None:
        text = os.environ.get(variable)
        return _parsed(text.encode(), variable) if text else None
    try:
        with path.open("rb") as file:
            return _parsed(file.read(1_000), str(path))
    except OSError as error:
        raise DeviceInputError(f"{path}: {error.strerror}; give the file of a key") from error


def _parsed(content: bytes, place: str) -> bytes:
    if len(content) == KEY_BYTES:
        return content
    try:
        key = bytes.fromhex(content.decode())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise DeviceInputError(
            f"{place}: no key of {KEY_BYTES} bytes, or of {2 * KEY_BYTES} hexadecimal digits; make "
            "one with: openssl rand -hex 32"
        )
    return key
