"""`fraudnet energy`: what a .tflite file costs a device, and whether that fits a budget.

Only the standard library is imported before the command runs, so that `--help` works with the
device part alone.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fraudnet.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from fraudnet.energy.latencies import Latency

_DESCRIPTION = """\
Count the operations of a .tflite file and estimate the energy of an inference and of a day on a
device, as a range. With --latency or --latency-us the network's energy is measured latency times
published active power; without, it is counted from the file alone. The two are never mixed.

`profiles` lists the devices (and those of a folder of yours). `fit` makes a profile of your own
measurements, CSV with the columns system, model (a .tflite file), energy_uj, latency_us, clock,
and if you have them board, processor, supply_mv, runtime, accelerator; and says how wrong models
are that it holds out."""

_EPILOG = """\
exit status: 0 done, 1 the budget is exceeded, 2 wrong input

example:
  fraudnet energy profiles
  fraudnet energy fit measurements.csv --output mine.toml
  fraudnet energy fraud.tflite --device mine.toml --latency benchmark_model.log --plot energy.png
  fraudnet energy fraud.tflite --device pixel-8 --inferences-per-day 5000"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments, description and example of `fraudnet energy`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "words", nargs="+", metavar="FILE | profiles [FOLDER] | fit FILE.csv",
        help="the .tflite file; or list the profiles; or fit one",
    )  # fmt: skip
    parser.add_argument(
        "--device",
        default="pixel-8",
        help="a profile's name, or the path of a .toml profile (default: %(default)s)",
    )
    parser.add_argument(
        "--inferences-per-day",
        type=float,
        default=5000,
        metavar="N",
        help="transactions scored a day (default: %(default)s)",
    )
    parser.add_argument(
        "--latency-us",
        type=float,
        metavar="N",
        help="latency of one inference in microseconds, measured on the device on one thread",
    )
    parser.add_argument(
        "--latency",
        type=Path,
        metavar="FILE",
        help="the same from what TFLite's benchmark_model printed, or `fraudnet bench --json`",
    )
    parser.add_argument(
        "--runtime", metavar="NAME", help="runtime of `fraudnet bench --json` to take it from"
    )
    parser.add_argument(
        "--cluster", help="cores that run it, as the profile names them (default: the profile's)"
    )
    parser.add_argument(
        "--clock-mhz",
        type=float,
        metavar="N",
        help="the clock that they run at, if known (default: the range of all their clocks)",
    )
    parser.add_argument(
        "--max-battery-percent",
        type=float,
        metavar="X",
        help="exit with status 1 if the high end of a day's range exceeds X %% of the battery",
    )
    parser.add_argument(
        "--signature", metavar="NAME", help="signature to count (default: the first subgraph)"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="picture of what each layer takes, and of the battery against inferences a day",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    own = parser.add_argument_group("fit")
    own.add_argument("--system", help="the system of the table to fit (default: the only one)")
    own.add_argument("--output", type=Path, metavar="FILE.toml", help="the profile to write")
    own.add_argument(
        "--based-on",
        default="microcontroller",
        metavar="BASE",
        help="base of the fixed costs, microcontroller or phone (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report, the profiles, or how good a fitted profile is.

    Returns:
        0.

    Raises:
        InputError: the file, the device or an option cannot be used.
        CheckFailed: the budget is exceeded, or not shown to hold; the report is printed before.
    """
    match arguments.words:
        case ["profiles", *folders] if len(folders) < 2:
            from fraudnet.energy.profiles_command import list_profiles

            list_profiles(Path(folders[0]) if folders else None, as_json=arguments.json)
        case ["fit", table]:
            from fraudnet.energy.fit_command import fit

            fit(Path(table), arguments)
        case ["fit"]:
            raise InputError("fit takes the CSV of your measurements; see --help for its columns")
        case [file]:
            _estimate(Path(file), arguments)
        case words:
            raise InputError(f"give one .tflite file, got {len(words)} words: {' '.join(words)}")
    return 0


def _estimate(file: Path, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from fraudnet.energy.assess import assess
    from fraudnet.energy.printing import print_report
    from fraudnet.energy.report import as_dictionary

    report = assess(
        file,
        arguments.device,
        arguments.inferences_per_day,
        latency=_latency(arguments),
        cluster=arguments.cluster,
        clock_mhz=arguments.clock_mhz,
        signature=arguments.signature,
        max_battery_percent=arguments.max_battery_percent,
    )
    if arguments.plot:
        from fraudnet.energy.plot import write_plot

        write_plot(report, arguments.plot)
    if arguments.json:
        print(json.dumps(as_dictionary(report), indent=2))
    else:
        print_report(report, Console())
    if report.verdict and not report.verdict.passed:
        raise CheckFailed(f"{report.file}: {report.verdict.message}")


def _latency(arguments: argparse.Namespace) -> "Latency | None":
    from fraudnet.energy.latencies import Latency, read_latency

    if arguments.latency is None:
        given = arguments.latency_us
        return None if given is None else Latency(given, "given with --latency-us")
    if arguments.latency_us is not None:
        raise InputError("give either --latency or --latency-us")
    return read_latency(arguments.latency, arguments.runtime)
