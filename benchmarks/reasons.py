"""Why a transaction was flagged: do the methods agree, and do they name what was planted?"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.detection import versions
from benchmarks.results_file import refuse_unwritable, write_results
from fraudnet.device.errors import DeviceInputError
from fraudnet.errors import InputError
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.simulated_fraud import FRAUD_KINDS, PLANTED_CAUSES
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.windows.chunks import windows_of
from fraudnet.windows.histories import Histories, build_histories

if TYPE_CHECKING:
    from benchmarks.reasons_methods import Method, Reasons
    from fraudnet.training.trained import Trained

PROGRAM = "python -m benchmarks.reasons"
REFERENCE = "integrated gradients"
TOP = 3
DAY_US = 86_400_000_000

_DESCRIPTION = f"""\
Simulate a world that the network was never trained on, take what it flags in the last days, and
ask each method for its {TOP} strongest reasons, a field of a transaction each. Agreement: how often
the transaction of the first reason is that of integrated gradients. Recall of the planted cause,
among frauds that were flagged: how often one of the reasons names a field in which the simulator
made that kind of fraud depart, at the flagged transaction or an earlier one of its kind."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example, after `make demo`:
  {PROGRAM} --days 3"""


@dataclass(frozen=True)
class Case:
    """A flagged transaction.

    Attributes:
        row: of the histories.
        kind: of fraud; None: it is genuine.
        window: raw inputs by name, [R] each.
        alike: [R] positions that hold the same account's frauds of that kind, its own among them.
    """

    row: int
    kind: str | None
    window: dict[str, npt.NDArray[Any]]
    alike: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """What one method says of all cases; shares are 0..1.

    Attributes:
        method: its name.
        agreement: of the first reason's transaction with that of integrated gradients; None: it is.
        agreement_elsewhere: where not both have the flagged transaction itself; None likewise.
        planted_cause_recall: in the first three reasons, among flagged frauds.
        planted_cause_first: in the first reason.
        milliseconds: a case, median; None: nothing is computed.
        recall_by_kind: `planted_cause_recall` of each kind.
    """

    method: str
    agreement: float | None
    agreement_elsewhere: float | None
    planted_cause_recall: float
    planted_cause_first: float
    milliseconds: float | None
    recall_by_kind: dict[str, float]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, default, text in (
        ("model", "build/demo/model", "directory that `fraudnet train --output` wrote"),
        ("artifact", "build/demo/fraud.tflite", "that was exported from it"),
    ):
        made.add_argument(
            f"--{name}", type=Path, default=Path(default), metavar="PATH",
            help=f"{text} (default: %(default)s)",
        )  # fmt: skip
    for name, number, text in (
        ("seed", 1, "of the world; another than the network was trained on"),
        ("accounts", SimulatorConfig.accounts, "of the world"),
        ("days", 14, "last days, of which all flags are explained"),
    ):
        made.add_argument(
            f"--{name}", type=int, default=number, metavar="N",
            help=f"{text} (default: %(default)s)",
        )  # fmt: skip
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write all figures to")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(arguments: argparse.Namespace, command: str) -> None:
    if arguments.days < 1:
        raise InputError("--days: give at least 1")
    if arguments.json:
        refuse_unwritable(arguments.json)
    # TensorFlow takes seconds to load, and wrong input is known before.
    from benchmarks.reasons_methods import methods_of
    from fraudnet.training.trained import load_trained

    trained = load_trained(arguments.model)
    try:
        methods = methods_of(trained, arguments.artifact)
    except DeviceInputError as error:
        raise InputError(str(error)) from error
    table = simulate(SimulatorConfig(accounts=arguments.accounts, seed=arguments.seed))
    # Another world has another number of transactions.
    if table.num_rows == trained.facts.training_data.get("rows"):
        raise InputError(
            f"--seed {arguments.seed}: a world of {table.num_rows:,} transactions, as many as the "
            "network was trained on, and so the same; give another seed"
        )
    cases = flagged(trained, table, arguments.days)
    found, rows = measure(methods, cases)
    Console().print(as_table(rows, cases))
    if arguments.json:
        report = {
            "command": command,
            "versions": versions(),
            "data_fingerprint": fingerprint(table),
            "flagged": len(cases),
            "frauds": {kind: sum(c.kind == kind for c in cases) for kind in FRAUD_KINDS},
            "planted_causes": PLANTED_CAUSES,
            "completeness": found,
            "rows": [asdict(row) for row in rows],
        }
        write_results(arguments.json, report)


def flagged(trained: "Trained", table: pa.Table, days: int) -> list[Case]:
    """Whatever the network flags in the last days of a world, with its window.

    Raises:
        InputError: it flags no fraud.
    """
    from fraudnet.training.scoring import predict_rows

    network, experiment = trained.network, trained.facts.experiment
    histories = build_histories(table, experiment.features, experiment.split.label_delay_days)
    asked = histories.timestamp_us > histories.timestamp_us.max() - days * DAY_US
    answers = predict_rows(network.scores, network.receptive_field, histories, asked)
    is_flagged = answers["fraud_probability"][:, 0] >= trained.facts.threshold.probability
    rows = np.flatnonzero(asked)[is_flagged]
    kinds = np.array(table["fraud_kind"].to_pylist(), dtype=object)[histories.source_row]
    if not any(kinds[rows]):
        raise InputError("no fraud is flagged; simulate more accounts, or explain more days")
    return [_case(histories, kinds, int(row), network.receptive_field) for row in rows]


def _case(histories: Histories, kinds: npt.NDArray[Any], row: int, length: int) -> Case:
    window = windows_of(histories, np.array([row]), length).gather(np.array([0]))
    places = np.arange(row + 1 - length, row + 1)
    alike = window["valid"][0] > 0
    alike &= kinds[np.maximum(places, 0)] == kinds[row]
    return Case(row, kinds[row], {name: values[0] for name, values in window.items()}, alike)


def measure(
    methods: "Sequence[Method]", cases: Sequence[Case]
) -> tuple[dict[str, float], list[Row]]:
    """Every method on every case.

    Returns:
        What integrated gradients missed of the difference in the logit at most and at the median,
        as shares of it; and a row a method, one that says nothing of the case last.
    """
    explained = {}
    for method in methods:
        method.reasons(cases[0].window)  # compiled, or warm
        explained[method.name] = [_timed(method.reasons, case) for case in cases]
    reference = [reasons.top for reasons, _ in explained[REFERENCE]]
    newest = len(cases[0].alike) - 1
    rows = []
    for name, found in explained.items():
        tops = [(reasons.top, top) for (reasons, _), top in zip(found, reference, strict=True)]
        agreed = [one == other for one, other in tops]
        elsewhere = [one == other for one, other in tops if (one, other) != (newest, newest)]
        is_other = name != REFERENCE
        named = [
            _named(reasons.fields, case) for (reasons, _), case in zip(found, cases, strict=True)
        ]
        figures = {
            "agreement": float(np.mean(agreed)) if is_other else None,
            "agreement_elsewhere": float(np.mean(elsewhere)) if is_other and elsewhere else None,
            "milliseconds": 1e3 * float(np.median([seconds for _, seconds in found])),
        }
        rows.append(_row(name, named, cases, **figures))
    missed = next(method for method in methods if method.name == REFERENCE).missed
    completeness = {"worst": max(missed), "median": float(np.median(missed))}
    return completeness, [*rows, _chance(cases, reference, methods[0].field_count)]


def _timed(
    reasons: "Callable[[dict[str, npt.NDArray[Any]]], Reasons]", case: Case
) -> "tuple[Reasons, float]":
    begin = time.perf_counter()
    found = reasons(case.window)
    return found, time.perf_counter() - begin


def _named(reasons: list[tuple[int, str]], case: Case) -> tuple[float, float]:
    """Whether the planted cause is among the reasons, and whether it is the first: 1 or 0."""
    causes = PLANTED_CAUSES.get(case.kind or "", ())
    named = [bool(case.alike[place]) and field in causes for place, field in reasons]
    return float(any(named)), float(bool(named) and named[0])


def _chance(cases: Sequence[Case], reference: list[int], fields: int) -> Row:
    """Any three fields of the flagged transaction itself, whatever it is."""
    named = []
    for case in cases:
        causes = len(PLANTED_CAUSES.get(case.kind or "", ()))
        named.append((1 - comb(fields - causes, TOP) / comb(fields, TOP), causes / fields))
    at_newest = float(np.mean([place == len(cases[0].alike) - 1 for place in reference]))
    return _row(
        "any three fields", named, cases,
        agreement=at_newest, agreement_elsewhere=0.0, milliseconds=None,
    )  # fmt: skip


def _row(
    name: str, named: list[tuple[float, float]], cases: Sequence[Case], **figures: float | None
) -> Row:
    by_kind = {
        kind: [pair for pair, case in zip(named, cases, strict=True) if case.kind == kind]
        for kind in FRAUD_KINDS
    }
    pairs = np.array([pair for found in by_kind.values() for pair in found])
    return Row(
        method=name,
        planted_cause_recall=float(pairs[:, 0].mean()),
        planted_cause_first=float(pairs[:, 1].mean()),
        recall_by_kind={k: float(np.mean([p[0] for p in found])) for k, found in by_kind.items()
                        if found},
        **figures,
    )  # fmt: skip


def as_table(rows: Sequence[Row], cases: Sequence[Case]) -> Table:
    """A line a method."""
    frauds = sum(case.kind is not None for case in cases)
    made = Table(
        title=f"Reasons of {len(cases):,} flags, {frauds:,} of them frauds",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    made.add_column("method", no_wrap=True)
    for heading in ("agreement", "elsewhere", "cause", "first", "ms"):
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shares = (
            row.agreement, row.agreement_elsewhere, row.planted_cause_recall,
            row.planted_cause_first,
        )  # fmt: skip
        shown = ["" if share is None else f"{share:.1%}" for share in shares]
        took = "" if row.milliseconds is None else f"{row.milliseconds:.1f}"
        made.add_row(row.method, *shown, took)
    return made


if __name__ == "__main__":
    sys.exit(main())
