"""Rows that could not be used, kept with their place and the reason."""

import json
from pathlib import Path
from typing import Self, TextIO

from fraudnet.device.errors import DeviceInputError, TransactionError
from fraudnet.device.reading import Row, shown_name


class Quarantine:
    """A JSON lines file of rows that could not be used; made when the first one comes."""

    def __init__(self, path: Path) -> None:
        if path.is_dir() or not path.parent.is_dir():
            what = "a folder" if path.is_dir() else f"in {path.parent}, which is no folder"
            raise DeviceInputError(f"{path}: is {what}; give --quarantine a file in a folder")
        self.path = path
        self.first_reason = ""
        self._file: TextIO | None = None

    def add(self, source: Path, row: Row, error: TransactionError) -> None:
        """Appends a row with its place and the reason."""
        entry = {
            "source": shown_name(source),
            "line": row.line,
            "reason": str(error),
            "row": row.content,
        }
        self.first_reason = self.first_reason or f"line {row.line}: {error}"
        try:
            self._file = self._file or self.path.open("a", encoding="utf-8")
            print(json.dumps(entry), file=self._file, flush=True)
        except OSError as failure:
            raise DeviceInputError(
                f"{self.path}: {failure.strerror}; give --quarantine"
            ) from failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()
