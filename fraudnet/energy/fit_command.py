"""`fraudnet energy fit`: a profile from measurements of one's own."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from fraudnet.energy.fitting import ProfileFit, fit_profile, profile_text
from fraudnet.energy.measurements import read_measurements
from fraudnet.energy.profiles import base_names
from fraudnet.errors import InputError


def fit(path: Path, arguments: argparse.Namespace) -> None:
    """Fit, write the profile if asked, and print what was fitted and how wrong it is.

    Raises:
        InputError: the table, the system or the base cannot be used, or the profile not be written.
    """
    if arguments.based_on not in base_names():
        known = ", ".join(base_names())
        raise InputError(f"no such base {arguments.based_on!r}; give one of {known}")
    rows = read_measurements(path).rows
    systems = list(dict.fromkeys(row.system for row in rows))
    if arguments.system is None and len(systems) > 1:
        raise InputError(f"{path}: give --system, one of {', '.join(systems)}")
    fitted = fit_profile(rows, arguments.system or systems[0])
    if arguments.output:
        _write(arguments.output, fitted, path, arguments.based_on)
    if arguments.json:
        print(json.dumps(_dictionary(fitted), indent=2))
    else:
        print("\n".join(_lines(fitted)))


def _write(output: Path, fitted: ProfileFit, table: Path, based_on: str) -> None:
    text = profile_text(fitted, output.stem, based_on, table.name)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}") from error


def _dictionary(fitted: ProfileFit) -> dict[str, object]:
    return {
        "system": fitted.row.system,
        "models": fitted.models,
        "active_power_mw": fitted.power.typical_mw,
        "active_power_interval_ratio": fitted.power.interval_ratio,
        "picojoules_by_kind_of_work": fitted.costs and list(fitted.costs.picojoules),
        "costs_interval_ratio": fitted.costs and fitted.costs.interval_ratio,
        "held_out_models": {
            tier: None if errors is None else asdict(errors)
            for tier, errors in fitted.errors.items()
        },
    }


def _lines(fitted: ProfileFit) -> list[str]:
    power = fitted.power
    lines = [
        f"{fitted.row.system}: {fitted.models} models",
        f"active power {power.typical_mw:.4g} mW, 90 % within {power.interval_ratio:.2f} times",
    ]
    if fitted.costs:
        convolution, depthwise, dense, activation, parameter = fitted.costs.picojoules
        lines.append(
            f"pJ a multiply-accumulate: {convolution:.4g} in a convolution, {depthwise:.4g} "
            f"depthwise, {dense:.4g} fully connected; a byte: {activation:.4g} of activations, "
            f"{parameter:.4g} of parameters; 90 % within {fitted.costs.interval_ratio:.2f} times"
        )
    for tier, errors in fitted.errors.items():
        if errors is None:
            lines.append(f"{tier} tier: not cross-validated, the table holds one model")
        else:
            lines.append(
                f"{tier} tier, each model of the table held out: median ratio "
                f"{errors.median_ratio:.3f}, p90 {errors.p90_ratio:.3f}, worst "
                f"{errors.worst_ratio:.3f}; {errors.coverage:.0%} of {errors.rows} in the interval"
            )
    return lines
