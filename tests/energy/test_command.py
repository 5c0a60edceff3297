import argparse
import json
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from matplotlib.image import imread

from fraudnet.device.errors import ArtifactError
from fraudnet.energy.command import add_arguments, run
from fraudnet.energy.workload import inference_of
from fraudnet.errors import CheckFailed, InputError
from tests.energy.handmade import Made, Step, make_file
from tests.energy.measured import made_measurements, write_table
from tests.energy.test_profiles import board

OP = schema.BuiltinOperator
ARTIFACT = Path(__file__).parents[1] / "artifact" / "version_1.tflite"


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
        *("_per_inference", "_uw"),
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
        (["--device", "gap9-ne16"], "runs the network on an accelerator"),
        (["--latency-us", "60", "--latency", "log"], "either --latency or --latency-us"),
        (["--latency", "no.log"], "cannot read it"),
        (["another.tflite"], "give one .tflite file, got 2 words"),
        (["--plot", "picture.txt"], "picture.txt"),
        (["--plot", "no/folder.png"], "cannot be written"),
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


def test_what_dominates_is_named_and_what_would_change_that(
    known_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(known_model, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    typical = {part["name"]: part["energy_uj"]["typical"] for part in report["components"]}
    assert report["dominant_component"] == max(typical, key=lambda name: typical[name])
    ways = {
        each["way"]: each["energy_per_inference_uj"]["typical"] for each in report["alternatives"]
    }
    network = report["energy_per_inference_uj"]["typical"]
    fixed = report["fixed_energy_per_inference_uj"]["typical"]
    wake_up = typical["wake-up"]
    assert list(ways.values()) == pytest.approx(
        [network + fixed, network + fixed / 10, network + fixed - wake_up,
         network + (fixed - wake_up) / 10]
    )  # fmt: skip
    call_alone = report["online_call"]["call_alone_uj"]
    assert call_alone["low"] > report["total_energy_per_inference_uj"]["high"]
    assert call(known_model) == 0
    text = printed(capsys)
    assert f"At 5,000 a day {report['dominant_component']} dominates" in text
    assert "An online call that wakes the LTE radio takes" in text


def test_latency_is_read_from_a_log(
    known_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_text("Inference timings in us: Init: 9, Inference (avg): 300\n")
    words = ("--device", board(tmp_path), "--clock-mhz", 200, "--latency", log, "--json")
    assert call(known_model, *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tier"] == "measured"
    assert report["latency"] == {"latency_us": 300, "source": f"benchmark_model, mean: {log}"}
    assert report["energy_per_inference_uj"]["typical"] == pytest.approx(15)


@pytest.mark.parametrize("more", [[], ["--latency-us", "60"], ["--device", "nucleo-l4r5zi-1v8"]])
def test_a_picture_is_drawn(model: Path, tmp_path: Path, more: list[str]) -> None:
    path = tmp_path / "energy.png"
    budget = [] if "--device" in more else ["--max-battery-percent", "90", "--latency-us", "60"]
    assert call(model, "--plot", path, *more, *budget) == 0
    assert imread(path).shape == (750, 1800, 4)


@pytest.mark.parametrize("damage", ["a byte of a weight", "the end cut off"])
def test_a_damaged_artifact_is_not_counted(damage: str, tmp_path: Path) -> None:
    content = bytearray(ARTIFACT.read_bytes())
    if damage == "the end cut off":
        del content[-100:]
    else:
        content[content.index(b"contract.json") // 2] ^= 1
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content)
    assert call(ARTIFACT) == 0
    with pytest.raises(ArtifactError, match="damaged"):
        call(path)


def test_a_zip_of_other_documents_makes_no_artifact(known_model: Path) -> None:
    """As TFLite's metadata does, whose zip holds labels."""
    with zipfile.ZipFile(known_model, "a") as archive:
        archive.writestr("labels.txt", "fraud")
    assert call(known_model, "--json") == 0
    inference_of(known_model)()


def test_profiles_are_listed_with_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = board(tmp_path)
    assert call("profiles", tmp_path, "--json") == 0
    listed = {each["device"]: each for each in json.loads(capsys.readouterr().out)}
    assert {"pixel-8", "nucleo-l4r5zi-1v8", "raspberry-pi-4", "payment-terminal", own} <= set(
        listed
    )
    assert listed[own]["battery"]["capacity_mah"] == 1000
    assert call("profiles") == 0
    assert "no counted tier" in printed(capsys)
    monkeypatch.setenv("COLUMNS", "80")
    assert call("profiles") == 0
    assert "syntiant_9120_0v9_30mhz (HiFi3 + M0)" in capsys.readouterr().out
    with pytest.raises(InputError, match="no such folder"):
        call("profiles", tmp_path / "nowhere")


def test_a_fitted_profile_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = made_measurements()
    table, profile = write_table(tmp_path, rows), tmp_path / "mine.toml"
    assert call("fit", table, "--system", "system 1", "--output", profile, "--json") == 0
    fitted = json.loads(capsys.readouterr().out)
    assert fitted["active_power_mw"] == pytest.approx(60, rel=0.15)
    assert fitted["held_out_models"]["measured"]["median_ratio"] < 1.2
    assert call(tmp_path / "large.tflite", "--device", profile, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    (measured,) = [row for row in rows if (row.system, row.model) == ("system 1", "large")]
    energy_uj = report["energy_per_inference_uj"]
    assert energy_uj["low"] < measured.energy_uj < energy_uj["high"]
    assert report["supply_voltage_v"] == 1.8
    assert report["types_are_of_the_fit"] is True
    assert call("fit", table, "--system", "system 1") == 0
    assert "each model of the table held out: median ratio" in printed(capsys)


def test_a_float_model_on_costs_of_int8_models_is_said(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(model, "--device", "nucleo-l4r5zi-1v8") == 0
    assert "fitted to models in INT8; this one computes in FLOAT32" in printed(capsys)
    assert call(model, "--device", "nucleo-l4r5zi-1v8", "--latency-us", 60) == 0
    assert "fitted to models" not in printed(capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fit", "TABLE"], "give --system, one of system 0, system 1"),
        (["fit", "TABLE", "--system", "mine"], "no measurements of 'mine'; there are those of"),
        (["fit", "TABLE", "--system", "system 1", "--based-on", "fridge"], "no such base 'fridge'"),
        (["fit", "TABLE", "--system", "system 1", "--output", "no/p.toml"], "cannot be written"),
        (["fit", "none.csv"], "cannot be read as CSV"),
        (["fit"], "fit takes the CSV"),
    ],
)
def test_what_cannot_be_fitted_is_said(tmp_path: Path, words: list[str], says: str) -> None:
    table = write_table(tmp_path, made_measurements())
    with pytest.raises(InputError, match=says) as caught:
        call(*(str(table) if word == "TABLE" else word for word in words))
    assert "\n" not in str(caught.value)


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
