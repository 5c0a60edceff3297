"""Files that are replaced whole: whoever reads one finds the old or the new, after any crash."""

import os
import stat
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that its readers find the old one or the new one, whole; on the disk.

    Where the path is a symbolic link, the file that it leads to is replaced and the link stays.

    Raises:
        OSError: it cannot be written, or what is there is no regular file, such as a device.
    """
    target = path.resolve()
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise OSError(0, "is no regular file, and only a file can be replaced", str(path))
    beside = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(target)


def sync_folder(path: Path) -> None:
    """Waits until the names in the folder of a file are on the disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
