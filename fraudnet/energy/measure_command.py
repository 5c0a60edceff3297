"""`fraudnet measure`: the energy of an inference by a meter, not by an estimate.

Only the standard library is imported before the command runs, so that `--help` works with the
device part alone.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudnet.errors import InputError

if TYPE_CHECKING:
    from fraudnet.energy.measurement import Measurement

_DESCRIPTION = """\
Measure the energy of an inference, idle power subtracted, with the spread of several windows.

rapl      on Linux, by the processor's own counters: this machine idles, then infers over and over.
          What else runs on it is measured too, so let nothing run. Without a counter that can be
          read it says so, and prints the estimate for --device instead; `tier` tells which.
perfetto  of an Android phone, from a trace with power rails, or the CSV of a query of one.
csv       from a meter's file with time and current and voltage (or power), units in the header.

For the last two you say when the device idled and when it inferred, in seconds since the first
sample, and how many inferences were made in each window of work."""

_EPILOG = """\
exit status: 0 done, 1 no more than idle was measured, 2 wrong input

example:
  fraudnet measure fraud.tflite --meter csv --trace m.csv --idle 0:9 --active 10:40 --inferences 900
  fraudnet measure fraud.tflite --meter rapl --windows 10"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet measure`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument("file", type=Path, metavar="FILE", help="the .tflite")
    parser.add_argument(
        "--meter", choices=("rapl", "perfetto", "csv"), default="rapl",
        help="what counts (default: %(default)s)",
    )  # fmt: skip
    own = parser.add_argument_group("rapl")
    own.add_argument(
        "--window-s", type=float, metavar="S", help="seconds of work a window (default: 5)"
    )
    own.add_argument("--windows", type=int, metavar="N", help="windows of work (default: 5)")
    own.add_argument("--idle-s", type=float, metavar="S", help="seconds without (default: 10)")
    own.add_argument("--threads", type=int, metavar="N", help="of the runtime (default: 1)")
    own.add_argument(
        "--powercap", type=Path, metavar="DIR",
        help="root of the counters (default: /sys/class/powercap)",
    )  # fmt: skip
    own.add_argument(
        "--device", default="pixel-8", metavar="NAME",
        help="profile of the estimate where nothing can be measured (default: %(default)s)",
    )  # fmt: skip
    traces = parser.add_argument_group("perfetto and csv")
    traces.add_argument("--trace", type=Path, metavar="FILE", help="what the meter wrote")
    traces.add_argument("--idle", metavar="BEGIN:END", help="when the device idled, in seconds")
    traces.add_argument(
        "--active", nargs="+", metavar="BEGIN:END", help="when it inferred, in seconds"
    )
    traces.add_argument("--inferences", type=int, metavar="N", help="made in each of those")
    traces.add_argument(
        "--rails", nargs="+", metavar="TEXT",
        help="count the rails alone that have one of these in their name (default: all)",
    )  # fmt: skip
    traces.add_argument(
        "--voltage-v", type=float, metavar="V", help="of the supply, if the csv has no column of it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print.

    Raises:
        InputError: the file, the trace or an option cannot be used.
        ArtifactError: the file is an artifact, and damaged.
        CheckFailed: no more than idle was measured.
    """
    from fraudnet.energy.counting import count_file
    from fraudnet.energy.rapl import NoCounterError

    _check(arguments)
    macs = count_file(arguments.file).macs
    said: dict[str, Any] = {"file": str(arguments.file), "macs": macs}
    try:
        measured = _by_rapl(arguments) if arguments.meter == "rapl" else _by_trace(arguments)
        said |= {"tier": "metered", "not_metered": None, **measured.as_dictionary()}
    except NoCounterError as reason:
        said |= _estimated(arguments, str(reason))
    if arguments.json:
        print(json.dumps(said, indent=2))
    else:
        _print(said)
    return 0


_OF_TRACES = ("trace", "idle", "active", "inferences")
_OF_RAPL = ("window_s", "windows", "idle_s", "threads", "powercap")


def _check(arguments: argparse.Namespace) -> None:
    by_rapl = arguments.meter == "rapl"
    foreign = (*_OF_TRACES, "rails", "voltage_v") if by_rapl else _OF_RAPL
    for name in foreign:
        if getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            raise InputError(f"--{option} is not for --meter {arguments.meter}; leave it out")
    needed = () if by_rapl else _OF_TRACES
    for name in needed:
        if getattr(arguments, name) is None:
            raise InputError(f"--meter {arguments.meter} needs --{name}; see --help")
    for name, most in (
        ("window_s", 600), ("idle_s", 600), ("windows", 1000), ("threads", 1024),
        ("inferences", 10**12), ("voltage_v", 1000),
    ):  # fmt: skip
        value = getattr(arguments, name)
        # Written so that NaN fails.
        if value is not None and not 0 < value <= most:
            option = name.replace("_", "-")
            raise InputError(f"--{option} {value:g}: expected above 0, at most {most:g}")


def _by_rapl(arguments: argparse.Namespace) -> "Measurement":
    from fraudnet.energy.rapl import ROOT, Plan, find_zones, measure_repeated
    from fraudnet.energy.workload import inference_of

    zones = find_zones(arguments.powercap or ROOT)
    given = {
        name: value
        for name in ("idle_s", "window_s", "windows")
        if (value := getattr(arguments, name)) is not None
    }
    return measure_repeated(
        zones, inference_of(arguments.file, arguments.threads or 1), Plan(**given)
    )


def _by_trace(arguments: argparse.Namespace) -> "Measurement":
    from fraudnet.energy.measurement import measure_recording
    from fraudnet.energy.meter import read_meter
    from fraudnet.energy.power_rails import read_rails

    idle = _window(arguments.idle)
    active = [_window(text) for text in arguments.active]
    if arguments.meter == "csv":
        recording = read_meter(arguments.trace, arguments.voltage_v)
    else:
        recording = read_rails(arguments.trace)
    return measure_recording(recording, idle, active, arguments.inferences, arguments.rails)


def _window(text: str) -> tuple[float, float]:
    begin, _, end = text.partition(":")
    try:
        return float(begin), float(end)
    except ValueError as error:
        raise InputError(f"window {text!r}: expected BEGIN:END in seconds, as 30:60") from error


def _estimated(arguments: argparse.Namespace, reason: str) -> dict[str, Any]:
    from fraudnet.energy.counting import count_file
    from fraudnet.energy.estimate import estimate_counted
    from fraudnet.energy.profiles import load_profile, operate

    profile = load_profile(arguments.device)
    estimate = estimate_counted(count_file(arguments.file), profile, operate(profile, None, None))
    return {
        "tier": estimate.tier,
        "not_metered": reason,
        "device": profile.name,
        "energy_per_inference_uj": estimate.network_energy_uj.model_dump(),
        "uncounted_operators": list(estimate.uncounted_operators),
    }


def _print(said: dict[str, Any]) -> None:
    energy = said["energy_per_inference_uj"]
    between = f"{energy['typical']:,.4g} uJ ({energy['low']:,.4g} to {energy['high']:,.4g})"
    if said["tier"] != "metered":
        print(f"not measured: {said['not_metered']}")
        print(
            f"estimate, counted from the file, for a {said['device']} and not for this machine: "
            f"{between} an inference"
        )
        if said["uncounted_operators"]:
            print(f"not counted in it: {', '.join(said['uncounted_operators'])}")
        return
    windows = said["windows"]
    seconds = ", ".join(f"{each['seconds']:.3g}" for each in windows)
    print(f"{said['file']}: {between} an inference, metered ({said['meter']})")
    if said["standard_deviation_uj"] is not None:
        print(
            f"  median and ends of {len(windows)} windows; standard deviation "
            f"{said['standard_deviation_uj']:,.3g} uJ"
        )
    print(
        f"  {windows[0]['inferences']:,} inferences in the first, of {seconds} s; idle "
        f"{said['idle_power_w']:.4g} W over {said['idle_seconds']:.3g} s subtracted"
    )
    for part, value in said["parts_energy_per_inference_uj"].items():
        note = "" if part in said["counted_parts"] else " (not added)"
        print(f"  {part}: {value:,.4g} uJ{note}")
