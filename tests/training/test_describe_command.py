"""`fraudnet describe`, and sizes by name wherever an experiment is read."""

import json
from pathlib import Path

import pytest

from fraudnet.cli import main
from fraudnet.network.network import NetworkConfig
from fraudnet.network.scaling import COEFFICIENTS, SIZES, scaled
from fraudnet.training.experiment import load_experiment


def test_json_is_the_network_and_its_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--config", "handbook", "--size", "nano", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    nano = scaled(load_experiment("handbook").network, SIZES["nano"], COEFFICIENTS)
    assert NetworkConfig.model_validate(said["network"]) == nano
    layers = said["layers"]
    assert said["macs"] == sum(layer["macs"] for layer in layers)
    assert said["parameters"] == sum(x["parameters"] for x in layers if x["is_trained"])
    assert layers[-1]["receptive_field"] == said["receptive_field"]
    (distance,) = (layer for layer in layers if layer["name"] == "distance")
    assert 0 < distance["macs"] < 0.03 * (said["macs_per_position"] - distance["macs"])


def test_table_has_a_row_a_layer_and_the_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--set", "network.dilations=[1, 2]", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert main(["describe", "--set", "network.dilations=[1, 2]"]) == 0
    shown = capsys.readouterr().out
    for layer in said["layers"]:
        (line,) = [x for x in shown.splitlines() if x.split()[:1] == [layer["name"]]]
        assert f"{layer['macs']:,}" in line.split()
        assert f"{layer['parameters']:,}" in line.split()
    text = " ".join(shown.split())
    assert f"{said['parameters']:,} parameters make the logit" in text
    assert f"takes {said['macs']:,} multiply-accumulates" in text
    assert f"{said['macs'] / said['standard_macs']:.0%} of those with standard" in text
    assert "Vocabulary of category: taken from the training data" in text


def test_a_size_in_a_file_is_resolved(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[network]\nsize = "micro"\ndropout = 0\n')
    micro = scaled(NetworkConfig(), SIZES["micro"], COEFFICIENTS)
    assert load_experiment(str(path)).network == micro.model_copy(update={"dropout": 0.0})
    larger = load_experiment(str(path), ["network.size=base"]).network
    assert larger.width == scaled(NetworkConfig(), SIZES["base"], COEFFICIENTS).width


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "nanu"], "did you mean 'nano'?"),
        (["--size", "nano", "--set", "network.head=8"], "sets 'head', which is given too"),
        (["--set", "network.width=2"], "network.width"),
        (["--set", "network=2"], "network"),
        (["--model", "none"], "no trained network there"),
        (["--model", "none", "--size", "nano"], "none: is trained; leave out --size and --set"),
    ],
)
def test_a_network_that_cannot_be_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["describe", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
