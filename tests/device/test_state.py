"""What the scorer keeps: older stores, bounded histories, erasure, keyed and encrypted stores."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from fraudnet.device import (
    Decision,
    DeviceInputError,
    Options,
    Scorer,
    StoreError,
    TransactionError,
    database,
)
from fraudnet.device.runtime import CHOICE, RUNTIMES
from fraudnet.device.schema import MIGRATIONS
from fraudnet.device.transactions import DAY_US
from tests.device.conftest import write_snapshot
from tests.device.example_network import LENGTH
from tests.device.test_scorer import HOUR_US, START_US, transaction
from tests.review.older_store import give_verdicts

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


def stored_ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT transaction_id FROM transactions ORDER BY sequence")
        return [name for (name,) in rows]


KEEP = LENGTH + 20


@pytest.fixture
def bounded(artifact: Path, tmp_path: Path) -> Iterator[Scorer]:
    with Scorer(
        artifact, tmp_path / "bounded", options=Options(durable=False, keep=KEEP)
    ) as scorer:
        yield scorer


def test_a_bounded_history_decides_as_a_whole_one(
    artifact: Path, bounded: Scorer, tmp_path: Path
) -> None:
    # Few are flagged: what has a case is kept.
    stream = [transaction(i, amount=0.0, timestamp_us=START_US + i) for i in range(150)]
    stream[40] = replace(stream[40], amount=1e30)
    with Scorer(artifact, tmp_path / "whole", options=Options(durable=False, keep=None)) as whole:
        decisions = [content(whole.score(each)) for each in stream]
    assert [content(bounded.score(each)) for each in stream] == decisions
    held = stored_ids(tmp_path / "bounded")
    assert len(held) <= KEEP + 32 + sum(decision.flagged for decision in decisions)
    assert "t40" in held
    assert len(stored_ids(tmp_path / "whole")) == 150


def test_what_was_dropped_is_never_counted_again(bounded: Scorer, tmp_path: Path) -> None:
    stream = [transaction(i, amount=0.0, timestamp_us=START_US + 10 * i) for i in range(200)]
    decisions = [bounded.score(each) for each in stream]
    held = stored_ids(tmp_path / "bounded")
    for each, before in zip(stream, decisions, strict=True):
        if each.transaction_id in held:
            assert content(bounded.score(each)) == content(before)
        else:
            with pytest.raises(TransactionError, match="before the history that is kept"):
                bounded.score(each)
    oldest = next(t for t in stream if t.transaction_id in held)
    new = replace(oldest, transaction_id="new", timestamp_us=oldest.timestamp_us + 1)
    with pytest.raises(TransactionError, match="before the history that is kept"):
        bounded.score(new)  # its window would have a hole
    assert bounded.add_history(stream[:3]) == 0
    assert stored_ids(tmp_path / "bounded") == held


def bytes_of(store: Path) -> bytes:
    files = [store, store.with_name(store.name + "-wal"), store.with_name(store.name + "-shm")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def test_nothing_is_left_of_an_account_that_is_forgotten(artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    stream = [
        transaction(
            i, transaction_id=f"{'secret' if i % 2 else 'public'}-{i}", amount=1e30,
            account_id="Alice" if i % 2 else "Bob", counterparty_id="clinic" if i % 2 else "shop",
        )
        for i in range(200)
    ]  # fmt: skip
    with Scorer(artifact, path, options=Options(durable=False, keep=LENGTH)) as scorer:
        kept = [scorer.score(each) for each in stream]
        assert all(decision.flagged for decision in kept)
        give_verdicts(
            path,
            (2, "suspicious", "Alice said that it was her", "ana", 1),
            (1, "suspicious", "Bob said nothing", "ana", 2),
        )
        assert scorer.forget("Alice") == {"transactions": 100, "cases": 100, "verdicts": 1}
        found = bytes_of(path)
        for word in (b"Alice", b"secret", b"clinic"):
            assert word not in found
        assert found.count(b"public") >= 100
        assert b"Bob said nothing" in found
        assert scorer.history("Alice") == []
        assert len(scorer.history("Bob")) == 100
        assert scorer.forget("Alice") == {"transactions": 0, "cases": 0, "verdicts": 0}
        again = scorer.score(stream[1])
        assert content(again) == content(kept[1])
    with pytest.raises(sqlite3.IntegrityError), closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM verdicts")  # still append only


def test_erasure_that_was_cut_off_is_finished_when_the_store_is_opened(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store"
    with Scorer(artifact, path, options=Options(durable=False)) as scorer:
        for i in range(60):
            scorer.score(transaction(i, account_id="Alice" if i % 2 else "Bob"))
        with monkeypatch.context() as patch, closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN").connection.execute("SELECT * FROM cases").fetchone()
            patch.setattr("fraudnet.device.database._TIMEOUT_S", 0.1)
            scorer._store._connection.execute("PRAGMA busy_timeout = 50")
            with pytest.raises(StoreError, match=r"another process reads it|locked"):
                scorer.forget("Alice")
        assert scorer.history("Alice") == []
    with Scorer(artifact, path):
        assert b"Alice" not in bytes_of(path)


def test_keyed_accounts(artifact: Path, tmp_path: Path) -> None:
    path, options = tmp_path / "store", Options(account_key=b"owner's secret")
    with Scorer(artifact, path, options=options) as scorer, Scorer(artifact, tmp_path / "p") as p:
        for i in range(30):
            one = transaction(i, account_id="4111-1111")
            assert content(scorer.score(one)) == content(p.score(one))
        assert [held.transaction.account_id for held in scorer.history("4111-1111")] == [
            "4111-1111"
        ] * 30
        assert b"4111-1111" not in bytes_of(path)
        assert "4111-1111" not in "".join(scorer.export())
        assert scorer.score(transaction(0, account_id="4111-1111")).repeated
    for other in (Options(), Options(account_key=b"another")):
        with pytest.raises(StoreError, match="hashed with another key, or with none"):
            Scorer(artifact, path, options=other)
    with pytest.raises(StoreError, match="hashed with another key, or with none"):
        Scorer(artifact, tmp_path / "p", options=options)


def test_encrypted_store(artifact: Path, tmp_path: Path) -> None:
    sqlcipher = pytest.importorskip("sqlcipher3.dbapi2", exc_type=ImportError)
    path, options = tmp_path / "store", Options(encryption_key=bytes(range(32)))
    with closing(sqlcipher.connect(":memory:")) as connection:
        if connection.execute("PRAGMA cipher_version").fetchone() is None:
            pytest.skip("another test's SQLite answers for SQLCipher in this process")
    with Scorer(artifact, path, options=options) as scorer, Scorer(artifact, tmp_path / "p") as p:
        for i in range(30):
            assert content(scorer.score(transaction(i))) == content(p.score(transaction(i)))
        scorer.forget("nobody")
    assert b"SQLite" not in bytes_of(path)
    assert b"fuel" not in bytes_of(path)
    before = bytes_of(path)
    for other in (Options(), Options(encryption_key=bytes(32))):
        with pytest.raises(StoreError, match="not a database"):
            Scorer(artifact, path, options=other)
    assert bytes_of(path) == before
    with pytest.raises(DeviceInputError, match="has 3 bytes, expected 32"):
        Scorer(artifact, path, options=Options(encryption_key=b"abc"))
    with Scorer(artifact, path, options=options) as scorer:
        assert scorer.score(transaction(29)).repeated


def test_a_store_that_would_not_be_encrypted_is_refused(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain SQLite takes a key without a word."""
    monkeypatch.setattr(database, "_sqlcipher", lambda _: sqlite3)
    with pytest.raises(DeviceInputError, match="would not be encrypted"):
        Scorer(artifact, tmp_path / "store", options=Options(encryption_key=bytes(32)))
    assert b"SQLite" not in bytes_of(tmp_path / "store")


def test_history_and_export_say_what_is_stored(artifact: Path, tmp_path: Path) -> None:
    snapshot = write_snapshot(tmp_path / "snapshot", {"m0": (3, 1)}, START_US - 2 * HOUR_US)
    with Scorer(artifact, tmp_path / "store", snapshot) as scorer:
        scorer.add_history([transaction(1, account_id="b")])
        decisions = [scorer.score(transaction(i)) for i in (2, 0)]
        held = scorer.history("a")
        lines = [json.loads(line) for line in scorer.export()]
    assert [each.transaction for each in held] == [transaction(0), transaction(2)]
    assert [each.decision and content(each.decision) for each in held] == [
        content(decision) for decision in reversed(decisions)
    ]
    assert [decision.reputation_age_h for decision in decisions] == [4.0, 2.0]
    assert held[0].reputation == {"count_7d": 3, "fraud_7d": 1}
    assert [line["transaction"]["transaction_id"] for line in lines] == ["t0", "t2", "t1"]
    assert lines[0]["decision"]["probability"] == decisions[1].probability
    assert lines[2]["decision"] is None


def test_times_are_believed_by_the_clock_or_by_what_was_scored(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scorer(artifact, tmp_path / "store") as scorer:
        scorer.score(transaction(0))
        ahead = transaction(1, timestamp_us=START_US + 50_000 * DAY_US)
        for attempt in (scorer.score, lambda t: scorer.add_history([t])):
            with pytest.raises(TransactionError, match="more than a day ahead"):
                attempt(ahead)
        (refused,) = scorer.score_many([ahead])
        assert isinstance(refused, TransactionError)
    monkeypatch.setattr("time.time_ns", lambda: 0)  # set back to 1970
    with Scorer(artifact, tmp_path / "store") as scorer:
        assert not scorer.score(transaction(2, timestamp_us=START_US + DAY_US)).repeated
        with pytest.raises(TransactionError, match="more than a day ahead"):
            scorer.score(transaction(3, timestamp_us=START_US + 2 * DAY_US))


FOOTPRINT = """
import importlib, os, sys, time
from pathlib import Path
import numpy
importlib.import_module(sys.argv[3] + ".interpreter")
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before, threads, begin = resident(), len(os.listdir("/proc/self/task")), time.process_time()
import fraudnet.device as device
seconds = time.process_time() - begin
with device.Scorer(Path(sys.argv[1]), Path(sys.argv[2])) as scorer:
    def made(i):
        moment_us, columns = 10**15 + i * 10**6, {"category": "food", "distance": 1}
        return device.Transaction(f"t{i}", f"a{i % 2500}", moment_us, "m", 1.0 * (i % 9), columns)
    for outcome in scorer.score_many(made(i) for i in range(9_000)):
        pass
    for i in range(9_000, 11_000):
        scorer.score(made(i))
assert "tensorflow" not in sys.modules
print(seconds, resident() - before, len(os.listdir("/proc/self/task")) - threads)
"""


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if find_spec(name)])
def test_what_it_takes(sequence_artifact: Path, tmp_path: Path, runtime: str) -> None:
    """Beyond numpy and the runtime: time to import, resident memory at work, threads."""
    done = subprocess.run(
        [sys.executable, "-c", FOOTPRINT, sequence_artifact, tmp_path / "store", runtime],
        env=os.environ | {CHOICE: runtime, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, resident, threads = map(float, done.stdout.split())
    assert 0.001 < seconds < 0.15
    assert resident < 80e6
    assert threads == 0
