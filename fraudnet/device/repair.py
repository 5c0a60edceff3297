"""A damaged store is set aside, and what is readable of it becomes the store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from fraudnet.device.database import DamagedError, Database
from fraudnet.device.files import sync_folder
from fraudnet.device.schema import migrate

_BESIDE = ("-wal", "-shm")
_ROW_LIMIT = 2**62
_SCANS = 100_000  # of ranges between two unreadable rows; a store may be damaged all over


def open_repaired(
    path: Path, durable: bool, encryption_key: bytes | None
) -> tuple[Database, str | None]:
    """Opens a store, set aside and rebuilt first if it is damaged.

    Killed on the way, the next call goes on.

    Returns:
        The store, and what its owner must be told of a repair; None: it was sound.

    Raises:
        StoreError: it cannot be opened.
    """
    if _beside(path, ".rebuilding").exists() and not path.exists():
        notice = _rebuild(path, "its repair was cut off", encryption_key)
        return Database(path, durable, encryption_key), notice
    try:
        return Database(path, durable, encryption_key), None
    except DamagedError as error:
        notice = _rebuild(path, str(error), encryption_key)
        return Database(path, durable, encryption_key), notice


def set_aside_files(path: Path) -> list[Path]:
    """The damaged files that were set aside, oldest first."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    numbered = [file for file in found if file.name.rpartition("-")[2].isdigit()]
    return sorted(numbered, key=lambda file: int(file.name.rpartition("-")[2]))


def _rebuild(path: Path, reason: str, encryption_key: bytes | None) -> str:
    rebuilding = _beside(path, ".rebuilding")
    fresh = Database(rebuilding, encryption_key=encryption_key)
    with closing(fresh), fresh.explained():
        fresh.connection.execute("PRAGMA journal_mode = DELETE")
        fresh.connection.execute("PRAGMA foreign_keys = OFF")
        fresh.connection.execute("BEGIN EXCLUSIVE")  # one process repairs
        aside = _set_aside(path) if path.exists() else set_aside_files(path)[-1]
        if not fresh.connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            migrate(fresh.connection)
        counts = _salvage(aside, fresh)
        fresh.connection.execute("COMMIT")
    rebuilding.replace(path)
    sync_folder(path)
    told = ", ".join(f"{counts.get(table, 0)} {table}" for table in ("transactions", "cases"))
    return (
        f"the store was damaged ({reason}): it is set aside as {aside}, the readable {told} are in "
        "the new one; send what is missing again"
    )


def _set_aside(path: Path) -> Path:
    number = 1
    while _beside(path, f".damaged-{number}").exists():
        number += 1
    aside = _beside(path, f".damaged-{number}")
    # The log first: a log of another file must never lie beside the new one.
    for suffix in _BESIDE:
        if _beside(path, suffix).exists():
            _beside(path, suffix).replace(_beside(aside, suffix))
    path.replace(aside)
    sync_folder(path)
    return aside


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _salvage(aside: Path, fresh: Database) -> dict[str, int]:
    """Copies every row that can be read; returns how many by table."""
    counts = {}
    with closing(fresh.unchecked(aside)) as damaged:
        try:
            tables = damaged.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'table' "
                "AND name NOT IN ('migrations', 'sqlite_sequence') AND sql NOT NULL"
            ).fetchall()
        except fresh.error:
            return {}
        for table, sql in tables:
            counts[table] = _copy(damaged, fresh, table, sql)
    return counts


def _copy(damaged: sqlite3.Connection, fresh: Database, table: str, sql: str) -> int:
    columns = _columns(fresh.connection, table)
    if not columns:  # another part's, such as the review's
        fresh.connection.execute(sql)
        columns = _columns(fresh.connection, table)
    try:
        shared = [name for name in _columns(damaged, table) if name in columns]
    except fresh.error:
        return 0
    names = ", ".join(f'"{name}"' for name in shared)
    # Both sides are SQLite's own names.
    query = f'SELECT rowid, {names} FROM "{table}"'  # noqa: S608
    held = "REPLACE" if table == "meta" else "IGNORE"
    values = ", ".join("?" * (1 + len(shared)))
    insert = f'INSERT OR {held} INTO "{table}" (rowid, {names}) VALUES ({values})'  # noqa: S608
    copied = 0
    for row in _readable(damaged, query, fresh.error):
        copied += fresh.connection.execute(insert, row).rowcount
    return copied


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [
        name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", [table])
    ]


def _readable(
    damaged: sqlite3.Connection, query: str, error: type[Exception]
) -> Iterator[tuple[Any, ...]]:
    """All rows that can be read: from either end to the damage, then halving what is between."""
    low, high = -1, _ROW_LIMIT
    for order in ("ASC", "DESC"):
        try:
            for row in damaged.execute(f"{query} WHERE rowid > {low} ORDER BY rowid {order}"):
                low, high = (row[0], high) if order == "ASC" else (low, row[0])
                yield row
            return
        except error:
            continue
    ranges = [(low, high)]
    for _ in range(_SCANS):
        if not ranges:
            return
        low, high = ranges.pop()
        try:
            yield from damaged.execute(
                f"{query} WHERE rowid > ? AND rowid < ?", (low, high)
            ).fetchall()
        except error:
            middle = (low + high + 1) // 2  # the first of the upper half
            if high - low > 2:
                ranges += [(low, middle), (middle - 1, high)]
