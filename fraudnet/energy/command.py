"""`fraudnet energy`: what a .tflite file costs a phone, and whether that fits a budget.

Only the standard library is imported before the command runs, so that `--help` works with the
device part alone.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fraudnet.energy.report import Report

_DESCRIPTION = """\
Count the operations of a .tflite file and estimate the energy of an inference and of a day on a
device, as a range. With --latency-us the network's energy is measured latency times published
active power; without, it is counted from the file alone. The two are never mixed."""

_EPILOG = """\
exit status: 0 done, 1 the budget is exceeded, 2 wrong input

example:
  fraudnet energy fraud.tflite --device pixel-8 --inferences-per-day 5000"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments, description and example of `fraudnet energy`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, help="the .tflite file")
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
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the report.

    Returns:
        0.

    Raises:
        InputError: the file, the device or an option cannot be used.
        CheckFailed: the budget is exceeded, or not shown to hold; the report is printed before.
    """
    from rich.console import Console

    from fraudnet.energy.report import as_dictionary, print_report
    from fraudnet.errors import CheckFailed

    report = _report(arguments)
    if arguments.json:
        print(json.dumps(as_dictionary(report), indent=2))
    else:
        print_report(report, Console())
    if report.verdict and not report.verdict.passed:
        raise CheckFailed(f"{report.file}: {report.verdict.message}")
    return 0


def _report(arguments: argparse.Namespace) -> "Report":
    from fraudnet.energy.budget import EnergyBudget, check_budget
    from fraudnet.energy.counting import count_file
    from fraudnet.energy.estimate import estimate_counted, estimate_day, estimate_measured
    from fraudnet.energy.profiles import load_profile, operate
    from fraudnet.energy.report import Report

    profile = load_profile(arguments.device)
    operation = operate(profile, arguments.cluster, arguments.clock_mhz)
    count = count_file(arguments.file, arguments.signature)
    if arguments.latency_us is None:
        estimate = estimate_counted(count, profile, operation)
    else:
        estimate = estimate_measured(arguments.latency_us, profile, operation)
    day = estimate_day(estimate, arguments.inferences_per_day, profile.battery)
    verdict = None
    if arguments.max_battery_percent is not None:
        verdict = check_budget(estimate, day, EnergyBudget(arguments.max_battery_percent))
    return Report(str(arguments.file), count, profile, estimate, day, verdict)
