import json
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.detection import main, parser
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import read_transactions
from fraudnet.transactions.recipe import load_recipe
from tests.benchmarks.tables import handbook_file

ROOT = Path(__file__).parents[2]
KEYS = [
    *("model", "seed", "fold", "training_days", "roc_auc", "average_precision"),
    *("card_precision_at_100", "card_precision_at_100_ceiling", "train_seconds", "parameters"),
]
ONE = ("--models", "random_forest", "--folds", "4", "--training-days", "7")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return handbook_file(tmp_path)


def call(*words: object) -> int:
    return main([str(word) for word in words])


def test_prints_a_table_and_writes_every_row(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["handbook", "--data", data, *ONE, "--seeds", 2, "--json", tmp_path / "rows.json"]
    assert call(*words) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    report = json.loads((tmp_path / "rows.json").read_text())
    assert [list(row) for row in report["rows"]] == [KEYS, KEYS]
    assert [row["seed"] for row in report["rows"]] == [0, 1]
    area, precision = (
        sum(row[name] for row in report["rows"]) / 2 for name in ("roc_auc", "average_precision")
    )
    text = " ".join(shown.out.split())
    assert f"random_forest 7 {area:.3f} {precision:.3f} 1.000" in text
    assert "1 fold, each the mean of 2 seeds" in text
    transactions = read_transactions(data, load_recipe("handbook"))
    assert report["data_fingerprint"] == fingerprint(transactions.table)
    assert set(report["versions"]) == {"python", "tensorflow", "keras", "scikit-learn"}
    assert all(report["versions"].values())
    command = shlex.split(report["command"])
    assert command == ["python", "-m", "benchmarks.detection", *map(str, words)]


def test_the_same_command_gives_the_same_scores(data: Path, tmp_path: Path) -> None:
    rows = []
    for name in ("one.json", "other.json"):
        assert call("handbook", "--data", data, *ONE, "--json", tmp_path / name) == 0
        report = json.loads((tmp_path / name).read_text())
        rows.append([row | {"train_seconds": 0} for row in report["rows"]])
    assert rows[0] == rows[1]


@pytest.mark.parametrize("words", [["--help"], ["handbook", "--help"]])
def test_the_help_ends_with_an_example_that_works(
    data: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 0
    example = shlex.split(capsys.readouterr().out.rstrip().splitlines()[-1])
    assert example[:3] == ["python", "-m", "benchmarks.detection"]
    monkeypatch.chdir(data.parent)
    assert call(*example[3:]) == 0
    assert "random_forest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "absent.parquet"], "absent.parquet: there is no such file"),
        (["--data", "unlabelled.parquet"], "there is no column 'is_fraud'"),
        (["--data", "short.parquet"], "need 2018-07-04 to 2018-09-04"),
        (["--data", "handbook.parquet", "--seeds", "0"], "seeds: 0; give at least 1"),
        (["--data", "handbook.parquet", "--training-days", "-1"], "training days: -1"),
        (["--data", "handbook.parquet", "--recipe", "handbok"], "did you mean 'handbook'?"),
        (["--data", "handbook.parquet", "--json", "no/rows.json"], "there is no folder no"),
        (["--data", "handbook.parquet", "--json", "."], "is a folder"),
    ],
)
def test_wrong_input_ends_in_one_line(
    data: Path,
    words: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handbook_file(data.parent, days=40, name="short.parquet")
    whole: pa.Table = pq.read_table(data)
    pq.write_table(whole.drop(["is_fraud"]), data.parent / "unlabelled.parquet")
    monkeypatch.chdir(data.parent)
    assert call("handbook", *words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("python -m benchmarks.detection: ")
    assert says in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["sparkov"], ["handbook"], ["handbook", "--folds", "5"]])
def test_a_wrong_command_line_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_process_says_so_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.detection", "handbook"]
    done = subprocess.run(
        [*command, "--data", str(tmp_path / "none.parquet")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "none.parquet: there is no such file" in done.stderr


@pytest.mark.slow
def test_the_network_is_measured_beside_its_peer(data: Path, tmp_path: Path) -> None:
    """In a process of its own, whose TensorFlow is nobody else's."""
    command = [sys.executable, "-m", "benchmarks.detection", "handbook", "--data", str(data)]
    done = subprocess.run(
        [*command, "--folds", "4", "--training-days", "7", "--json", str(tmp_path / "rows.json")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ours, peer = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert (ours["model"], peer["model"]) == ("fraudnet", "random_forest")
    assert ours["parameters"] > 1000
    assert ours["card_precision_at_100_ceiling"] == peer["card_precision_at_100_ceiling"]
    assert 0 <= ours["average_precision"] <= 1
