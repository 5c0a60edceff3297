"""`fraudnet gate`: may this artifact be released?"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fraudnet.artifact.budgets import Check

_DESCRIPTION = """\
Hold an artifact against all its budgets at once: share of the battery a day, p99 latency, file
size, peak memory, average precision, and share of decisions as by Keras. The budgets are those of
[battery] and [budgets] in the experiment that it was trained by, or in the file given. A figure
that is not known does not pass. The outcome is logged to the training's MLflow run, if the store
has it; `fraudnet export` does the same. A network whose gate failed, or was not run, is never a
candidate (`fraudnet promote`)."""

_EPILOG = """\
exit status: 0 all budgets hold, 1 one does not, 2 wrong input

example:
  fraudnet gate fraud.tflite --latency latency.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet gate`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument("artifact", type=Path, metavar="FILE", help="the .tflite")
    parser.add_argument(
        "--budgets", metavar="EXPERIMENT",
        help="a shipped experiment's name, or a .toml file with [battery] and [budgets] (default: "
        "the artifact's own)",
    )  # fmt: skip
    parser.add_argument(
        "--latency", type=Path, metavar="FILE",
        help="what `fraudnet bench --json` printed on the device (default: measured here)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Check, print and log.

    Raises:
        InputError: the budgets or the latencies cannot be read.
        ArtifactError: the file is no whole artifact.
        CheckFailed: a budget is not shown to hold; the table is printed before.
    """
    from fraudnet.artifact.budgets import (
        OWN,
        check_budgets,
        configured,
        measured_here,
        measured_there,
        rows,
        summary,
    )
    from fraudnet.device.artifact import open_artifact, read_documents
    from fraudnet.errors import CheckFailed
    from fraudnet.training.experiment import load_experiment

    path: Path = arguments.artifact
    sha256 = open_artifact(path).sha256
    if arguments.budgets:
        experiment = load_experiment(arguments.budgets)
        battery, budgets = experiment.battery, experiment.budgets
    else:
        battery, budgets = configured(path)
    latency = (
        measured_there(arguments.latency, sha256) if arguments.latency else measured_here(path)
    )
    checks = check_budgets(path, battery, budgets, latency)
    run_id = read_documents(path)["contract.json"].get("mlflow_run_id")
    logged = _log(checks, sha256, run_id, arguments.budgets or OWN)
    passed = all(check.passed is not False for check in checks)
    if arguments.json:
        said = {"artifact": str(path), "sha256": sha256, "passed": passed, "checks": rows(checks)}
        print(json.dumps(said | {"mlflow_run_id": run_id, "logged": logged}, indent=2))
    else:
        _print(checks)
        where = f"logged to MLflow run {run_id}" if logged else f"not logged: no run {run_id} here"
        print(where)
    if not passed:
        raise CheckFailed(f"{path}: {summary(checks)}")
    return 0


def _log(
    checks: "list[Check]",
    sha256: str,
    run_id: Any,  # noqa: ANN401  (the contract's)
    source: str,
) -> bool:
    from fraudnet.artifact.gates import record_budgets
    from fraudnet.training.tracking import is_tracked, tracked_run

    if not isinstance(run_id, str) or not is_tracked(run_id):
        return False
    with tracked_run("gate", run_id):
        record_budgets(checks, sha256, Path(source).name)
    return True


def _print(checks: "list[Check]") -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Budgets", box=box.SIMPLE)
    for column in ("budget", "allowed", "found", "verdict", "rests on"):
        table.add_column(column, justify="right" if column in ("allowed", "found") else "left")
    verdicts = {None: "no budget", True: "holds", False: "missed"}
    for check in checks:
        bound = ">= " if check.least else "<= "
        table.add_row(
            check.name,
            "-" if check.allowed is None else bound + _shown(check.allowed),
            "not known" if check.found is None else _shown(check.found),
            verdicts[check.passed],
            escape(check.basis),
        )
    Console().print(table)


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
