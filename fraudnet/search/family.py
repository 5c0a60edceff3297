"""The family of sizes, trained and measured: what accuracy costs in work, memory and energy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import mlflow

from fraudnet.artifact.command import export_and_log
from fraudnet.energy.counting import ModelCount, count_file
from fraudnet.energy.estimate import Estimate, estimate_counted
from fraudnet.energy.profiles import load_profile, operate
from fraudnet.network.describe import Description, describe
from fraudnet.network.network import NetworkConfig
from fraudnet.search.scaling import with_network
from fraudnet.training.nested import nested_run
from fraudnet.training.prepare import Prepared
from fraudnet.training.train import evaluate, train
from fraudnet.training.trained import Trained, save_trained

PERIODS = ("validation", "test")


@dataclass(frozen=True)
class Member:
    """One size of the family.

    Attributes:
        size: its name.
        network: its architecture.
        cost: predicted from the architecture.
        file_count: measured in its .tflite file, which the first seed made.
        artifact_bytes: of that file.
        energy: of one score on the experiment's device, counted from that file.
        average_precision: by period, one a seed.
    """

    size: str
    network: NetworkConfig
    cost: Description
    file_count: ModelCount
    artifact_bytes: int
    energy: Estimate
    average_precision: dict[str, tuple[float, ...]]

    @property
    def measured_macs(self) -> int:
        """Multiply-accumulates of the file, those of the depthwise filters among them."""
        return self.file_count.macs + depthwise_macs(self.file_count)

    def as_dictionary(self) -> dict[str, Any]:
        """Plain values; every figure names its unit."""
        return {
            "size": self.size,
            "network": self.network.model_dump(mode="json"),
            "receptive_field": self.cost.receptive_field,
            "parameters": self.cost.parameters,
            "predicted_macs": self.cost.macs,
            "measured_macs": self.measured_macs,
            "macs_per_position": self.cost.macs_per_position,
            "standard_macs": self.cost.standard_macs,
            "artifact_bytes": self.artifact_bytes,
            "energy_per_inference_uj": self.energy.network_energy_uj.model_dump(),
            "total_energy_per_inference_uj": self.energy.energy_uj.model_dump(),
            "average_precision": self.average_precision,
        }


def depthwise_macs(count: ModelCount) -> int:
    """Multiply-accumulates of filters that a file holds as shifted multiply-adds.

    A tap of a filter is a product of an activation with one float constant a channel, after the
    stem, which is the first product of matrices: before it, such scale features.
    """
    names = [operator.name for operator in count.operators]
    return sum(
        operator.elementwise
        for operator in count.operators[names.index("FULLY_CONNECTED") :]
        if operator.name == "MUL"
        and len(operator.output_shape) == 3
        and min(operator.output_shape[1:]) > 1  # the distance's scale is of one position
        and operator.parameter_bytes == 4 * operator.output_shape[-1]
    )


def family(
    prepared: Prepared, networks: Mapping[str, NetworkConfig], seeds: int, output: Path
) -> list[Member]:
    """Train, evaluate and export every size: a child run a size, a child of that a seed.

    Args:
        prepared: the data; its experiment says all but the network and the seed.
        networks: by the name of the size.
        seeds: how many, from the experiment's on; the first one's network is kept and
            exported; a run is active.
        output: directory; SIZE/model and SIZE/fraud.tflite are made in it.

    Raises:
        InputError: a period lacks frauds or genuine transactions, or a file cannot be written.
        CheckFailed: a file would not be the network that was trained.
    """
    return [
        _member(prepared, size, network, seeds, output / size) for size, network in networks.items()
    ]


def _member(
    prepared: Prepared, size: str, network: NetworkConfig, seeds: int, folder: Path
) -> Member:
    first = prepared.experiment.training.seed
    found: list[Trained] = []
    with nested_run(size):
        for seed in range(first, first + seeds):
            with nested_run(f"{size}, seed {seed}"):
                own = with_network(prepared, network, seed)
                found.append(evaluate(own, train(own)))
                if seed == first:
                    save_trained(found[0], folder / "model")
                    exported = export_and_log(found[0], folder / "fraud.tflite")
        count = count_file(exported.path)
        member = Member(
            size=size,
            network=network,
            cost=describe(found[0].network),
            file_count=count,
            artifact_bytes=exported.bytes,
            energy=_energy(count, prepared.experiment.battery.device),
            average_precision={
                period: tuple(t.facts.metrics[period]["average_precision"] for t in found)
                for period in PERIODS
            },
        )
        mlflow.log_metrics(
            {
                "parameters": member.cost.parameters,
                "predicted_macs": member.cost.macs,
                "measured_macs": member.measured_macs,
                "energy_per_inference_uj": member.energy.network_energy_uj.typical,
            }
            | {f"{p}_average_precision": mean(v) for p, v in member.average_precision.items()}
        )
    return member


def _energy(count: ModelCount, device: str) -> Estimate:
    profile = load_profile(device)
    return estimate_counted(count, profile, operate(profile, None, None))
