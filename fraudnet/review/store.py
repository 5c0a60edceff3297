"""The case store, one SQLite file: opened, checked, and given its table of verdicts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fraudnet.device.schema import READABLE_VERSIONS
from fraudnet.errors import InputError

# Append only. INSERT OR REPLACE deletes without asking the DELETE trigger, hence the third one.
_VERDICT_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
  verdict_id INTEGER PRIMARY KEY,
  case_id INTEGER NOT NULL REFERENCES cases (case_id),
  verdict TEXT NOT NULL
    CHECK (verdict IN ('confirmed_fraud', 'suspicious', 'false_positive', 'undecided')),
  note TEXT NOT NULL, reviewer TEXT NOT NULL, decided_at_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS verdicts_by_case ON verdicts (case_id, verdict_id);
CREATE TRIGGER IF NOT EXISTS verdicts_refuse_update BEFORE UPDATE ON verdicts
  BEGIN SELECT RAISE(ABORT, 'verdicts are append only'); END;
CREATE TRIGGER IF NOT EXISTS verdicts_refuse_delete BEFORE DELETE ON verdicts
  BEGIN SELECT RAISE(ABORT, 'verdicts are append only'); END;
CREATE TRIGGER IF NOT EXISTS verdicts_refuse_replace BEFORE INSERT ON verdicts
  WHEN EXISTS (SELECT 1 FROM verdicts WHERE verdict_id = NEW.verdict_id)
  BEGIN SELECT RAISE(ABORT, 'verdicts are append only'); END;
"""


class CaseStore:
    """A case store that is there and of the version this package reads.

    Args:
        path: the SQLite file that `fraudnet score --store` wrote.

    Raises:
        InputError: no such file, not a case store, or another schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(
                f"{path}: no case store there; make one with "
                f"`fraudnet score --artifact FILE --store {path}`"
            )
        with self.connect() as connection:
            self._check(connection)
            connection.executescript(_VERDICT_TABLE)

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """One transaction on a connection of its own: committed on leaving, undone on an error.

        A connection a call, because notebook front ends run widget callbacks in other threads
        than the cells, and SQLite connections do not cross threads.

        Raises:
            InputError: SQLite says no; the message names the file.
        """
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection, connection:
                connection.execute("PRAGMA foreign_keys = ON")
                yield connection
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: {error}") from error

    def _check(self, connection: sqlite3.Connection) -> None:
        expected = "expected the SQLite file that `fraudnet score --store` writes"
        try:
            found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.path}: not a case store ({error}); {expected}") from error
        if missing := {"meta", "transactions", "cases"} - found:
            tables = ", ".join(sorted(missing))
            raise InputError(f"{self.path}: not a case store (no table {tables}); {expected}")
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
        if row is None or row[0] not in READABLE_VERSIONS:
            version = row[0] if row else "none"
            expected = " or ".join(READABLE_VERSIONS)
            raise InputError(
                f"{self.path}: schema version {version}, expected {expected}; "
                "review it with the fraudnet that wrote it, or score again into a new file"
            )
