"""Energy that a meter counted: windows of work less what the device takes when it idles.

energy an inference = (energy of the window - idle power x its seconds) / inferences of the window

Idle power is measured by the same meter, in a window without work. What a window's inferences take
above idle is theirs, and so is whatever else ran beside them: hence several windows, and their
spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, stdev
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.energy.profiles import Range
from fraudnet.errors import CheckFailed, InputError

Energies = Mapping[str, float]
"""Joules by what the meter tells apart: a rail, a part of the processor, the whole."""
LARGEST_GAP = 20
"""Times the median distance of two samples, from which a meter has missed some."""


@dataclass(frozen=True)
class Window:
    """A stretch of time.

    Attributes:
        inferences: that were made in it; 0: idle.
        seconds: it lasted.
        energy_j: taken in it, by part.
    """

    inferences: int
    seconds: float
    energy_j: Energies


@dataclass(frozen=True)
class Measurement:
    """Windows of one meter.

    Attributes:
        meter: what counted.
        idle: without work.
        active: with work.
        counted: the parts whose sum is the energy; others are contained in them.
    """

    meter: str
    idle: Window
    active: tuple[Window, ...]
    counted: tuple[str, ...]

    @property
    def idle_power_w(self) -> float:
        """Watts without work."""
        return self._power_w(self.idle, self.counted)

    def per_inference_uj(self, parts: Sequence[str] | None = None) -> list[float]:
        """Microjoules an inference above idle, by window; may be below 0 for a part that idles.

        Args:
            parts: whose energy; default: all that count.
        """
        chosen = self.counted if parts is None else parts
        idle_w = self._power_w(self.idle, chosen)
        return [
            1e6
            * (sum(window.energy_j[part] for part in chosen) - idle_w * window.seconds)
            / window.inferences
            for window in self.active
        ]

    @property
    def energy_per_inference_uj(self) -> Range:
        """Least, median and most of the windows.

        Raises:
            CheckFailed: a window took no more than idle, so that nothing can be said.
        """
        found = self.per_inference_uj()
        if min(found) <= 0:
            lost = sum(each <= 0 for each in found)
            raise CheckFailed(
                f"{self.meter}: {lost} of {len(found)} windows took no more than idle "
                f"({self.idle_power_w:.3g} W); make them longer, and the device quieter"
            )
        return Range(low=min(found), typical=median(found), high=max(found))

    @staticmethod
    def _power_w(window: Window, parts: Sequence[str]) -> float:
        return sum(window.energy_j[part] for part in parts) / window.seconds

    def as_dictionary(self) -> dict[str, Any]:
        """As plain values, a unit in every name.

        Raises:
            CheckFailed: as `energy_per_inference_uj`.
        """
        each = self.per_inference_uj()
        return {
            "meter": self.meter,
            "energy_per_inference_uj": self.energy_per_inference_uj.model_dump(),
            "standard_deviation_uj": stdev(each) if len(each) > 1 else None,
            "idle_power_w": self.idle_power_w,
            "idle_seconds": self.idle.seconds,
            "windows": [
                {
                    "inferences": window.inferences,
                    "seconds": window.seconds,
                    "power_w": self._power_w(window, self.counted),
                    "energy_per_inference_uj": energy,
                }
                for window, energy in zip(self.active, each, strict=True)
            ],
            "parts_energy_per_inference_uj": {
                part: median(self.per_inference_uj([part])) for part in self.idle.energy_j
            },
            "counted_parts": list(self.counted),
        }


@dataclass(frozen=True)
class Recording:
    """What a meter wrote down: energy since some moment, by part.

    Attributes:
        place: the file, for errors.
        meter: what counted.
        times_s: of the samples of each part, ascending, [N].
        energy_j: until then, [N].
        may_fall: whether energy can come back, as when a battery is charged; a counter's cannot.
    """

    place: str
    meter: str
    times_s: Mapping[str, npt.NDArray[np.float64]]
    energy_j: Mapping[str, npt.NDArray[np.float64]]
    may_fall: bool = False

    @property
    def begin_s(self) -> float:
        """When the first sample was taken."""
        return min(float(times[0]) for times in self.times_s.values())

    def between(self, begin_s: float, end_s: float) -> dict[str, float]:
        """Joules by part from one moment to another, in seconds since the first sample.

        Between two samples power is taken to be even.

        Raises:
            InputError: the recording does not reach that far, lacks samples there, or a counter
                runs backwards.
        """
        return {part: self._energy(part, begin_s, end_s) for part in self.times_s}

    def _energy(self, part: str, begin_s: float, end_s: float) -> float:
        times, energy = self.times_s[part] - self.begin_s, self.energy_j[part]
        where = f"{self.place}: {part}, {begin_s:g}:{end_s:g} s"
        if begin_s < times[0] or end_s > times[-1]:
            raise InputError(
                f"{where}: samples reach from {times[0]:.6g} to {times[-1]:.6g} s; give a window "
                "within"
            )
        first = int(np.searchsorted(times, begin_s, side="right")) - 1
        last = int(np.searchsorted(times, end_s, side="left"))
        gap = float(np.diff(times[first : last + 1]).max())
        usual = float(np.median(np.diff(times)))
        # Of a few samples, one must not stand for the whole window.
        if gap > LARGEST_GAP * usual or gap > (end_s - begin_s) / 2:
            raise InputError(
                f"{where}: {gap:.3g} s without a sample (usual: {usual:.3g} s); give a longer "
                "window, or one without the gap"
            )
        if not self.may_fall and (np.diff(energy[first : last + 1]) < 0).any():
            raise InputError(f"{where}: the counter runs backwards; give a window before or after")
        ends = np.interp([begin_s, end_s], times, energy)
        return float(ends[1] - ends[0])


def measure_recording(
    recording: Recording,
    idle_s: tuple[float, float],
    active_s: Sequence[tuple[float, float]],
    inferences: int,
    parts: Sequence[str] | None = None,
) -> Measurement:
    """Cut windows out of a recording.

    Args:
        recording: of a meter.
        idle_s: from when to when the device idled, in seconds since the first sample.
        active_s: likewise, when it worked.
        inferences: made in each of those.
        parts: beginnings or pieces of the names of the parts that count; default: all.

    Raises:
        InputError: a window does not fit the recording, two overlap, or no part has such a name.
    """
    ordered = sorted([idle_s, *active_s])
    for (begin, end), following in zip(ordered, [*ordered[1:], None], strict=True):
        if not 0 <= begin < end < float("inf"):
            raise InputError(f"window {begin:g}:{end:g}: expected BEGIN:END in seconds, 0 <= BEGIN")
        if following and following[0] < end:
            raise InputError(
                f"windows {begin:g}:{end:g} and {following[0]:g}:{following[1]:g} overlap; give "
                "some that do not"
            )
    known = list(recording.times_s)
    counted = tuple(n for n in known if parts is None or any(p.lower() in n.lower() for p in parts))
    if not counted:
        raise InputError(
            f"{recording.place}: no rail is named like that; it has {', '.join(known)}"
        )
    windows = [
        Window(count, end - begin, recording.between(begin, end))
        for count, (begin, end) in [(0, idle_s), *((inferences, each) for each in active_s)]
    ]
    return Measurement(recording.meter, windows[0], tuple(windows[1:]), counted)
