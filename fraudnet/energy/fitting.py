"""A device's profile from measurements made on it."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fraudnet.energy.measurements import Measurement
from fraudnet.energy.pooled import Rows
from fraudnet.energy.tiers import COVERAGE, Tier, TierFit, fit_tier, rows_of
from fraudnet.energy.validation import Errors, errors_of, leave_one_model_out
from fraudnet.errors import InputError

_UNSEEN = ""  # the name of a model that no row has


@dataclass(frozen=True)
class PowerFit:
    """Active power of a system under a model that was not measured, with its 90 % interval."""

    typical_mw: float
    interval_ratio: float


@dataclass(frozen=True)
class CostFit:
    """What each kind of work costs there, in the order of `work_of_model`, with its interval.

    `arithmetic_types` are those of the measured models.
    """

    picojoules: tuple[float, ...]
    interval_ratio: float
    arithmetic_types: tuple[str, ...]


@dataclass(frozen=True)
class ProfileFit:
    """A system's profile before it is written down.

    Attributes:
        costs: None on an accelerator.
        errors: of predicting each model of the table from the others, by tier; None where the
            table is too small to hold one out.
    """

    row: Measurement
    models: int
    power: PowerFit
    costs: CostFit | None
    errors: Mapping[Tier, Errors | None]


def fit_profile(
    measurements: Sequence[Measurement], system: str, *, validated: bool = True
) -> ProfileFit:
    """Fit one system's power and costs, pooled with every other system of the table.

    Args:
        measurements: all rows; those of other systems say what tends to be.
        system: one of theirs.
        validated: whether to hold models out as well, which takes as many fits again.

    Raises:
        InputError: there is no such system, no latency of it, or no clock.
    """
    own = [row for row in measurements if row.system == system]
    if not own:
        known = ", ".join(dict.fromkeys(row.system for row in measurements))
        raise InputError(f"no measurements of {system!r}; there are those of: {known}")
    if all(row.latency_us is None for row in own):
        raise InputError(f"{system}: no latency was measured, so its active power is not known")
    power = fit_tier(measurements, "measured")
    costs = None if own[0].accelerator else fit_tier(measurements, "counted")
    tiers: list[Tier] = ["measured"] if costs is None else ["measured", "counted"]
    return ProfileFit(
        row=own[0],
        models=len({row.model for row in own}),
        power=_power(power, own[0]),
        costs=_costs(costs, own[0]) if costs else None,
        errors={tier: _held_out(measurements, tier) if validated else None for tier in tiers},
    )


def profile_text(fitted: ProfileFit, name: str, based_on: str, table: str) -> str:
    """The profile as TOML.

    Args:
        fitted: power and costs.
        name: of the profile.
        based_on: the base whose fixed costs it takes over.
        table: what the measurements are called where they name no document themselves.

    Raises:
        InputError: the measurements state no clock.
    """
    row = fitted.row
    clock = re.match(r"([\d.]+)\s*MHz", row.clock, re.IGNORECASE)
    if not clock:
        raise InputError(f"{row.system}: no clock in MHz is stated, got {row.clock!r}; add it")
    source = row.source or table
    more = f"{fitted.models - 1} more models of it"
    supply = f"{float(row.supply_mv) / 1e3:g}" if row.supply_mv else None
    low = 1 / fitted.power.interval_ratio
    lines = [
        f"name = {_quoted(name)}",
        f"based_on = {_quoted(based_on)}",
        f"description = {_quoted(f'{row.system} ({row.processor or row.board})')}",
        f"runtime = {_quoted(row.runtime or 'not stated')}",
        'default_cluster = "core"',
        *([f"accelerator = {_quoted(row.accelerator)}"] if row.accelerator else []),
        "",
        "[clusters.core]",
        f"core = {_quoted(row.processor or row.board)}",
        *([f"supply_voltage_v = {supply}"] if supply else []),
        f"source = {_quoted(f'{source} and {more}: energy over latency')}",
        "operating_points = [",
        f"  {{ clock_mhz = {clock[1]}, active_power_mw = {fitted.power.typical_mw:.4g} }},",
        "]",
        "",
        "[power_ratio_to_benchmark]",
        f"low = {low:.4g}",
        "typical = 1",
        f"high = {fitted.power.interval_ratio:.4g}",
        f"source = {_quoted(f'{COVERAGE:.0%} interval of a model that was not measured')}",
    ]
    if fitted.costs:
        kinds = ("convolution_mac", "depthwise_mac", "fully_connected_mac")
        names = [*kinds, "activation_byte", "parameter_byte"]
        lines += ["", "[fitted]"]
        lines += [
            f"picojoules_per_{kind} = {cost:.4g}"
            for kind, cost in zip(names, fitted.costs.picojoules, strict=True)
        ]
        lines += [
            f"interval_ratio = {fitted.costs.interval_ratio:.4g}",
            f"arithmetic_types = {json.dumps(fitted.costs.arithmetic_types)}",
            f"source = {_quoted(f'{source} and {more}, pooled over {table}')}",
        ]
    return "\n".join(lines) + "\n"


def _power(fitted: TierFit, row: Measurement) -> PowerFit:
    known = rows_of(fitted.known, "measured")
    # A model that was not measured may be of any intensity that was.
    asked = replace(_unseen(fitted, row, known.shares), intensity=known.intensity)
    middle, error = fitted.pooled.predict(known, asked)
    typical = float(np.mean(middle))
    widest = float(np.max(np.abs(middle - typical) + fitted.quantile * error))
    return PowerFit(math.exp(typical), math.exp(widest))


def _costs(fitted: TierFit, row: Measurement) -> CostFit:
    known = rows_of(fitted.known, "counted")
    mean_shares = known.shares.mean(axis=0, keepdims=True)
    # Each kind of operation alone; then the mixture that the bytes are put down to.
    asked = _unseen(fitted, row, np.concatenate([np.eye(3), mean_shares]))
    middle, error = fitted.pooled.predict(known, asked)
    factor = np.exp(middle)
    kinds = [factor[0], factor[1], factor[2], factor[3], factor[3]]
    costs_uj = np.array(kinds) * fitted.pooled.weights
    return CostFit(
        picojoules=tuple(float(cost) for cost in 1e6 * costs_uj),
        interval_ratio=math.exp(fitted.quantile * float(error[3])),
        arithmetic_types=tuple(
            sorted({kind for one in fitted.known for kind in one.count.arithmetic_types})
        ),
    )


def _unseen(fitted: TierFit, row: Measurement, shares: "np.typing.NDArray[np.float64]") -> Rows:
    """Rows of a model that was not measured, with one unit of work each."""
    rows = rows_of([replace(row, model=_UNSEEN)] * len(shares), fitted.tier)
    work = None
    if rows.work is not None:
        work = np.tile(np.eye(1, rows.work.shape[1]), (len(shares), 1))
    return replace(rows, shares=shares, work=work)


def _held_out(measurements: Sequence[Measurement], tier: Tier) -> Errors | None:
    if len({row.model for row in measurements}) < 2:
        return None
    return errors_of(leave_one_model_out(measurements, tier))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
