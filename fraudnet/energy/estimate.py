"""Energy of an inference and of a day, as ranges, in two tiers that are never mixed.

Measured tier: the device's active power times a latency that was measured on it.

Counted tier: from the file alone. Where costs were fitted to the device's own measurements, those
of each kind of work; else a cycle costs active power over clock, and the network takes so many
cycles, which is good for the order of magnitude, and its range says so. `benchmarks.energy` says
how far both are from published measurements. Accelerators have no counted tier.

To both come costs that no network changes and that rest on stated assumptions: waking a core up,
reading the model, and committing the transaction to storage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fraudnet.energy.counting import ModelCount
from fraudnet.energy.profiles import Battery, Fitted, Operation, Profile, Range, Software
from fraudnet.energy.work import work_of_model
from fraudnet.errors import InputError

_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Component:
    """A part of the energy; `origin` says what its figure rests on."""

    name: str
    energy_uj: Range
    origin: Literal["measured", "counted", "assumed"]


@dataclass(frozen=True)
class Estimate:
    """Energy of scoring one transaction, by component.

    Attributes:
        tier: where the network's own energy comes from.
        operation: the cluster and the clocks that it runs at.
        network: what one invocation of the network takes.
        fixed: what comes on top at each transaction, whichever network it is.
        uncounted_operators: names of operators that the counted tier misses; with any, the high
            end bounds nothing. Empty in the measured tier, where latency covers them.
    """

    tier: Literal["measured", "counted"]
    operation: Operation
    network: tuple[Component, ...]
    fixed: tuple[Component, ...]
    uncounted_operators: tuple[str, ...] = ()

    @property
    def components(self) -> tuple[Component, ...]:
        """The network's components, then the fixed ones."""
        return (*self.network, *self.fixed)

    @property
    def network_energy_uj(self) -> Range:
        """Energy of one inference, without what it takes to be awake and to commit."""
        return _total(self.network)

    @property
    def fixed_energy_uj(self) -> Range:
        """Energy of waking up and committing, once a transaction."""
        return _total(self.fixed)

    @property
    def energy_uj(self) -> Range:
        """Energy of one scored transaction: network and fixed costs."""
        return _total(self.components)

    def share(self, names: Sequence[str]) -> Range:
        """Share that components take of a scored transaction, 0 to 1.

        Low sets these components at their low end against the others at their high end, high the
        other way round.
        """
        inside = _total([part for part in self.components if part.name in names])
        outside = _total([part for part in self.components if part.name not in names])
        return Range(
            low=_part(inside.low, outside.high),
            typical=_part(inside.typical, outside.typical),
            high=_part(inside.high, outside.low),
        )


@dataclass(frozen=True)
class Day:
    """What a day of scored transactions takes; battery figures are None without a battery."""

    inferences: float
    energy_j: Range
    charge_mah: Range | None
    battery_percent: Range | None

    @property
    def mean_power_uw(self) -> Range:
        """Energy of the day over its 86,400 seconds, in microwatts."""
        return self.energy_j * (1e6 / _SECONDS_PER_DAY)


def estimate_measured(
    latency_us: float, profile: Profile, operation: Operation, count: ModelCount | None = None
) -> Estimate:
    """Energy from a latency measured on the device.

    energy = active power x latency (1 mW x 1 us = 1 nJ).

    Args:
        latency_us: time of one inference on one thread of the device, in microseconds.
        profile: the device.
        operation: the cluster, and the clock if it is known, that the latency was measured at.
        count: the model, for what reading it takes; None leaves that cost out.

    Raises:
        InputError: the latency is not above 0 and at most 1e9.
    """
    if not 0 < latency_us <= 1e9:
        raise InputError(f"the latency must be above 0 and at most 1e9 us, got {latency_us:g}")
    inference = operation.active_power_mw * (latency_us * 1e-3)
    return Estimate(
        tier="measured",
        operation=operation,
        network=(Component("inference", inference, "measured"),),
        fixed=_fixed(profile, operation, count),
    )


def estimate_counted(count: ModelCount, profile: Profile, operation: Operation) -> Estimate:
    """Energy from the file alone.

    With costs fitted to the device,

    energy = sum over kinds of work of amount x energy per unit

    (multiply-accumulates by operator, bytes of activations and of parameters), the range being the
    fit's 90 per cent interval. Else

    energy = energy per cycle x (MACs x cycles per MAC + elements x cycles per element
             + operators x cycles per operator) + bytes moved x energy per byte

    where a depthwise MAC counts as several, and energy per cycle is active power over clock; the
    sum's low end takes every factor low, its high end every factor high. The profile gives every
    factor and its source.

    Args:
        count: the model, counted.
        profile: the device.
        operation: the cluster, and the clock if it is known, that the network runs at.

    Raises:
        InputError: the device runs networks on an accelerator.
    """
    if profile.software:
        work = _work_in_cycles(count, profile.software, operation)
    elif profile.fitted:
        work = _fitted_work(count, profile.fitted)
    else:
        raise InputError(
            f"{profile.name} runs the network on an accelerator ({profile.accelerator}): what that "
            "costs does not follow from counts; measure the latency there and give it"
        )
    return Estimate(
        tier="counted",
        operation=operation,
        network=tuple(Component(name, energy, "counted") for name, energy in work.items()),
        fixed=_fixed(profile, operation, count),
        uncounted_operators=tuple(dict.fromkeys(operator.name for operator in count.uncounted)),
    )


def _work_in_cycles(
    count: ModelCount, software: Software, operation: Operation
) -> dict[str, Range]:
    cycle_uj = operation.energy_per_cycle_pj * 1e-6
    depthwise = count.macs_by_operator["DEPTHWISE_CONV_2D"]
    weighted_macs = software.depthwise_mac_weight * depthwise + Range.exactly(
        count.macs - depthwise
    )
    return {
        "multiply-accumulates": cycle_uj * software.cycles_per_mac * weighted_macs,
        "element-wise": cycle_uj * software.cycles_per_element * count.elementwise,
        "memory": software.picojoules_per_byte * (count.bytes_moved * 1e-6),
        "invocation": cycle_uj * software.cycles_per_operator * len(count.operators),
    }


def _fitted_work(count: ModelCount, fitted: Fitted) -> dict[str, Range]:
    costs_pj = (
        fitted.picojoules_per_convolution_mac,
        fitted.picojoules_per_depthwise_mac,
        fitted.picojoules_per_fully_connected_mac,
        fitted.picojoules_per_activation_byte,
        fitted.picojoules_per_parameter_byte,
    )
    parts_uj = [
        float(amount) * cost * 1e-6
        for amount, cost in zip(work_of_model(count), costs_pj, strict=True)
    ]
    interval = Range(low=1 / fitted.interval_ratio, typical=1, high=fitted.interval_ratio)
    return {
        "multiply-accumulates": interval * sum(parts_uj[:3]),
        "memory": interval * sum(parts_uj[3:]),
    }


def estimate_day(estimate: Estimate, inferences_per_day: float, battery: Battery | None) -> Day:
    """Energy, charge and share of the battery that a day takes.

    Args:
        estimate: one scored transaction.
        inferences_per_day: transactions scored a day.
        battery: of the device; None leaves charge and share out.

    Raises:
        InputError: the rate is not 0 to 1e9.
    """
    if not 0 <= inferences_per_day <= 1e9:
        raise InputError(f"inferences a day must be 0 to 1e9, got {inferences_per_day:g}")
    energy_j = estimate.energy_uj * (inferences_per_day * 1e-6)
    return Day(
        inferences=inferences_per_day,
        energy_j=energy_j,
        charge_mah=energy_j * (1 / (3.6 * battery.voltage_v)) if battery else None,
        battery_percent=energy_j * (100 / battery.energy_j) if battery else None,
    )


def _fixed(
    profile: Profile, operation: Operation, count: ModelCount | None
) -> tuple[Component, ...]:
    costs = profile.fixed
    # 1 mW for 1 ms is 1 uJ.
    parts = {"wake-up": operation.active_power_mw * costs.wake_up_ms}
    if count:
        read_uj = costs.storage_read_picojoules_per_byte * (count.parameter_bytes * 1e-6)
        parts["reading the model"] = read_uj * costs.model_reads_per_inference
    parts["storage commit"] = costs.storage_commit_uj
    return tuple(Component(name, energy, "assumed") for name, energy in parts.items())


def _total(components: Sequence[Component]) -> Range:
    return sum((component.energy_uj for component in components), Range.exactly(0))


def _part(inside: float, outside: float) -> float:
    return inside / (inside + outside) if inside else 0.0
