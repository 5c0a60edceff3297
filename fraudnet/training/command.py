"""`fraudnet train` and `fraudnet evaluate`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fraudnet.errors import InputError
from fraudnet.transactions.place import parse_source

if TYPE_CHECKING:
    from fraudnet.evaluation.report import Beside
    from fraudnet.training.experiment import Experiment
    from fraudnet.training.prepare import Prepared

_TRAIN_EPILOG = """\
Rows that cannot be used go to quarantine.parquet in the output directory, each with its line and
reason. After each epoch the state of the training is kept in DIR/training.npz: the same command
goes on from there if it was killed, to the same result.

exit status: 0 done, 2 wrong input

example:
  fraudnet train --data data/sample_transactions.csv.gz --set training.epochs=20 --output model"""

REGISTERED = "fraudnet"
"""Model of the registry that champion and candidate are of, where no other is named."""
_EVALUATE_EPILOG = """\
Writes report.html (one page, figures and pictures) and MODEL_CARD.md beside the network. The
champion in MLflow's registry is shown beside, where it was measured on the same rows. Kinds of
fraud and groups of customers are named in the experiment, under [evaluation], or by --set.

exit status: 0 done, 2 wrong input

example:
  fraudnet evaluate --model model --data data/sample_transactions.csv.gz \
    --set evaluation.kind_column=fraud_kind"""


def add_experiment_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment and what overrides it, for `train` and `main`."""
    parser.add_argument(
        "--config", default="simulated", metavar="NAME|FILE.toml",
        help="experiment: simulated, handbook, sparkov, or a TOML file (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--recipe", metavar="NAME|FILE.toml", help="how the file's columns map on to ours"
    )
    parser.add_argument(
        "--labels", metavar="FILE",
        help="labels by transaction in place of the source's own (`fraudnet review export`)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training period")
    parser.add_argument(
        "--size", metavar="NAME", help="of the network: nano, micro, small, base or large"
    )
    parser.add_argument(
        "--alerts-per-day", type=float, metavar="N", help="alert budget, sets the threshold"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="override any key of the experiment; may be given often",
    )  # fmt: skip


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet train`."""
    parser.description = (
        "Train a network on a file of transactions, calibrate it, choose its threshold (by "
        "the alert budget, or as alerts.policy says), and log all of it to MLflow."
    )
    parser.epilog = _TRAIN_EPILOG
    parser.add_argument(
        "--data", type=parse_source, required=True, metavar="SOURCE",
        help="labelled transactions: delimited text, JSON lines, Parquet (a folder too), "
        "or a database as URL#TABLE",
    )  # fmt: skip
    add_experiment_arguments(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="of weights, order and dropout")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="directory of the trained network"
    )
    parser.add_argument(
        "--tensorboard", type=Path, metavar="DIR",
        help="write the fit's curves and a profile of some steps there, for TensorBoard",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet evaluate`."""
    parser.description = (
        "Measure a trained network on the last days of a file, which it has not seen; the figures "
        "go to the training's MLflow run."
    )
    parser.epilog = _EVALUATE_EPILOG
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="what `fraudnet train` wrote"
    )
    parser.add_argument(
        "--data", type=parse_source, required=True, metavar="SOURCE", help="labelled transactions"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="override a key of [evaluation], or split.test_days, for this evaluation; may be "
        "given often",
    )  # fmt: skip
    parser.add_argument(
        "--report", type=Path, metavar="FILE.html", help="the page (default: DIR/report.html)"
    )
    parser.add_argument(
        "--beside", type=Path, metavar="DIR",
        help="another network, evaluated on the same days, to be shown beside in place of the "
        "champion",
    )  # fmt: skip
    parser.add_argument(
        "--name", default=REGISTERED, metavar="MODEL",
        help="registered model whose champion is shown beside (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def experiment_of(arguments: argparse.Namespace) -> "Experiment":
    """The experiment that the arguments describe; flags override `--set`, `--set` the file.

    Raises:
        InputError: a key or value is not as expected.
    """
    from fraudnet.training.experiment import load_experiment

    flags = {
        "data.recipe": arguments.recipe,
        "data.labels": arguments.labels,
        "network.size": arguments.size,
        "training.epochs": arguments.epochs,
        "training.seed": arguments.seed,
        "alerts.per_day": arguments.alerts_per_day,
    }
    given = [f"{key}={json.dumps(value)}" for key, value in flags.items() if value is not None]
    return load_experiment(arguments.config, [*arguments.set, *given])


def run_train(arguments: argparse.Namespace) -> int:
    """Train and save.

    Raises:
        InputError: the data, the configuration or the directory cannot be used.
    """
    experiment = experiment_of(arguments)

    from fraudnet.training.prepare import prepare, told_before_training
    from fraudnet.training.thresholds import print_threshold
    from fraudnet.training.train import CHECKPOINT, train
    from fraudnet.training.trained import save_trained

    quarantine = quarantine_in(arguments.output)
    prepared = prepare(arguments.data, experiment, quarantine)
    print(prepared.line(quarantine), told_before_training(prepared), sep="\n", file=sys.stderr)
    trained = train(prepared, arguments.output, arguments.tensorboard)
    save_trained(trained, arguments.output)
    (arguments.output / CHECKPOINT).unlink(missing_ok=True)
    figures, threshold = trained.facts.metrics["validation"], trained.facts.threshold
    if arguments.json:
        print(json.dumps({"validation": figures, "threshold": threshold.model_dump(mode="json")}))
    else:
        print_figures(figures, "validation", as_json=False)
        print_threshold(threshold)
        print(f"{arguments.output}: trained; next: fraudnet evaluate, fraudnet export")
    return 0


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Evaluate on the test period; the figures are also kept with the network.

    Raises:
        InputError: the data or the network cannot be used, or the page cannot be written.
    """
    from fraudnet.training.experiment import evaluated_otherwise
    from fraudnet.training.prepare import prepare
    from fraudnet.training.reporting import CARD, PAGE, ReportFiles
    from fraudnet.training.train import evaluate
    from fraudnet.training.trained import load_trained, save_trained
    from fraudnet.transactions.reading import refuse_overwriting

    files = ReportFiles(arguments.report or arguments.model / PAGE, arguments.model / CARD)
    refuse_overwriting(arguments.data, files.page)
    trained = load_trained(arguments.model)
    experiment = evaluated_otherwise(trained.facts.experiment, arguments.set)
    prepared = prepare(arguments.data, experiment)
    print(prepared.line(), file=sys.stderr)
    beside = _beside(arguments.beside, prepared) if arguments.beside else None
    trained = evaluate(prepared, trained, files, beside, arguments.name)
    save_trained(trained, arguments.model)
    print_figures(trained.facts.metrics["test"], "test", arguments.json)
    if not arguments.json:
        print(f"{files.page}: written; open it in a browser")
    return 0


def _beside(directory: Path, prepared: "Prepared") -> "Beside":
    """The figures that another network has of the same test period."""
    from fraudnet.evaluation.report import Beside
    from fraudnet.training.trained import load_facts

    facts, test = load_facts(directory), str(prepared.split.test)
    if "test" not in facts.metrics or facts.periods["test"] != test:
        raise InputError(
            f"{directory}: has no figures of {test}; run `fraudnet evaluate --model {directory}` "
            "on the same data first"
        )
    return Beside(directory.resolve().name, facts.metrics["test"])


def quarantine_in(directory: Path) -> Path:
    """The quarantine file of an output directory, which is made if it is not there.

    Raises:
        InputError: it cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory}: cannot be made: {error.strerror}") from error
    return directory / "quarantine.parquet"


def print_figures(figures: dict[str, float], period: str, as_json: bool) -> None:
    """Print a period's figures, as a table or as JSON."""
    if as_json:
        print(json.dumps({period: figures}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("", "", "95 % interval", title=f"{period} period")
    for name, value in figures.items():
        if name.endswith(("_low", "_high")):
            continue
        count = name in ("transactions", "compromised_accounts")
        shown = f"{value:,.0f}" if count else f"{value:.4g}"
        bounds = [figures[f"{name}_{end}"] for end in ("low", "high") if f"{name}_{end}" in figures]
        table.add_row(name.replace("_", " "), shown, " to ".join(f"{each:.4g}" for each in bounds))
    Console().print(table)
