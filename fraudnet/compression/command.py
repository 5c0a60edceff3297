"""`fraudnet compress`: a trained network with 1x1 layers of low rank."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudnet.errors import InputError
from fraudnet.transactions.place import parse_source

if TYPE_CHECKING:
    from fraudnet.compression.compress import Plan

_EPILOG = """\
A 1x1 layer of C to F channels becomes two, C to r and r to F, wherever r (C + F) is less than C F.
--energy    each layer has the lowest rank that retains this share of its energy
--macs      all 1x1 layers together take at most this share of their multiply-accumulates; ranks
            are those that lose the least energy in all
--search    likewise, but ranks are those with which the answers to validation rows change least,
            by measuring each layer alone at several ranks
Energy is of what the layers answer on the training rows, frauds weighing as much as genuine ones,
or, with --plain, of their kernels. What is written is a network as `fraudnet train` writes it: go
on with evaluate, threshold, export.

exit status: 0 done, 2 wrong input

example:
  fraudnet compress --model model --data data/sample_transactions.csv.gz --search 0.5 \
--fine-tune 4 --output small"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet compress`."""
    parser.description = (
        "Compress a trained network: factor its 1x1 layers by singular value decomposition, fit "
        "it a little more, calibrate it and choose its threshold again, and log all of it to "
        "MLflow."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="what `fraudnet train` wrote"
    )
    parser.add_argument(
        "--data", type=parse_source, required=True, metavar="SOURCE",
        help="what it was trained with",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR",
        help="directory of the compressed network",
    )  # fmt: skip
    energy = parser.add_mutually_exclusive_group()
    energy.add_argument(
        "--whiten", dest="whiten", action="store_true", default=True,
        help="lose least of what the layers answer (the default)",
    )  # fmt: skip
    energy.add_argument(
        "--plain", dest="whiten", action="store_false", help="lose least of their kernels"
    )
    choice = parser.add_mutually_exclusive_group(required=True)
    for name, text in (
        ("energy", "share of each layer's energy to retain"),
        ("macs", "share of the 1x1 layers' multiply-accumulates to keep"),
        ("search", "the same share, spent where it hurts least"),
    ):
        choice.add_argument(f"--{name}", type=float, metavar="SHARE", help=text)
    parser.add_argument(
        "--fine-tune", type=int, default=0, metavar="EPOCHS",
        help="passes over the training period after it (default: none)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Compress and save.

    Raises:
        InputError: the data, the network or an option cannot be used.
    """
    plan = _plan(arguments)

    from fraudnet.compression.compress import compress
    from fraudnet.training.command import quarantine_in
    from fraudnet.training.prepare import prepare
    from fraudnet.training.trained import load_trained, save_trained

    if arguments.output.resolve() == arguments.model.resolve():
        raise InputError(f"{arguments.output}: holds the network itself; name another --output")
    trained = load_trained(arguments.model)
    quarantine = quarantine_in(arguments.output)
    prepared = prepare(arguments.data, trained.facts.experiment, quarantine)
    print(prepared.line(quarantine), file=sys.stderr)
    found = compress(prepared, trained, plan)
    save_trained(found.trained, arguments.output)
    if arguments.json:
        print(json.dumps(found.report))
        return 0
    _print(found.report)
    print(f"{arguments.output}: compressed; next: fraudnet evaluate, fraudnet export")
    return 0


def _plan(arguments: argparse.Namespace) -> "Plan":
    from fraudnet.compression.compress import Plan

    for by in ("energy", "macs", "search"):
        share = getattr(arguments, by)
        if share is None:
            continue
        if not 0 < share < 1:
            raise InputError(f"--{by}: expected a share between 0 and 1, got {share:g}")
        if arguments.fine_tune < 0:
            raise InputError(f"--fine-tune: expected epochs, 0 or more, got {arguments.fine_tune}")
        return Plan(by, share, arguments.whiten, arguments.fine_tune)
    raise AssertionError("argparse requires one")


def _print(report: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    layers = Table(title="1x1 layers", box=box.SIMPLE, padding=(0, 0, 0, 1))
    layers.add_column("layer", no_wrap=True)
    for heading in ("channels", "rank", "energy", "MACs before", "after"):
        layers.add_column(heading, justify="right", no_wrap=True)
    for layer in report["layers"]:
        whole = layer["positions"] * layer["received"] * layer["given"]
        both = layer["positions"] * (layer["received"] + layer["given"])
        rank = layer["rank"]
        layers.add_row(
            layer["name"], f"{layer['received']} to {layer['given']}", f"{rank or 'whole'}",
            f"{layer['retained_energy']:.4f}", f"{whole:,}", f"{both * rank if rank else whole:,}",
        )  # fmt: skip
    console = Console()
    console.print(layers)
    for name in ("pointwise_macs", "macs", "parameters"):
        before, after = report[name]["before"], report[name]["after"]
        shown = {"pointwise_macs": "multiply-accumulates of these", "macs": "of all layers"}
        console.print(
            f"{shown.get(name, name)}: {before:,} before, {after:,} after ({after / before:.0%})",
            highlight=False,
        )
    precision = report["validation_average_precision"]
    console.print(
        "average precision on the validation period: "
        + ", ".join(f"{name} {value:.4f}" for name, value in precision.items()),
        highlight=False,
    )
