"""A kill at any moment: what was stored is consistent, and sending all again heals it."""

import json
import random
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from fraudnet.device.schema import SCHEMA_VERSION
from tests.device.conftest import command_line, write_snapshot

ROWS = 400
SENT_MORE = 40
AS_OF_US = 1_728_000_000_000_000


def write_stream(path: Path) -> None:
    rng = random.Random(5)
    with path.open("w") as file:
        for i in range(ROWS):
            row = {
                "transaction_id": f"t{i}",
                "timestamp": f"2024-10-{rng.randint(4, 8):02}T{rng.randint(0, 23):02}:00:00Z",
                "account_id": f"a{rng.randint(0, 4)}",
                "counterparty_id": f"m{rng.randint(0, 9)}",
                "amount": round(rng.lognormvariate(3, 1), 2),
                "category": rng.choice(["food", "fuel", "travel"]),
                "distance": rng.random(),
            }
            print(json.dumps(row), file=file)


def stored(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the store but the clock's readings."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return {
            "transactions": connection.execute("SELECT * FROM transactions").fetchall(),
            "cases": connection.execute(
                "SELECT case_id, transaction_id, window FROM cases"
            ).fetchall(),
        }


def check_consistent(path: Path) -> int:
    """Every decision has its case and no case is without decision; returns how many are stored."""
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM transactions").fetchone()
        names = [
            {name for (name,) in connection.execute(query)}
            for query in (
                "SELECT transaction_id FROM transactions WHERE flagged",
                "SELECT transaction_id FROM cases",
            )
        ]
        version = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'")
        assert version.fetchone() == (SCHEMA_VERSION,)
    assert names[0] == names[1]
    return int(count)


def kill_after(answers: int, command: list[str], stream: Path, delay: float = 0.0) -> None:
    """Run a scorer on the first rows, and kill it when it has given so many answers.

    It is sent few rows more, by a pipe that stays open: however busy the machine, it cannot have
    gone through them all or ended before the kill.
    """
    rows = stream.read_bytes().splitlines(keepends=True)[: answers + SENT_MORE]
    with subprocess.Popen(
        [*command, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=1 << 20
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(rows))
        process.stdin.flush()
        for _ in range(answers):
            assert process.stdout.readline()
        time.sleep(delay)
        process.kill()
    assert process.returncode == -9


def decisions(output: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in output.splitlines()]
    return [{k: v for k, v in d.items() if k not in ("repeated", "latency_us")} for d in lines]


def test_killed_at_random_moments(artifact: Path, tmp_path: Path) -> None:
    write_stream(tmp_path / "input.jsonl")
    snapshot = write_snapshot(tmp_path / "snapshot", {"m1": (3, 1), "m2": (9, 0)}, AS_OF_US)

    def command(store: str) -> list[str]:
        files = ["--artifact", artifact, "--reputation", snapshot, "--store", tmp_path / store]
        return command_line(*files)

    def run_whole(store: str) -> tuple[str, str]:
        whole = [*command(store), str(tmp_path / "input.jsonl")]
        done = subprocess.run(whole, capture_output=True, text=True, check=True)
        return done.stdout, done.stderr

    rng = random.Random(3)
    counts = []
    for goal in (1, 60, 130, 250, 330):
        delay = rng.random() * 0.004  # anywhere between two commits
        kill_after(goal, command("killed"), tmp_path / "input.jsonl", delay)
        counts.append(check_consistent(tmp_path / "killed"))
        assert goal <= counts[-1] <= goal + SENT_MORE
    assert counts == sorted(counts)

    undisturbed, _ = run_whole("undisturbed")
    healed, summary = run_whole("killed")
    assert decisions(healed) == decisions(undisturbed)
    assert len(decisions(healed)) == ROWS
    assert f"{ROWS} rows in: {ROWS - counts[-1]} scored" in summary
    assert f"{counts[-1]} repeated, 0 quarantined" in summary
    assert stored(tmp_path / "killed") == stored(tmp_path / "undisturbed")


def test_killed_while_the_store_is_made(artifact: Path, tmp_path: Path) -> None:
    """Dies just before the commit that makes the tables: the next start makes them."""
    write_stream(tmp_path / "input.jsonl")
    before = (
        "import os, signal\n"
        "from fraudnet.device import store\n"
        "migrate = store.migrate\n"
        "def dying(connection):\n"
        "    migrate(connection)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.migrate = dying\n"
    )
    files = ["--artifact", artifact, "--store", tmp_path / "store", tmp_path / "input.jsonl"]
    done = subprocess.run(command_line(*files, before=before), capture_output=True, check=False)
    assert done.returncode == -9
    subprocess.run(command_line(*files), capture_output=True, check=True)
    assert check_consistent(tmp_path / "store") == ROWS
