"""`fraudnet variants`: which type of weights to ship."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fraudnet.transactions.place import parse_source

if TYPE_CHECKING:
    from fraudnet.artifact.variants import VariantFigures

_EPILOG = """\
Writes DIR/fraud.float32.tflite and so on; one that is too far from Keras, in a runtime that runs
it, is not written. The table and, for the integer ones, which layer loses most are logged to the
training's MLflow run.

exit status: 0 done, 2 wrong input

example:
  fraudnet variants --model build/demo/model --data data/sample_transactions.csv.gz --output build
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet variants`."""
    parser.description = (
        "Export a trained network in each type of weights, and compare: bytes, multiply-"
        "accumulates, latency in each TFLite runtime that is installed, average precision and "
        "decisions on the test period, energy a day."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="what `fraudnet train` wrote"
    )
    parser.add_argument(
        "--data", type=parse_source, required=True, metavar="SOURCE",
        help="with the test period to score",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where the files are written"
    )
    parser.add_argument(
        "--step", action=argparse.BooleanOptionalAction, default=True,
        help="as of `fraudnet export` (default: with it)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def run(arguments: argparse.Namespace) -> int:
    """Export, measure, print, log.

    Raises:
        InputError: the data, the network or the directory cannot be used.
        DeviceInputError: no TFLite runtime is installed.
    """
    import mlflow

    from fraudnet.artifact.variants import layer_errors, measure_variants
    from fraudnet.training.prepare import prepare
    from fraudnet.training.tracking import tracked_run
    from fraudnet.training.trained import load_trained

    trained = load_trained(arguments.model)
    prepared = prepare(arguments.data, trained.facts.experiment)
    print(prepared.line(), file=sys.stderr)
    found, written = measure_variants(trained, prepared, arguments.output, with_step=arguments.step)
    errors: dict[str, dict[str, float]] = {
        each.variant: layer_errors(trained, each.variant)
        for each in found
        if each.variant.startswith("int8")
    }
    with tracked_run("variants", trained.facts.mlflow_run_id):
        mlflow.log_dict({"variants": [each.row() for each in found]}, "variants/variants.json")
        mlflow.log_dict(errors, "variants/layer_errors.json")
        for exported in written:
            mlflow.log_artifact(str(exported.path), "variants")
            mlflow.log_metric(f"bytes_{exported.variant}", exported.bytes)
        for each in found:
            if each.average_precision is not None:
                mlflow.log_metric(f"average_precision_{each.variant}", each.average_precision)
    if arguments.json:
        for each in found:
            print(json.dumps(each.row() | {"layer_errors": errors.get(each.variant)}))
        return 0
    _print(found, errors)
    return 0


def _print(found: "list[VariantFigures]", errors: dict[str, dict[str, float]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    runtimes = list(dict.fromkeys(name for each in found for name in each.latency_p50_us or {}))
    table = Table(title="The artifact's variants", box=box.SIMPLE)
    for column in ("variant", "bytes", "MACs", "average\nprecision", "equal\ndecisions", "J a day"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name in runtimes:
        table.add_column(name.replace(" ", "\n") + "\np50 / p99, us", justify="right")
    for each in found:
        if each.refused is None:
            p50, p99 = each.latency_p50_us or {}, each.latency_p99_us or {}
            table.add_row(
                each.variant, f"{each.bytes:,}", f"{each.macs:,}", f"{each.average_precision:.4f}",
                f"{each.decision_agreement:.2%}", f"{each.energy_joules_per_day:.2f}",
                *(f"{p50[n]:.0f} / {p99[n]:.0f}" if n in p50 else "not run" for n in runtimes),
            )  # fmt: skip
    console.print(table)
    for each in found:
        if each.refused is not None:
            console.print(f"{each.variant}: not written: {each.refused}", highlight=False)
    for variant, losses in errors.items():
        worst = ", ".join(f"{name} {loss:.3f}" for name, loss in list(losses.items())[:3])
        console.print(f"{variant}: change of the log-odds by one layer alone, mean: {worst}")
