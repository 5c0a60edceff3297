"""`fraudnet gate`: each budget alone decides, and what is not known does not pass."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest

from fraudnet.artifact.budgets import Latency, check_budgets, configured, measured_there, summary
from fraudnet.artifact.package import package
from fraudnet.cli import main
from fraudnet.device.artifact import open_artifact, read_documents
from fraudnet.device.tail import split
from fraudnet.energy.counting import count_file
from fraudnet.errors import InputError
from fraudnet.training.experiment import BatteryConfig, BudgetConfig
from tests.training.world import World, logging_to

pytestmark = pytest.mark.xdist_group("trained")

FAST = Latency({"one 1.0": 90.0, "other 2.0": 400.0}, "in a test")


def verdicts(path: Path, budgets: dict[str, float], latency: Latency = FAST) -> dict[str, Any]:
    """Whether each budget that is given holds, by the beginning of its name."""
    given = BudgetConfig.model_validate(budgets)
    checks = check_budgets(path, BatteryConfig(max_percent_per_day=100), given, latency)
    return {check.name.split(",")[0]: check.passed for check in checks[1:]}


def expected(path: Path) -> dict[str, tuple[str, float]]:
    """The budget's key, the check's name and its figure, each from where it is known."""
    contract = read_documents(path)["contract.json"]
    model = split(path.read_bytes())[0]
    parity = contract["parity"].values()
    differing = max(each["different_decisions"] / each["windows"] for each in parity)
    live = count_file(path).peak_live_activation_bytes
    return {
        "p99_latency_ms": ("p99 of an inference", 0.4),
        "file_bytes": ("file", path.stat().st_size),
        "peak_memory_bytes": ("peak memory", len(model) + live),
        "average_precision": (
            "average precision",
            contract["metrics"]["test"]["average_precision"],
        ),
        "decision_agreement": ("decisions as by Keras", 1 - differing),
    }


@pytest.mark.parametrize(
    "key",
    [
        "p99_latency_ms",
        "file_bytes",
        "peak_memory_bytes",
        "average_precision",
        "decision_agreement",
    ],
)
def test_each_budget_holds_up_to_its_figure(world: World, key: str) -> None:
    name, figure = expected(world.artifact)[key]
    least = key in ("average_precision", "decision_agreement")
    nothing = dict.fromkeys((each for each, _ in expected(world.artifact).values()), None)
    assert verdicts(world.artifact, {key: figure}) == nothing | {name: True}
    if key == "decision_agreement" and figure == 1:
        return
    missed = figure * 1.001 if least else (figure - 1 if figure > 1 else figure * 0.999)
    assert verdicts(world.artifact, {key: missed}) == nothing | {name: False}


def test_the_battery_is_held_to_its_high_end(world: World) -> None:
    device = BatteryConfig(max_percent_per_day=100)
    (found, *_) = check_budgets(world.artifact, device, BudgetConfig(), FAST)
    assert found.passed
    assert found.found is not None
    contract = read_documents(world.artifact)["contract.json"]
    assert found.found == pytest.approx(
        contract["costs"]["energy"]["battery_percent_per_day"]["high"]
    )
    tight = device.model_copy(update={"max_percent_per_day": found.found * 0.99})
    (missed, *_) = check_budgets(world.artifact, tight, BudgetConfig(), FAST)
    assert missed.passed is False
    assert "energy budget exceeded" in summary([missed])


@pytest.mark.parametrize("p99", [{}, {"one 1.0": 90.0, "other 2.0": None}])
def test_a_latency_that_is_not_known_does_not_pass(
    world: World, p99: dict[str, float | None]
) -> None:
    found = verdicts(world.artifact, {"p99_latency_ms": 1e9}, Latency(p99, "in a test"))
    assert found["p99 of an inference"] is False


def test_what_the_contract_does_not_say_does_not_pass(world: World, tmp_path: Path) -> None:
    content = world.artifact.read_bytes()
    contract, vectors = (
        read_documents(world.artifact)[f"{n}.json"] for n in ("contract", "vectors")
    )
    silent = {key: value for key, value in contract.items() if key not in ("parity", "metrics")}
    odd = {"parity": {"a": {"windows": 0, "different_decisions": "few"}}, "metrics": {"test": 3}}
    path = tmp_path / "other.tflite"
    for said in (silent, contract | odd, contract | {"parity": 3, "metrics": []}):
        path.write_bytes(package(split(content)[0], said, vectors))
        open_artifact(path)
        found = verdicts(path, {"average_precision": 1e-9, "decision_agreement": 1e-9})
        assert found["average precision"] is found["decisions as by Keras"] is False


def bench_file(world: World, folder: Path, **changed: Any) -> Path:  # noqa: ANN401
    row = {"runtime": "x", "version": "x 1", "threads": 1, "warm": True, "p99_us": 700.0}
    said = {"sha256": open_artifact(world.artifact).sha256, "single": [row]} | changed
    path = folder / "latency.json"
    path.write_text(json.dumps(said))
    return path


def test_the_command_prints_logs_and_ends_with_the_verdict(
    world: World, scratch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latency = bench_file(world, tmp_path)
    budgets = tmp_path / "tight.toml"
    budgets.write_text("[budgets]\nfile_bytes = 1000\np99_latency_ms = 1\n")
    given = ["gate", str(world.artifact), "--latency", str(latency)]
    with logging_to(scratch):
        assert main(given) == 0
        shown = capsys.readouterr().out
        assert shown.count("holds") == 5
        assert "not logged" in shown
        assert main([*given, "--budgets", str(budgets), "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "file, bytes" in printed.err
    assert "p99" not in printed.err
    said = json.loads(printed.out)
    assert (said["passed"], said["logged"]) == (False, False)
    found = {check["name"]: check["passed"] for check in said["checks"]}
    assert found["file, bytes"] is False
    assert found["p99 of an inference, ms"] is True


def test_it_is_logged_where_the_run_is(world: World, tmp_path: Path) -> None:
    contract = read_documents(world.artifact)["contract.json"]
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with logging_to(store):
        client = mlflow.MlflowClient()
        experiment = client.create_experiment("fraudnet", (tmp_path / "logged").as_uri())
        run_id = client.create_run(experiment).info.run_id
        documents = read_documents(world.artifact)
        path = tmp_path / "fraud.tflite"
        changed = contract | {"mlflow_run_id": run_id}
        model = split(world.artifact.read_bytes())[0]
        path.write_bytes(package(model, changed, documents["vectors.json"]))
        tight = tmp_path / "tight.toml"
        tight.write_text("[budgets]\nfile_bytes = 1000\n")
        latency = bench_file(world, tmp_path, sha256=open_artifact(path).sha256)
        assert main(["gate", str(path), "--latency", str(latency)]) == 0
        tags = client.get_run(run_id).data.tags
        assert tags["gate.budgets"] == "passed: all 5 budgets hold; budgets of its experiment"
        assert tags["gate.budgets.sha256"] == open_artifact(path).sha256
        again = ["gate", str(path), "--latency", str(latency), "--budgets", str(tight)]
        assert main(again) == 1
        failed = client.get_run(run_id).data.tags["gate.budgets"]
        assert failed.startswith("failed: file, bytes ")
        assert failed.endswith("; budgets of tight.toml")
        (logged,) = client.list_artifacts(run_id, "gate")
    assert logged.path == "gate/budgets.json"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sha256": "cd" * 32}, "of another artifact"),
        ({"single": []}, "no inference was timed warm on one thread"),
        ({"single": [{"version": "x"}]}, "not what `fraudnet bench --json` prints"),
        ({"single": None}, "not what `fraudnet bench --json` prints"),
    ],
)
def test_latencies_of_something_else_are_refused(
    changed: dict[str, Any], said: str, world: World, tmp_path: Path
) -> None:
    path = bench_file(world, tmp_path, **changed)
    with pytest.raises(InputError, match=said):
        measured_there(path, open_artifact(world.artifact).sha256)
    with pytest.raises(InputError, match="No such file"):
        measured_there(tmp_path / "none.json", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[budgets]\nfile_byte = 3\n",
            "unknown key 'budgets.file_byte'; did you mean 'file_bytes'?",
        ),
        ("[budgets]\nfile_bytes = 0\n", "key 'budgets.file_bytes'"),
        ("[budgets]\naverage_precision = 1.5\n", "key 'budgets.average_precision'"),
        ("[battery]\nmax_percent_per_day = 0\n", "key 'battery.max_percent_per_day'"),
    ],
)
def test_budgets_that_make_no_sense_are_one_line(
    text: str, said: str, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert main(["gate", str(world.artifact), "--budgets", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_an_artifact_from_before_there_were_budgets_has_none() -> None:
    battery, budgets = configured(Path(__file__).parent / "version_1.tflite")
    assert budgets == BudgetConfig()
    assert (battery.device, battery.inferences_per_day) == ("pixel-8", 5000)


def test_a_sentence_says_which_and_by_how_much(world: World) -> None:
    given = BudgetConfig(file_bytes=1000)
    checks = check_budgets(world.artifact, BatteryConfig(max_percent_per_day=100), given, FAST)
    size = world.artifact.stat().st_size
    assert summary(checks) == f"file, bytes {size:,.4g} (at most 1,000): the file"
