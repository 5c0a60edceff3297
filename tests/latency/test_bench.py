"""`fraudnet bench`: what it measures is the artifact's, and what it is given is checked."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fraudnet.cli import main
from fraudnet.device.artifact import open_artifact, read_documents
from fraudnet.device.runtime import CHOICE
from fraudnet.device.scorer import Scorer
from fraudnet.device.transactions import parse_transaction
from fraudnet.latency.answering import NotLoaded, answers_of, version_of
from fraudnet.latency.bench import open_with_windows
from fraudnet.latency.scoring import Workload, time_scoring
from fraudnet.latency.transactions import made_up

ARTIFACT = Path(__file__).parents[1] / "artifact" / "version_1.tflite"
RUNTIME = "ai_edge_litert"
HEAVY = ("tensorflow", "pandas", "mlflow", "rich", "matplotlib", "pydantic", "sklearn")


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CHOICE, RUNTIME)
    return Path(shutil.copy(ARTIFACT, tmp_path / "fraud.tflite"))


def lines_of(artifact: Path, count: int) -> str:
    """Transactions as `fraudnet score` reads them."""
    contract = open_artifact(artifact).contract
    rows = [
        {
            "transaction_id": each.transaction_id, "account_id": each.account_id,
            "timestamp": "2025-03-01T10:00:00Z", "counterparty_id": each.counterparty_id,
            "amount": each.amount, **each.columns,
        }
        for each in made_up(contract, 2, count, seed=1)
    ]  # fmt: skip
    for row in rows:
        parse_transaction(row, contract.columns)
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_the_rows_are_of_this_artifact(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "times.png"
    options = ["--repetitions", "120", "--cold", "3", "--rate", "400", "--arrivals", "100"]
    command = ["bench", str(artifact), *options, "--budget-ms", "0.000001"]
    assert main([*command, "--plot", str(picture), "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "the p99 of response is" in printed.err
    said: dict[str, Any] = json.loads(printed.out)
    assert said["sha256"] == open_artifact(artifact).sha256
    assert said["not_run"] == {}
    for name in ("single", "scoring"):
        rows = said[name]
        assert [(row["runtime"], row["threads"], row["warm"], row["count"]) for row in rows] == [
            (RUNTIME, 1, True, 120), (RUNTIME, 1, False, 3)
        ]  # fmt: skip
        assert rows[0]["version"] == version_of(RUNTIME)
        assert 0 < rows[0]["p50_us"] <= rows[0]["p90_us"] <= rows[0]["p99_us"]
        assert rows[0]["p999_us"] is rows[1]["p90_us"] is None
    # A decision is an inference and more.
    assert said["scoring"][0]["p50_us"] > said["single"][0]["p50_us"]
    assert said["single"][0]["loading_us"] > 0 < said["single"][0]["first_us"]
    (stream,) = said["stream"]
    assert stream["passed"] is False
    assert stream["share_over_budget"] == 1
    assert stream["p50_us"] >= stream["service_p50_us"]
    assert stream["count"] == 100
    assert picture.read_bytes().startswith(b"\x89PNG")
    # The store was there only while it was measured.
    assert {path.name for path in tmp_path.iterdir()} == {artifact.name, picture.name}


def test_answers_are_the_artifact_s_however_often_they_are_asked(artifact: Path) -> None:
    opened = open_with_windows(artifact)
    vectors = read_documents(artifact)["vectors.json"]
    found = answers_of(
        RUNTIME, opened.model, opened.signature, opened.windows,
        threads=2, repetitions=2 * len(vectors) + 1, cold=True,
    )  # fmt: skip
    assert len(found.latency_us) == 2 * len(vectors) + 1
    for name, values in found.outputs.items():
        expected = [vector["outputs"][name] for vector in vectors]
        assert values == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_made_up_histories_fill_the_window_and_are_scored_once(
    artifact: Path, tmp_path: Path
) -> None:
    contract = open_artifact(artifact).contract
    first = list(made_up(contract, 3, 3 * contract.window_length, seed=4))
    assert first == list(made_up(contract, 3, 3 * contract.window_length, seed=4))
    with Scorer(artifact, tmp_path / "store.sqlite") as scorer:
        assert scorer.add_history(first) == len(first)
        (next_one,) = made_up(contract, 3, 1, seed=4, first=len(first))
        assert not scorer.score(next_one).repeated


def test_real_transactions_are_scored(artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(lines_of(artifact, 60))
    workload = Workload(str(artifact), str(tmp_path), transactions=str(path))
    found = time_scoring(workload, RUNTIME, repetitions=10)
    with Scorer(artifact, tmp_path / "store.sqlite") as scorer:
        contract = scorer.contract
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        decisions = [scorer.score(parse_transaction(row, contract.columns)) for row in rows]
    assert found.flagged_share == sum(each.flagged for each in decisions[50:]) / 10


def test_a_runtime_that_does_not_run_it_says_why(artifact: Path) -> None:
    opened = open_with_windows(artifact)
    with pytest.raises(NotLoaded, match=r"ends with status 1: .*cannot load signature 'none'"):
        answers_of(RUNTIME, opened.model, "none", opened.windows)


def test_it_needs_no_more_than_the_device_has() -> None:
    modules = ("bench_command", "bench", "scoring", "answering", "stream", "transactions")
    program = "import sys\n" + "".join(f"import fraudnet.latency.{name}\n" for name in modules)
    program += f"print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--threads", "0"], "--threads 0: expected a number from 1"),
        (["--repetitions", "0"], "--repetitions 0: expected a number from 1"),
        (["--cold", "-1"], "--cold -1: expected a number from 0"),
        (["--budget-ms", "5"], "give its --rate too"),
        (["--rate", "-3"], "--rate -3: expected a number above 0"),
        (["--rate", "nan"], "--rate nan: expected a number above 0"),
        (["--rate", "5", "--budget-ms", "0"], "--budget-ms 0: expected a number above 0"),
        (["--rate", "5", "--arrivals", "99"], "--arrivals 99: expected a number from 100"),
        (["--rate", "0.1"], "1000 arrivals at 0.1 a second take 10,000 s"),
        (["--history", "h.jsonl"], "--history is of use with --transactions FILE alone"),
        (["--folder", "NONE"], "give a folder for the store with --folder"),
        (["--transactions", "SHORT"], "can be scored, 51 are needed; ask for fewer"),
        (["--transactions", "NONE.jsonl"], "No such file"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    options: list[str],
    said: str,
    artifact: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = tmp_path / "short.jsonl"
    short.write_text(lines_of(artifact, 3))
    places = {"NONE": tmp_path / "none", "NONE.jsonl": tmp_path / "none.jsonl", "SHORT": short}
    words = [str(places.get(word, word)) for word in options]
    command = ["bench", str(artifact), "--repetitions", "1", "--cold", "0", *words]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_a_picture_that_cannot_be_written_is_said(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["bench", str(artifact), "--repetitions", "2", "--cold", "0", "--plot"]
    assert main([*quick, str(tmp_path / "times.xyz")]) == 2
    assert "times.xyz: cannot be written" in capsys.readouterr().err
