"""Everything about one file on one device, in one call."""

from pathlib import Path

from fraudnet.device.artifact import read_documents
from fraudnet.energy.budget import EnergyBudget, check_budget
from fraudnet.energy.counting import count_file
from fraudnet.energy.estimate import estimate_counted, estimate_day, estimate_measured
from fraudnet.energy.latencies import Latency
from fraudnet.energy.profiles import load_profile, operate
from fraudnet.energy.radio import load_radio
from fraudnet.energy.report import Report
from fraudnet.energy.workload import is_artifact


def assess(
    file: Path,
    device: str = "pixel-8",
    inferences_per_day: float = 5000,
    *,
    latency: Latency | None = None,
    cluster: str | None = None,
    clock_mhz: float | None = None,
    signature: str | None = None,
    max_battery_percent: float | None = None,
) -> Report:
    """Estimate what a .tflite file takes on a device, an inference and a day.

    Args:
        file: the .tflite file; an artifact is held against its own digest first.
        device: a profile's name, or the path of one.
        inferences_per_day: transactions scored a day.
        latency: of one inference, measured there on one thread: the measured tier. Default: the
            counted tier.
        cluster: cores that run it; default: the profile's.
        clock_mhz: the clock that they run at; default: the range of all their clocks.
        signature: what to count; default: the file's first subgraph.
        max_battery_percent: most of the battery that a day may take; default: no budget.

    Returns:
        `fraudnet.energy.report.as_dictionary` makes plain values of it.

    Raises:
        ArtifactError: an artifact is damaged.
        InputError: the file, the device or a figure cannot be used, or the counted tier is asked of
            an accelerator.
    """
    profile = load_profile(device)
    operation = operate(profile, cluster, clock_mhz)
    count = count_file(file, signature)
    if is_artifact(file):
        read_documents(file)
    if latency is None:
        estimate = estimate_counted(count, profile, operation)
    else:
        estimate = estimate_measured(latency.latency_us, profile, operation, count)
    day = estimate_day(estimate, inferences_per_day, profile.battery)
    verdict = None
    if max_battery_percent is not None:
        verdict = check_budget(estimate, day, EnergyBudget(max_battery_percent))
    return Report(
        file=str(file),
        count=count,
        profile=profile,
        latency=latency,
        estimate=estimate,
        day=day,
        radio=load_radio(),
        budget_percent=max_battery_percent,
        verdict=verdict,
    )
