"""The daily reputation snapshot that a device looks counterparties up in."""

import json
import os
import zlib
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraudnet.windows.specification import Reputation

MAGIC = b"FNREP001"


def hash_key(identifier: str) -> int:
    """The 64-bit name of a counterparty in a snapshot: BLAKE2b of its UTF-8, little-endian."""
    return int.from_bytes(blake2b(identifier.encode(), digest_size=8).digest(), "little")


def write_snapshot(
    path: Path,
    specification: Reputation,
    identifiers: list[str],
    counts: npt.NDArray[np.float32],
    as_of_us: int,
) -> None:
    """Write a snapshot, atomically.

    Args:
        path: the file to write.
        specification: the windows that the counts are of.
        identifiers: K counterparties.
        counts: [K, 2 x windows], in the order of `specification.columns`.
        as_of_us: the moment that the counts are of, microseconds since 1970.

    Raises:
        ValueError: the counts do not fit the identifiers and windows.
    """
    if counts.shape != (len(identifiers), len(specification.columns)):
        raise ValueError(f"counts have shape {counts.shape}, of {len(identifiers)} identifiers")
    hashes = np.array([hash_key(i) for i in identifiers], "<u8")
    order = np.argsort(hashes)
    quantised = np.clip(counts, 0, np.iinfo(np.uint16).max).astype("<u2")
    body = hashes[order].tobytes() + quantised[order].tobytes()
    header = {
        "key": specification.key,
        "as_of_us": as_of_us,
        "columns": list(specification.columns),
        "rows": len(identifiers),
        "crc32": zlib.crc32(body),
    }
    encoded = json.dumps(header, sort_keys=True).encode()
    front = MAGIC + len(encoded).to_bytes(4, "little") + encoded
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as file:
            file.write(front + bytes(-len(front) % 8) + body)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
