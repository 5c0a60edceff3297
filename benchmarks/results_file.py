"""The file of figures that a benchmark writes and the README quotes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fraudnet.errors import InputError


def refuse_unwritable(path: Path) -> None:
    """Refuse before hours are spent on what cannot be written.

    Raises:
        InputError: the path is a folder, or in none.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the path of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first")


def write_results(path: Path, report: Mapping[str, Any]) -> None:
    """Write the figures as JSON, all of them or, if that is cut off, none.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        written = path.with_name(f"{path.name}.part")
        written.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        written.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
