"""Everything that is said about one file on one device, and that as a dictionary (for JSON)."""

from dataclasses import asdict, dataclass
from typing import Any

from fraudnet.energy.alternatives import alternatives, dominant
from fraudnet.energy.budget import BudgetVerdict
from fraudnet.energy.counting import ModelCount
from fraudnet.energy.estimate import Component, Day, Estimate
from fraudnet.energy.latencies import Latency
from fraudnet.energy.profiles import Profile, Range
from fraudnet.energy.radio import Radio


@dataclass(frozen=True)
class Report:
    """Everything that is said about one file on one device.

    Attributes:
        latency: what the measured tier rests on; None in the counted tier.
        radio: of the online call that scoring on the device saves.
        budget_percent: most of the battery that a day may take; None: no budget.
        verdict: whether it does; None without a budget.
    """

    file: str
    count: ModelCount
    profile: Profile
    latency: Latency | None
    estimate: Estimate
    day: Day
    radio: Radio
    budget_percent: float | None
    verdict: BudgetVerdict | None


def as_dictionary(report: Report) -> dict[str, Any]:
    """The report as plain values; every key names its unit, a range has low, typical and high."""
    estimate, day, profile = report.estimate, report.day, report.profile
    operation = estimate.operation
    return {
        "file": report.file,
        "tier": estimate.tier,
        "device": profile.name,
        "device_description": profile.description,
        "runtime": profile.runtime,
        "accelerator": profile.accelerator,
        "latency": None if report.latency is None else asdict(report.latency),
        "cluster": operation.cluster,
        "core": operation.core,
        "supply_voltage_v": profile.clusters[operation.cluster].supply_voltage_v,
        "clock_mhz": operation.clock_mhz.model_dump(),
        "active_power_mw": operation.active_power_mw.model_dump(),
        "model": _model_dictionary(report.count),
        "uncounted_operators": list(estimate.uncounted_operators),
        "types_are_of_the_fit": None
        if profile.fitted is None or estimate.tier == "measured"
        else profile.fitted.covers(report.count.arithmetic_types),
        "energy_per_inference_uj": estimate.network_energy_uj.model_dump(),
        "fixed_energy_per_inference_uj": estimate.fixed_energy_uj.model_dump(),
        "total_energy_per_inference_uj": estimate.energy_uj.model_dump(),
        "components": [_component_dictionary(estimate, part) for part in estimate.components],
        "fixed_cost_share": estimate.share(fixed_names(estimate)).model_dump(),
        "dominant_component": dominant(estimate).name,
        "alternatives": [
            {"way": way, "energy_per_inference_uj": energy.model_dump()}
            for way, energy in alternatives(estimate).items()
        ],
        "online_call": {
            "radio": report.radio.name,
            "call_alone_uj": report.radio.call_alone_uj.model_dump(),
            "transfer_uj": report.radio.transfer_uj.model_dump(),
            "energy_per_day_j": report.radio.day_j(day.inferences).model_dump(),
            "assumptions": report.radio.model_dump(),
        },
        "inferences_per_day": day.inferences,
        "mean_power_uw": day.mean_power_uw.model_dump(),
        "energy_per_day_j": day.energy_j.model_dump(),
        "charge_per_day_mah": _dump(day.charge_mah),
        "battery_percent_per_day": _dump(day.battery_percent),
        "profile": profile.model_dump(exclude={"clusters"}),
        "active_power_source": profile.clusters[operation.cluster].source,
        "budget": None if report.verdict is None else asdict(report.verdict),
    }


def _model_dictionary(count: ModelCount) -> dict[str, Any]:
    return {
        "macs": count.macs,
        "elementwise_operations": count.elementwise,
        "parameter_bytes": count.parameter_bytes,
        "parameter_bytes_read": count.parameter_bytes_read,
        "activation_bytes_read": count.activation_bytes_read,
        "activation_bytes_written": count.activation_bytes_written,
        "peak_live_activation_bytes": count.peak_live_activation_bytes,
        "peak_memory_bytes": count.peak_memory_bytes,
        "uncounted_operator_share": count.uncounted_operator_share,
        "uncounted_byte_share": count.uncounted_byte_share,
        "operators": [asdict(operator) for operator in count.operators],
    }


def _component_dictionary(estimate: Estimate, part: Component) -> dict[str, Any]:
    return {
        "name": part.name,
        "origin": part.origin,
        "energy_uj": part.energy_uj.model_dump(),
        "share": estimate.share([part.name]).model_dump(),
    }


def _dump(values: Range | None) -> dict[str, float] | None:
    return None if values is None else values.model_dump()


def fixed_names(estimate: Estimate) -> list[str]:
    """Costs that the size of the network does not change; measured latency has invocation in it."""
    return [
        part.name
        for part in estimate.components
        if part in estimate.fixed or part.name == "invocation"
    ]
