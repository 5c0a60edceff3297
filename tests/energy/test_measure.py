"""`fraudnet measure` gives known energies back: of a fake machine, a built trace, a meter."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from fraudnet.cli import main
from fraudnet.energy.measurement import Measurement, Window, measure_recording
from fraudnet.energy.meter import read_meter
from fraudnet.energy.power_rails import read_rails
from fraudnet.energy.rapl import NoCounterError, Plan, find_zones, measure_repeated, taken_uj
from fraudnet.errors import CheckFailed, InputError

MODEL = Path(__file__).parents[1] / "artifact" / "version_1.tflite"
RANGE_UJ = 262_143_328_850
SHARES = {
    "intel-rapl:0": ("package-0", 0.7), "intel-rapl:0:0": ("core", 0.5),
    "intel-rapl:0:1": ("dram", 0.2), "intel-rapl:1": ("package-1", 0.1),
    "intel-rapl:2": ("psys", 1.5), "intel-rapl-mmio:0": ("package-0", 0.7),
}  # fmt: skip


class Machine:
    """A powercap tree whose counters run as time passes: idle watts, and joules an inference."""

    def __init__(self, root: Path, idle_w: float, inference_j: float, start_uj: int) -> None:
        self.root, self.idle_w, self.inference_j = root, idle_w, inference_j
        self.now_s, self.taken_j = 100.0, 0.0
        self.start_uj = start_uj
        (root / "intel-rapl").mkdir(parents=True)
        for zone, (name, _) in SHARES.items():
            (root / zone).mkdir()
            (root / zone / "name").write_text(f"{name}\n")
            (root / zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.write()

    def write(self) -> None:
        for zone, (_, share) in SHARES.items():
            count = (self.start_uj + round(self.taken_j * share * 1e6)) % RANGE_UJ
            (self.root / zone / "energy_uj").write_text(f"{count}\n")

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.taken_j += self.idle_w * seconds
        self.write()

    def infer(self) -> None:
        self.taken_j += self.inference_j
        self.sleep(0.003)


@pytest.mark.parametrize("start_uj", [0, RANGE_UJ - 64_000_000])
def test_rapl_gives_back_what_an_inference_took(tmp_path: Path, start_uj: int) -> None:
    machine = Machine(tmp_path, idle_w=9.0, inference_j=0.011, start_uj=start_uj)
    plan = Plan(idle_s=10, window_s=0.6, windows=2)
    found = measure_repeated(
        find_zones(tmp_path), machine.infer, plan, machine.clock, machine.sleep
    )
    # Of a package 0.7 and 0.1, and 0.2 of memory beside them: 1 in all, psys and mmio left out.
    assert found.counted == ("package-0", "package-0 dram", "package-1")
    assert found.idle_power_w == pytest.approx(9.0, rel=1e-6)
    energy = found.energy_per_inference_uj
    assert (energy.low, energy.typical, energy.high) == pytest.approx((11e3,) * 3, rel=1e-5)
    said = found.as_dictionary()
    assert said["parts_energy_per_inference_uj"]["package-0 core"] == pytest.approx(5.5e3, rel=1e-5)
    assert said["parts_energy_per_inference_uj"]["psys"] == pytest.approx(16.5e3, rel=1e-5)
    assert [window["inferences"] for window in said["windows"]] == [200] * 2
    assert said["windows"][0]["power_w"] == pytest.approx(9 + 0.011 / 0.003, rel=1e-5)


def test_a_counter_begins_anew_after_its_range() -> None:
    assert taken_uj(5, 9, 100) == 4
    assert taken_uj(98, 3, 100) == 5


def broken(name: str) -> Callable[[Path], object]:
    def remove(root: Path) -> None:
        for path in root.glob("intel-rapl:*"):
            (path / name).unlink()

    return remove


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (broken("energy_uj"), "no counter of a processor package"),
        (broken("max_energy_range_uj"), "max_energy_range_uj: No such file"),
    ],
)
def test_a_machine_without_counters_says_so(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    with pytest.raises(NoCounterError, match="no counter of a processor package"):
        find_zones(tmp_path / "none")
    Machine(tmp_path, 1, 1, 0)
    spoil(tmp_path)
    with pytest.raises(NoCounterError, match=said):
        find_zones(tmp_path)


def test_counters_of_root_alone_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(tmp_path, 1, 1, 0)
    whole = Path.read_text

    def refuse(self: Path, *arguments: Any, **options: Any) -> str:  # noqa: ANN401
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(NoCounterError, match="root alone; run as root, or: sudo chmod"):
        find_zones(tmp_path)


def test_without_a_counter_the_estimate_is_no_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["measure", str(MODEL), "--powercap", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["tier"] == "counted"
    assert "no counter of a processor package" in said["not_metered"]
    assert said["device"] == "pixel-8"
    assert main(["energy", str(MODEL), "--json"]) == 0
    estimated = json.loads(capsys.readouterr().out)
    assert said["energy_per_inference_uj"] == estimated["energy_per_inference_uj"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("not measured: ")
    assert "for a pixel-8 and not for this machine" in printed


def test_the_command_infers_and_reads_the_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The counters of this tree stand still, so that what is measured is no more than idle."""
    Machine(tmp_path, 1, 1, 0)
    quick = ["--window-s", "0.05", "--windows", "2", "--idle-s", "0.01"]
    assert main(["measure", str(MODEL), "--powercap", str(tmp_path), *quick]) == 1
    assert "2 of 2 windows took no more than idle" in capsys.readouterr().err


def test_one_bad_window_of_three_is_a_failed_check() -> None:
    idle = Window(0, 10.0, {"all": 10.0})
    active = tuple(Window(100, 1.0, {"all": joules}) for joules in (2.0, 0.99, 3.0))
    measured = Measurement("a meter", idle, active, ("all",))
    with pytest.raises(CheckFailed, match="1 of 3 windows"):
        measured.as_dictionary()


# A phone: two rails of the processor and a display, sampled ten times a second, started at 5,000 s.
RAILS = {"S4M_VDD_CPUCL0": (0.20, 30e-6), "S2M_VDD_CPUCL2": (0.10, 70e-6), "VSYS_DISP": (0.8, 0.0)}
BEGIN_MS = 5_000_000
WORK = {(20.0, 40.0): 50_000, (50.0, 70.0): 50_000}


def energy_uj(rail: str, second: float) -> int:
    idle_w, inference_j = RAILS[rail]
    made = sum(
        count * min(max(second - begin, 0), end - begin) / (end - begin)
        for (begin, end), count in WORK.items()
    )
    return 7_000_000 + round(1e6 * (idle_w * second + inference_j * made))


def trace(*, compressed: bool) -> bytes:
    """A Perfetto trace as the phone's recorder writes it: names first, then samples."""
    built = Trace()
    for step in range(801):
        packet = built.packet.add(trusted_packet_sequence_id=3)
        for index, rail in enumerate(RAILS):
            if step == 0:
                packet.power_rails.rail_descriptor.add(index=index, rail_name=rail)
            packet.power_rails.energy_data.add(
                index=index,
                timestamp_ms=BEGIN_MS + 100 * step,
                energy=energy_uj(rail, step / 10),
            )
        if step % 3 == 0:  # polled again before the meter made the next reading
            built.packet.append(packet)
    built.packet.add(timestamp=1)  # of another source
    if not compressed:
        return bytes(built.SerializeToString())
    outer = Trace()
    outer.packet.add(compressed_packets=zlib.compress(built.SerializeToString()))
    return bytes(outer.SerializeToString())


@pytest.mark.parametrize("form", ["trace", "compressed", "counters.csv", "stdlib.csv"])
def test_power_rails_give_back_what_an_inference_took(form: str, tmp_path: Path) -> None:
    path = tmp_path / form
    if form.endswith(".csv"):
        names = {
            "counters.csv": ("name", "value"),
            "stdlib.csv": ("power_rail_name", "energy_since_boot"),
        }
        name, value = names[form]
        lines = [
            f'{(BEGIN_MS + 100 * step) * 1_000_000},"power.{rail}_uws",{energy_uj(rail, step / 10)}'
            for step in range(801)
            for rail in RAILS
        ]
        path.write_text("\n".join([f'"ts","{name}","{value}"', *lines]))
    else:
        path.write_bytes(trace(compressed=form == "compressed"))
    recording = read_rails(path)
    all_rails = measure_recording(recording, (1, 19), list(WORK), 50_000)
    assert all_rails.energy_per_inference_uj.typical == pytest.approx(100, rel=1e-4)
    assert all_rails.idle_power_w == pytest.approx(1.1, rel=1e-4)
    processor = measure_recording(recording, (1, 19), list(WORK), 50_000, ["cpucl2"])
    assert processor.energy_per_inference_uj.high == pytest.approx(70, rel=1e-4)
    assert processor.idle_power_w == pytest.approx(0.1, rel=1e-4)


def meter_file(folder: Path, header: str, scales: tuple[float, ...], delimiter: str = ",") -> Path:
    """Current 0.1 A idling, 0.3 A from 20 to 40 s, at 3.8 V, a thousand samples a second."""
    seconds = np.arange(50_001) / 1000
    current = np.where((seconds > 20) & (seconds <= 40), 0.3, 0.1)
    columns = [seconds, current, np.full_like(seconds, 3.8)][: len(scales)]
    scaled = np.stack([c * s for c, s in zip(columns, scales, strict=True)], axis=1)
    path = folder / "meter.csv"
    np.savetxt(path, scaled, "%.9g", delimiter, header=header, comments="")
    return path


@pytest.mark.parametrize(
    ("header", "scales", "voltage"),
    [
        ("time_s,current_a,voltage_v", (1, 1, 1), None),
        ("Timestamp(ms),Current(uA)", (1e3, 1e6), 3.8),
        ("time_us;Main current [mA];Voltage (mV)", (1e6, 1e3, 1e3), None),
    ],
)
def test_a_meter_gives_back_what_an_inference_took(
    header: str, scales: tuple[float, ...], voltage: float | None, tmp_path: Path
) -> None:
    path = meter_file(tmp_path, header, scales, ";" if ";" in header else ",")
    found = measure_recording(read_meter(path, voltage), (0, 19), [(21, 30), (31, 39.5)], 1000)
    # 0.2 A above idle at 3.8 V for 9 and 8.5 s.
    assert found.per_inference_uj() == pytest.approx([6840, 6460], rel=1e-6)
    assert found.idle_power_w == pytest.approx(0.38, rel=1e-6)


def test_the_command_prints_what_was_metered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = meter_file(tmp_path, "time_s,current_a,voltage_v", (1, 1, 1))
    windows = ["--idle", "0:19", "--active", "21:30", "31:40", "--inferences", "1000"]
    command = ["measure", str(MODEL), "--meter", "csv", "--trace", str(path), *windows]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["tier"], said["not_metered"]) == ("metered", None)
    assert said["energy_per_inference_uj"]["typical"] == pytest.approx(6840, rel=1e-6)
    assert said["standard_deviation_uj"] == pytest.approx(0, abs=1e-6)
    assert said["macs"] > 0
    assert main(command) == 0
    assert "6,840 uJ (6,840 to 6,840) an inference, metered (meter)" in capsys.readouterr().out


HEAD = "time_s,current_a,voltage_v"


def rows(*lines: str, header: str = HEAD) -> str:
    return "\n".join([header, *lines])


STEADY = [f"{i / 10},1,3" for i in range(100)]
BAD_METERS = {
    "no unit": (rows("0,1,3", header="time_s,current,voltage_v"), "'current' names no unit"),
    "no time": (rows("0,1,3", header="when,current_a,voltage_v"), "no column of time"),
    "no current": (rows("0,1,3", header="time_s,amps,voltage_v"), "no column of current"),
    "no voltage": (rows("0,1", header="time_s,current_a"), "or give --voltage-v"),
    "two currents": (rows("0,1,3", header="time_s,current_a,current_ma"), "two columns of current"),
    "no number": (rows("0,1,3", "1,much,3"), "row 3: current_a is 'much'"),
    "infinite": (rows("0,1,3", "1,inf,3"), "row 3: current_a is 'inf'"),
    "time goes back": (rows("0,1,3", "2,1,3", "1,1,3"), "row 4: the time does not ascend"),
    "one row": (rows("0,1,3"), "one sample alone"),
    "no rows": (HEAD, "no rows"),
    "empty": ("", "not a CSV file"),
    "too short": (rows(*STEADY[:40]), "samples reach from 0 to 3.9 s"),
    "a gap": (rows(*STEADY[:50], *STEADY[85:]), "s without a sample"),
}


@pytest.mark.parametrize("bad", BAD_METERS)
def test_a_meter_s_file_that_cannot_be_used_is_one_line(
    bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = BAD_METERS[bad]
    path = tmp_path / "meter.csv"
    path.write_text(text)
    windows = ["--idle", "0:3", "--active", "4:9.5", "--inferences", "10"]
    assert main(["measure", str(MODEL), "--meter", "csv", "--trace", str(path), *windows]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "meter.csv" in error
    assert said in error


def test_traces_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    path = tmp_path / "phone.perfetto-trace"
    with pytest.raises(InputError, match="No such file"):
        read_rails(path)
    path.write_bytes(b"no trace at all")
    with pytest.raises(InputError, match="not a whole Perfetto trace"):
        read_rails(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="no power rails in it; record with"):
        read_rails(path)
    nameless = Trace()
    nameless.packet.add().power_rails.energy_data.add(index=4, timestamp_ms=1, energy=2)
    path.write_bytes(nameless.SerializeToString())
    with pytest.raises(InputError, match="rail 4 has no name"):
        read_rails(path)
    table = tmp_path / "rails.csv"
    table.write_text("ts,rail,uj\n1,a,2\n")
    with pytest.raises(InputError, match="expected ts, name or power_rail_name"):
        read_rails(table)
    path.write_bytes(trace(compressed=False))
    with pytest.raises(InputError, match="no rail is named like that; it has S4M_VDD_CPUCL0"):
        measure_recording(read_rails(path), (1, 19), [(20, 40)], 10, ["modem"])
    fallen = Trace()
    rails = fallen.packet.add().power_rails
    rails.rail_descriptor.add(index=0, rail_name="CPU")
    for second in range(40):
        rails.energy_data.add(index=0, timestamp_ms=1000 * second, energy=(1000 * second) % 25_000)
    path.write_bytes(fallen.SerializeToString())
    with pytest.raises(InputError, match="the counter runs backwards"):
        measure_recording(read_rails(path), (0, 19), [(20, 35)], 10)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--trace", "x.csv"], "--trace is not for --meter rapl"),
        (["--windows", "0"], "--windows 0: expected above 0"),
        (["--window-s", "nan"], "--window-s nan: expected above 0"),
        (["--idle-s", "-1"], "--idle-s -1: expected above 0"),
        (["--meter", "csv"], "--meter csv needs --trace"),
        (["--meter", "csv", "--threads", "2"], "--threads is not for --meter csv"),
        (["--idle", "0:1", "--active", "soon"], "window 'soon': expected BEGIN:END"),
        (["--idle", "3:1", "--active", "4:5"], "window 3:1: expected BEGIN:END"),
        (["--idle", "0:4", "--active", "3:5"], "windows 0:4 and 3:5 overlap"),
        (["--idle", "0:1", "--active", "2:5", "--inferences", "0"], "--inferences 0: expected"),
        (["--idle", "0:1", "--active", "2:5", "--voltage-v", "-3"], "--voltage-v -3: expected"),
    ],
)
def test_options_that_make_no_sense_are_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "meter.csv"
    path.write_text(rows(*STEADY))
    given = ["--meter", "csv", "--trace", str(path), "--inferences", "10"]
    words = [*given, *options] if "--active" in options else options
    assert main(["measure", str(MODEL), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
