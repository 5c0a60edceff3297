"""A device's store in which an older review kept its verdicts."""

import sqlite3
from contextlib import closing
from pathlib import Path

TABLE = """
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


def give_verdicts(path: Path, *verdicts: tuple[int, str, str, str, int]) -> None:
    """Stores (case_id, verdict, note, reviewer, decided_at_us) each, as the older review did."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(TABLE)
        connection.executemany(
            "INSERT INTO verdicts (case_id, verdict, note, reviewer, decided_at_us) "
            "VALUES (?, ?, ?, ?, ?)",
            verdicts,
        )
