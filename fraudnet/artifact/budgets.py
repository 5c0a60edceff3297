"""All budgets of an artifact checked together; what is not shown to hold is not passed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fraudnet.artifact.costs import estimated
from fraudnet.configuration import parse_section
from fraudnet.device.artifact import read_documents
from fraudnet.device.tail import read_regular, split
from fraudnet.energy.budget import EnergyBudget, check_budget
from fraudnet.energy.counting import ModelCount, count_bytes
from fraudnet.energy.profiles import load_profile
from fraudnet.errors import InputError
from fraudnet.latency.answering import NotLoaded, answers_of, installed, version_of
from fraudnet.latency.bench import machine, open_with_windows
from fraudnet.latency.percentiles import percentiles
from fraudnet.training.experiment import BatteryConfig, BudgetConfig

LATENCIES = 2000
OWN = "its experiment"
"""Whose budgets an artifact is held to, unless others are given."""
_AGREEMENT = "decisions as by Keras, share"
_EXPORT_AGAIN = "not in the contract; export the artifact again"


@dataclass(frozen=True)
class Latency:
    """The 99th percentile of an inference on one thread, warm, in microseconds.

    Attributes:
        p99_us: by runtime and version; None where too few were timed.
        place: where that was measured.
    """

    p99_us: Mapping[str, float | None]
    place: str


@dataclass(frozen=True)
class Check:
    """One budget.

    Attributes:
        name: what is limited, with its unit.
        least: whether `allowed` is the least that will do, not the most.
        allowed: None: there is no such budget.
        found: None: it is not known.
        passed: None: there is nothing to hold it to.
        basis: what `found` rests on, or why it is not known.
    """

    name: str
    least: bool
    allowed: float | None
    found: float | None
    passed: bool | None
    basis: str

    @property
    def sentence(self) -> str:
        """For a message of what was missed."""
        found = "not known" if self.found is None else f"{self.found:,.4g}"
        bound = "at least" if self.least else "at most"
        return f"{self.name} {found} ({bound} {self.allowed:,.4g}): {self.basis}"


def configured(path: Path) -> tuple[BatteryConfig, BudgetConfig]:
    """The battery and the budgets of the experiment that an artifact was trained by.

    Raises:
        ArtifactError: the file is no whole artifact.
        InputError: its contract names no experiment.
    """
    experiment = read_documents(path)["contract.json"].get("experiment")
    if not isinstance(experiment, dict) or "battery" not in experiment:
        raise InputError(f"{path}: its contract names no budgets; give them with --budgets FILE")
    place = f"{path}: contract.json: experiment"
    # An artifact from before there were other budgets has the battery's alone.
    return (
        parse_section(BatteryConfig, experiment["battery"], f"{place}.battery"),
        parse_section(BudgetConfig, experiment.get("budgets", {}), f"{place}.budgets"),
    )


def measured_here(path: Path) -> Latency:
    """Time an artifact's own test vectors in every runtime that a device may use.

    Raises:
        ArtifactError: the artifact cannot be used.
        DeviceInputError: no runtime is installed.
    """
    opened = open_with_windows(path)
    found: dict[str, float | None] = {}
    for runtime in installed():
        try:
            answers = answers_of(
                runtime, opened.model, opened.signature, opened.windows, repetitions=LATENCIES
            )
        except NotLoaded:
            continue  # the contract says where it runs
        found[version_of(runtime)] = percentiles(answers.latency_us)["p99_us"]
    return Latency(found, place_here())


def place_here() -> str:
    """This machine in words."""
    here = machine()
    return f"on this machine ({here['system']} {here['machine']})"


def measured_there(path: Path, sha256: str) -> Latency:
    """The same from what `fraudnet bench --json` printed on a device.

    Args:
        path: the JSON.
        sha256: of the artifact that it must be of.

    Raises:
        InputError: it is not that, or of another artifact, or times no inference on one thread.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for row in said["single"] if row["warm"] and row["threads"] == 1]
        found = {str(row["version"]): row["p99_us"] for row in rows}
        numbers = [None if each is None else float(each) for each in found.values()]
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; give what `fraudnet bench --json` printed"
        ) from (error)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: not what `fraudnet bench --json` prints ({type(error).__name__}: {error}); "
            "measure again"
        ) from error
    if said.get("sha256") != sha256:
        raise InputError(f"{path}: of another artifact (sha256 {said.get('sha256')}); measure this")
    if not found:
        raise InputError(f"{path}: no inference was timed warm on one thread; bench --threads 1")
    return Latency(dict(zip(found, numbers, strict=True)), f"by {path}")


def check_budgets(
    path: Path, battery: BatteryConfig, budgets: BudgetConfig, latency: Latency
) -> list[Check]:
    """Hold an artifact against all its budgets.

    Peak memory is the flatbuffer and the most activation bytes that are alive at once, counted: a
    runtime's own code, padding and scratch memory come on top. Quality is what the contract says
    of the network that the artifact was made of; that the artifact decides as it does is agreement.

    Args:
        path: the artifact.
        battery: the device, its transactions a day, and their share of its battery.
        budgets: the others.
        latency: of the artifact.

    Raises:
        ArtifactError: the file is no whole artifact.
        InputError: there is no such device.
    """
    contract = read_documents(path)["contract.json"]
    content = read_regular(path)
    model = split(content)[0]
    count = count_bytes(model, str(path))
    return [
        _battery(count, battery),
        _latency(latency, budgets),
        _check("file, bytes", budgets.file_bytes, len(content), "the file"),
        _memory(len(model), count, budgets),
        _quality(contract, budgets),
        _agreement(contract, budgets),
    ]


def _check(
    name: str, allowed: float | None, found: float | None, basis: str, *, least: bool = False
) -> Check:
    passed = None
    if allowed is not None:
        passed = found is not None and (found >= allowed if least else found <= allowed)
    return Check(name, least, allowed, found, passed, basis)


def _battery(count: ModelCount, battery: BatteryConfig) -> Check:
    profile = load_profile(battery.device)
    estimate, day = estimated(count, profile, battery.inferences_per_day)
    name = "battery, % a day"
    if day.battery_percent is None:
        return _check(name, None, None, f"{profile.name} has no battery")
    allowed = battery.max_percent_per_day
    verdict = check_budget(estimate, day, EnergyBudget(allowed))
    rate = f"{battery.inferences_per_day:,.10g} transactions a day on {battery.device}"
    basis = f"high end, {estimate.tier}, {rate}" if verdict.passed else verdict.message
    return Check(name, False, allowed, day.battery_percent.high, verdict.passed, basis)


def _latency(latency: Latency, budgets: BudgetConfig) -> Check:
    known = {name: p99 for name, p99 in latency.p99_us.items() if p99 is not None}
    if len(known) < len(latency.p99_us) or not known:
        found, basis = None, f"not measured {latency.place}: no runtime ran it, or too few times"
    else:
        slowest = max(known, key=lambda name: known[name])
        found, basis = known[slowest] / 1e3, f"{slowest}, {latency.place}"
    return _check("p99 of an inference, ms", budgets.p99_latency_ms, found, basis)


def _memory(model_bytes: int, count: ModelCount, budgets: BudgetConfig) -> Check:
    found: int | None = model_bytes + count.peak_live_activation_bytes
    basis = "flatbuffer and live activations, counted"
    if count.uncounted:
        names = ", ".join(dict.fromkeys(each.name for each in count.uncounted))
        found, basis = None, f"not known: no rule counts {names}"
    return _check("peak memory, bytes", budgets.peak_memory_bytes, found, basis)


def _quality(contract: Mapping[str, Any], budgets: BudgetConfig) -> Check:
    found, basis = None, _EXPORT_AGAIN
    for period in ("validation", "test"):
        known = _number(contract, "metrics", period, "average_precision")
        if known is not None:
            found, basis = known, f"{period} period, by the contract"
    return _check("average precision", budgets.average_precision, found, basis, least=True)


def _agreement(contract: Mapping[str, Any], budgets: BudgetConfig) -> Check:
    parity = contract.get("parity")
    found, basis = None, _EXPORT_AGAIN
    for runtime in parity if isinstance(parity, dict) else ():
        windows = _number(contract, "parity", runtime, "windows")
        different = _number(contract, "parity", runtime, "different_decisions")
        if different is None or not windows:
            return _check(_AGREEMENT, budgets.decision_agreement, None, _EXPORT_AGAIN, least=True)
        agreed = 1 - different / windows
        if found is None or agreed < found:
            found, basis = agreed, f"{windows:,.0f} windows in {runtime}"
    return _check(_AGREEMENT, budgets.decision_agreement, found, basis, least=True)


def _number(contract: Mapping[str, Any], *keys: str) -> float | None:
    """What the contract says there, if it is a number; nobody but the scorer's part is checked."""
    found: Any = contract
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def summary(checks: list[Check]) -> str:
    """One sentence: what was missed, or that nothing was."""
    missed = [check for check in checks if check.passed is False]
    if missed:
        return "; ".join(check.sentence for check in missed)
    held = sum(check.passed is not None for check in checks)
    return f"all {held} budgets hold"


def rows(checks: list[Check]) -> list[dict[str, Any]]:
    """As plain values."""
    return [asdict(check) for check in checks]
