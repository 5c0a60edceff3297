"""The team's case database: its tables, and the named steps that bring an older one up to date.

The same tables on SQLite and PostgreSQL. The steps run in one SQL transaction and are recorded in
the table `migrations`; a database of a fraudnet that knew further steps is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import Connection

TABLES = frozenset({"meta", "devices", "flags", "cases", "verdicts", "verdict_flags", "forgotten"})

_TYPES = {
    "sqlite": {"KEY": "INTEGER PRIMARY KEY"},
    "postgresql": {"KEY": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"},
}

_ERASED = "EXISTS (SELECT 1 FROM cases WHERE case_id = OLD.case_id AND erased_at_us IS NOT NULL)"
# The one change that is let through: the note goes when the case is erased.
_NOTE_GOES = f"""
NEW.verdict_id = OLD.verdict_id AND NEW.case_id = OLD.case_id AND NEW.verdict = OLD.verdict
AND NEW.kind = OLD.kind AND NEW.note = '' AND NEW.reviewer = OLD.reviewer
AND NEW.decided_at_us = OLD.decided_at_us
AND COALESCE(NEW.undoes, 0) = COALESCE(OLD.undoes, 0)
AND COALESCE(NEW.origin, '') = COALESCE(OLD.origin, '') AND {_ERASED}"""
_COVER_GOES = """
EXISTS (SELECT 1 FROM cases JOIN verdicts USING (case_id)
        WHERE verdict_id = OLD.verdict_id AND erased_at_us IS NOT NULL)"""
_REFUSAL = "verdicts are append only"


@dataclass(frozen=True)
class Migration:
    """Statements of one step: of both databases, then of one."""

    both: Sequence[str]
    sqlite: Sequence[str] = ()
    postgresql: Sequence[str] = ()

    def statements(self, dialect: str) -> list[str]:
        """What is run on a database of this dialect."""
        own = self.sqlite if dialect == "sqlite" else self.postgresql
        statements = [*self.both, *own]
        for name, text in _TYPES[dialect].items():
            statements = [statement.replace(f"{{{name}}}", text) for statement in statements]
        return statements


def _sqlite_refuses(table: str, update: str, delete: str) -> tuple[str, ...]:
    """Triggers; INSERT OR REPLACE deletes without asking the one on DELETE, hence the third."""
    raised = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    return (
        f"CREATE TRIGGER {table}_refuse_update BEFORE UPDATE ON {table} WHEN NOT ({update}) "
        f"{raised}",
        f"CREATE TRIGGER {table}_refuse_delete BEFORE DELETE ON {table} WHEN NOT ({delete}) "
        f"{raised}",
    )


_SQLITE_REFUSES_REPLACE = f"""
CREATE TRIGGER verdicts_refuse_replace BEFORE INSERT ON verdicts
WHEN EXISTS (SELECT 1 FROM verdicts WHERE verdict_id = NEW.verdict_id OR origin = NEW.origin)
BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"""  # noqa: S608  (a text of ours)


def _postgresql_refuses(table: str, update: str, delete: str) -> tuple[str, ...]:
    made = (
        f"CREATE FUNCTION {table}_refuse_{{}}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {{}}"
    )
    refused = f"RAISE EXCEPTION '{_REFUSAL}'; END $$"
    return (
        made.format("update", f"IF {update} THEN RETURN NEW; END IF; {refused}"),
        made.format("delete", f"IF {delete} THEN RETURN OLD; END IF; {refused}"),
        made.format("truncate", refused),
        *(
            f"CREATE TRIGGER {table}_refuse_{verb} BEFORE {verb.upper()} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION {table}_refuse_{verb}()"
            for verb, each in (("update", "ROW"), ("delete", "ROW"), ("truncate", "STATEMENT"))
        ),
    )


MIGRATIONS = {
    "flags and cases": Migration(
        (
            "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
            # account_key: tells one key of hashed account ids from another; NULL: as they are
            "CREATE TABLE devices (device_id TEXT PRIMARY KEY, account_key TEXT, "
            "imported_at_us BIGINT NOT NULL)",
            # account_id is NULL once erased; joined_to: the case that took this one's flags
            """
CREATE TABLE cases (
  case_id {KEY}, account_id TEXT, assigned_to TEXT,
  joined_to BIGINT REFERENCES cases (case_id), erased_at_us BIGINT)""",
            """
CREATE TABLE flags (
  flag_id {KEY},
  transaction_id TEXT NOT NULL UNIQUE,
  case_id BIGINT REFERENCES cases (case_id),  -- NULL only while the account is grouped
  device_id TEXT NOT NULL REFERENCES devices (device_id),
  account_id TEXT NOT NULL, timestamp_us BIGINT NOT NULL, amount DOUBLE PRECISION NOT NULL,
  counterparty_id TEXT, category TEXT,
  fraud_probability DOUBLE PRECISION NOT NULL, ood_distance DOUBLE PRECISION NOT NULL,
  threshold DOUBLE PRECISION NOT NULL,
  familiar SMALLINT,
  reasons TEXT,
  artifact_sha256 TEXT NOT NULL,
  opened_at_us BIGINT NOT NULL, imported_at_us BIGINT NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('flagged', 'uncertain', 'unfamiliar', 'random')),
  inclusion_probability DOUBLE PRECISION NOT NULL
    CHECK (inclusion_probability > 0 AND inclusion_probability <= 1),
  -- JSON list: the window's transactions, this one last
  window_json TEXT NOT NULL)""",
            "CREATE INDEX flags_by_case ON flags (case_id)",
            "CREATE INDEX flags_by_account ON flags (account_id)",
        )
    ),
    "verdicts": Migration(
        (
            """
CREATE TABLE verdicts (
  verdict_id {KEY},
  case_id BIGINT NOT NULL REFERENCES cases (case_id),
  verdict TEXT NOT NULL
    CHECK (verdict IN ('confirmed_fraud', 'suspicious', 'false_positive', 'undecided')),
  kind TEXT NOT NULL, note TEXT NOT NULL, reviewer TEXT NOT NULL, decided_at_us BIGINT NOT NULL,
  undoes BIGINT REFERENCES verdicts (verdict_id),
  origin TEXT UNIQUE)""",
            "CREATE INDEX verdicts_by_case ON verdicts (case_id, decided_at_us, verdict_id)",
            """
CREATE TABLE verdict_flags (
  verdict_id BIGINT NOT NULL REFERENCES verdicts (verdict_id),
  flag_id BIGINT NOT NULL REFERENCES flags (flag_id),
  PRIMARY KEY (verdict_id, flag_id))""",
            "CREATE INDEX verdict_flags_by_flag ON verdict_flags (flag_id)",
            # The newest of each case; one that was undone is followed by 'undecided'.
            """
CREATE VIEW verdicts_in_force AS SELECT * FROM verdicts AS newest WHERE NOT EXISTS (
  SELECT 1 FROM verdicts AS later WHERE later.case_id = newest.case_id
  AND (later.decided_at_us > newest.decided_at_us
       OR (later.decided_at_us = newest.decided_at_us AND later.verdict_id > newest.verdict_id)))
""",
        ),
        sqlite=(
            *_sqlite_refuses("verdicts", _NOTE_GOES, "1 = 0"),
            *_sqlite_refuses("verdict_flags", "1 = 0", _COVER_GOES),
            _SQLITE_REFUSES_REPLACE,
        ),
        postgresql=(
            *_postgresql_refuses("verdicts", _NOTE_GOES, "1 = 0"),
            *_postgresql_refuses("verdict_flags", "1 = 0", _COVER_GOES),
        ),
    ),
    # lease_number counts the reviewers who took the case one after another, so that a verdict of
    # one who lost it can be told (a fencing token).
    "leases": Migration(
        (
            "ALTER TABLE cases ADD COLUMN lease_holder TEXT",
            "ALTER TABLE cases ADD COLUMN lease_until_us BIGINT",
            "ALTER TABLE cases ADD COLUMN lease_number BIGINT NOT NULL DEFAULT 0",
        )
    ),
    # A keyed hash of each account that was erased, so that importing does not bring it back.
    "forgotten": Migration(
        ("CREATE TABLE forgotten (account_hash TEXT PRIMARY KEY, forgotten_at_us BIGINT NOT NULL)",)
    ),
}


def migrate(connection: Connection) -> None:
    """Runs the steps that a database has not had, inside the caller's SQL transaction.

    Raises:
        ValueError: the database had steps that are not known here.
    """
    tables = sqlalchemy.inspect(connection).get_table_names()
    if "migrations" not in tables:
        connection.exec_driver_sql("CREATE TABLE migrations (name TEXT PRIMARY KEY)")
    done = done_migrations(connection)
    if unknown := sorted(done - MIGRATIONS.keys()):
        raise ValueError(f"had the migration {unknown[0]!r}, which this fraudnet does not know")
    for name, step in MIGRATIONS.items():
        if name not in done:
            for statement in step.statements(connection.dialect.name):
                connection.exec_driver_sql(statement)
            connection.execute(
                sqlalchemy.text("INSERT INTO migrations VALUES (:name)"), {"name": name}
            )


def done_migrations(connection: Connection) -> set[str]:
    """Names of the steps that a database has had."""
    return set(connection.exec_driver_sql("SELECT name FROM migrations").scalars())
