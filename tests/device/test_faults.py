"""Kills, full disks, two processes, damaged logs, little memory: nothing lost, nothing twice.

Real processes; after each fault the same stream is sent again, and what is stored then is what an
undisturbed run stores.
"""

import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.device.conftest import command_line
from tests.device.test_interruption import check_consistent, kill_after, stored, write_stream

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]

# Children are forked from a process that has imported everything, and killed at random moments. One
# that has scored its share waits for the kill, however late a busy machine sends it.
KILLER = """
import os, random, signal, sqlite3, sys, time
from contextlib import closing
from pathlib import Path
from fraudnet.device import Options, Scorer
from fraudnet.device.reading import read_rows
artifact, store, stream = map(Path, sys.argv[1:4])
kills, kinds = int(sys.argv[4]), {"category": "categorical", "distance": "numeric"}
rows = [row.transaction() for row in read_rows(stream, kinds)]
rng = random.Random(1)

def count():
    with closing(sqlite3.connect(store)) as connection:
        try:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return connection.execute("SELECT COUNT(*) FROM transactions").fetchone()[0]
        except sqlite3.OperationalError:  # not made yet
            return 0

share = len(rows) // kills

def score(chosen, wait=False):
    with Scorer(artifact, store) as scorer:
        for row in chosen:
            scorer.score(row)
        if wait:
            signal.alarm(60)  # if nobody is left to kill it
            signal.pause()

done, between, wait = 0, set(), 0.05
while done < kills:
    held = count()
    first = max(0, held - 5)  # some are sent again
    pid = os.fork()
    if pid == 0:
        score(rows[first : first + 5 + share], wait=True)
    time.sleep(rng.random() * wait)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), status
    done += 1
    if held < count() < first + 5 + share:
        between.add(count())
    if done % 10 == 0:  # about as many transactions between two kills on any machine
        wait = min(2.0, max(0.02, wait * (2 if count() < done * len(rows) / kills / 2 else 0.7)))
print(len(between))
score(rows)
"""


def undisturbed(artifact: Path, folder: Path, stream: Path) -> dict[str, list[tuple[object, ...]]]:
    store = folder / "undisturbed"
    finish(artifact, store, stream)
    return stored(store)


def finish(artifact: Path, store: Path, stream: Path) -> None:
    done = subprocess.run(
        command_line("--artifact", artifact, "--store", store, stream),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def long_stream(path: Path, count: int) -> Path:
    rng = random.Random(2)
    with path.open("w") as file:
        for i in range(count):
            minute = i if rng.random() < 0.9 else max(0, i - rng.randrange(60))  # one in ten late
            row = {
                "transaction_id": f"t{i}",
                "timestamp": f"2024-10-{4 + minute // 1440:02}T{minute // 60 % 24:02}:"
                f"{minute % 60:02}:00Z",
                "account_id": f"a{rng.randint(0, 4)}",
                "counterparty_id": f"m{rng.randint(0, 9)}",
                "amount": round(rng.lognormvariate(3.5, 2), 2),
                "category": rng.choice(["food", "fuel", "travel"]),
                "distance": rng.random(),
            }
            print(json.dumps(row), file=file)
    return path


def test_two_hundred_kills(artifact: Path, tmp_path: Path) -> None:
    stream = long_stream(tmp_path / "stream.jsonl", 4_000)
    store = tmp_path / "killed"
    done = subprocess.run(
        [sys.executable, "-c", KILLER, artifact, store, stream, "200"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 25  # kills that came between two rows
    assert stored(store) == undisturbed(artifact, tmp_path, stream)


def limited(kind: int, limit: int) -> Callable[[], None]:
    def apply() -> None:
        resource.setrlimit(kind, (limit, limit))

    return apply


@pytest.mark.parametrize("kilobytes", [20, 60, 150, 400])
def test_disk_full(artifact: Path, tmp_path: Path, kilobytes: int) -> None:
    """A quota of the process on the size of files stands for a full disk."""
    write_stream(tmp_path / "input.jsonl")
    store = tmp_path / "store"
    done = subprocess.run(
        command_line("--artifact", artifact, "--store", store, tmp_path / "input.jsonl"),
        capture_output=True, text=True, check=False,
        preexec_fn=limited(resource.RLIMIT_FSIZE, kilobytes * 1024),
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"{store}: " in done.stderr.splitlines()[-1]
    answered = [json.loads(line)["transaction_id"] for line in done.stdout.splitlines()]
    if store.exists() and store.stat().st_size:
        with closing(sqlite3.connect(store)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
            held = connection.execute(
                "SELECT transaction_id FROM transactions ORDER BY sequence"
            ).fetchall() if tables else []  # fmt: skip
        assert [name for (name,) in held] == answered  # what was answered is there, and no more
    finish(artifact, store, tmp_path / "input.jsonl")
    assert stored(store) == undisturbed(artifact, tmp_path, tmp_path / "input.jsonl")


def test_read_only_store(artifact: Path, tmp_path: Path) -> None:
    write_stream(tmp_path / "input.jsonl")
    folder = tmp_path / "folder"
    folder.mkdir()
    finish(artifact, folder / "store", tmp_path / "input.jsonl")
    before = (folder / "store").read_bytes()
    (folder / "store").chmod(0o400)
    folder.chmod(0o500)
    prefix: list[str] = []
    if os.geteuid() == 0:  # who may write anywhere, unless that is taken away
        if not shutil.which("setpriv"):
            pytest.skip("root without setpriv: nothing is read-only to it")
        prefix = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    command = command_line("--artifact", artifact, "--store", folder / "store", "--quarantine")
    done = subprocess.run(
        [*prefix, *command, str(tmp_path / "q"), str(tmp_path / "input.jsonl")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    folder.chmod(0o700)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "expected a case store, or a new file in a writable folder" in done.stderr
    assert (folder / "store").read_bytes() == before


def test_two_processes_on_one_store(artifact: Path, tmp_path: Path) -> None:
    """Each has accounts of its own, and one that both send, in the same order."""
    stream = long_stream(tmp_path / "stream.jsonl", 800)
    rows = [json.loads(line) for line in stream.read_text().splitlines()]
    for name, mine in (("one", {"a0", "a1", "a2"}), ("other", {"a2", "a3", "a4"})):
        lines = [json.dumps(row) for row in rows if row["account_id"] in mine]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    store = tmp_path / "shared"
    running = [
        subprocess.Popen(
            command_line("--artifact", artifact, "--store", store, tmp_path / f"{name}.jsonl"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in ("one", "other")
    ]  # fmt: skip
    for process in running:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert check_consistent(store) == len(rows)
    expected = undisturbed(artifact, tmp_path, stream)

    def comparable(held: dict[str, list[tuple[object, ...]]]) -> list[tuple[object, ...]]:
        # But for the order of arrival, which is that of both together.
        return sorted(row[1:] for row in held["transactions"])

    def cases(held: dict[str, list[tuple[object, ...]]]) -> list[tuple[object, ...]]:
        return sorted(case[1:] for case in held["cases"])

    assert comparable(stored(store)) == comparable(expected)
    assert cases(stored(store)) == cases(expected)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.77, 0.999])
def test_truncated_log(artifact: Path, tmp_path: Path, kept: float) -> None:
    write_stream(tmp_path / "input.jsonl")
    store, log = tmp_path / "store", tmp_path / "store-wal"
    command = command_line("--artifact", artifact, "--store", store)
    kill_after(300, command, tmp_path / "input.jsonl")
    size = log.stat().st_size
    assert size > 100_000
    os.truncate(log, int(size * kept))
    (tmp_path / "store-shm").unlink()
    finish(artifact, store, tmp_path / "input.jsonl")
    assert stored(store) == undisturbed(artifact, tmp_path, tmp_path / "input.jsonl")


def test_little_memory(artifact: Path, tmp_path: Path) -> None:
    write_stream(tmp_path / "input.jsonl")
    expected = undisturbed(artifact, tmp_path, tmp_path / "input.jsonl")
    statuses = []
    for megabytes in (40, 60, 80, 100, 120, 140, 4_000):
        store = tmp_path / f"store-{megabytes}"
        done = subprocess.run(
            command_line("--artifact", artifact, "--store", store, tmp_path / "input.jsonl"),
            capture_output=True, text=True, check=False,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=limited(resource.RLIMIT_AS, megabytes << 20),
        )  # fmt: skip
        statuses.append(done.returncode)
        finish(artifact, store, tmp_path / "input.jsonl")
        assert stored(store) == expected
    assert statuses[-1] == 0
    assert statuses[0] != 0


DAY_PROGRAM = """
import os, sys
from pathlib import Path
from fraudnet.device import Options, Scorer, Transaction
count, accounts, store = int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[2])
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
with Scorer(Path(sys.argv[1]), store, options=Options(durable=False, keep=64)) as scorer:
    for i in range(count):
        moment_us = 1_728_000_000_000_000 + i * 86_400_000_000 // count
        columns = {"category": None, "distance": 0}
        scorer.score(Transaction(f"t{i}", f"a{i * 7919 % accounts}", moment_us, "m", 0.0, columns))
        if i in (count // 2, count - 1):
            log = store.with_name(store.name + "-wal")
            print(resident(), store.stat().st_size + log.stat().st_size)
"""


@pytest.mark.parametrize(("count", "accounts"), [(5_000, 1), (100_000, 400)])
def test_a_day(sequence_artifact: Path, tmp_path: Path, count: int, accounts: int) -> None:
    """24 hours of a phone and of a terminal, time compressed: memory flat, file bounded."""
    arguments = [str(sequence_artifact), str(tmp_path / "store"), str(count), str(accounts)]
    done = subprocess.run(
        [sys.executable, "-c", DAY_PROGRAM, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (half, half_file), (whole, whole_file) = [
        map(int, line.split()) for line in done.stdout.splitlines()
    ]
    assert whole < half + 4e6
    assert whole_file < 1.3 * half_file + 17e6  # the log takes up to 16 MiB
    with closing(sqlite3.connect(tmp_path / "store")) as connection:
        (held,) = connection.execute("SELECT COUNT(*) FROM transactions").fetchone()
    assert held <= accounts * (64 + 32)
