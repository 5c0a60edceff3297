"""One SQLite file, plain or encrypted: opened, checked, its errors explained."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from fraudnet.device.errors import DeviceInputError, StoreError

_MAGIC = b"SQLite format 3\0"
_TIMEOUT_S = 10.0
# Pages in the log before they are written to the file: 16 MiB. A commit that does that is slow, so
# that at SQLite's 1,000 it would be one in 200.
_CHECKPOINT_PAGES = 4_000
_CORRUPT, _NOT_A_DATABASE = 11, 26  # SQLITE_CORRUPT, SQLITE_NOTADB


class DamagedError(Exception):
    """The file is a case store that SQLite cannot read as a whole."""


class Database:
    """A connection to a file.

    Args:
        path: made if it is not there.
        durable: whether a commit waits for the disk. Without, the last commits before a power cut
            may be missing (none before a kill), and the file is consistent all the same.
        encryption_key: 32 bytes, of SQLCipher; None: plain SQLite.

    Raises:
        StoreError: it cannot be opened.
        DamagedError: it is damaged.
        DeviceInputError: no binding of SQLCipher is installed, or a key of another length.
    """

    def __init__(
        self, path: Path, durable: bool = True, encryption_key: bytes | None = None
    ) -> None:
        self.path = path
        self._module = binding(encryption_key)
        with self.explained():
            self.connection = self._connect(path, encryption_key)
        try:
            with self.explained():
                self._check()
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self.connection.execute("PRAGMA foreign_keys = ON")
                self.connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
                self.connection.execute("PRAGMA journal_size_limit = 0")
        except BaseException:
            self.close()
            raise
        self._encryption_key = encryption_key

    def _connect(self, path: Path, encryption_key: bytes | None) -> sqlite3.Connection:
        # Transactions are begun and ended here, not by the module.
        made: sqlite3.Connection = self._module.connect(
            path, timeout=_TIMEOUT_S, isolation_level=None
        )
        unlock(made, path, encryption_key)
        return made

    def unchecked(self, path: Path) -> sqlite3.Connection:
        """A connection to another file with the same key, whatever its state; text as it is."""
        made = self._connect(path, self._encryption_key)
        made.text_factory = lambda text: text.decode(errors="replace")
        return made

    @property
    def error(self) -> type[Exception]:
        """What the binding raises where a file is damaged."""
        error: type[Exception] = self._module.DatabaseError
        return error

    def _check(self) -> None:
        try:
            found = self.connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except self._module.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0)
            # A power cut leaves zeros; what begins otherwise was never a store, or has another key.
            zeroed = code == _NOT_A_DATABASE and not any(self._head())
            if zeroed or code & 0xFF == _CORRUPT or "malformed" in str(error):
                raise DamagedError(str(error)) from error
            raise
        if found != "ok":
            raise DamagedError(" ".join(str(found).split()))

    def _head(self) -> bytes:
        with self.path.open("rb") as file:
            return file.read(len(_MAGIC))

    def close(self) -> None:
        """Closes the file; what was committed stays."""
        self.connection.close()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """One SQL transaction: all of what happens inside is stored, or nothing."""
        with self.explained():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def explained(self) -> Iterator[None]:
        """SQLite's errors become StoreError."""
        try:
            yield
        except self._module.Error as error:
            raise StoreError(
                f"{self.path}: {error}; expected a case store, or a new file in a writable folder "
                "with free space, that no other process holds locked"
            ) from error


def binding(encryption_key: bytes | None) -> ModuleType:
    """The module that opens a store: SQLCipher's where there is a key, else sqlite3.

    Raises:
        DeviceInputError: SQLCipher's is not installed, or a key of another length.
    """
    return sqlite3 if encryption_key is None else _sqlcipher(encryption_key)


def unlock(connection: sqlite3.Connection, path: Path, encryption_key: bytes | None) -> None:
    """Gives a connection of `binding` its key, before anything else; closes it if that fails.

    Raises:
        DeviceInputError: plain SQLite answers, which takes a key without a word.
    """
    if encryption_key is None:
        return
    connection.execute(f"PRAGMA key = \"x'{encryption_key.hex()}'\"")
    connection.execute("PRAGMA cipher_log_level = NONE")  # another key is told by us, in one line
    # A library that was loaded before may answer for SQLCipher.
    if connection.execute("PRAGMA cipher_version").fetchone() is None:
        connection.close()
        raise DeviceInputError(
            f"{path}: would not be encrypted: another SQLite in this process (such as "
            "TensorFlow's) answers for SQLCipher; open it in a process without it"
        )


def _sqlcipher(key: bytes) -> ModuleType:
    if len(key) != 32:
        raise DeviceInputError(f"the encryption key has {len(key)} bytes, expected 32")
    try:
        from sqlcipher3 import dbapi2
    except ImportError as error:
        raise DeviceInputError(
            "an encrypted store needs the package sqlcipher3; pip install 'fraudnet[encrypted]'"
        ) from error
    module: Any = dbapi2
    return module  # type: ignore[no-any-return]
