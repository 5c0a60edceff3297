"""Reputation of counterparties: counts from the server's snapshot file, by memory map.

The file is described in docs/reputation-files.md.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import ReputationTerms
from fraudnet.device.transactions import DAY_US

MAGIC = b"FNREP002"
LATEST_US = 2**62  # no later moment is believed
_START = len(MAGIC) + 8  # of the header


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
        held = read_counts(path)
        if held.key != terms.key:
            raise ValueError(f"it is keyed by {held.key}, expected {terms.key}")
        if missing := set(terms.columns) - set(held.columns):
            raise ValueError(f"it has no column {', '.join(sorted(missing))}")
        self.as_of_us = held.as_of_us
        self._expires_us = self.as_of_us + int(terms.max_age_days * DAY_US)
        first, last = (np.datetime64(us, "us") for us in (self.as_of_us, self._expires_us))
        self.serves = f"from {first} to {last} UTC"
        self._hashes = held.hashes
        self._counts = held.counts
        self._columns = [(name, held.columns.index(name)) for name in terms.columns]

    def counts(self, identifier: str | None, timestamp_us: int) -> dict[str, int]:
        """Returns column -> count at a transaction's time.

        {} = unknown: no identifier, or a snapshot that is too old or of a later time. One that a
        fresh snapshot does not hold has been seen 0 times.
        """
        if identifier is None or not self.as_of_us <= timestamp_us <= self._expires_us:
            return {}
        digest = hashlib.blake2b(identifier.encode(), digest_size=8).digest()
        # As uint64: for a Python integer, numpy would turn all hashes into rounded floats.
        key = np.uint64(int.from_bytes(digest, "little"))
        row = int(np.searchsorted(self._hashes, key))
        if row == len(self._hashes) or self._hashes[row] != key:
            return dict.fromkeys((name for name, _ in self._columns), 0)
        return {name: int(self._counts[row, column]) for name, column in self._columns}


@dataclass(frozen=True)
class Counts:
    """What a snapshot file holds."""

    key: str  # whose counts they are
    as_of_us: int  # microseconds since 1970
    columns: list[str]
    hashes: NDArray[np.uint64]  # [K], increasing
    counts: NDArray[np.uint16]  # [K, columns]

    def body(self) -> bytes:
        """Hashes, then counts, as the file has them."""
        return self.hashes.astype("<u8").tobytes() + self.counts.astype("<u2").tobytes()

    def content(self) -> bytes:
        """The whole file."""
        header = {
            "key": self.key,
            "as_of_us": self.as_of_us,
            "columns": self.columns,
            "rows": len(self.hashes),
        }
        return framed(MAGIC, header, self.body())


def read_counts(path: Path) -> Counts:
    """Read a snapshot file by memory map.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: it is not as docs/reputation-files.md says.
        OSError: it cannot be read.
    """
    header, body = unframed(MAGIC, path, "snapshot")
    rows, columns, key, as_of_us = (header[k] for k in ("rows", "columns", "key", "as_of_us"))
    whole = type(rows) is int and type(as_of_us) is int and 0 <= as_of_us < LATEST_US
    if not whole or not isinstance(key, str) or not isinstance(columns, list):
        raise TypeError("its header has a value of another type")
    if not all(isinstance(name, str) for name in columns) or len(set(columns)) < len(columns):
        raise ValueError("its columns are not different names")
    if len(body) != rows * (8 + 2 * len(columns)):
        raise ValueError(f"its size does not fit {rows} rows")
    hashes = body[: 8 * rows].view("<u8")
    if (hashes[1:] <= hashes[:-1]).any():
        raise ValueError("its hashes do not increase")
    counts = body[8 * rows :].view("<u2").reshape(rows, len(columns))
    return Counts(key, as_of_us, columns, hashes, counts)


def framed(magic: bytes, header: dict[str, Any], body: bytes) -> bytes:
    """A file of a magic, a header in JSON and a body that begins at a multiple of 8."""
    encoded = json.dumps(header, sort_keys=True).encode()
    checked = encoded + bytes(-(_START + len(encoded)) % 8) + body
    numbers = (len(encoded), zlib.crc32(checked))
    return magic + b"".join(number.to_bytes(4, "little") for number in numbers) + checked


def unframed(magic: bytes, path: Path, kind: str) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The header and the body of such a file, its checksum verified.

    Raises:
        ValueError, KeyError, TypeError: it is damaged, or of another kind.
    """
    content = np.memmap(path, np.uint8, "r")
    if content[: len(magic)].tobytes() != magic:
        raise ValueError(f"it is no reputation {kind} of this version")
    size, checksum = (
        int.from_bytes(content[at : at + 4].tobytes(), "little") for at in (_START - 8, _START - 4)
    )
    if zlib.crc32(content[_START:].data) != checksum:
        raise ValueError("its checksum differs")
    end = _START + size
    try:
        header = json.loads(content[_START:end].tobytes())
    except RecursionError:
        raise ValueError("its header is no JSON object") from None
    return header, content[-(-end // 8) * 8 :]
