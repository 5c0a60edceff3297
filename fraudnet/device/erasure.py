"""An account is forgotten: nothing of it is left in the file, its free pages or its log."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from fraudnet.device.database import Database
from fraudnet.device.errors import StoreError

_FORGET = {
    "verdicts": """
DELETE FROM verdicts WHERE case_id IN (
  SELECT case_id FROM cases JOIN transactions USING (transaction_id) WHERE account_id = ?)""",
    "cases": """
DELETE FROM cases WHERE transaction_id IN (
  SELECT transaction_id FROM transactions WHERE account_id = ?)""",
    "transactions": "DELETE FROM transactions WHERE account_id = ?",
    "pruned": "DELETE FROM pruned WHERE account_id = ?",
}
# Sequences above are given anew.
_FOLLOWED = """
UPDATE shadows SET followed =
  MIN(followed, (SELECT COALESCE(MAX(sequence), 0) FROM transactions))"""


def forget(database: Database, account_id: str) -> dict[str, int]:
    """Deletes an account, its cases and their verdicts, in one commit; returns how many.

    What they were in free pages and in the log goes with `scrub`.
    """
    counts = {}
    with database.commit():
        with deletable_verdicts(database.connection) as there:
            for table, statement in _FORGET.items():
                if table != "verdicts" or there:
                    counts[table] = database.connection.execute(statement, (account_id,)).rowcount
        database.connection.execute(_FOLLOWED)
        database.connection.execute("REPLACE INTO meta VALUES ('erasing', '1')")
    del counts["pruned"]
    return counts


@contextmanager
def deletable_verdicts(connection: sqlite3.Connection) -> Iterator[bool]:
    """Inside, the verdicts of the review can be deleted, which are append only else; in a commit.

    Yields:
        Whether there is a table of them.
    """
    guard = connection.execute(
        "SELECT sql FROM sqlite_master WHERE name = 'verdicts_refuse_delete'"
    ).fetchone()
    if guard:
        connection.execute("DROP TRIGGER verdicts_refuse_delete")
    yield guard is not None
    if guard:
        connection.execute(guard[0])


def is_unfinished(database: Database) -> bool:
    """Whether something was deleted and the file not written anew since."""
    query = "SELECT 1 FROM meta WHERE key = 'erasing'"
    return database.connection.execute(query).fetchone() is not None


def scrub(database: Database) -> None:
    """Writes the file anew, so that nothing of what was deleted is left in it or its log.

    Raises:
        StoreError: another process reads the store; call it again.
    """
    with database.explained():
        database.connection.execute("VACUUM")
        busy, _, _ = database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreError(
                f"{database.path}: another process reads it, so its log still holds what was "
                "deleted; close the other and forget the account again"
            )
        database.connection.execute("DELETE FROM meta WHERE key = 'erasing'")
