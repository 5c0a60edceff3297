"""A damaged store: set aside, rebuilt from what is readable, and said so."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fraudnet.device import Options, Scorer, StoreError
from tests.device.test_scorer import transaction
from tests.device.test_state import content, stored_ids

STREAM = [transaction(i, account_id="ab"[i % 2]) for i in range(300)]
PAGE = 4096
OPTIONS = Options(durable=False, explain=False)


@pytest.fixture
def store(artifact: Path, tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with Scorer(artifact, path, options=OPTIONS) as scorer:
        for each in STREAM:
            scorer.score(each)
    return path


def damage(path: Path, pages: list[int]) -> None:
    content = bytearray(path.read_bytes())
    for page in pages:
        content[page * PAGE : (page + 1) * PAGE] = os.urandom(PAGE)
    path.write_bytes(content)


def leaves_of(path: Path, table: str) -> list[int]:
    """Pages of a table but its root, counted from 0."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            query = "SELECT pageno - 1 FROM dbstat WHERE name = ? AND pagetype = 'leaf'"
            return [page for (page,) in connection.execute(query, (table,))]
        except sqlite3.OperationalError:
            pytest.skip("SQLite without dbstat")


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_what_is_readable_is_kept(artifact: Path, store: Path, share: float) -> None:
    before = {}
    with Scorer(artifact, store, options=OPTIONS) as scorer:
        before = {each.transaction_id: scorer.score(each) for each in STREAM}
    leaves = leaves_of(store, "transactions")
    damage(store, leaves[:: max(1, round(1 / share))])
    with Scorer(artifact, store, options=OPTIONS) as scorer:
        (told, named) = [notice for notice in scorer.notices() if "set aside" in notice]
        held = set(stored_ids(store))
        assert f"the readable {len(held)} transactions" in told
        assert "store.damaged-1" in named
        lost = len(STREAM) - len(held)
        rows_a_page = len(STREAM) / len(leaves)
        assert 0 < lost <= 1.7 * share * len(STREAM) + 2 * rows_a_page
        for each in STREAM:
            if each.transaction_id in held:
                assert content(scorer.score(each)) == content(before[each.transaction_id])
    assert (store.parent / "store.damaged-1").exists()
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_of_zeros_is_a_store_that_was_lost(artifact: Path, store: Path) -> None:
    store.write_bytes(bytes(store.stat().st_size))
    with Scorer(artifact, store) as scorer:
        assert "the readable 0 transactions, 0 cases" in scorer.notices()[0]
        assert not scorer.score(STREAM[0]).repeated


def test_no_other_file_is_ever_moved(artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(text := b"dear diary " * 500)
    with pytest.raises(StoreError, match="not a database"):
        Scorer(artifact, path)
    assert path.read_bytes() == text
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pathlib import Path
from fraudnet.device import Scorer, repair
real, count = getattr(repair, sys.argv[3]), 0
def dying(*arguments):
    real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(repair, sys.argv[3], dying)
Scorer(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("step", ["_set_aside", "_salvage", "_copy", "sync_folder"])
def test_killed_during_the_repair(artifact: Path, store: Path, step: str) -> None:
    damage(store, leaves_of(store, "transactions")[:2])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, artifact, store, step],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, check=False,
    )  # fmt: skip
    assert done.returncode == -9
    with Scorer(artifact, store) as scorer:
        assert len(stored_ids(store)) > 0.5 * len(STREAM)
        for each in STREAM[-20:]:
            scorer.score(each)
    left = sorted(p.name for p in store.parent.iterdir() if p.name.startswith("store"))
    assert left == ["store", "store.damaged-1"]
