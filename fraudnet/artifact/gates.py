"""The gates that an artifact has to pass before it may be used, as its MLflow run records them."""

from collections.abc import Mapping

import mlflow

from fraudnet.artifact.budgets import Check, rows, summary

ARTIFACT = "artifact"
"""The .tflite is the same function as the Keras network."""
BUDGETS = "budgets"
"""It keeps to all its budgets: battery, latency, size, memory, quality, agreement."""

_PASSED, _FAILED = "passed: ", "failed: "
_RUN_BY = {ARTIFACT: "fraudnet export runs it", BUDGETS: "fraudnet gate runs it"}
_FILE = "gate.budgets.sha256"


def record_gate(name: str, *, passed: bool, reason: str) -> None:
    """Tag the active run with a gate's outcome, as `gate.NAME`; a later one replaces it."""
    # MLflow's limit of a tag.
    mlflow.set_tag(f"gate.{name}", f"{_PASSED if passed else _FAILED}{reason}"[:5000])


def record_budgets(checks: list[Check], sha256: str, source: str) -> None:
    """Tag the active run with the outcome of the budgets and the file it is of; log the table.

    Args:
        checks: of the file.
        sha256: of the file.
        source: whose budgets they are.
    """
    passed = all(check.passed is not False for check in checks)
    table = {"sha256": sha256, "budgets_of": source, "checks": rows(checks)}
    mlflow.log_dict(table, "gate/budgets.json")
    record_gate(BUDGETS, passed=passed, reason=f"{summary(checks)}; budgets of {source}")
    mlflow.set_tag(_FILE, sha256)


def gates_not_passed(tags: Mapping[str, str]) -> list[str]:
    """Why a run with these tags may not be used, one sentence a gate; empty: all are passed."""
    found = {name: tags.get(f"gate.{name}") for name in _RUN_BY}
    return [
        f"gate {name} {outcome or f'not run: {_RUN_BY[name]}'}"
        for name, outcome in found.items()
        if outcome is None or not outcome.startswith(_PASSED)
    ]


def budgets_of_another_file(tags: Mapping[str, str], sha256: str) -> list[str]:
    """Why the budgets say nothing of a file, if so: another one of the run was held to them."""
    if tags.get(_FILE) == sha256:
        return []
    return [f"gate {BUDGETS} is of another file than the last that was exported; fraudnet gate it"]
