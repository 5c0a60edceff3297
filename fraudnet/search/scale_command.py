"""`fraudnet scale`: search the coefficients of compound scaling; train the family of sizes."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from fraudnet.errors import InputError
from fraudnet.training.command import add_experiment_arguments, experiment_of, quarantine_in
from fraudnet.transactions.place import parse_source

if TYPE_CHECKING:
    from fraudnet.search.family import Member
    from fraudnet.search.scaling import Outcome
    from fraudnet.training.experiment import Experiment
    from fraudnet.training.prepare import Prepared

_EPILOG = """\
search  at phi = 1, every pair of --depths and --lengths with the width that doubles the work
        (a b^2 c = 2), by average precision on the validation period; the test period is not read
family  nano, micro, small, base, large: trained, evaluated, exported, counted; table and chart

exit status: 0 done, 1 a file would differ from its network, 2 wrong input

examples:
  fraudnet scale search --data data/sample_transactions.csv.gz --epochs 4 --seeds 3
  fraudnet scale family --data data/sample_transactions.csv.gz --output build/family"""

MOST_STEPS = 8
_DEPTHS = (1.0, 1.2, 1.4)
_LENGTHS = (1.0, 1.2, 1.4)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet scale`."""
    parser.description = (
        "Compound scaling: depth, width and length of the network grow together (Tan and Le 2019)."
    )
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    search = actions.add_parser("search", help="find the coefficients, by nested MLflow runs")
    _add_common(search)
    for name, values in (("depths", _DEPTHS), ("lengths", _LENGTHS)):
        search.add_argument(
            f"--{name}", type=float, nargs="+", default=values, metavar="X",
            help=f"coefficients to try (default: {' '.join(f'{x:g}' for x in values)})",
        )  # fmt: skip
    search.add_argument(
        "--phi", type=float, default=1.0, metavar="N",
        help="steps that a candidate is larger; more than 1 lessens what rounding to blocks and "
        "multiples of 8 channels does (default: %(default)s)",
    )  # fmt: skip
    search.add_argument("--output", type=Path, metavar="FILE", help="write the result as JSON")
    family = actions.add_parser("family", help="train, measure and draw the family of sizes")
    _add_common(family)
    family.add_argument(
        "--sizes", nargs="+", metavar="NAME", help="which (default: nano micro small base large)"
    )
    family.add_argument(
        "--output", type=Path, required=True, metavar="DIR",
        help="directory of networks, files, family.json and family.png",
    )  # fmt: skip


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=parse_source, required=True, metavar="SOURCE", help="labelled transactions"
    )
    add_experiment_arguments(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="the first seed")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="trainings of a network (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Search, or train the family.

    Raises:
        InputError: the data, the experiment or an option cannot be used.
        CheckFailed: an exported file would differ from its network.
    """
    if arguments.seeds < 1:
        raise InputError(f"--seeds must be at least 1, got {arguments.seeds}")
    {"search": _search, "family": _family}[arguments.action](arguments)
    return 0


def _search(arguments: argparse.Namespace) -> None:
    import mlflow

    from fraudnet.search.scaling import best, candidates, grid, search, within_noise
    from fraudnet.training.tracking import tracked_run

    if not 0 < arguments.phi <= MOST_STEPS:
        raise InputError(f"--phi must be above 0 and at most {MOST_STEPS}, got {arguments.phi:g}")
    coefficients = grid(arguments.depths, arguments.lengths)
    experiment = experiment_of(arguments)
    tried = candidates(experiment.network, arguments.phi, coefficients)
    prepared = _prepare(arguments, experiment)
    with tracked_run("scale search"):
        mlflow.log_params({"phi": arguments.phi, "seeds": arguments.seeds})
        outcomes = search(prepared, tried, arguments.seeds)
        found = best(outcomes)
        result = {
            "phi": arguments.phi,
            "period": str(prepared.split.validation),
            "data": prepared.fingerprint,
            "epochs": experiment.training.epochs,
            "candidates": [outcome.as_dictionary() for outcome in outcomes],
            "best": found.as_dictionary(),
            "within_noise": within_noise(outcomes),
        }
        mlflow.log_dict(result, "scale_search.json")
    if arguments.json:
        print(json.dumps(result))
    else:
        _print_search(outcomes, found, result["within_noise"])
    if arguments.output is not None:
        _write(arguments.output, result)


def _family(arguments: argparse.Namespace) -> None:
    import mlflow

    from fraudnet.network.scaling import SIZES
    from fraudnet.search.family import family
    from fraudnet.search.family_figure import family_figure
    from fraudnet.training.tracking import tracked_run

    if arguments.size is not None:
        raise InputError("--size: a family has several; name them with --sizes")
    experiments = {
        size: experiment_of(argparse.Namespace(**{**vars(arguments), "size": size}))
        for size in arguments.sizes or SIZES
    }
    prepared = _prepare(arguments, next(iter(experiments.values())))
    networks = {size: experiment.network for size, experiment in experiments.items()}
    with tracked_run("scale family"):
        mlflow.log_params({"sizes": ", ".join(networks), "seeds": arguments.seeds})
        members = family(prepared, networks, arguments.seeds, arguments.output)
        result = {
            "periods": {
                name: str(getattr(prepared.split, name)) for name in ("validation", "test")
            },
            "data": prepared.fingerprint,
            "epochs": prepared.experiment.training.epochs,
            "device": prepared.experiment.battery.device,
            "members": [member.as_dictionary() for member in members],
        }
        figure = family_figure(members)
        mlflow.log_dict(result, "family.json")
        mlflow.log_figure(figure, "family.png")
    _write(arguments.output / "family.json", result)
    figure.savefig(arguments.output / "family.png", dpi=150)
    if arguments.json:
        print(json.dumps(result))
        return
    _print_family(members)


def _prepare(arguments: argparse.Namespace, experiment: "Experiment") -> "Prepared":
    from fraudnet.training.prepare import prepare

    folder = arguments.output if arguments.action == "family" else None
    quarantine = quarantine_in(folder) if folder is not None else None
    prepared = prepare(arguments.data, experiment, quarantine)
    print(prepared.line(quarantine), file=sys.stderr)
    return prepared


def _write(path: Path, result: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _print_search(outcomes: "Sequence[Outcome]", found: "Outcome", noise: bool | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Candidates", box=box.SIMPLE, padding=0)
    for heading in ("depth", "width", "length", "blocks", "channels", "sees", "param.", "MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("validation AP", justify="right", no_wrap=True)
    ranked = sorted(outcomes, key=lambda outcome: -outcome.mean)
    for outcome in ranked:
        network = outcome.candidate.network
        first, *_ = outcome.candidate.coefficients or (None,)
        named = [f"{first.depth:g}", f"{first.width:.3f}", f"{first.length:g}"] if first else None
        table.add_row(
            *(named or ["base", "", ""]), f"{len(network.dilations)}", f"{network.width}",
            f"{outcome.receptive_field}", f"{outcome.parameters:,}", f"{outcome.macs:,}",
            _spread(outcome.average_precision),
        )  # fmt: skip
    console = Console()
    console.print(table)
    for chosen in found.candidate.coefficients:
        console.print(
            f"best: depth {chosen.depth:g}, width {chosen.width:.3f}, length {chosen.length:g} "
            f"(a b^2 c = {chosen.growth:.3f})",
            highlight=False,
        )
    if noise is None:
        console.print("With one seed noise cannot be told from gain: --seeds 3", highlight=False)
    elif noise:
        console.print(
            "It is ahead of the base by no more than seeds differ: these data choose none.",
            highlight=False,
        )


def _print_family(members: "Sequence[Member]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title="The family", box=box.SIMPLE, padding=0)
    table.add_column("size", no_wrap=True)
    for heading in ("param.", "sees", "kMACs", "counted", "kB", "µJ", "validation", "test"):
        table.add_column(heading, justify="right", no_wrap=True)
    for member in members:
        table.add_row(
            member.size, f"{member.cost.parameters:,}", f"{member.cost.receptive_field}",
            f"{member.cost.macs / 1e3:,.0f}", f"{member.measured_macs / 1e3:,.0f}",
            f"{member.artifact_bytes / 1e3:,.0f}",
            f"{member.energy.network_energy_uj.typical:.3g}",
            *(_spread(values) for values in member.average_precision.values()),
        )  # fmt: skip
    console = Console()
    console.print(table)
    console.print(
        "Thousands of multiply-accumulates of one score, predicted and counted in the file; energy "
        "of the network alone, counted; validation and test: average precision.",
        highlight=False,
    )


def _spread(values: "Sequence[float]") -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
