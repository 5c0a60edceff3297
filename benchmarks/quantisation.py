"""The network in fewer bits, by ai-edge-quantizer and by TensorFlow's converter, fold by fold."""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.detection import versions
from benchmarks.handbook_folds import FOLDS, Fold, latest_test_end, rows_of
from benchmarks.handbook_task import DELAY_DAYS
from benchmarks.results_file import refuse_unwritable, write_results
from fraudnet.transactions.reading import ReadOptions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.windows.chunks import windows_of
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import KnownRows
from fraudnet.windows.specification import FeatureSpecification, Reputation

if TYPE_CHECKING:
    from fraudnet.network.network import Network

PROGRAM = "python -m benchmarks.quantisation"
TRAINING_DAYS = 28
ALERTS_PER_DAY = 100
REPRESENTATIVE = 250
CHECKED = 500
MOST_AVERAGE_PRECISION_LOST = 0.005
LEAST_EQUAL_DECISIONS = 0.995

_DESCRIPTION = """\
Train the network as it comes on the folds of the Fraud Detection Handbook (28 days) and turn it
into each variant, by ai-edge-quantizer (as `fraudnet export` does: 1x1 layers alone) and by
TensorFlow's converter (which takes the whole graph). Of each: bytes; in which TFLite runtime it
loads and answers finite numbers; average precision on the test week and share of decisions that are
those of float32, at the threshold that gave 100 alerts a day in the last week of training.
Representative windows are of the training period."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --data handbook.parquet --json benchmarks/results/quantisation.json"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM, description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--data", type=Path, required=True, metavar="FILE", help="Handbook's file")
    made.add_argument("--folds", type=int, nargs="+", choices=FOLDS, default=list(FOLDS))
    made.add_argument("--epochs", type=int, metavar="N", help="of the training (default: its own)")
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write every row to")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(options: argparse.Namespace, command: str) -> None:
    rows: list[dict[str, Any]] = []
    if options.json:
        refuse_unwritable(options.json)
    for row in measure(options.data, options.folds, options.epochs):
        rows.append(row)
        if options.json:
            write_results(options.json, {"command": command, "versions": versions(), "rows": rows})
    _print(rows)


def measure(data: Path, numbers: Sequence[int], epochs: int | None) -> Iterator[dict[str, Any]]:
    """A row a fold, tool and variant.

    Raises:
        InputError: the file cannot be used, or does not hold the folds.
    """
    recipe = load_recipe("handbook")
    transactions = read_transactions(data, recipe, ReadOptions(require_labels=True))
    features = FeatureSpecification(reputation=Reputation(refresh="transaction"))
    histories = build_histories(transactions.table, features, DELAY_DAYS)
    folds = [Fold(number, TRAINING_DAYS) for number in numbers]
    end = latest_test_end(transactions, folds)
    for number in numbers:
        training, test = rows_of(histories, Fold(number, TRAINING_DAYS, end))
        network = _trained(histories, training, epochs)
        yield from _fold(number, network, histories, training, test)


def _trained(histories: Histories, training: KnownRows, epochs: int | None) -> "Network":
    import keras

    from fraudnet.network.network import NetworkConfig, build_network
    from fraudnet.training.fitting import TrainingConfig, fit_network

    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    network = build_network(NetworkConfig(), histories.specification)
    config = TrainingConfig(batch_chunks=32, chunk_length=64)
    if epochs:
        config = config.model_copy(update={"epochs": epochs})
    fit_network(network, training, config)
    return network


def _fold(
    number: int,
    network: "Network",
    histories: Histories,
    training: KnownRows,
    test: npt.NDArray[np.bool_],
) -> Iterator[dict[str, Any]]:
    from sklearn.metrics import average_precision_score

    from fraudnet.artifact.convert import convert
    from fraudnet.artifact.flatbuffer import slim
    from fraudnet.artifact.quantise import VARIANTS, quantise
    from fraudnet.artifact.sequences import score_rows
    from fraudnet.artifact.signatures import SEQUENCE, WINDOW

    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(np.flatnonzero(training.rows), REPRESENTATIVE, replace=False))
    windows = windows_of(histories, chosen, network.receptive_field)
    representative = windows.gather(np.arange(len(windows)))
    checked = rng.choice(np.flatnonzero(test), CHECKED, replace=False)
    odd = windows_of(histories, np.sort(checked), network.receptive_field)
    model = convert(network)
    made: dict[tuple[str, str], Callable[[], bytes]] = {
        ("ai-edge-quantizer", variant): partial(quantise, model, variant, WINDOW, representative)
        for variant in VARIANTS
    }
    for kind in ("float16", "int8_weights", "int8"):
        made["tensorflow", kind] = partial(_by_tensorflow, network, kind, representative)
    length = network.receptive_field
    week = _last_week(training)
    base, threshold = None, 0.0
    for (tool, variant), make in made.items():
        row: dict[str, Any] = {"fold": number, "tool": tool, "variant": variant}
        try:
            small = slim(make(), SEQUENCE)
        except (RuntimeError, ValueError) as error:
            yield row | {"failed": str(error).splitlines()[0][:200]}
            continue
        row |= {"bytes": len(small), **_loads(small, odd.gather(np.arange(len(odd))))}
        scores = score_rows(small, length, histories, test)["fraud_probability"]
        if base is None:
            before = score_rows(small, length, histories, week)["fraud_probability"]
            base, threshold = scores, float(np.sort(before)[-7 * ALERTS_PER_DAY])
        found = average_precision_score(histories.is_fraud[test], np.nan_to_num(scores))
        equal = ((scores >= threshold) == (base >= threshold)).mean()
        yield row | {"average_precision": float(found), "equal_decisions": float(equal)}


def _last_week(training: KnownRows) -> npt.NDArray[np.bool_]:
    moment = training.histories.timestamp_us
    last = int(moment[training.rows].max())
    return training.rows & (moment > last - 7 * 86_400_000_000)


def _loads(model: bytes, windows: Any) -> dict[str, Any]:  # noqa: ANN401
    """By runtime: largest difference from the first, or why it does not run."""
    from fraudnet.artifact.signatures import WINDOW
    from fraudnet.latency.answering import NotLoaded, answers_of, installed, version_of

    found: dict[str, Any] = {}
    first = None
    for runtime in installed():
        try:
            answer = answers_of(runtime, model, WINDOW, windows).outputs["fraud_probability"]
        except NotLoaded as reason:
            found[version_of(runtime)] = str(reason)[:160]
            continue
        first = answer if first is None else first
        off = np.abs(answer - first)
        found[version_of(runtime)] = float(off.max()) if np.isfinite(off).all() else "no numbers"
    return {"runtimes": found}


def _by_tensorflow(network: "Network", variant: str, windows: Any) -> bytes:  # noqa: ANN401
    """The same graph by TFLiteConverter's own quantisation."""
    import tensorflow as tf

    from fraudnet.artifact.convert import frozen_module
    from fraudnet.artifact.signatures import WINDOW

    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings():
        # Its own interpreter, for the ranges, says that it is deprecated.
        warnings.simplefilter("ignore", UserWarning)
        module = frozen_module(network)
        tf.saved_model.save(module, directory, signatures={WINDOW: module.score_window})
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if variant == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if variant == "int8":
            count = len(windows["valid"])

            def one_by_one() -> Iterator[dict[str, Any]]:
                for i in range(count):
                    yield {name: values[i : i + 1] for name, values in windows.items()}

            converter.representative_dataset = one_by_one
            # tflite-runtime 2.14 lacks FULLY_CONNECTED with a scale a channel.
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(title="In fewer bits, mean over the folds", box=box.SIMPLE)
    columns = ("tool", "variant", "bytes", "average precision", "lost", "equal decisions")
    for column in columns:
        table.add_column(column, justify="right" if column in columns[2:] else "left")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["tool"], row["variant"]), []).append(row)
    whole = np.mean([r["average_precision"] for r in rows if r["variant"] == "float32"])
    remarks = []
    for (tool, variant), group in groups.items():
        failed = [row["failed"] for row in group if "failed" in row]
        if failed:
            remarks.append(f"{tool} {variant}: not made: {failed[0]}")
            continue
        found = float(np.mean([row["average_precision"] for row in group]))
        equal = float(np.mean([row["equal_decisions"] for row in group]))
        fits = whole - found <= MOST_AVERAGE_PRECISION_LOST and equal >= LEAST_EQUAL_DECISIONS
        table.add_row(
            tool, variant, f"{np.mean([row['bytes'] for row in group]):,.0f}", f"{found:.4f}",
            f"{whole - found:+.4f}", f"{equal:.3%}" + ("" if fits else " (!)"),
        )  # fmt: skip
        remarks += [
            f"{tool} {variant} in {name}: {off if isinstance(off, str) else f'off by {off:.2g}'}"
            for name, off in group[0]["runtimes"].items()
        ]
    console = Console()
    console.print(table)
    console.print("(!): more than .005 average precision lost, or under 99.5 % equal decisions")
    for remark in remarks:
        console.print(remark, highlight=False, markup=False)


if __name__ == "__main__":
    sys.exit(main())
