"""Measured energies of models on systems, read from a table.

A row is one model on one system. The columns of the MLPerf Tiny results are known by their own
names; a table of one's own has those on the left:

    system       which board with which software; rows that share it share a factor
    model        a .tflite file, relative to the table
    energy_uj    microjoules an inference
    latency_us   microseconds an inference (may be empty: not measured)
    board, processor, clock, supply_mv, runtime, accelerator      (may be missing)
"""

import csv
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fraudnet.energy.counting import ModelCount, count_file
from fraudnet.errors import InputError

# What a column is called: here, then in MLPerf Tiny's results.
_COLUMNS = {
    "system": ("system",),
    "model": ("model", "task"),
    "energy_uj": ("energy_uj", "energy_uJ"),
    "board": ("board",),
    "processor": ("processor",),
    "clock": ("clock",),
    "supply_mv": ("supply_mv", "log_voltage"),
    "runtime": ("runtime", "software"),
    "accelerator": ("accelerator", "accel"),
    "windows": ("energy_windows",),
    "power_mw": ("power_mw", "power_mW_energy_mode"),
}
_LATENCIES_US = {"latency_us": 1.0, "latency_ms_energy_mode": 1e3, "latency_ms_perf_mode": 1e3}
_REQUIRED = ("system", "model", "energy_uj")
# Power x latency is the energy: off by more than this, one of the three has another unit.
_MOST_DISAGREEMENT = 2.0
_PUBLISHED_WINDOWS = 5
_NOTHING = {"n/a", "na", "none", "-"}
_SHARED_NAME = 5  # characters, a digit among them, that tell a chip's name in its board's
_ACCELERATORS = ("NPU", "TPU", "CNN", "NEURAL", "ETHOS", "ACCELERATOR")


@dataclass(frozen=True)
class Measurement:
    """One model on one system.

    Attributes:
        system: rows that share it are the same hardware, clock, supply and software.
        board: letters and digits of its name, in capitals.
        clock: as stated; empty: not stated. `supply_mv` and `runtime` likewise.
        model: its name.
        count: the model, counted.
        energy_uj: of one inference.
        latency_us: of one inference; None: not measured.
        accelerator: what runs the model besides the processor; None: the processor does.
        source: the document that it stands in, as the table names it; empty: not named.
        complete: False where fewer windows were measured than the rules ask for.
    """

    system: str
    board: str
    processor: str
    clock: str
    supply_mv: str
    runtime: str
    model: str
    count: ModelCount
    energy_uj: float
    latency_us: float | None
    accelerator: str | None = None
    source: str = ""
    complete: bool = True

    @property
    def runtime_family(self) -> str:
        """The runtime without its version; where none is stated, one of the system's own."""
        return re.split(r"[ =/_]", self.runtime.lower())[0] or self.system

    def is_copy_of(self, other: "Measurement") -> bool:
        """Whether both are one result, published twice: same board, model and very energy."""
        return (self.board, self.model, self.energy_uj) == (
            other.board, other.model, other.energy_uj,
        )  # fmt: skip


@dataclass(frozen=True)
class MeasurementTable:
    """What a table holds.

    Attributes:
        rows: the measurements that can be used.
        left_out: of each other row, its line and the reason.
    """

    rows: tuple[Measurement, ...]
    left_out: tuple[tuple[int, str], ...]


def read_measurements(
    path: Path, published: Mapping[str, ModelCount] | None = None
) -> MeasurementTable:
    """Read a table of measurements.

    Args:
        path: a CSV with a header line.
        published: counts of models by the name that the table calls them by; a name that is not
            there is left out. Default: the table names .tflite files.

    Raises:
        InputError: the file cannot be read, lacks a column, or a row's figures are not numbers
            above 0 or contradict each other; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            lines = [(reader.line_num, line) for line in reader]
            header = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read as CSV: {reason}") from error
    for name in _REQUIRED:
        if not set(_COLUMNS[name]) & set(header):
            known = ", ".join(header) or "none, the file is empty"
            raise InputError(f"{path}: no column {_COLUMNS[name][-1]!r}; its columns are: {known}")
    if not lines:
        raise InputError(f"{path}: has no rows below its header")
    rows, left_out = [], []
    counted = _counter(path, published)
    for number, line in lines:
        place = f"{path}, line {number}"
        texts = {name: _text(line, columns) for name, columns in _COLUMNS.items()}
        if texts["model"] == "sww" or not texts["energy_uj"]:
            left_out.append((number, "its energy is not of one inference"))
        elif (count := counted(texts["model"], place)) is None:
            left_out.append((number, f"no model file of {texts['model']!r} to count"))
        else:
            rows.append(_measurement(line, texts, count, place))
    if not rows:
        raise InputError(f"{path}: no row can be used; line {left_out[0][0]}: {left_out[0][1]}")
    return MeasurementTable(tuple(rows), tuple(left_out))


def _counter(
    path: Path, published: Mapping[str, ModelCount] | None
) -> Callable[[str, str], ModelCount | None]:
    own: dict[str, ModelCount] = {}

    def count(name: str, place: str) -> ModelCount | None:
        if published is not None:
            return published.get(name)
        if not name:
            raise InputError(f"{place}: names no model; give the path of a .tflite file")
        if name not in own:
            own[name] = count_file(path.parent / name)
        return own[name]

    return count


def _measurement(
    line: Mapping[str, str | None], texts: Mapping[str, str], count: ModelCount, place: str
) -> Measurement:
    energy_uj = _number(texts["energy_uj"], "energy_uj", place)
    latency_us = None
    for name, scale in _LATENCIES_US.items():
        if latency_us is None and (text := _text(line, (name,))):
            latency_us = scale * _number(text, name, place)
    if texts["power_mw"] and latency_us is not None:
        product_uj = _number(texts["power_mw"], "power_mw", place) * latency_us * 1e-3
        if abs(math.log(product_uj / energy_uj)) > math.log(_MOST_DISAGREEMENT):
            raise InputError(
                f"{place}: power x latency is {product_uj:.4g} uJ, the energy {energy_uj:.4g} uJ; "
                "check their units (mW, and the latency's)"
            )
    # MLPerf Tiny's rounds and submitters call their systems what they like.
    parts = [_text(line, ("round",)), _text(line, ("org",)), texts["system"]]
    board = _letters(texts["board"] or texts["system"].split("/")[-1])
    windows = texts["windows"]
    return Measurement(
        system=" ".join(part for part in parts if part),
        board=board,
        processor=texts["processor"],
        clock=re.sub(r"\s", "", texts["clock"]),
        supply_mv=texts["supply_mv"],
        runtime=texts["runtime"] or texts["system"].rpartition("/")[0],
        model=texts["model"],
        count=count,
        energy_uj=energy_uj,
        latency_us=latency_us,
        accelerator=_accelerator(texts["accelerator"], board, texts["processor"]),
        source=" at ".join(filter(None, (_text(line, ("source",)), _text(line, ("commit",))[:12]))),
        complete=not windows or _number(windows, "energy_windows", place) >= _PUBLISHED_WINDOWS,
    )


def _accelerator(stated: str, board: str, processor: str) -> str | None:
    """What is stated, unless it is the microcontroller itself: submitters put that there too."""
    name = _letters(stated)
    if name in ("", "CPU"):
        return None
    if any(word in name for word in _ACCELERATORS):
        return stated
    for start in range(len(name) - _SHARED_NAME + 1):
        part = name[start : start + _SHARED_NAME]
        named = part in board or part in _letters(processor)
        if named and any(letter.isdigit() for letter in part):
            return None
    return stated


def _text(line: Mapping[str, str | None], columns: tuple[str, ...]) -> str:
    """The first column's text that says something."""
    texts = ((line.get(name) or "").strip() for name in columns)
    return next((text for text in texts if text.lower() not in {"", *_NOTHING}), "")


def _letters(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def _number(text: str, name: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise InputError(f"{place}: {name} must be a number above 0, got {text!r}")
    return value
