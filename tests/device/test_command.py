"""`fraudnet score` from outside: lines out, rows quarantined, counts, exit status."""

import argparse
import io
import json
import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fraudnet.device.command import add_arguments, run
from tests.device.conftest import command_line, write_snapshot

STREAM: list[dict[str, object]] = [
    {
        "transaction_id": f"t{i}",
        "timestamp": f"2024-10-{5 + i // 10:02}T{i % 24:02}:30:00Z",
        "account_id": f"a{i % 3}",
        "counterparty_id": f"m{i % 4}",
        "amount": 10.0 * (1 + i % 7),
        "category": ("food", "fuel", "travel", None)[i % 4],
        "distance": i % 5,
    }
    for i in range(40)
]


def as_lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


class Shell:
    """Runs the command in this process, on files of a folder of its own."""

    def __init__(self, artifact: Path, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.base = ["--artifact", str(artifact), "--store", str(folder / "store")]
        self.folder = folder
        self.capture = capture

    def file(self, content: str, name: str = "input.jsonl") -> str:
        path = self.folder / name
        path.write_text(content)
        return str(path)

    def __call__(self, *arguments: str) -> tuple[int, list[dict[str, object]], str]:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        status = run(parser.parse_args([*self.base, *arguments]))
        out, err = self.capture.readouterr()
        return status, [json.loads(line) for line in out.splitlines()], err

    def quarantined(self) -> list[dict[str, object]]:
        path = self.folder / "store.quarantine.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def shell(artifact: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shell:
    return Shell(artifact, tmp_path, capfd)


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def test_one_line_a_transaction(shell: Shell) -> None:
    status, decisions, err = shell(shell.file(as_lines(STREAM)))
    flagged = sum(bool(decision["flagged"]) for decision in decisions)
    assert status == 0
    assert [decision["transaction_id"] for decision in decisions] == [
        row["transaction_id"] for row in STREAM
    ]
    assert list(decisions[0]) == [
        "transaction_id", "account_id", "probability", "ood_distance", "flagged", "threshold",
        "familiar", "case", "reputation_age_h", "reasons", "revises", "repeated", "latency_us",
    ]  # fmt: skip
    assert 0 < flagged < 40
    unfamiliar = sum(decision["familiar"] is False for decision in decisions)
    assert 0 < unfamiliar < 40
    assert last_line(err) == (
        f"40 rows in: 40 scored ({flagged} flagged, {unfamiliar} unfamiliar), 0 repeated, "
        "0 quarantined"
    )
    assert "notice: 40 scored with the counterparty's reputation unknown\n" in err

    status, again, err = shell(shell.file(as_lines(STREAM)), "--json")
    assert [d | {"repeated": False, "latency_us": 0} for d in again] == [
        d | {"latency_us": 0} for d in decisions
    ]
    assert json.loads(last_line(err)) == {
        "rows": 40, "scored": 0, "repeated": 40, "flagged": 0, "unfamiliar": 0, "quarantined": 0
    }  # fmt: skip
    assert not (shell.folder / "store.quarantine.jsonl").exists()


def test_bad_rows_are_quarantined_and_counted(shell: Shell) -> None:
    conflicting = STREAM[0] | {"amount": 77.0}
    bad = [STREAM[1] | {"amount": "much"}, STREAM[2] | {"timestamp": "soon"}, conflicting]
    text = as_lines([*STREAM[:4], *bad, STREAM[0]]) + "not JSON\n"
    status, decisions, err = shell(shell.file(text))
    assert status == 0
    assert len(decisions) == 5
    assert last_line(err).split(" in: ")[0] == "9 rows"
    assert "1 repeated, 4 quarantined in " in last_line(err)
    entries = shell.quarantined()
    assert [entry["line"] for entry in entries] == [5, 6, 7, 9]
    assert {entry["source"] for entry in entries} == {str(shell.folder / "input.jsonl")}
    assert [entry["row"] for entry in entries] == [text.splitlines()[i] for i in (4, 5, 6, 8)]
    for entry, reason in zip(entries, ["'much'", "'soon'", "77.0 received", "JSON"], strict=True):
        assert reason in str(entry["reason"])


def test_history_is_stored_and_not_scored(shell: Shell) -> None:
    conflict = STREAM[3] | {"amount": 77.0}
    history = shell.file(as_lines([*STREAM[:30], conflict, STREAM[5], {}]), "history.jsonl")
    status, decisions, err = shell("--history", history, shell.file(as_lines(STREAM[30:])))
    assert status == 0
    assert len(decisions) == 10
    assert "history: 33 rows in: 30 added, 1 stored before, 2 quarantined\n" in err
    assert sorted(str(entry["line"]) for entry in shell.quarantined()) == ["31", "33"]
    # The same answers as when all were scored one after the other.
    shell.base[-1] += "2"
    _, all_of_them, _ = shell(shell.file(as_lines(STREAM)))
    assert [d["probability"] for d in decisions] == [d["probability"] for d in all_of_them[30:]]


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_history_in_several_batches(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("fraudnet.device.command.HISTORY_BATCH", batch)
    rows = [*STREAM[:9], STREAM[2] | {"distance": 99}, STREAM[4] | {"distance": 98}, *STREAM[:12]]
    history = shell.file(as_lines(rows), "history.jsonl")
    _, _, err = shell("--history", history, shell.file(as_lines(STREAM[12:13])))
    assert "history: 23 rows in: 12 added, 9 stored before, 2 quarantined\n" in err
    assert [entry["line"] for entry in shell.quarantined()] == [10, 11]


def test_reputation_changes_the_answer(shell: Shell) -> None:
    as_of_us = 1_728_086_400_000_000  # 2024-10-05
    snapshot = write_snapshot(shell.folder / "snapshot", {"m0": (9, 5), "m1": (7, 0)}, as_of_us)
    text = shell.file(as_lines(STREAM[:8]))
    _, without, _ = shell(text)
    shell.base[-1] += "2"
    _, with_counts, err = shell("--reputation", str(snapshot), text)
    assert all(
        a["probability"] != b["probability"] for a, b in zip(without, with_counts, strict=True)
    )
    assert "notice" not in err


def test_standard_input_and_csv_agree(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    header = ",".join(STREAM[0])
    cells = [",".join("" if v is None else str(v) for v in row.values()) for row in STREAM]
    _, from_csv, _ = shell(shell.file("\n".join([header, *cells]), "input.csv"))
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(as_lines(STREAM).encode())))
    monkeypatch.setattr("sys.stdin", stream)
    status, repeated, _ = shell()
    assert status == 0
    assert all(decision["repeated"] for decision in repeated)
    assert [d["probability"] for d in repeated] == [d["probability"] for d in from_csv]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jsonl", "", "no transactions"),
        ("empty.csv", "", "empty; expected a CSV header"),
        ("header.csv", ",".join(STREAM[0]) + "\n", "no transactions"),
        ("binary.jsonl", "\0\1\2", "binary"),
        ("bad.jsonl", as_lines([{}, {}]), "none of 2 rows can be used; line 1: missing key"),
        ("column.csv", "transaction_id,amount\nt1,5\n", "no column timestamp, account_id"),
    ],
)
@pytest.mark.parametrize("role", ["input", "--history"])
def test_input_of_no_use_ends_in_one_line(
    shell: Shell, role: str, name: str, content: str, reason: str
) -> None:
    path = shell.file(content, name)
    good = shell.file(as_lines(STREAM), "good.jsonl")
    status, decisions, err = shell(path) if role == "input" else shell(role, path, good)
    lines = err.splitlines()
    assert status == 2
    assert decisions == []
    assert len(lines) == 1
    assert lines[0].startswith(f"fraudnet score: {path}: {reason}")


def test_paths_of_no_use_end_in_one_line(shell: Shell, tmp_path: Path) -> None:
    bad = shell.file(as_lines([STREAM[0], {}]))
    for arguments, reason in [
        (["--quarantine", str(tmp_path), bad], f"{tmp_path}: is a folder; give --quarantine"),
        ([str(tmp_path / "none.csv")], f"{tmp_path / 'none.csv'}: No such file"),
        (["--reputation", "none.rep", bad], "none.rep: no such file; give --reputation a file"),
        (["--shadow", "none.tflite", bad], "none.tflite: no such file; give --shadow a file"),
        (["--store", str(tmp_path), bad], f"{tmp_path}: unable to open"),
        (["--artifact", bad, bad], f"{bad}: not a TFLite file"),
        (["--keep", "-3", bad], "--keep -3: expected 0 (all) or more"),
    ]:
        status, _, err = shell(*arguments)
        assert status == 2
        assert last_line(err).startswith(f"fraudnet score: {reason}")


def test_store_that_another_process_writes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shell.file(as_lines(STREAM))
    shell(text)
    real = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda p, **kw: real(p, **kw | {"timeout": 0}))
    with closing(real(shell.folder / "store", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        status, _, err = shell(text)
    assert status == 2
    assert "store: database is locked; expected" in last_line(err)


def test_reader_that_goes_away(artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_text(as_lines(STREAM))
    command: list[object] = [sys.executable, "-m", "fraudnet", "score", "--artifact", artifact]
    command += ["--store", tmp_path / "store", path]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read().decode()
    assert process.returncode == 141
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_standard_error_that_is_closed(artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_text(as_lines(STREAM))
    command = shlex.join(command_line("--artifact", artifact, "--store", tmp_path / "store", path))
    done = subprocess.run(["/bin/sh", "-c", f"{command} 2>&-"], capture_output=True, check=False)
    decisions = [line for line in done.stdout.splitlines() if line.startswith(b"{")]
    assert (done.returncode, len(decisions)) == (0, len(STREAM))


@pytest.mark.parametrize(
    ("command", "redirection", "status", "said"),
    [
        ("score", "<&-", 2, "standard input: no transactions; expected at least one row"),
        ("serve", "<&-", 0, ""),
        ("score", ">/dev/full", 2, "standard output: No space left on device; write it to"),
        ("score", ">&-", 0, "40 rows in"),
    ],
)
def test_streams_that_are_closed_or_full(
    command: str, redirection: str, status: int, said: str, artifact: Path, tmp_path: Path
) -> None:
    path = tmp_path / "input.jsonl"
    path.write_text(as_lines(STREAM))
    words = [sys.executable, "-m", "fraudnet", command, "--artifact", artifact]
    words += ["--store", tmp_path / "store", *([path] if ">" in redirection else [])]
    line = f"{shlex.join(map(str, words))} {redirection}"
    done = subprocess.run(
        ["/bin/sh", "-c", line], stderr=subprocess.PIPE, text=True, check=False, timeout=30
    )
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_decisions_come_while_the_stream_is_open(artifact: Path, tmp_path: Path) -> None:
    command = command_line("--artifact", artifact, "--store", tmp_path / "store")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONUNBUFFERED": ""}, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for row in STREAM[:3]:
            process.stdin.write(as_lines([row]))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["transaction_id"] == row["transaction_id"]
        process.stdin.close()
    assert process.returncode == 0


def test_the_example_of_the_help_works(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser(prog="fraudnet score")
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    example = last_line(capsys.readouterr().out.rstrip()).strip()
    assert example.startswith("fraudnet score ")
    (tmp_path / "fraud.tflite").write_bytes(artifact.read_bytes())
    header = ",".join(STREAM[0])
    cells = [",".join("" if v is None else str(v) for v in row.values()) for row in STREAM]
    (tmp_path / "transactions.csv").write_text("\n".join([header, *cells]))
    program = shlex.join(command_line()[:2]) + " " + shlex.quote(command_line()[2])
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        ["/bin/sh", "-c", example.replace("fraudnet score", program, 1)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": root},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "decisions.jsonl").read_text().splitlines()) == 40
    assert sys.executable in program


@pytest.mark.parametrize("place", [".", "none/bad.jsonl"])
def test_place_of_the_quarantine_is_checked_before_any_row(
    artifact: Path, tmp_path: Path, place: str
) -> None:
    store, text = tmp_path / "s.sqlite", tmp_path / "input.jsonl"
    text.write_text(as_lines(STREAM))
    quarantine = ["--quarantine", tmp_path / place]
    command = command_line("--artifact", artifact, "--store", store, *quarantine, text)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "give --quarantine a file in a folder" in done.stderr
