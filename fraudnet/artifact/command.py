"""`fraudnet export`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet export`."""
    parser.description = (
        "Convert a trained network to one .tflite file, compare it with Keras in every TFLite "
        "runtime that is installed, on 10,000 windows and on odd ones, and write it only if they "
        "agree; log it to the training's MLflow run."
    )
    parser.epilog = (
        "exit status: 0 done, 1 the file would differ from Keras and was not written, 2 wrong "
        "input\n\nexample:\n"
        "  fraudnet export --model build/demo/model --artifact build/demo/fraud.tflite"
    )
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="what `fraudnet train` wrote"
    )
    parser.add_argument(
        "--artifact", type=Path, required=True, metavar="FILE", help="the .tflite to write"
    )
    parser.add_argument(
        "--variant", choices=("float32", "float16", "int8_weights", "int8"), default="float32",
        help="type of the 1x1 layers: float16, int8_weights (the weights alone) and int8 (weights "
        "and activations) make the file smaller (default: float32)",
    )  # fmt: skip
    parser.add_argument(
        "--step", action=argparse.BooleanOptionalAction, default=True,
        help="with the signature that takes one transaction and a state: three times as fast where "
        "a state is kept, and 30 kB; int8 has none (default: with it)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Export a trained network.

    Raises:
        InputError: there is no trained network, or the file cannot be written.
        CheckFailed: the file would differ from Keras.
    """
    from fraudnet.training.trained import load_trained

    trained = load_trained(arguments.model)
    print_exported(
        export_and_log(trained, arguments.artifact, arguments.variant, arguments.step),
        arguments.json,
    )
    return 0


def export_and_log(  # the types are of heavy imports
    trained: Any,  # noqa: ANN401
    path: Path,
    variant: Any = "float32",  # noqa: ANN401
    with_step: bool = True,
) -> Any:  # noqa: ANN401
    """Export a `Trained` network, log the file and its gates to its run; returns the `Exported`."""
    from fraudnet.artifact.budgets import OWN, Latency, check_budgets, place_here, summary
    from fraudnet.artifact.costs import costs_of
    from fraudnet.artifact.export import converted, export
    from fraudnet.artifact.gates import ARTIFACT, record_budgets, record_gate
    from fraudnet.artifact.mlflow_model import log_artifact
    from fraudnet.device.artifact import open_artifact
    from fraudnet.errors import CheckFailed
    from fraudnet.training.tracking import tracked_run

    experiment, run_id = trained.facts.experiment, trained.facts.mlflow_run_id
    battery = experiment.battery
    try:
        source = converted(trained, with_step and variant != "int8")  # which has none
        exported = export(source, path, lambda model: costs_of(model, battery), variant)
    except CheckFailed as error:
        with tracked_run("export", run_id):
            record_gate(ARTIFACT, passed=False, reason=str(error))
        raise
    latency = Latency({n: p.latency_p99_us for n, p in exported.parity.items()}, place_here())
    checks = check_budgets(path, battery, experiment.budgets, latency)
    with tracked_run("export", run_id):
        log_artifact(exported)
        windows = next(iter(exported.parity.values())).windows
        reason = f"{variant}, near Keras on {windows:,} windows in {', '.join(exported.parity)}"
        record_gate(ARTIFACT, passed=True, reason=reason)
        record_budgets(checks, open_artifact(path).sha256, OWN)
    print(f"{path}: budgets: {summary(checks)}", file=sys.stderr)
    return exported


def print_exported(exported: Any, as_json: bool) -> None:  # noqa: ANN401
    """Say what was written."""
    if as_json:
        figures = {
            "path": str(exported.path), "variant": exported.variant, "bytes": exported.bytes,
            **exported.furthest(), "runtimes": list(exported.parity),
            "not_loaded": exported.not_loaded,
        }  # fmt: skip
        print(json.dumps(figures))
        return
    print(f"{exported.path}: {exported.variant}, {exported.bytes:,} bytes; against Keras")
    for runtime, parity in exported.parity.items():
        print(
            f"  {runtime}: on {parity.windows:,} windows the probability differs by at most "
            f"{parity.worst_probability_difference:.1e}, the distance by "
            f"{parity.worst_distance_difference:.1e} of itself, {parity.different_decisions} "
            f"decisions differ; {parity.latency_p50_us:.0f} us an inference (p50)"
        )
    for runtime, reason in exported.not_loaded.items():
        print(f"  {runtime}: does not run it: {reason}")
