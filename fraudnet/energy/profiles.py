"""Device profiles: what a named phone draws, as data, each number with its source.

A profile is a TOML file (`profiles/NAME.toml` in this package, or one of yours). With
`based_on = "phone"` it takes over the keys of `profiles/bases/phone.toml` that it lacks. Power at
each clock is measured and published. What the counted tier needs is either the cost of software in
clock cycles (`software`: published or measured) or the cost of each kind of work fitted to this
device's own measurements (`fitted`: `fraudnet energy fit` makes it). What is none of these says
that it is an assumption.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from fraudnet.configuration import Section, parse_section, read_toml
from fraudnet.errors import InputError

_FOLDER = Path(__file__).parent / "profiles"
_BASES = _FOLDER / "bases"


class Range(Section):
    """A quantity that is known as a range; sums and products take low with low, high with high.

    The ends are therefore an envelope (everything cheap, everything dear), wider than a confidence
    interval of the same data would be.
    """

    low: NonNegativeFloat
    typical: NonNegativeFloat
    high: NonNegativeFloat

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low <= self.typical <= self.high:
            raise ValueError("low <= typical <= high must hold")
        return self

    @classmethod
    def exactly(cls, value: float) -> "Range":
        """The range of a quantity that is known."""
        return cls(low=value, typical=value, high=value)

    def __add__(self, other: "Range") -> "Range":
        return Range(
            low=self.low + other.low,
            typical=self.typical + other.typical,
            high=self.high + other.high,
        )

    def __mul__(self, other: "Range | float") -> "Range":
        by = other if isinstance(other, Range) else Range.exactly(other)
        return Range(
            low=self.low * by.low,
            typical=self.typical * by.typical,
            high=self.high * by.high,
        )


class Quantity(Range):
    """A range with the document, or the assumption, that it comes from."""

    source: str


class OperatingPoint(Section):
    """One clock of a cluster: power of one busy core above the phone's idle power."""

    clock_mhz: PositiveFloat
    active_power_mw: PositiveFloat


class Cluster(Section):
    """Cores of one kind; `supply_voltage_v` is None where it is not published."""

    core: str
    supply_voltage_v: PositiveFloat | None = None
    source: str
    operating_points: tuple[OperatingPoint, ...] = Field(min_length=1)


class Battery(Section):
    """What a full battery holds; the voltage is the nominal one."""

    capacity_mah: PositiveFloat
    voltage_v: PositiveFloat
    source: str

    @property
    def energy_j(self) -> float:
        """Energy of a full battery in joules: 1 mAh is 3.6 coulombs."""
        return self.capacity_mah * 3.6 * self.voltage_v


class Software(Section):
    """What the runtime makes of an operation, in clock cycles; used by the counted tier alone."""

    cycles_per_mac: Quantity
    depthwise_mac_weight: Quantity
    cycles_per_element: Quantity
    cycles_per_operator: Quantity
    picojoules_per_byte: Quantity


class Fitted(Section):
    """What each kind of work costs on this device with this runtime; the counted tier's other form.

    Attributes:
        arithmetic_types: of the models that were measured; the interval covers no others.
        interval_ratio: 90 per cent of this device's models cost between the estimate over this and
            the estimate times this.
    """

    picojoules_per_convolution_mac: PositiveFloat
    picojoules_per_depthwise_mac: PositiveFloat
    picojoules_per_fully_connected_mac: PositiveFloat
    picojoules_per_activation_byte: PositiveFloat
    picojoules_per_parameter_byte: PositiveFloat
    interval_ratio: float = Field(ge=1)
    arithmetic_types: tuple[str, ...] = Field(min_length=1)
    source: str

    def covers(self, types: Iterable[str]) -> bool:
        """Whether models that compute in these types are of the kind that was measured."""
        return set(types) <= set(self.arithmetic_types)


class FixedCosts(Section):
    """What a scored transaction costs besides the network, whichever network it is.

    A model is read from storage when a process starts: in `model_reads_per_inference` of the
    transactions.
    """

    wake_up_ms: Quantity
    storage_commit_uj: Quantity
    model_reads_per_inference: Quantity
    storage_read_picojoules_per_byte: Quantity


class Profile(Section):
    """A device: power at each clock, runtime and what it makes of work, fixed costs, battery.

    Attributes:
        runtime: the software that runs the network; its costs stand in `software` or `fitted`.
        accelerator: what runs the network in place of the processor; the counted tier refuses it.
        battery: None: there is none.
    """

    name: str
    description: str
    runtime: str
    default_cluster: str
    accelerator: str | None = None
    power_ratio_to_benchmark: Quantity
    battery: Battery | None = None
    clusters: dict[str, Cluster]
    software: Software | None = None
    fitted: Fitted | None = None
    fixed: FixedCosts

    @model_validator(mode="after")
    def _default_is_there(self) -> Self:
        if self.default_cluster not in self.clusters:
            raise ValueError(f"default_cluster must be one of {', '.join(self.clusters)}")
        return self

    @model_validator(mode="after")
    def _one_way_to_count(self) -> Self:
        ways = sum(way is not None for way in (self.accelerator, self.software, self.fitted))
        if ways != 1:
            raise ValueError("give exactly one of accelerator, [software] and [fitted]")
        return self


@dataclass(frozen=True)
class Operation:
    """Where on the device the network runs: a cluster at one clock, or anywhere in its range."""

    cluster: str
    core: str
    clock_mhz: Range
    active_power_mw: Range
    energy_per_cycle_pj: Range


def profile_names() -> list[str]:
    """Names of the profiles in the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def base_names() -> list[str]:
    """What a profile may be based on."""
    return sorted(path.stem for path in _BASES.glob("*.toml"))


def load_profile(name_or_path: str) -> Profile:
    """Read a profile.

    Args:
        name_or_path: a name from `profile_names`, or the path of a TOML file of your own.

    Raises:
        InputError: no such profile (the names are listed), or a key of it is missing, unknown or
            out of range.
    """
    path = Path(name_or_path)
    if name_or_path in profile_names():
        path = _FOLDER / f"{name_or_path}.toml"
    elif path.suffix != ".toml":
        known = ", ".join(profile_names())
        raise InputError(
            f"unknown device {name_or_path!r}; give one of {known}, or the path of a .toml profile"
        )
    values = read_toml(path)
    if "based_on" in values:
        base = values.pop("based_on")
        if base not in base_names():
            known = ", ".join(base_names())
            raise InputError(f"{path}: key 'based_on': no such base {base!r}; give one of {known}")
        values = read_toml(_BASES / f"{base}.toml") | values
    return parse_section(Profile, values, str(path))


def operate(
    profile: Profile, cluster: str | None = None, clock_mhz: float | None = None
) -> Operation:
    """Power and energy per cycle of one busy core.

    Without a clock the range spans every clock of the cluster, typical being the median: which one
    the phone chooses is not known. Measured power of the benchmark is then scaled by
    `power_ratio_to_benchmark`, since a network is another workload.

    Args:
        profile: the device.
        cluster: one of its clusters; default: the profile's.
        clock_mhz: one of the cluster's clocks; default: all.

    Raises:
        InputError: no such cluster, or no such clock in it.
    """
    name = cluster or profile.default_cluster
    if name not in profile.clusters:
        known = ", ".join(profile.clusters)
        raise InputError(f"{profile.name} has no cluster {name!r}; give one of {known}")
    points = profile.clusters[name].operating_points
    if clock_mhz is not None:
        clocks = ", ".join(f"{point.clock_mhz:g}" for point in points)
        points = tuple(point for point in points if point.clock_mhz == clock_mhz)
        if not points:
            raise InputError(
                f"{profile.name}: cluster {name!r} has no clock {clock_mhz:g} MHz; "
                f"give one of {clocks}"
            )
    ratio = profile.power_ratio_to_benchmark
    return Operation(
        cluster=name,
        core=profile.clusters[name].core,
        clock_mhz=_spread([point.clock_mhz for point in points]),
        active_power_mw=_spread([point.active_power_mw for point in points]) * ratio,
        # 1 mW at 1 MHz is 1,000 pJ a cycle.
        energy_per_cycle_pj=_spread(
            [1e3 * point.active_power_mw / point.clock_mhz for point in points]
        )
        * ratio,
    )


def _spread(values: list[float]) -> Range:
    return Range(low=min(values), typical=median(values), high=max(values))
