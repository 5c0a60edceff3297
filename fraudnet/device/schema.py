"""The case store's tables, and the named steps that bring an older store up to date.

The steps run in one SQL transaction and are recorded in the table `migrations`; a store of a
fraudnet that knew further steps is refused.
"""

from collections.abc import Iterable
from typing import Protocol

SCHEMA_VERSION = "2"
READABLE_VERSIONS = ("1", SCHEMA_VERSION)
"""Whose transactions, cases and verdicts are the same to a reader."""
TABLES = frozenset({"meta", "transactions", "cases"})

MIGRATIONS = {
    "first tables": """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE transactions (
  sequence INTEGER PRIMARY KEY,  -- arrival order
  transaction_id TEXT NOT NULL UNIQUE, account_id TEXT NOT NULL, timestamp_us INTEGER NOT NULL,
  counterparty_id TEXT, amount REAL NOT NULL,
  columns TEXT NOT NULL,         -- JSON object: further columns as received
  reputation TEXT NOT NULL,      -- JSON object: counts as known when it was scored, {} = unknown
  -- NULL: history only, not scored
  fraud_probability REAL, ood_distance REAL, threshold REAL, flagged INTEGER, artifact_sha256 TEXT);
CREATE INDEX transactions_by_account ON transactions (account_id, timestamp_us, sequence);
CREATE TABLE cases (
  case_id INTEGER PRIMARY KEY,
  transaction_id TEXT NOT NULL UNIQUE REFERENCES transactions (transaction_id),
  opened_at_us INTEGER NOT NULL,
  -- JSON list: the window's transactions, the flagged one last
  window TEXT NOT NULL);
INSERT INTO meta VALUES ('schema_version', '1')""",
    # NULL also where the artifact does not judge it.
    "familiar": "ALTER TABLE transactions ADD COLUMN familiar INTEGER",
    # In the index, so that a window's rows lie side by side. NULL, or packed for other inputs:
    # encoded anew from the columns when they are read.
    "packed rows": """
ALTER TABLE transactions ADD COLUMN packed BLOB;
DROP INDEX transactions_by_account;
CREATE INDEX transactions_by_account
  ON transactions (account_id, timestamp_us, sequence, packed)""",
    # The moment of the snapshot that the counts are from; NULL: of none.
    "reputation moment": "ALTER TABLE transactions ADD COLUMN reputation_as_of_us INTEGER",
    # JSON list; NULL: not looked for.
    "reasons": "ALTER TABLE transactions ADD COLUMN reasons TEXT",
    # JSON list: ids of later ones that would have been decided otherwise had this one been there.
    "late ones": "ALTER TABLE transactions ADD COLUMN revises TEXT",
    # Of these accounts only transactions from this moment on are held.
    "bounded history": "CREATE TABLE pruned (account_id TEXT PRIMARY KEY, kept_from_us INTEGER)",
    # Tells the stores of many devices apart where their cases come together.
    "device id": "INSERT INTO meta VALUES ('device_id', lower(hex(randomblob(16))))",
}


class _Connection(Protocol):
    def execute(self, statement: str, values: tuple[str, ...] = ..., /) -> Iterable[tuple[str]]: ...


def migrate(connection: _Connection) -> None:
    """Runs the steps that a store has not had, inside the caller's SQL transaction.

    Raises:
        ValueError: the store had steps that are not known here, or is of another version.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    done = _done(connection, tables)
    if unknown := [name for name in done if name not in MIGRATIONS]:
        raise ValueError(f"had the migration {unknown[0]!r}, which this fraudnet does not know")
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
    for name, script in MIGRATIONS.items():
        if name not in done:
            for statement in script.split(";\n"):
                connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO migrations VALUES (?)", (name,))
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (SCHEMA_VERSION,))


def _done(connection: _Connection, tables: set[str]) -> list[str]:
    if not tables:
        return []
    found = [v for (v,) in connection.execute("SELECT value FROM meta WHERE key='schema_version'")]
    if found not in [[version] for version in READABLE_VERSIONS]:
        raise ValueError(
            f"schema version {found[0] if found else None}, this fraudnet reads "
            f"{' and '.join(READABLE_VERSIONS)}"
        )
    if "migrations" in tables:
        return [name for (name,) in connection.execute("SELECT name FROM migrations")]
    columns = {
        name for (name,) in connection.execute("SELECT name FROM pragma_table_info('transactions')")
    }
    return ["first tables", *(["familiar"] if "familiar" in columns else [])]
