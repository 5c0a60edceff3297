"""`mlflow run`: the whole way from another directory, entry points, environments, the lock."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import mlflow
import pytest
import yaml

from fraudnet.cli import COMMANDS, build_parser

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "mlflow"
SMALL = {"accounts": 250, "counterparties": 120, "days": 60, "epochs": 12, "score_days": 1}
LINE = re.compile(r"^([A-Za-z0-9_.-]+)(\[[^]]*\])?==")


def packages(lines: list[str]) -> dict[str, str]:
    return {found[1].lower(): line for line in lines if (found := LINE.match(line))}


def locked() -> dict[str, str]:
    return packages((ROOT / "requirements.lock").read_text().splitlines())


def environment() -> dict[str, str]:
    return packages(yaml.safe_load((PROJECT / "python_env.yaml").read_text())["dependencies"])


def test_environment_is_the_lock() -> None:
    assert len(environment()) > 50
    # Markers differ where another extra needs a package on more systems.
    ours, all_ = (
        {name: line.split(";")[0].strip() for name, line in each.items()}
        for each in (environment(), locked())
    )
    assert ours.items() <= all_.items()


@pytest.mark.parametrize("extra", ["train", "review", "sql", "benchmarks", "dev"])
def test_lock_holds_what_is_declared(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"][extra]]
    names = {re.split(r"[<>=; \[]", line)[0].lower() for line in declared}
    assert names <= locked().keys()
    if extra in ("train", "review"):
        assert names <= environment().keys()


def test_no_package_folder_shadows_mlflow() -> None:
    assert not (PROJECT / "__init__.py").exists()
    assert Path(mlflow.__file__).parent != PROJECT


def test_entry_points_are_commands_with_typed_defaults() -> None:
    points = yaml.safe_load((PROJECT / "MLproject").read_text())["entry_points"]
    assert points.keys() >= {"simulate", "train", "evaluate", "export", "score", "main"}
    for name, point in points.items():
        assert name in COMMANDS
        defaults = {key: value["default"] for key, value in point["parameters"].items()}
        assert all(value["type"] in ("string", "float") for value in point["parameters"].values())
        command = point["command"].format(**defaults).split("python -m fraudnet ")[1]
        given = [word for word in command.split() if not re.fullmatch(r"--[a-z-]+=", word)]
        assert build_parser().parse_args(given).command == name


def mlflow_run(folder: Path, manager: str, output: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from mlflow.cli import cli; sys.exit(cli())"
    parameters = {**SMALL, "output": output}
    pairs = [word for key, value in parameters.items() for word in ("-P", f"{key}={value}")]
    environment = {n: value for n, value in os.environ.items() if not n.startswith("MLFLOW_")}
    # As in an activated environment: `--env-manager local` takes the `python` of the path.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-c", program, "run", str(PROJECT), "--env-manager", manager, *pairs],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


def check_whole_way(folder: Path, output: Path) -> None:
    made = (
        "model/trained.json",
        "fraud.tflite",
        "decisions.jsonl",
        "cases.sqlite",
        "reviews.sqlite",
        "review.html",
    )
    for name in made:
        assert (output / name).stat().st_size > 0
    (run,) = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_runs(["0", "1"])
    assert run.info.status == "FINISHED"
    assert {"validation_average_precision", "test_average_precision"} <= run.data.metrics.keys()
    assert run.data.metrics["parity_different_decisions"] == 0
    assert run.data.params["training.epochs"] == "12"
    assert run.inputs is not None
    (data, *_) = run.inputs.dataset_inputs
    assert len(data.dataset.digest) >= 32


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_whole_way_from_another_directory(tmp_path: Path) -> None:
    done = mlflow_run(tmp_path, "local", tmp_path / "out")
    assert done.returncode == 0, done.stderr[-3000:]
    check_whole_way(tmp_path, tmp_path / "out")
    assert f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_whole_way_in_an_environment_of_uv(tmp_path: Path) -> None:
    done = mlflow_run(tmp_path, "uv", tmp_path / "out")
    assert done.returncode == 0, done.stderr[-3000:]
    check_whole_way(tmp_path, tmp_path / "out")
