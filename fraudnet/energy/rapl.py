"""Running Average Power Limit: the energy counters of x86 processors, as Linux shows them.

`/sys/class/powercap/intel-rapl:N` is a package (AMD's too), `intel-rapl:N:M` a part of it. Which
counters may be added is a matter of care: `core` and `uncore` are contained in their package,
`dram` is not; `psys` contains the packages; `intel-rapl-mmio` counts a package a second time.
(Linux, Documentation/power/powercap/powercap.rst; Intel SDM volume 3B, section 15.10.)
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fraudnet.energy.measurement import Measurement, Window

ROOT = Path("/sys/class/powercap")
METER = "RAPL"


class NoCounterError(Exception):
    """The machine has no counter that can be read; the reason is the message."""


@dataclass(frozen=True)
class Zone:
    """One counter.

    Attributes:
        name: as in `package-0` or `package-0 core`.
        file: that holds microjoules.
        range_uj: the largest count, after which it begins at 0.
        counted: whether no other counted zone contains it.
    """

    name: str
    file: Path
    range_uj: int
    counted: bool


@dataclass(frozen=True)
class Plan:
    """How long is measured.

    Attributes:
        idle_s: seconds without work, before.
        window_s: seconds of work at least, a window.
        windows: how many.
    """

    idle_s: float = 10.0
    window_s: float = 5.0
    windows: int = 5


def find_zones(root: Path = ROOT) -> list[Zone]:
    """The counters of this machine.

    Args:
        root: of the powercap tree.

    Raises:
        NoCounterError: there is none, or it may not be read.
    """
    zones = []
    for folder in sorted(root.glob("intel-rapl:*")):
        place = re.fullmatch(r"intel-rapl:(\d+)(:\d+)?", folder.name)
        if place is None or not (folder / "energy_uj").exists():
            continue
        name = _read(folder / "name")
        if place[2]:
            parent = _read(root / f"intel-rapl:{place[1]}" / "name")
            counted = name == "dram" and parent != "psys"
            name = f"{parent} {name}"
        else:
            counted = name != "psys"
        zones.append(
            Zone(name, folder / "energy_uj", int(_read(folder / "max_energy_range_uj")), counted)
        )
    if not any(zone.counted for zone in zones):
        raise NoCounterError(f"{root} has no counter of a processor package (intel-rapl:N)")
    for zone in zones:
        _read(zone.file)
    return zones


def measure_repeated(
    zones: list[Zone],
    infer: Callable[[], object],
    plan: Plan,
    clock_s: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Measurement:
    """Idle, then infer over and over.

    Args:
        zones: of `find_zones`.
        infer: makes one inference.
        plan: how long.
        clock_s: monotonic.
        sleep: waits so many seconds.

    Raises:
        NoCounterError: a counter cannot be read.
    """

    def window(work: Callable[[], int]) -> Window:
        before, begin = _counts(zones), clock_s()
        inferences = work()
        seconds, after = clock_s() - begin, _counts(zones)
        taken = {
            zone.name: taken_uj(before[zone.name], after[zone.name], zone.range_uj) / 1e6
            for zone in zones
        }
        return Window(inferences, seconds, taken)

    def rest() -> int:
        sleep(plan.idle_s)
        return 0

    def infer_on() -> int:
        end, inferences = clock_s() + plan.window_s, 0
        while inferences == 0 or clock_s() < end:
            infer()
            inferences += 1
        return inferences

    infer()  # what is done once is not the inference's
    idle = window(rest)
    active = tuple(window(infer_on) for _ in range(plan.windows))
    return Measurement(METER, idle, active, tuple(zone.name for zone in zones if zone.counted))


def taken_uj(before_uj: int, after_uj: int, range_uj: int) -> int:
    """Microjoules between two readings of a counter that may have begun anew once."""
    return after_uj - before_uj + (range_uj if after_uj < before_uj else 0)


def _counts(zones: list[Zone]) -> dict[str, int]:
    return {zone.name: int(_read(zone.file)) for zone in zones}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise NoCounterError(
            f"{file} may be read by root alone; run as root, or: sudo chmod a+r {file}"
        ) from error
    except OSError as error:
        raise NoCounterError(f"{file}: {error.strerror}") from error
