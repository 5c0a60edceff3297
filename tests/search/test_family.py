"""The family: what is predicted is what its files hold, and it is all there when it is made."""

import json
from pathlib import Path

import mlflow
import pytest
from matplotlib.container import ErrorbarContainer

from fraudnet.artifact.convert import convert
from fraudnet.cli import main
from fraudnet.energy.counting import count_bytes, count_file
from fraudnet.energy.estimate import estimate_counted
from fraudnet.energy.profiles import load_profile, operate
from fraudnet.network.describe import describe
from fraudnet.network.network import NetworkConfig
from fraudnet.network.scaling import COEFFICIENTS, SIZES, scaled
from fraudnet.search.family import Member, depthwise_macs
from fraudnet.search.family_figure import family_figure
from fraudnet.search.scale_command import _print_family
from tests.network.examples import random_network
from tests.training.world import SETTINGS, logging_to, make_store


def member(size: str, *found: float) -> Member:
    """A member whose network has random weights."""
    config = scaled(NetworkConfig(), SIZES[size], COEFFICIENTS)
    network = random_network(config)
    content = convert(network)
    count, profile = count_bytes(content, size), load_profile("pixel-8")
    return Member(
        size=size,
        network=config,
        cost=describe(network),
        file_count=count,
        artifact_bytes=len(content),
        energy=estimate_counted(count, profile, operate(profile, None, None)),
        average_precision={"validation": found, "test": tuple(x - 0.1 for x in found)},
    )


@pytest.fixture(scope="module")
def members() -> list[Member]:
    return [member("nano", 0.4, 0.5), member("micro", 0.6, 0.8)]


def test_predicted_is_measured(members: list[Member]) -> None:
    for each in members:
        filters = sum(depthwise.macs for depthwise, _ in each.cost.filters.values())
        assert depthwise_macs(each.file_count) == filters
        assert each.measured_macs == each.cost.macs


def test_figure_shows_each_member_by_each_cost(members: list[Member]) -> None:
    *precision, prediction = family_figure(members).axes
    costs = [
        [m.measured_macs for m in members],
        [m.cost.parameters for m in members],
        [m.energy.network_energy_uj.typical for m in members],
    ]
    for axes, cost in zip(precision, costs, strict=True):
        bars = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
        for bar, expected in zip(bars, ([0.45, 0.7], [0.35, 0.6]), strict=True):
            assert bar.lines[0].get_xdata() == pytest.approx(cost)
            assert bar.lines[0].get_ydata() == pytest.approx(expected)
            assert bar.has_yerr
        assert [text.get_text() for text in axes.texts] == ["nano", "micro"]
    points = prediction.lines[1]
    assert points.get_xdata() == pytest.approx([m.cost.macs for m in members])
    assert points.get_ydata() == pytest.approx([m.measured_macs for m in members])


def test_sizes_that_cannot_be(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["scale", "family", "--data", "none.csv", "--output", str(tmp_path)]
    for more, said in (
        (["--sizes", "nano", "smal"], "did you mean 'small'?"),
        (["--size", "nano"], "name them with --sizes"),
        (["--set", "network.width=8"], "sets 'width', which is given too"),
    ):
        assert main([*words, *more]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert said in error


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_family_from_data_to_chart(
    payments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [setting for setting in SETTINGS if not setting.startswith("network.")]
    settings = [word for setting in kept for word in ("--set", setting)]
    output = tmp_path / "family"
    words = ["scale", "family", "--data", str(payments), *settings, "--output", str(output)]
    with logging_to(make_store(tmp_path)):
        assert main([*words, "--sizes", "nano", "micro", "--json"]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        runs = mlflow.search_runs(["1"], output_format="list")
        by_name = {run.info.run_name: run for run in runs}
        parent = by_name["scale family"]
        assert mlflow.artifacts.load_dict(f"{parent.info.artifact_uri}/family.json") == result
        logged = mlflow.artifacts.list_artifacts(run_id=parent.info.run_id)
        assert {file.path for file in logged} == {"family.json", "family.png"}
    assert json.loads((output / "family.json").read_text()) == result
    assert (output / "family.png").read_bytes()[:4] == b"\x89PNG"
    for each in result["members"]:
        size = each["size"]
        count = count_file(output / size / "fraud.tflite")
        assert each["predicted_macs"] == each["measured_macs"] == count.macs + depthwise_macs(count)
        seed = by_name[f"{size}, seed 0"]
        assert seed.data.tags["mlflow.parentRunId"] == by_name[size].info.run_id
        for period in ("validation", "test"):
            (value,) = each["average_precision"][period]
            assert seed.data.metrics[f"{period}_average_precision"] == value
        facts = json.loads((output / size / "model" / "trained.json").read_text())
        assert facts["experiment"]["network"] == each["network"]
        assert facts["mlflow_run_id"] == seed.info.run_id


def test_the_table_of_several_seeds_is_whole_on_eighty_columns(
    members: list[Member], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _print_family(members)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "0.450 ± 0.071 0.350 ± 0.071" in shown
