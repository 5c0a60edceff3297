"""The device part in environments of its own, one a TFLite runtime, with nothing else of ours."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.device.test_command import STREAM, as_lines

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEVICES = ROOT / "build" / "devices"
# What each environment may hold besides; `pip install .` brings tflite-runtime on Python 3.11.
RUNTIMES = {"default": "tflite_runtime", "ai_edge_litert": "ai_edge_litert"}
ABSENT = ("tensorflow", "keras", "pandas", "mlflow", "pyarrow", "pydantic", "sklearn", "rich")


def python(environment: str) -> Path:
    path = DEVICES / environment / "bin" / "python"
    if not path.exists():
        pytest.skip("no environments of devices; make them with: make device-environments")
    return path


def run(environment: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python(environment), "-I", *map(str, arguments)],
        cwd=DEVICES,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("environment", "runtime"), RUNTIMES.items())
def test_holds_one_runtime_and_nothing_heavy(environment: str, runtime: str) -> None:
    program = (
        "import sys; from importlib.util import find_spec as f; print([*filter(f, sys.argv[1:])])"
    )
    found = run(environment, "-c", program, *RUNTIMES.values(), *ABSENT)
    assert found.stdout.strip() == str([runtime])


@pytest.mark.parametrize("environment", RUNTIMES)
def test_every_command_has_help_and_says_what_is_missing(environment: str) -> None:
    for command in (
        "main", "simulate", "train", "evaluate", "export", "energy", "feed", "review", "device"
    ):  # fmt: skip
        assert run(environment, "-m", "fraudnet", command, "--help").returncode == 0
    done = run(environment, "-m", "fraudnet", "simulate", "--output", "x.parquet")
    assert done.returncode == 2
    assert "pip install 'fraudnet[train,review]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_both_decide_alike(artifact: Path, tmp_path: Path) -> None:
    stream = tmp_path / "stream.jsonl"
    stream.write_text(as_lines(STREAM))
    answers = []
    for environment in RUNTIMES:
        store = tmp_path / f"{environment}.sqlite"
        done = run(
            environment, "-m", "fraudnet", "score", "--artifact", artifact, "--store", store, stream
        )
        assert done.returncode == 0, done.stderr
        answers.append([json.loads(line) for line in done.stdout.splitlines()])
    one, other = answers
    assert len(one) == len(other) == len(STREAM)
    for a, b in zip(one, other, strict=True):
        assert (a["transaction_id"], a["flagged"]) == (b["transaction_id"], b["flagged"])
        assert a["probability"] == pytest.approx(b["probability"], abs=1e-6)
        assert a["ood_distance"] == pytest.approx(b["ood_distance"], rel=1e-6)


@pytest.mark.parametrize("environment", RUNTIMES)
def test_an_update_from_the_shadow_to_the_rollback(
    environment: str, artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    used, store, stream = (tmp_path / name for name in ("fraud.tflite", "store", "stream.jsonl"))
    stream.write_text(as_lines([row | {"zone": "7", "tip": 1.5} for row in STREAM]))
    scoring = ["score", "--artifact", used, "--store", store, "--shadow", other_artifact, stream]
    for command, said in [
        (["device", "update", artifact, "--artifact", used], "is now sha256"),
        (scoring, '"transaction_id": "t39"'),
        (["device", "shadow", "--store", store], "40 decisions compared, 0 that it could not"),
        (["device", "update", other_artifact, "--artifact", used], "the one before"),
        (["device", "rollback", "--artifact", used], "is now sha256"),
        (["device", "forget", "a1", "--store", store], "transactions erased"),
    ]:
        done = run(environment, "-m", "fraudnet", *command)
        assert (done.returncode, said in done.stdout) == (0, True), done.stderr
