"""An energy report as text, for a terminal."""

import math
from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fraudnet.energy.alternatives import alternatives, dominant
from fraudnet.energy.counting import ModelCount, OperatorCount
from fraudnet.energy.profiles import Battery, Profile, Quantity, Range
from fraudnet.energy.report import Report, fixed_names

_ROWS = 10
_TIER_SENTENCES = {
    "counted": "The network's figure is counted, not measured{basis}. With a latency measured on "
    "the device, --latency-us or --latency gives a better one.",
    "measured": "The network's figure is measured latency times published active power; the range "
    "is that of the clocks, --clock-mhz narrows it.",
}


def print_report(report: Report, console: Console) -> None:
    """Print what the network does, what that costs, and what the figures rest on."""
    console.print(_operator_table(report.count))
    console.print(_energy_table(report))
    console.print(_alternatives_table(report))
    console.print(_assumptions_table(report))
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
    table.add_row(f"{rate}, mean uW", "", *_figures(day.mean_power_uw))
    if day.charge_mah and day.battery_percent:
        table.add_row(f"{rate}, mAh", "", *_figures(day.charge_mah))
        table.add_row(f"{rate}, % of battery", "", *_figures(day.battery_percent))
    return table


def _alternatives_table(report: Report) -> Table:
    estimate, radio = report.estimate, report.radio
    table = Table(title="The same transaction scored otherwise, uJ", box=box.SIMPLE)
    table.add_column("way")
    for heading in ("low", "typical", "high", "typical, times"):
        table.add_column(heading, justify="right")
    online = {
        f"online, {radio.name} woken for it": radio.call_alone_uj,
        f"online, {radio.name} awake anyway": radio.transfer_uj,
    }
    own = alternatives(estimate)
    for ways in (own, online):
        for name, energy in ways.items():
            times = _figure(energy.typical / (estimate.energy_uj.typical or 1))
            table.add_row(name, *_figures(energy), times)
        table.add_section()
    return table


def _assumptions_table(report: Report) -> Table:
    table = Table(title="What the figures rest on", box=box.SIMPLE)
    table.add_column("quantity: low, typical, high", overflow="fold", max_width=30)
    table.add_column("source", overflow="fold")
    for name, values, source in _assumptions(report):
        table.add_row(f"{name}: {values}" if values else name, escape(source))
    return table


def _assumptions(report: Report) -> list[tuple[str, str, str]]:
    profile, radio, operation = report.profile, report.radio, report.estimate.operation
    power = operation.active_power_mw
    rows = [
        (
            f"active power, mW ({operation.cluster})",
            " ".join(_figures(power)),
            profile.clusters[operation.cluster].source,
        ),
        _row("power, other work over this", profile.power_ratio_to_benchmark),
    ]
    if report.latency:
        rows.append(("latency, us", _figure(report.latency.latency_us), report.latency.source))
    elif profile.fitted:
        rows.append(("costs by kind of work", "", profile.fitted.source))
    elif profile.software:
        software = profile.software
        rows += [
            _row("cycles a multiply-accumulate", software.cycles_per_mac),
            _row("a depthwise one counts as", software.depthwise_mac_weight),
            _row("cycles an element", software.cycles_per_element),
            _row("cycles an operator", software.cycles_per_operator),
            _row("pJ a byte moved", software.picojoules_per_byte),
        ]
    rows += [
        _row("awake for it, ms", profile.fixed.wake_up_ms),
        _row("reads of the model a transaction", profile.fixed.model_reads_per_inference),
        _row("pJ a byte read then", profile.fixed.storage_read_picojoules_per_byte),
        _row("storage commit, uJ", profile.fixed.storage_commit_uj),
    ]
    if profile.battery:
        rows.append(_battery_row(profile.battery))
    for phase in ("promotion", "transfer", "tail"):
        for unit in ("mw", "ms"):
            rows.append(_row(f"{radio.name} {phase}, {unit}", getattr(radio, f"{phase}_{unit}")))
    return rows


def _row(name: str, quantity: Quantity) -> tuple[str, str, str]:
    return name, " ".join(_figures(quantity)), quantity.source


def _battery_row(battery: Battery) -> tuple[str, str, str]:
    return "battery", f"{battery.capacity_mah:g} mAh, {battery.voltage_v:g} V", battery.source


def _figures(values: Range) -> list[str]:
    return [_figure(values.low), _figure(values.typical), _figure(values.high)]


def _figure(value: float) -> str:
    """Three significant digits; an exponent only below a millionth."""
    if value == 0:
        return "0"
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
        f"{profile.runtime}.",
        f"Memory: {count.peak_memory_bytes:,} B at the peak: {count.parameter_bytes:,} B of "
        f"parameters and at most {count.peak_live_activation_bytes:,} B of activations at once.",
        *_share_sentences(report),
        _TIER_SENTENCES[estimate.tier].format(basis=_basis(profile)),
        *_type_sentences(report),
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
    fixed = fixed_names(estimate)
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
    most, share = dominant(estimate), estimate.share([dominant(estimate).name])
    ways = alternatives(estimate)
    best = min(ways, key=lambda name: ways[name].typical)
    call = report.radio.call_alone_uj
    online_j = report.radio.day_j(report.day.inferences)
    return [
        *sentences,
        f"At {report.day.inferences:,.10g} a day {most.name} dominates: {_percent(share)}. Scored "
        f"{best}, a transaction takes {_figure(ways[best].typical)} uJ in place of "
        f"{_figure(estimate.energy_uj.typical)}.",
        f"An online call that wakes the {report.radio.name} radio takes "
        f"{_figure(call.typical * 1e-6)} J ({_between(call * 1e-6)}), "
        f"{_figure(call.typical / (estimate.energy_uj.typical or 1))} times this; "
        f"{report.day.inferences:,.10g} of them, spread over a day, "
        f"{_figure(online_j.typical)} J ({_between(online_j)}).",
    ]


def _type_sentences(report: Report) -> list[str]:
    fitted, types = report.profile.fitted, report.count.arithmetic_types
    if fitted is None or report.estimate.tier == "measured" or fitted.covers(types):
        return []
    return [
        f"The costs were fitted to models in {', '.join(fitted.arithmetic_types)}; this one "
        f"computes in {', '.join(types)}, which costs more or less than the range says: measure "
        "the latency."
    ]


def _basis(profile: Profile) -> str:
    if profile.fitted is None:
        return ": an order of magnitude"
    return (
        f", by costs fitted to this device: 90 % within {profile.fitted.interval_ratio:.2f} times"
    )


def _between(values: Range) -> str:
    return f"{_figure(values.low)} to {_figure(values.high)}"


def _percent(share: Range) -> str:
    return f"{_figure(100 * share.typical)} % ({_between(share * 100)})"
