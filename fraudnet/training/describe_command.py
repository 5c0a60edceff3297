"""`fraudnet describe`: what each layer of a network costs."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudnet.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from fraudnet.network.describe import Description
    from fraudnet.network.network import Sentinel
    from fraudnet.training.experiment import Experiment
    from fraudnet.windows.specification import FeatureSpecification

_EPILOG = """\
MACs are multiply-accumulates of convolutions and matrix products: of a window (one score on a
device) and of one more transaction in a sequence. "standard" is a window with one standard
convolution in place of each depthwise filter and the projection after it.

exit status: 0 done, 2 wrong input

example:
  fraudnet describe --config handbook --size nano"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet describe`."""
    parser.description = (
        "Layers of an experiment's network: output, parameters, receptive field so far, "
        "multiply-accumulates, and those of the standard convolutions that the blocks replace."
    )
    parser.epilog = _EPILOG
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--config", default="simulated", metavar="NAME|FILE.toml",
        help="experiment (default: %(default)s)",
    )  # fmt: skip
    which.add_argument(
        "--model", type=Path, metavar="DIR",
        help="a network that `fraudnet train` or `fraudnet compress` wrote, instead",
    )  # fmt: skip
    parser.add_argument(
        "--size", metavar="NAME", help="of the network: nano, micro, small, base or large"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="override any key of the experiment; may be given often",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Describe.

    Raises:
        InputError: the experiment, or the network, cannot be used.
    """
    from rich.console import Console

    from fraudnet.network.describe import describe
    from fraudnet.network.network import build_network
    from fraudnet.training.sentinel import widest

    experiment, sentinel = _experiment(arguments)
    if sentinel is None:
        network = build_network(experiment.network, experiment.features)
        sentinel = widest(network, experiment.sentinel)
    description = describe(
        build_network(experiment.network, experiment.features, sentinel=sentinel)
    )
    if arguments.json:
        values = experiment.network.model_dump(mode="json")
        print(json.dumps({"network": values, **as_dictionary(description)}))
        return 0
    console = Console()
    console.print(_table(description))
    for sentence in _sentences(description, experiment.features):
        console.print(sentence, markup=False, highlight=False)
    return 0


def _experiment(arguments: argparse.Namespace) -> "tuple[Experiment, Sentinel | None]":
    """The experiment, and of a trained network where its distance is."""
    from fraudnet.training.experiment import load_experiment
    from fraudnet.training.trained import load_facts

    size = [f"network.size={json.dumps(arguments.size)}"] if arguments.size is not None else []
    changed = [*arguments.set, *size]
    if arguments.model is None:
        return load_experiment(arguments.config, changed), None
    if changed:
        raise InputError(f"{arguments.model}: is trained; leave out --size and --set")
    facts = load_facts(arguments.model)
    return facts.experiment, facts.sentinel.placement


def as_dictionary(description: "Description") -> dict[str, Any]:
    """The description as plain values, totals first."""
    return {
        "receptive_field": description.receptive_field,
        "parameters": description.parameters,
        "fitted_parameters": description.fitted_parameters,
        "macs": description.macs,
        "macs_per_position": description.macs_per_position,
        "standard_macs": description.standard_macs,
        "standard_macs_per_position": description.standard_macs_per_position,
        "layers": [
            asdict(layer) | {"macs": layer.macs, "standard_macs": layer.standard_macs}
            for layer in description.layers
        ],
    }


def _table(description: "Description") -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="The network, layer by layer", box=box.SIMPLE, padding=(0, 0, 0, 1))
    table.add_column("layer", no_wrap=True)
    for heading in ("output", "param.", "sees", "MACs", "1 more", "standard", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    shares = {
        name: f"{(depthwise.macs + projection.macs) / depthwise.standard_macs:.0%}"
        for name, (depthwise, projection) in description.filters.items()
    }
    for layer in description.layers:
        table.add_row(
            escape(layer.name),
            f"{layer.positions} x {layer.channels}",
            f"{layer.parameters:,}",
            f"{layer.receptive_field}",
            f"{layer.macs:,}",
            f"{layer.macs_per_position:,}",
            f"{layer.standard_macs:,}",
            shares.get(layer.name, ""),
        )
    table.add_section()
    table.add_row(
        "all", "", f"{description.parameters + description.fitted_parameters:,}",
        f"{description.receptive_field}", f"{description.macs:,}",
        f"{description.macs_per_position:,}", f"{description.standard_macs:,}",
        f"{description.macs / description.standard_macs:.0%}",
    )  # fmt: skip
    return table


def _sentences(description: "Description", features: "FeatureSpecification") -> list[str]:
    share = description.macs / description.standard_macs
    one = description.macs_per_position / description.standard_macs_per_position
    sentences = [
        f"{description.parameters:,} parameters make the logit; {description.fitted_parameters:,} "
        "more, of calibration and distance, are fitted after it.",
        f"A window of {description.receptive_field} transactions takes {description.macs:,} "
        f"multiply-accumulates, {share:.0%} of those with standard convolutions; one more "
        f"transaction in a sequence {description.macs_per_position:,}, {one:.0%}.",
    ]
    if empty := [c.column for c in features.categorical if not c.vocabulary]:
        sentences.append(
            f"Vocabulary of {', '.join(empty)}: taken from the training data; each value will add "
            "an embedding's parameters."
        )
    return sentences
