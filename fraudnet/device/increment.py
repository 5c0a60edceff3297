"""The increment that makes yesterday's reputation snapshot today's.

The file is described in docs/reputation-files.md.
"""

import zlib
from pathlib import Path

import numpy as np

from fraudnet.device.errors import DeviceInputError
from fraudnet.device.files import replace_file
from fraudnet.device.reputation import LATEST_US, Counts, framed, read_counts, unframed

MAGIC = b"FNINC001"


def increment_content(base: Counts, new: Counts) -> bytes:
    """The file that holds what differs between two snapshots.

    Args:
        base: the earlier snapshot.
        new: a later one, of the same key and columns.

    Raises:
        ValueError: the two are of different keys or columns, or the new one is not later.
    """
    if (base.key, base.columns) != (new.key, new.columns):
        raise ValueError(
            f"the snapshots are of {base.key} {base.columns} and of {new.key} {new.columns}"
        )
    if new.as_of_us <= base.as_of_us:
        raise ValueError("the new snapshot is not later than the base")
    at = np.searchsorted(base.hashes, new.hashes)
    held = np.zeros(len(new.hashes), bool)
    inside = at < len(base.hashes)
    held[inside] = base.hashes[at[inside]] == new.hashes[inside]
    same = np.zeros(len(new.hashes), bool)
    same[held] = (base.counts[at[held]] == new.counts[held]).all(axis=1)
    gone = base.hashes[~np.isin(base.hashes, new.hashes)]
    changed = Counts(new.key, new.as_of_us, new.columns, new.hashes[~same], new.counts[~same])
    body = changed.body() + gone.astype("<u8").tobytes()
    header = {
        "key": new.key,
        "columns": new.columns,
        "base_as_of_us": base.as_of_us,
        "base_crc32": zlib.crc32(base.body()),
        "as_of_us": new.as_of_us,
        "changed": len(changed.hashes),
        "gone": len(gone),
        "result_crc32": zlib.crc32(new.body()),
    }
    return framed(MAGIC, header, body)


def apply_increment(base: Path, increment: Path, target: Path) -> None:
    """Write the snapshot that a base and its increment make; byte by byte the server's own.

    Args:
        base: the snapshot that the increment was made from.
        increment: the file.
        target: written whole or not at all; may be the base.

    Raises:
        DeviceInputError: a file is damaged, or the increment was made from another base.
    """
    place = base
    try:
        old = read_counts(base)
        place = increment
        header, body = unframed(MAGIC, increment, "increment")
        place = target
        replace_file(target, _applied(old, header, body).content())
    except OSError as error:
        raise DeviceInputError(f"{place}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DeviceInputError(
            f"{increment}: cannot be applied to {base} ({error}); fetch the whole snapshot"
        ) from error


def _applied(old: Counts, header: dict[str, object], body: np.ndarray) -> Counts:  # type: ignore[type-arg]
    columns = [str(name) for name in header["columns"]]  # type: ignore[attr-defined]
    if (header["key"], columns) != (old.key, old.columns):
        raise ValueError(f"it is of {header['key']} {columns}")
    if (header["base_as_of_us"], header["base_crc32"]) != (old.as_of_us, zlib.crc32(old.body())):
        raise ValueError("it was made from another snapshot")
    as_of_us = header["as_of_us"]
    if not isinstance(as_of_us, int) or not old.as_of_us < as_of_us < LATEST_US:
        raise ValueError("what it makes is no later than the snapshot")
    changed, gone = int(header["changed"]), int(header["gone"])  # type: ignore[call-overload]
    size = changed * (8 + 2 * len(columns))
    if len(body) != size + 8 * gone:
        raise ValueError(f"its size does not fit {changed} changed and {gone} gone")
    hashes = body[: 8 * changed].view("<u8")
    counts = body[8 * changed : size].view("<u2").reshape(changed, len(columns))
    kept = ~np.isin(old.hashes, np.concatenate([hashes, body[size:].view("<u8")]))
    merged = np.concatenate([old.hashes[kept], hashes])
    order = np.argsort(merged)
    new = Counts(
        key=old.key,
        as_of_us=as_of_us,
        columns=columns,
        hashes=merged[order],
        counts=np.concatenate([old.counts[kept], counts])[order],
    )
    if zlib.crc32(new.body()) != header["result_crc32"]:
        raise ValueError("what it makes has another checksum")
    return new
