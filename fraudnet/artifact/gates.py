"""The gates that an artifact has to pass before it may be used, as its MLflow run records them."""

from collections.abc import Mapping

import mlflow

ARTIFACT = "artifact"
"""The .tflite is the same function as the Keras network."""
ENERGY = "energy"
"""A day's scoring keeps to the battery budget."""

_PASSED, _FAILED = "passed: ", "failed: "


def record_gate(name: str, *, passed: bool, reason: str) -> None:
    """Tag the active run with a gate's outcome, as `gate.NAME`; a later one replaces it."""
    mlflow.set_tag(f"gate.{name}", f"{_PASSED if passed else _FAILED}{reason}")


def gates_not_passed(tags: Mapping[str, str]) -> list[str]:
    """Why a run with these tags may not be used, one sentence a gate; empty: all are passed."""
    found = {name: tags.get(f"gate.{name}") for name in (ARTIFACT, ENERGY)}
    return [
        f"gate {name} {outcome or 'not run: fraudnet export runs it'}"
        for name, outcome in found.items()
        if outcome is None or not outcome.startswith(_PASSED)
    ]
