"""`fraudnet device` on a store: what the scorer has as methods, without a program around it."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fraudnet.device import DeviceInputError, Options, Scorer, StoreError
from fraudnet.device.device_command import add_arguments, run
from fraudnet.device.reading import read_rows
from tests.device.test_alone import BLOCK
from tests.device.test_command import STREAM, as_lines

KEY = bytes(range(32))
DEFERRED = Options(durable=False, explain=False)


class Device:
    """The command in this process, on one store."""

    def __init__(self, store: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.store = store
        self.capture = capture

    def __call__(self, action: str, *arguments: object) -> str:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        given = [action, *map(str, arguments), "--store", str(self.store)]
        assert run(parser.parse_args(given)) == 0
        return self.capture.readouterr().out

    def lines(self, action: str, *arguments: object) -> list[dict[str, object]]:
        return [json.loads(line) for line in self(action, *arguments).splitlines()]


def filled(artifact: Path, store: Path, options: Options = DEFERRED) -> list[str]:
    """Scores the stream, reasons deferred; returns the ids of what was flagged."""
    source = store.with_name("input.jsonl")
    source.write_text(as_lines(sorted(STREAM, key=lambda row: str(row["timestamp"]))))
    with Scorer(artifact, store, options=options) as scorer:
        decisions = [
            scorer.score(row.transaction()) for row in read_rows(source, scorer.contract.columns)
        ]
    return [decision.transaction_id for decision in decisions if decision.flagged]


@pytest.fixture
def device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Device:
    return Device(tmp_path / "store", capsys)


def test_history_export_and_forget(artifact: Path, device: Device) -> None:
    filled(artifact, device.store)
    exported = device.lines("export")
    ids = [held["transaction"]["transaction_id"] for held in exported]  # type: ignore[index]
    assert sorted(ids) == sorted(str(row["transaction_id"]) for row in STREAM)
    held = device.lines("history", "a1")
    assert held == [each for each in exported if each["transaction"]["account_id"] == "a1"]  # type: ignore[index]
    cases = sum(each["decision"]["flagged"] for each in held)  # type: ignore[index]
    assert device("forget", "a1") == (
        f"{device.store}: {cases} cases, {len(held)} transactions erased\n"
    )
    assert json.loads(device("forget", "a1", "--json")) == {"cases": 0, "transactions": 0}
    assert device.lines("history", "a1") == []
    assert len(device.lines("export")) == len(STREAM) - len(held)
    assert b"t1\0" not in device.store.read_bytes()


def test_history_of_an_account_that_is_not_there_says_so(artifact: Path, device: Device) -> None:
    filled(artifact, device.store)
    given = argparse.ArgumentParser()
    add_arguments(given)
    assert run(given.parse_args(["history", "nobody", "--store", str(device.store)])) == 0
    said = device.capture.readouterr()
    assert said.out == ""
    assert said.err == f"notice: {device.store} holds nothing of this account\n"


def test_forget_names_what_it_does_not_erase(artifact: Path, device: Device) -> None:
    filled(artifact, device.store)
    quarantine = Path(f"{device.store}.quarantine.jsonl")
    aside = Path(f"{device.store}.damaged-1")
    quarantine.touch()
    aside.touch()
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run(parser.parse_args(["forget", "a1", "--store", str(device.store)]))
    said = device.capture.readouterr().err
    assert said == f"notice: not looked into, and may hold it too: {aside}, {quarantine}\n"


def test_deferred_reasons(artifact: Path, device: Device) -> None:
    flagged = filled(artifact, device.store)
    one = device.lines("explain", flagged[3], "--artifact", artifact)
    rest = device.lines("explain", "--artifact", artifact)
    assert [each["transaction_id"] for each in one + rest] == [
        flagged[3], *flagged[:3], *flagged[4:]
    ]  # fmt: skip
    assert device.lines("explain", "--artifact", artifact) == []
    assert one == device.lines("explain", flagged[3], "--artifact", artifact)
    # The same as at once.
    at_once = device.store.with_name("other")
    filled(artifact, at_once, Options(durable=False))
    with Scorer(artifact, at_once) as scorer:
        for each in one + rest:
            reasons = scorer.explain(str(each["transaction_id"]))
            assert [reason.text for reason in reasons] == [r["text"] for r in each["reasons"]]  # type: ignore[attr-defined]
    with pytest.raises(DeviceInputError, match="'none': no decision is stored"):
        device("explain", "none", "--artifact", artifact)


def test_shadow_counts(artifact: Path, device: Device) -> None:
    filled(artifact, device.store)
    assert "no artifact was in the shadow" in device("shadow")
    assert json.loads(device("shadow", "--json")) == []
    other = device.store.with_name("fresh")
    filled(artifact, other, Options(durable=False, shadow=artifact))
    device.store = other
    assert "40 decisions compared, 0 that it could not answer" in device("shadow")
    (figures,) = json.loads(device("shadow", "--json"))
    assert (figures["compared"], figures["shift_mean"], figures["flagged_by_it_alone"]) == (
        40,
        0,
        0,
    )


@pytest.mark.parametrize("form", ["raw", "hexadecimal", "variable"])
def test_keys_come_from_a_file_or_the_environment(
    artifact: Path, device: Device, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    filled(artifact, device.store, Options(durable=False, account_key=KEY))
    with pytest.raises(StoreError, match="hashed with another key, or with none"):
        device("history", "a1")
    key = device.store.with_name("key")
    key.write_bytes(KEY if form == "raw" else f"{KEY.hex()}\n".encode())
    given = ["--account-key", key]
    if form == "variable":
        monkeypatch.setenv("FRAUDNET_ACCOUNT_KEY", KEY.hex())
        given = []
    held = device.lines("history", "a1", *given)
    assert {each["transaction"]["account_id"] for each in held} == {"a1"}  # type: ignore[index]
    exported = {each["transaction"]["account_id"] for each in device.lines("export", *given)}  # type: ignore[index]
    assert not exported & {"a0", "a1", "a2"}
    assert f"{len(held)} transactions erased" in device("forget", "a1", *given)
    assert device.lines("history", "a1", *given) == []


@pytest.mark.parametrize("content", [b"", b"short", bytes(33), b"zz" * 32])
def test_what_is_no_key_is_refused(artifact: Path, device: Device, content: bytes) -> None:
    filled(artifact, device.store)
    key = device.store.with_name("key")
    key.write_bytes(content)
    with pytest.raises(DeviceInputError, match=f"{key}: no key of 32 bytes"):
        device("export", "--account-key", key)
    with pytest.raises(DeviceInputError, match="No such file or directory; give the file of a key"):
        device("export", "--encryption-key", key.with_name("none"))


def test_an_encrypted_store(artifact: Path, device: Device) -> None:
    """In a process of its own: TensorFlow's SQLite would answer for SQLCipher."""
    pytest.importorskip("sqlcipher3")
    program = (
        "import pathlib, sys\n"
        "from tests.device.test_device_command import *\n"
        "artifact, store = map(pathlib.Path, sys.argv[1:])\n"
        "filled(artifact, store, Options(durable=False, encryption_key=KEY))\n"
        "parser = argparse.ArgumentParser()\n"
        "add_arguments(parser)\n"
        "sys.exit(run(parser.parse_args(['export', '--store', str(store)])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, artifact, device.store],
        env=os.environ | {"FRAUDNET_ENCRYPTION_KEY": KEY.hex()},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(STREAM)
    with pytest.raises(StoreError, match="not a database"):
        device("export")


def test_no_store_is_made(artifact: Path, device: Device) -> None:
    for action in (["export"], ["forget", "a"], ["shadow"], ["explain", "--artifact", artifact]):
        with pytest.raises(DeviceInputError, match="no store there; give the file"):
            device(*action)
    assert not device.store.exists()


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_with_a_runtime_and_nothing_else(artifact: Path, tmp_path: Path, runtime: str) -> None:
    """As `pip install .` brings it, one action after the other."""
    pytest.importorskip(runtime)
    store, used = tmp_path / "store", tmp_path / "fraud.tflite"
    filled(artifact, store, Options(durable=False, explain=False, shadow=artifact))
    actions = [
        ["update", artifact, "--artifact", used],
        ["update", artifact, "--artifact", used, "--json"],
        ["shadow", "--store", store],
        ["explain", "--artifact", used, "--store", store],
        ["history", "a1", "--store", store],
        ["export", "--store", store],
        ["forget", "a1", "--store", store],
    ]
    program = BLOCK.replace("RUNTIME", repr(runtime)) + (
        "import argparse, json\n"
        "from fraudnet.device.device_command import add_arguments, run\n"
        "parser = argparse.ArgumentParser()\n"
        "add_arguments(parser)\n"
        "for action in json.loads(sys.argv[1]):\n"
        "    assert run(parser.parse_args(action)) == 0\n"
    )
    words = json.dumps([list(map(str, action)) for action in actions])
    done = subprocess.run(
        [sys.executable, "-c", program, words],
        env=os.environ | {"FRAUDNET_TFLITE_RUNTIME": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")  # not even the runtime's INFO line
    assert "transactions erased" in done.stdout.splitlines()[-1]
