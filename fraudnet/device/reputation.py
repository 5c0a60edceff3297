"""Reputation of counterparties: counts from the server's snapshot file, by memory map.

The file, little-endian: magic, uint32 length of the header, header (JSON), zero padding to a
multiple of 8, sorted uint64 hashes, uint16 counts row by row.
"""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import ReputationTerms
from fraudnet.device.transactions import DAY_US

MAGIC = b"FNREP001"
_START = len(MAGIC) + 4  # of the header


class SnapshotError(Exception):
    """The snapshot cannot be used; scoring goes on without."""


class Snapshot:
    """Counts of counterparties as they were known at one moment.

    Args:
        path: the snapshot file.
        terms: what the artifact reads from it and how long it serves.

    Raises:
        SnapshotError: the file is missing, damaged, or without what the artifact reads.
    """

    def __init__(self, path: Path, terms: ReputationTerms) -> None:
        try:
            self._load(path, terms)
        except OSError as error:
            raise SnapshotError(f"{path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise SnapshotError(f"{path}: damaged ({error}); fetch it again") from error

    def _load(self, path: Path, terms: ReputationTerms) -> None:
        content = np.memmap(path, np.uint8, "r")
        header, start = _header(content)
        if zlib.crc32(content[start:].data) != header["crc32"]:
            raise ValueError("its checksum differs")
        if header["key"] != terms.key:
            raise ValueError(f"it is keyed by {header['key']}, expected {terms.key}")
        if missing := set(terms.columns) - set(header["columns"]):
            raise ValueError(f"it has no column {', '.join(sorted(missing))}")
        rows, width = int(header["rows"]), len(header["columns"])
        if len(content) - start != rows * (8 + 2 * width):
            raise ValueError(f"its size does not fit {rows} rows")
        split = start + 8 * rows
        self._as_of_us = int(header["as_of_us"])
        self._expires_us = self._as_of_us + int(terms.max_age_days * DAY_US)
        first, last = (np.datetime64(us, "us") for us in (self._as_of_us, self._expires_us))
        self.serves = f"from {first} to {last} UTC"
        self._hashes: NDArray[np.uint64] = content[start:split].view("<u8")
        self._counts: NDArray[np.uint16] = content[split:].view("<u2").reshape(rows, width)
        self._columns = [(name, header["columns"].index(name)) for name in terms.columns]

    def counts(self, identifier: str | None, timestamp_us: int) -> dict[str, int]:
        """Returns column -> count at a transaction's time.

        {} = unknown: no identifier, or a snapshot that is too old or of a later time. One that a
        fresh snapshot does not hold has been seen 0 times.
        """
        if identifier is None or not self._as_of_us <= timestamp_us <= self._expires_us:
            return {}
        digest = hashlib.blake2b(identifier.encode(), digest_size=8).digest()
        # As uint64: for a Python integer, numpy would turn all hashes into rounded floats.
        key = np.uint64(int.from_bytes(digest, "little"))
        row = int(np.searchsorted(self._hashes, key))
        if row == len(self._hashes) or self._hashes[row] != key:
            return dict.fromkeys((name for name, _ in self._columns), 0)
        return {name: int(self._counts[row, column]) for name, column in self._columns}


def _header(content: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    """Returns the header and where the hashes start."""
    if content[: len(MAGIC)].tobytes() != MAGIC:
        raise ValueError("it is no reputation snapshot of this version")
    end = _START + int.from_bytes(content[len(MAGIC) : _START].tobytes(), "little")
    header = json.loads(content[_START:end].tobytes())
    return header, -(-end // 8) * 8
