"""Keys of a store, from a file or the environment: a command line is seen by others."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fraudnet.device.errors import DeviceInputError

KEY_BYTES = 32
_ENVIRONMENT = {
    "account_key": "FRAUDNET_ACCOUNT_KEY",
    "encryption_key": "FRAUDNET_ENCRYPTION_KEY",
}
_USES = {
    "account_key": "account ids are stored as hashes with it",
    "encryption_key": "the store is encrypted with it (SQLCipher)",
}


@dataclass(frozen=True)
class Keys:
    """The secrets that a store is opened with; None: it needs none."""

    account_key: bytes | None
    encryption_key: bytes | None


def add_key_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of a store's keys."""
    for name in _USES:
        _add_argument(parser, name)


def add_encryption_key_argument(parser: argparse.ArgumentParser) -> None:
    """Declares the option of the key that a store is only read with."""
    _add_argument(parser, "encryption_key")


def _add_argument(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        f"--{name.replace('_', '-')}", type=Path, metavar="FILE",
        help=f"key file, {KEY_BYTES} bytes or as many in hexadecimal: {_USES[name]} (default: the "
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


def read_encryption_key(
    path: Path | None = None, environment: Mapping[str, str] = os.environ
) -> bytes | None:
    """The key of an encrypted store: of a file, else of the environment; None: none is given.

    Raises:
        DeviceInputError: the file cannot be read, or what is given is no key.
    """
    return _key(path, _ENVIRONMENT["encryption_key"], environment)


def _key(
    path: Path | None, variable: str, environment: Mapping[str, str] = os.environ
) -> bytes | None:
    if path is None:
        text = environment.get(variable)
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
