"""A meter's CSV: time, current and voltage (or power), with their units in the header."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraudnet.energy.csv_table import CsvTable, read_table
from fraudnet.energy.measurement import Recording
from fraudnet.errors import InputError

# Lower case: of meters that measure phones none means mega by M.
_UNITS: dict[str, dict[str, float]] = {
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "current": {"a": 1.0, "ma": 1e-3, "ua": 1e-6, "na": 1e-9},
    "voltage": {"v": 1.0, "mv": 1e-3, "uv": 1e-6},
    "power": {"w": 1.0, "mw": 1e-3, "uw": 1e-6},
}
_OTHER_NAMES = {"timestamp": "time"}
METER, PART = "meter", "supply"


def read_meter(path: Path, voltage_v: float | None = None) -> Recording:
    """Read a meter's file.

    A header names a quantity and its unit, as `time_s`, `Timestamp(ms)`, `Main current [mA]`.
    Energy is the integral of the power by trapezoids.

    Args:
        path: the CSV.
        voltage_v: of the supply, where the file has no column of it.

    Raises:
        InputError: the file cannot be read; a column is missing, is there twice, or has no unit;
            a value is no number; the time does not ascend.
    """
    table = read_table(path)
    columns = _columns(table)
    if "time" not in columns:
        raise InputError(f"{path}: no column of time; call it time_s, time_ms or time_us")
    times, power = _values(table, columns, "time"), _power_w(table, columns, voltage_v)
    if len(times) < 2:
        raise InputError(f"{path}: one sample alone; expected some")
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int(np.argmax(steps <= 0)) + 3
        raise InputError(f"{path}: row {row}: the time does not ascend; sort the file, or mend it")
    energy = np.concatenate([[0.0], np.cumsum(steps * (power[1:] + power[:-1]) / 2)])
    return Recording(str(path), METER, {PART: times}, {PART: energy}, may_fall=True)


def _power_w(
    table: CsvTable, columns: dict[str, tuple[str, float]], voltage_v: float | None
) -> npt.NDArray[np.float64]:
    if "power" in columns:
        return _values(table, columns, "power")
    if "current" not in columns:
        raise InputError(
            f"{table.place}: no column of current; call it current_a, current_ma or current_ua "
            "(or power_w, power_mw)"
        )
    current = _values(table, columns, "current")
    if "voltage" in columns:
        return current * _values(table, columns, "voltage")
    if voltage_v is None:
        raise InputError(
            f"{table.place}: no column of voltage; call it voltage_v or voltage_mv, or give "
            "--voltage-v"
        )
    return current * voltage_v


def _values(
    table: CsvTable, columns: dict[str, tuple[str, float]], quantity: str
) -> npt.NDArray[np.float64]:
    name, scale = columns[quantity]
    return table.numbers(name) * scale


def _columns(table: CsvTable) -> dict[str, tuple[str, float]]:
    """Name and scale to the base unit, by quantity; columns of nothing that is known are left."""
    found: dict[str, tuple[str, float]] = {}
    for name in table.columns:
        words = re.findall(r"[a-z]+", re.sub("[µμ]", "u", name).lower())
        quantities = [_OTHER_NAMES.get(word, word) for word in words]
        quantity = next((each for each in quantities if each in _UNITS), None)
        if quantity is None:
            continue
        units = _UNITS[quantity]
        if words[-1] not in units:
            examples = ", ".join(f"{quantity}_{unit}" for unit in list(units)[:3])
            raise InputError(
                f"{table.place}: column {name!r} names no unit; call it one of {examples}"
            )
        if quantity in found:
            raise InputError(
                f"{table.place}: two columns of {quantity}, {found[quantity][0]!r} and {name!r}; "
                "leave one out"
            )
        found[quantity] = name, units[words[-1]]
    return found
