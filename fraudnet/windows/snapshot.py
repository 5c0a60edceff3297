"""The daily reputation snapshot that a device looks counterparties up in."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraudnet.device.files import replace_file
from fraudnet.device.increment import increment_content
from fraudnet.device.reputation import Counts, read_counts
from fraudnet.windows.specification import Reputation


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
        counts: [K, columns], in the order of `specification.columns`.
        as_of_us: the moment that the counts are of, microseconds since 1970.

    Raises:
        ValueError: the counts do not fit the identifiers and windows.
    """
    if counts.shape != (len(identifiers), len(specification.columns)):
        raise ValueError(f"counts have shape {counts.shape}, of {len(identifiers)} identifiers")
    hashes = np.array([hash_key(i) for i in identifiers], "<u8")
    order = np.argsort(hashes)
    quantised = np.clip(counts, 0, np.iinfo(np.uint16).max).astype("<u2")
    held = Counts(
        specification.key, as_of_us, list(specification.columns), hashes[order], quantised[order]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, held.content())


def write_increment(base: Path, new: Path, path: Path) -> None:
    """Write what turns one snapshot into a later one, atomically.

    Args:
        base: the earlier snapshot's file.
        new: the later one's.
        path: the file to write.

    Raises:
        ValueError: the two are of different keys or columns, or the new one is not later.
    """
    replace_file(path, increment_content(read_counts(base), read_counts(new)))
