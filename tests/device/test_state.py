"""What the scorer keeps: older stores, bounded histories, erasure, keyed and encrypted stores."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fraudnet.device import (
    Decision,
    Scorer,
    StoreError,
)
from fraudnet.device.schema import MIGRATIONS
from tests.device.conftest import write_snapshot
from tests.device.test_scorer import START_US, transaction

OLD = Path(__file__).parent / "data" / "store_1.sql"


def old_store(path: Path) -> Path:
    """A store as the first version made it: 12 transactions of history, 18 scored."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD.read_text())
    return path


def content(decision: Decision) -> Decision:
    return replace(decision, repeated=False, latency_us=0)


def test_a_store_of_the_first_version_goes_on(artifact: Path, tmp_path: Path) -> None:
    path = old_store(tmp_path / "store")
    with closing(sqlite3.connect(path)) as connection:
        (old,) = connection.execute(
            "SELECT fraud_probability FROM transactions WHERE transaction_id = 't28'"
        ).fetchone()
    fresh = tmp_path / "fresh"
    # What was stored of counterparties then is not looked up again.
    snapshot = write_snapshot(tmp_path / "snapshot", {"m0": (3, 1), "m1": (40, 0)}, START_US)
    with Scorer(artifact, path, snapshot) as scorer, Scorer(artifact, fresh, snapshot) as other:
        other.add_history(held.transaction for held in scorer.history("a")[:-1])
        last = scorer.history("a")[-1].transaction
        repeated = scorer.score(last)
        assert (repeated.repeated, repeated.probability) == (True, old)
        assert (repeated.reasons, repeated.reputation_age_h) == (None, None)
        assert other.score(last).probability == old
        following = transaction(40, columns={"category": "food", "distance": 0.5})
        assert scorer.score(following).probability == other.score(following).probability
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    assert names == set(MIGRATIONS)


def test_a_migration_that_fails_leaves_the_old_store(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_store(tmp_path / "store")
    monkeypatch.setitem(MIGRATIONS, "reasons", "ALTER TABLE absent ADD COLUMN reasons TEXT")
    with pytest.raises(StoreError, match="no such table: absent"):
        Scorer(artifact, path)
    with closing(sqlite3.connect(path)) as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        assert not {"migrations", "pruned"} & found
        assert connection.execute("SELECT value FROM meta").fetchall() == [("1",)]


def test_a_store_with_steps_from_later_is_refused(artifact: Path, tmp_path: Path) -> None:
    Scorer(artifact, tmp_path / "store").close()
    with closing(sqlite3.connect(tmp_path / "store")) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES ('wings')")
    with pytest.raises(StoreError, match="migration 'wings', which this fraudnet does not know"):
        Scorer(artifact, tmp_path / "store")
