import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from fraudnet.energy.command import add_arguments, run
from fraudnet.errors import CheckFailed, InputError
from tests.energy.handmade import Made, Step, make_file
from tests.energy.test_profiles import board

OP = schema.BuiltinOperator


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two alike dense layers of 4 x 4, then an operator that no rule knows."""
    weights = Made((4, 4), data=bytes(64))
    activations = [Made((1, 4)) for _ in range(4)]
    steps = [
        Step(OP.FULLY_CONNECTED, (0, 4), (1,)),
        Step(OP.FULLY_CONNECTED, (1, 4), (2,)),
        Step(OP.CUSTOM, (2,), (3,), custom="Attention"),
    ]
    path = tmp_path / "fraud.tflite"
    path.write_bytes(make_file([*activations, weights], steps, outputs=[3]))
    return path


@pytest.fixture
def known_model(tmp_path: Path) -> Path:
    path = tmp_path / "known.tflite"
    path.write_bytes(make_file([Made((1, 4)), Made((1, 4))], [Step(OP.ADD, (0, 0), (1,))]))
    return path


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("fraudnet energy")
    add_arguments(made)
    return made


def call(*words: object) -> int:
    return run(parser().parse_args([str(word) for word in words]))


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, as one line: the terminal's width says where it breaks."""
    return " ".join(capsys.readouterr().out.split())


def test_table_gathers_alike_operators_and_says_what_figures_rest_on(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(model, "--inferences-per-day", 5000) == 0
    text = printed(capsys)
    assert "2 x FULLY_CONNECTED 1x4 32 0 128 64" in text
    assert "all 3 32 0 128 96" in text
    assert "Waking a core up costs" in text
    assert "Assumption" in text
    assert "counted, not measured" in text
    assert "Not counted: 1 of 3 operators, 14.3% of the bytes (CUSTOM Attention)" in text


def test_json_names_units_and_gives_ranges(
    known_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(known_model, "--json", "--max-battery-percent", 90) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tier"] == "counted"
    assert report["inferences_per_day"] == 5000
    for name in (
        "energy_per_inference_uj",
        "fixed_energy_per_inference_uj",
        "total_energy_per_inference_uj",
        "energy_per_day_j",
        "charge_per_day_mah",
        "battery_percent_per_day",
    ):
        assert 0 < report[name]["low"] < report[name]["typical"] < report[name]["high"]
    total = report["total_energy_per_inference_uj"]["high"]
    assert report["energy_per_day_j"]["high"] == pytest.approx(5000 * total * 1e-6)
    assert report["budget"]["passed"] is True
    units = (
        *("_uj", "_j", "_mah", "_mhz", "_mw", "_ms", "_percent_per_day", "share"),
        *("_per_mac", "_weight", "_per_element", "_per_operator", "_per_byte", "_to_benchmark"),
    )
    assert all(name.endswith(units) for name in keys_of_ranges(report))


def keys_of_ranges(values: object) -> list[str]:
    found: list[str] = []
    for name, value in values.items() if isinstance(values, dict) else []:
        if isinstance(value, dict) and "typical" in value:
            found.append(name)
        for inner in value if isinstance(value, list) else [value]:
            found += keys_of_ranges(inner)
    return found


def test_measured_latency_decides_the_networks_energy(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = board(tmp_path)
    words = ("--device", profile, "--clock-mhz", 200, "--latency-us", 300, "--json")
    assert call(model, *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tier"] == "measured"
    # 50 mW, at most twice that, for 300 us.
    assert report["energy_per_inference_uj"] == pytest.approx(
        {"low": 15, "typical": 15, "high": 30}
    )
    assert report["supply_voltage_v"] == 1.8


def test_exceeded_budget_fails_after_the_report(
    known_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckFailed, match="high end") as caught:
        call(known_model, "--max-battery-percent", 1e-6)
    assert str(known_model) in str(caught.value)
    assert "energy budget exceeded" in printed(capsys)


def test_unknown_operators_fail_the_budget_unless_latency_is_measured(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckFailed, match="CUSTOM Attention"):
        call(model, "--max-battery-percent", 90)
    assert call(model, "--max-battery-percent", 90, "--latency-us", 60) == 0
    assert "energy budget met" in printed(capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--device", "pixel-5000"], "pixel-6, pixel-7, pixel-8, pixel-9"),
        (["--inferences-per-day=-1"], "inferences a day"),
        (["--inferences-per-day", "nan"], "inferences a day"),
        (["--latency-us", "0"], "latency"),
        (["--max-battery-percent", "0"], "budget"),
        (["--cluster", "huge"], "little, middle, big"),
        (["--clock-mhz", "1"], "402"),
        (["--signature", "step"], "no signature 'step'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_printed(
    known_model: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=says):
        call(known_model, *words)
    assert capsys.readouterr().out == ""


def test_an_empty_battery_is_refused(known_model: Path, tmp_path: Path) -> None:
    profile = board(tmp_path, "capacity_mah = 1000", "capacity_mah = 0")
    with pytest.raises(InputError, match=r"battery\.capacity_mah"):
        call(known_model, "--device", profile)


def test_a_profile_without_battery_reports_energy(
    known_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = board(tmp_path, '[battery]\ncapacity_mah = 1000\nvoltage_v = 4.0\nsource = "a label"')
    assert call(known_model, "--device", profile) == 0
    assert "battery" not in printed(capsys)


def test_the_help_ends_with_an_example_that_works(
    known_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = shlex.split(parser().format_help().rstrip().splitlines()[-1])
    assert example[:3] == ["fraudnet", "energy", "fraud.tflite"]
    assert call(known_model, *example[3:]) == 0
    assert "pixel-8" in example
    assert "Pixel 8" in printed(capsys)


def test_help_needs_the_standard_library_alone() -> None:
    code = (
        "import sys, argparse\n"
        "for name in ('numpy', 'pydantic', 'rich', 'flatbuffers', 'ai_edge_litert'):\n"
        "    sys.modules[name] = None\n"
        "from fraudnet.energy.command import add_arguments\n"
        "parser = argparse.ArgumentParser()\n"
        "add_arguments(parser)\n"
        "parser.print_help()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--inferences-per-day" in done.stdout


def test_a_graph_without_operators_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nothing.tflite"
    path.write_bytes(make_file([Made((1, 4))], [], outputs=[0]))
    assert call(path) == 0
    assert "all 0" in printed(capsys)


def test_large_figures_are_not_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = Made((64, 64), data=bytes(4096))
    name = "an operator with a name that is longer than any line of the table can ever be"
    steps = [Step(OP.FULLY_CONNECTED, (0, 1), (2,)), Step(OP.CUSTOM, (2,), (2,), custom=name)]
    path = tmp_path / "large.tflite"
    path.write_bytes(make_file([Made((1, 9999, 64)), weights, Made((1, 9999, 64))], steps))
    assert call(path) == 0
    text = printed(capsys)
    assert "40,955,904 0 4,096 5,119,488" in text
    assert "…" not in text


def test_figures_have_three_digits(known_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(known_model, "--inferences-per-day", "1e9") == 0
    text = printed(capsys)
    # 48 bytes at 12.5, 64 and 325 pJ.
    assert "memory, uJ counted 0.000600 0.00307 0.0156" in text
    assert "1,000,000,000 a day, J 132,000 2,200,000 54,000,000" in text
    assert call(known_model, "--inferences-per-day", "1e-6") == 0
    assert "1e-06 a day, J 1.32e-10 2.2e-09 5.4e-08" in printed(capsys)
