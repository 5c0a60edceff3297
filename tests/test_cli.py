"""The command line: help with an example, exit status, and one clear line for whatever is wrong."""

import gzip
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudnet.cli import COMMANDS, build_parser, main
from fraudnet.errors import CheckFailed

HEADER = "transaction_id,timestamp,account_id,counterparty_id,amount,category,is_fraud\n"
GOOD = "t{0},2024-05-{1:02d}T10:00:00Z,a{2},m1,{3}.5,food,{4}\n"


def rows(frauds: int = 5, days: int = 28) -> str:
    lines = [GOOD.format(i, i % days + 1, i % 7, i, int(i < frauds)) for i in range(140)]
    return HEADER + "".join(lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_that_parses(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    last = capsys.readouterr().out.strip().splitlines()[-1]
    words = shlex.split(last.removeprefix("example: ").split(">")[0])
    assert words[:2] == ["fraudnet", command]
    assert build_parser().parse_args(words[1:]).command == command


def test_option_left_empty_is_not_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "t.csv"
    arguments = ["--accounts=5", "--counterparties=12", "--days=3", f"--output={output}", "--json"]
    assert main(["simulate", "--seed=", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == output.read_text().count("\n") - 1


def test_python_m_fraudnet_is_fraudnet() -> None:
    command = [sys.executable, "-m", "fraudnet", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert re.fullmatch(r"fraudnet \d+\.\d+\.\d+\n", done.stdout)


def test_failed_check_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise CheckFailed("the gate says no")

    monkeypatch.setattr("fraudnet.energy.command.run", fail)
    assert main(["energy", "x.tflite"]) == 1
    assert capsys.readouterr().err == "fraudnet energy: the gate says no\n"


def write(text: str | bytes, name: str = "bad.csv") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing file": (lambda folder: folder / "no.csv", "there is no such file"),
    "empty file": (write(""), "is empty"),
    "header alone": (write(HEADER), "holds no rows"),
    "missing column": (write(rows().replace("amount", "price", 1)), "no column 'amount'"),
    "binary file": (write(bytes(range(256)) * 40), "binary"),
    "unknown ending": (write(rows(), "bad.xyz"), "cannot tell what it holds"),
    "truncated gzip": (
        write(gzip.compress(rows().encode(), mtime=0)[:200], "bad.csv.gz"),
        "cannot be read",
    ),
    "truncated parquet": (write(b"PAR1" + b"\0" * 50, "bad.parquet"), "cannot be read"),
    "amounts are words": (write(rows().replace(".5,food", "x,food")), "amount is not a number"),
    "times are words": (write(rows().replace("2024-05", "soon")), "timestamp is not a time"),
    "times to come": (write(rows().replace("2024-05", "2924-05")), "lies more than one day in"),
    "one id for all": (write(re.sub(r"t\d+,2024", "t0,2024", rows())), "stands in an earlier row"),
    "only genuine": (write(rows(frauds=0)), "no transaction is labelled fraud"),
    "too few days": (write(rows(days=9)), "the split needs 29"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_data_ends_in_one_line_and_status_2(
    bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, said = BAD[bad]
    path = make(tmp_path)
    status = main(["train", "--data", str(path), "--output", str(tmp_path / "model")])
    error = capsys.readouterr().err
    assert status == 2
    assert error.count("\n") == 1
    assert error.startswith("fraudnet train: ")
    assert path.name in error or "the data span" in error
    assert said in error
    assert not (tmp_path / "model" / "trained.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "handbok"], "did you mean 'handbook'?"),
        (["--config", "none.toml"], "none.toml: no such file"),
        (["--set", "training.epoch=3"], "unknown key 'training.epoch'; did you mean 'epochs'?"),
        (["--set", "training.epochs=many"], "training.epochs"),
        (["--set", "epochs"], "expected section.key=value"),
        (["--recipe", "sparkof"], "did you mean 'sparkov'?"),
        (["--epochs", "0"], "training.epochs"),
    ],
)
def test_bad_configuration_names_the_key_and_the_nearest(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(rows())(tmp_path)
    output = str(tmp_path / "model")
    assert main(["train", "--data", str(data), "--output", output, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_no_trained_network_is_said(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(rows())(tmp_path)
    more = {"evaluate": ["--data", str(data)], "export": ["--artifact", str(tmp_path / "a.tflite")]}
    assert main([command, "--model", str(tmp_path / "none"), *more[command]]) == 2
    assert "no trained network there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["artifact", "verify", "FILE"],
        ["artifact", "inspect", "FILE"],
        ["energy", "FILE"],
        ["score", "--artifact", "FILE", "--store", "STORE", "INPUT"],
        ["feed", "--artifact", "FILE", "--data", "INPUT", "--output", "OUT"],
    ],
)
def test_file_that_is_no_artifact_is_refused(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(rows(), "INPUT.csv")(tmp_path)
    write(b"not a model at all, and long enough", "FILE")(tmp_path)
    places = {name: str(tmp_path / name) for name in ("FILE", "STORE", "OUT")}
    places["INPUT"] = str(tmp_path / "INPUT.csv")
    assert main([places.get(word, word) for word in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "FILE: " in error


def test_whoever_reads_may_go_away() -> None:
    command = [sys.executable, "-m", "fraudnet", "describe", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (141, b"")
