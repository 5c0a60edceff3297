import json
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.detection import main, parser
from benchmarks.handbook import MODELS
from benchmarks.handbook_task import Answer, Task
from benchmarks.handbook_trees import HandbookForest
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import read_transactions
from fraudnet.transactions.recipe import load_recipe
from tests.benchmarks.tables import handbook_file

ROOT = Path(__file__).parents[2]
KEYS = [
    *("model", "seed", "fold", "training_days", "roc_auc", "average_precision"),
    *("card_precision_at_100", "card_precision_at_100_ceiling", "train_seconds", "parameters"),
    *("tune_seconds", "settings", "code"),
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
    assert f"random_forest 7 {area:.3f} {precision:.3f}" in text
    assert "1 fold, each the mean of 2 seeds" in text
    transactions = read_transactions(data, load_recipe("handbook"))
    assert report["data_fingerprint"] == fingerprint(transactions.table)
    assert set(report["versions"]) == {
        *("python", "tensorflow", "keras"),
        *("scikit-learn", "xgboost", "lightgbm"),
    }
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
        (["--data", "short.parquet", "--training-days", "28"], "need 2018-07-04 to 2018-09-04"),
        (["--data", "handbook.parquet", "--seeds", "0"], "seeds: 0; give at least 1"),
        (["--data", "handbook.parquet", "--training-days", "-1"], "training days: -1"),
        (["--data", "handbook.parquet", "--recipe", "handbok"], "did you mean 'handbook'?"),
        (["--data", "handbook.parquet", "--json", "no/rows.json"], "there is no folder no"),
        (["--data", "handbook.parquet", "--json", "."], "is a folder"),
        (["--data", "handbook.parquet", "--resume"], "--resume: needs --json FILE"),
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
def test_every_model_is_measured_beside_the_others(data: Path, tmp_path: Path) -> None:
    """In a process of its own, whose TensorFlow is nobody else's."""
    command = [sys.executable, "-m", "benchmarks.detection", "handbook", "--data", str(data)]
    done = subprocess.run(
        [*command, "--folds", "4", "--training-days", "7", "--json", str(tmp_path / "rows.json")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["model"] for row in rows] == list(MODELS)
    assert len({row["card_precision_at_100_ceiling"] for row in rows}) == 1
    for row in rows:
        assert 0 <= row["average_precision"] <= 1
        tuned = row["model"] not in ("fraudnet", "random_forest", "oracle")
        assert (row["tune_seconds"] is not None) == (row["settings"] is not None) == tuned
        network = row["model"] in ("fraudnet", "lstm", "cnn")
        assert (row["parameters"] is not None) == network
    for said in ("less that of the best boosting", "goals", "14,751 s", "26,904 s"):
        assert said in done.stdout


@pytest.fixture
def begun(data: Path, tmp_path: Path) -> Path:
    """A results file of two rows, one of two folds, that a longer run may go on with."""
    path = tmp_path / "rows.json"
    assert call("handbook", "--data", data, *ONE, "--seeds", 2, "--json", path) == 0
    return path


def rows_in(path: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(path.read_text())["rows"]
    return rows


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_run_goes_on_with_the_rows_that_are_there(
    data: Path, begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [row | {"average_precision": 0.123 + row["seed"]} for row in rows_in(begun)]  # type: ignore[operator]
    rewrite(begun, rows=before)
    words = ["handbook", "--data", data, "--models", "random_forest", "--training-days", 7]
    words += ["--folds", 3, 4, "--json", begun, "--resume"]
    capsys.readouterr()
    assert call(*words) == 0
    after = rows_in(begun)
    assert [(row["fold"], row["seed"]) for row in after] == [(3, 0), (4, 0), (4, 1)]
    assert after[1:] == before
    shown = capsys.readouterr()
    assert "2 rows are there already" in shown.err
    assert "mean ± standard deviation over 2 folds" in shown.out
    assert "random_forest" in shown.out


def test_rows_of_other_code_are_measured_again(data: Path, begun: Path) -> None:
    old, kept = rows_in(begun)
    rewrite(begun, rows=[old | {"code": "0", "roc_auc": 0.0}, kept])
    assert call("handbook", "--data", data, *ONE, "--json", begun, "--resume") == 0
    again, same = rows_in(begun)
    assert same == kept
    assert again | {"train_seconds": 0} == old | {"train_seconds": 0}


def test_without_the_option_all_are_measured_anew(data: Path, begun: Path) -> None:
    assert call("handbook", "--data", data, *ONE, "--json", begun) == 0
    assert len(rows_in(begun)) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data_fingerprint": "sha256:0"}, "its data_fingerprint is 'sha256:0'"),
        ({"versions": {}}, "its versions is {}"),
        ({"refresh": "day"}, "its refresh is 'day', that of this run 'transaction'"),
        ({"latest_test_end": "2019"}, "its latest_test_end is '2019'"),
        ({"rows": [{"model": "random_forest"}]}, "is no results file of this command"),
        ({"rows": None}, "is no results file of this command"),
    ],
)
def test_a_file_of_other_circumstances_is_refused(
    data: Path,
    begun: Path,
    changes: dict[str, object],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rewrite(begun, **changes)
    text = begun.read_text()
    capsys.readouterr()
    assert call("handbook", "--data", data, *ONE, "--json", begun, "--resume") == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.err.count("\n") == 1
    assert begun.read_text() == text


def test_the_file_is_complete_after_every_row(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if killed in the second fit."""
    real = HandbookForest.__call__
    calls = []

    def killed(self: HandbookForest, task: Task) -> Answer:
        calls.append(task)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, task)

    monkeypatch.setattr(HandbookForest, "__call__", killed)
    path = tmp_path / "rows.json"
    words = ["handbook", "--data", data, *ONE, "--seeds", 3, "--json", path]
    with pytest.raises(KeyboardInterrupt):
        call(*words)
    assert [row["seed"] for row in rows_in(path)] == [0]
    assert call(*words, "--resume") == 0
    assert [row["seed"] for row in rows_in(path)] == [0, 1, 2]
    assert len(calls) == 4


def test_a_file_of_other_dates_is_measured_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early = handbook_file(tmp_path, days=64, name="early.parquet")
    assert call("handbook", "--data", early, *ONE) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "at their published dates" in shown  # of fold 4 alone, whose test they hold
    words = ["--models", "random_forest", "--folds", 1, "--training-days", 7]
    assert call("handbook", "--data", early, *words) == 0
    assert "at the end of the file (2018-09-02)" in " ".join(capsys.readouterr().out.split())
