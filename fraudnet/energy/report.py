"""An energy estimate as a dictionary (for JSON) and as text (for a terminal)."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fraudnet.energy.budget import BudgetVerdict
from fraudnet.energy.counting import ModelCount, OperatorCount
from fraudnet.energy.estimate import Component, Day, Estimate
from fraudnet.energy.profiles import Profile, Range

_ROWS = 10
_TIER_SENTENCES = {
    "counted": "The network's figure is counted, not measured: an order of magnitude. With a "
    "latency measured on the device, --latency-us gives a better one.",
    "measured": "The network's figure is measured latency times published active power; the range "
    "is that of the clocks, --clock-mhz narrows it.",
}


@dataclass(frozen=True)
class Report:
    """Everything that is said about one file on one device."""

    file: str
    count: ModelCount
    profile: Profile
    estimate: Estimate
    day: Day
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
        "runtime": profile.software.runtime,
        "cluster": operation.cluster,
        "core": operation.core,
        "supply_voltage_v": profile.clusters[operation.cluster].supply_voltage_v,
        "clock_mhz": operation.clock_mhz.model_dump(),
        "active_power_mw": operation.active_power_mw.model_dump(),
        "model": _model_dictionary(report.count),
        "uncounted_operators": list(estimate.uncounted_operators),
        "energy_per_inference_uj": estimate.network_energy_uj.model_dump(),
        "fixed_energy_per_inference_uj": estimate.fixed_energy_uj.model_dump(),
        "total_energy_per_inference_uj": estimate.energy_uj.model_dump(),
        "components": [_component_dictionary(estimate, part) for part in estimate.components],
        "fixed_cost_share": estimate.share(_fixed_names(estimate)).model_dump(),
        "inferences_per_day": day.inferences,
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


def print_report(report: Report, console: Console) -> None:
    """Print what the network does, what that costs, and what the figures rest on."""
    console.print(_operator_table(report.count))
    console.print(_energy_table(report))
    for sentence in _sentences(report):
        console.print(sentence, markup=False, highlight=False)


def _operator_table(count: ModelCount) -> Table:
    table = Table(title="One inference, counted from the file", box=box.SIMPLE)
    for heading in ("operator", "output"):
        table.add_column(heading, overflow="fold")
    for heading in ("MACs", "elements", "param. B", "activ. B"):
        table.add_column(heading, justify="right", no_wrap=True)
    # Operators that are alike in everything are one row.
    alike = [[operator] * times for operator, times in Counter(count.operators).items()]
    alike.sort(key=lambda group: (group[0].macs * len(group), group[0].bytes_moved), reverse=True)
    for group in alike[:_ROWS]:
        operator, times = group[0], "" if len(group) == 1 else f"{len(group)} x "
        shape = "x".join(str(size) for size in operator.output_shape)
        name = operator.name if operator.counted else f"{operator.name}, not counted"
        table.add_row(times + escape(name), shape, *_sums(group))
    if rest := [operator for group in alike[_ROWS:] for operator in group]:
        table.add_row(f"{len(rest)} more", "", *_sums(rest))
    table.add_section()
    table.add_row(f"all {len(count.operators)}", "", *_sums(count.operators))
    return table


def _sums(operators: Sequence[OperatorCount]) -> list[str]:
    return [
        f"{total:,}"
        for total in (
            sum(one.macs for one in operators),
            sum(one.elementwise for one in operators),
            sum(one.parameter_bytes for one in operators),
            sum(one.activation_bytes_read + one.activation_bytes_written for one in operators),
        )
    ]


def _energy_table(report: Report) -> Table:
    estimate, day = report.estimate, report.day
    table = Table(title="Energy of one scored transaction, and of a day", box=box.SIMPLE)
    table.add_column("part")
    table.add_column("rests on")
    for heading in ("low", "typical", "high"):
        table.add_column(heading, justify="right")
    for part in estimate.components:
        table.add_row(f"{part.name}, uJ", part.origin, *_figures(part.energy_uj))
    table.add_section()
    table.add_row("network alone, uJ", estimate.tier, *_figures(estimate.network_energy_uj))
    table.add_row("all, uJ", "", *_figures(estimate.energy_uj))
    table.add_section()
    rate = f"{day.inferences:,.10g} a day"
    table.add_row(f"{rate}, J", "", *_figures(day.energy_j))
    if day.charge_mah and day.battery_percent:
        table.add_row(f"{rate}, mAh", "", *_figures(day.charge_mah))
        table.add_row(f"{rate}, % of battery", "", *_figures(day.battery_percent))
    return table


def _figures(values: Range) -> list[str]:
    return [_figure(values.low), _figure(values.typical), _figure(values.high)]


def _figure(value: float) -> str:
    """Three significant digits; an exponent only below a millionth."""
    if value < 1e-6:
        return f"{value:.3g}"
    digits = 2 - math.floor(math.log10(value))
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def _sentences(report: Report) -> list[str]:
    count, estimate, profile = report.count, report.estimate, report.profile
    operation = estimate.operation
    ends = {operation.clock_mhz.low, operation.clock_mhz.high}
    clocks = " to ".join(f"{clock:g}" for clock in sorted(ends))
    sentences = [
        f"Device: {profile.description}; {operation.core}, one {operation.cluster} core at "
        f"{clocks} MHz, {_between(operation.active_power_mw)} mW; "
        f"{profile.software.runtime}.",
        f"Memory: at most {count.peak_live_activation_bytes:,} B of activations live at once, "
        f"{count.parameter_bytes:,} B of parameters.",
        *_share_sentences(report),
        _TIER_SENTENCES[estimate.tier],
    ]
    if count.uncounted:
        sentences.append(
            f"Not counted: {len(count.uncounted)} of {len(count.operators)} operators, "
            f"{count.uncounted_byte_share:.1%} of the bytes "
            f"({', '.join(dict.fromkeys(one.name for one in count.uncounted))})."
        )
    if report.verdict:
        sentences.append(f"{report.verdict.message}.")
    return sentences


def _share_sentences(report: Report) -> list[str]:
    estimate, costs = report.estimate, report.profile.fixed
    fixed = _fixed_names(estimate)
    work = [part.name for part in estimate.components if part.name not in fixed]
    sentences = [
        f"Shares of a scored transaction: {', '.join(work)} {_percent(estimate.share(work))}; "
        f"fixed costs ({', '.join(fixed)}) {_percent(estimate.share(fixed))}."
    ]
    wake_up = next(part.energy_uj for part in estimate.fixed if part.name == "wake-up")
    if network := estimate.network_energy_uj.typical:
        sentences.append(
            f"Waking a core up costs {_figure(wake_up.typical / network)} times the network, if it "
            f"is awake {costs.wake_up_ms.typical:g} ms ({_between(costs.wake_up_ms)}) besides."
        )
    return [
        *sentences,
        f"Wake-up. {costs.wake_up_ms.source}",
        f"Storage commit. {costs.storage_commit_uj.source}",
    ]


def _fixed_names(estimate: Estimate) -> list[str]:
    """Costs that the size of the network does not change; measured latency has invocation in it."""
    return [
        part.name
        for part in estimate.components
        if part in estimate.fixed or part.name == "invocation"
    ]


def _between(values: Range) -> str:
    return f"{_figure(values.low)} to {_figure(values.high)}"


def _percent(share: Range) -> str:
    return f"{_figure(100 * share.typical)} % ({_between(share * 100)})"
