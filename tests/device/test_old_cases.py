"""Cases are dropped when their owner says, and never without a word."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fraudnet.device import DeviceInputError, Options, Scorer, Transaction
from fraudnet.device.transactions import DAY_US
from tests.device.conftest import contract, vectors, with_tail
from tests.device.example_network import LENGTH
from tests.device.test_scorer import START_US, transaction

VERDICTS = """
CREATE TABLE verdicts (verdict_id INTEGER PRIMARY KEY,
  case_id INTEGER NOT NULL REFERENCES cases (case_id), verdict TEXT);
CREATE TRIGGER verdicts_refuse_delete BEFORE DELETE ON verdicts
  BEGIN SELECT RAISE(ABORT, 'verdicts are append only'); END;
INSERT INTO verdicts VALUES (1, 1, 'false_positive'), (2, 2, 'confirmed_fraud');
"""


@pytest.fixture
def suspicious(model: bytes, tmp_path: Path) -> Path:
    """An artifact that flags everything."""
    document = contract()
    document["threshold"]["probability"] = 0.0
    path = tmp_path / "suspicious.tflite"
    path.write_bytes(with_tail(model, {"contract.json": document, "vectors.json": vectors()}))
    return path


def on_day(day: int, **changes: object) -> Transaction:
    return transaction(day, timestamp_us=START_US + day * DAY_US, **changes)


class Store:
    """A store whose clock shows the day of the transaction that comes."""

    def __init__(self, artifact: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.artifact = artifact
        self.path = path
        self.clock_us = START_US
        monkeypatch.setattr("time.time_ns", lambda: self.clock_us * 1000)

    def score(self, days: range, keep_cases_days: int | None, **changes: object) -> list[str]:
        """One transaction a day; returns the notices about cases."""
        options = Options(
            durable=False, keep=LENGTH, explain=False, keep_cases_days=keep_cases_days
        )
        with Scorer(self.artifact, self.path, options=options) as scorer:
            for day in days:
                self.clock_us = START_US + day * DAY_US
                assert not scorer.score(on_day(day, **changes)).repeated
            return [notice for notice in scorer.notices() if " cases " in notice]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def store(suspicious: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(suspicious, tmp_path / "store", monkeypatch)


def test_dropped_with_their_transactions_and_said(store: Store) -> None:
    assert store.score(range(100), None) == []
    assert len(store.rows("SELECT * FROM cases")) == 100
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.executescript(VERDICTS)
    said = store.score(range(100, 101), 60)
    # Opened before day 39: older than 60 days on day 99, the newest when the store was opened.
    assert store.rows("SELECT MIN(case_id), COUNT(*) FROM cases") == [(40, 62)]
    assert store.rows("SELECT COUNT(*) FROM verdicts") == [(0,)]
    assert said == [
        "39 cases were dropped since this store was made, 37 of them without a verdict in it, all "
        "from before 2024-11-12",
        "7 cases are soon 60 days old and will be dropped then; have them reviewed, or keep them "
        "longer",
    ]
    names = {name for (name,) in store.rows("SELECT transaction_id FROM transactions")}
    assert names == {f"t{day}" for day in range(39, 101)}
    # The next start goes on; what is dropped is added up. The verdicts are append only as before.
    said = store.score(range(101, 130), 60)
    assert said[0].startswith("40 cases were dropped since this store was made, 38 of them without")
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("INSERT INTO verdicts VALUES (3, 90, 'suspicious')")
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            connection.execute("DELETE FROM verdicts")


def test_what_a_window_reads_stays(store: Store) -> None:
    """A case that goes leaves its transaction where that is history still."""
    store.score(range(10), None)
    store.clock_us = START_US + 100 * DAY_US
    store.score(range(100, 101), None, account_id="b")
    store.score(range(101, 102), 60)
    assert store.rows("SELECT COUNT(*) FROM cases") == [(2,)]
    assert store.rows("SELECT COUNT(*) FROM transactions WHERE account_id = 'a'") == [(11,)]


def test_a_clock_that_is_ahead_drops_nothing(store: Store) -> None:
    store.score(range(30), 60)
    store.clock_us = START_US + 10_000 * DAY_US
    options = Options(durable=False, keep_cases_days=60)
    with Scorer(store.artifact, store.path, options=options) as scorer:
        scorer.score(replace(on_day(30), account_id="b"))
    assert len(store.rows("SELECT * FROM cases")) == 31


def test_once_a_day_in_a_long_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fraudnet.device.old_cases._EVERY_S", 0.0)
    store.score(range(100), 60)
    assert store.rows("SELECT COUNT(*) FROM cases") == [(61,)]


def test_days_past_all_time_drop_nothing(store: Store) -> None:
    assert store.score(range(3), 99_999_999_999) == []
    assert store.rows("SELECT COUNT(*) FROM cases") == [(3,)]


@pytest.mark.parametrize("days", [0, -3])
def test_no_days_is_refused(store: Store, days: int) -> None:

    with pytest.raises(DeviceInputError, match=f"kept {days} days; expected 1 or more"):
        store.score(range(1), days)
