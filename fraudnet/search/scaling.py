"""The small search for the coefficients of compound scaling.

Tan and Le 2019, "EfficientNet", section 3.3, step 1: phi = 1, and a grid of coefficients under the
constraint that a step doubles the work; here a b^2 c = 2. What is best is best on the validation
period; the test period is not looked at.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from statistics import mean, stdev
from typing import Any

import mlflow

from fraudnet.errors import InputError
from fraudnet.network.describe import describe
from fraudnet.network.network import NetworkConfig, build_network
from fraudnet.network.scaling import SCALED, Coefficients, scaled
from fraudnet.training.nested import nested_run
from fraudnet.training.prepare import Prepared
from fraudnet.training.train import train

GROWTH = 2.0


@dataclass(frozen=True)
class Candidate:
    """A network, and the coefficients that make it.

    Attributes:
        coefficients: several, where rounding makes them one network; none for the base.
        network: what is trained.
    """

    coefficients: tuple[Coefficients, ...]
    network: NetworkConfig

    @property
    def name(self) -> str:
        """Of its run."""
        if not self.coefficients:
            return "base"
        first = self.coefficients[0]
        return f"depth {first.depth:g}, width {first.width:.3f}, length {first.length:g}"


@dataclass(frozen=True)
class Outcome:
    """A candidate that was trained.

    Attributes:
        candidate: the network.
        parameters: of its logit.
        receptive_field: positions that one score depends on.
        macs: of one score on a device.
        average_precision: on the validation period, one a seed.
        run_id: of the candidate's MLflow run.
    """

    candidate: Candidate
    parameters: int
    receptive_field: int
    macs: int
    average_precision: tuple[float, ...]
    run_id: str

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return mean(self.average_precision)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; None with one seed alone."""
        return stdev(self.average_precision) if len(self.average_precision) > 1 else None

    def as_dictionary(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "coefficients": [asdict(each) for each in self.candidate.coefficients],
            "network": self.candidate.network.model_dump(mode="json"),
            "parameters": self.parameters,
            "receptive_field": self.receptive_field,
            "macs": self.macs,
            "average_precision": list(self.average_precision),
            "average_precision_mean": self.mean,
            "average_precision_deviation": self.deviation,
            "run_id": self.run_id,
        }


def grid(depths: Iterable[float], lengths: Iterable[float]) -> list[Coefficients]:
    """Every pair of a depth's and a length's coefficient, with the width's that doubles the work.

    b = sqrt(2 / (a c)); pairs that would need a width below 1 are left out.

    Raises:
        InputError: a coefficient is below 1, or no pair is left.
    """
    pairs = list(product(sorted(set(depths)), sorted(set(lengths))))
    for pair in pairs:
        if not (min(pair) >= 1 and math.isfinite(sum(pair))):
            raise InputError(f"coefficients must be at least 1, got {min(pair):g}")
    found = [
        Coefficients(depth, math.sqrt(GROWTH / (depth * length)), length)
        for depth, length in pairs
        if depth * length <= GROWTH
    ]
    if not found:
        raise InputError("no depth times length is at most 2; give smaller ones")
    return found


def candidates(base: NetworkConfig, phi: float, tried: Iterable[Coefficients]) -> list[Candidate]:
    """The base, then the networks that the coefficients make of it, each once.

    Raises:
        InputError: rounding makes the base of all of them.
    """
    by_network: dict[NetworkConfig, list[Coefficients]] = {base: []}
    for coefficients in tried:
        by_network.setdefault(scaled(base, phi, coefficients), []).append(coefficients)
    # What rounds to the base is the base: no step was taken.
    by_network[base] = []
    if len(by_network) == 1:
        raise InputError(f"at phi = {phi:g} all candidates round to the base; give a larger --phi")
    return [Candidate(tuple(made_by), network) for network, made_by in by_network.items()]


def search(prepared: Prepared, tried: Sequence[Candidate], seeds: int) -> list[Outcome]:
    """Train every candidate with every seed: a child run a candidate, a child of that a seed.

    Args:
        prepared: the data; its experiment says all but the network and the seed.
        tried: the candidates.
        seeds: how many, from the experiment's on; a run is active.

    Raises:
        InputError: a period lacks frauds or genuine transactions.
    """
    return [_outcome(prepared, candidate, seeds) for candidate in tried]


def best(outcomes: Iterable[Outcome]) -> Outcome:
    """The highest mean average precision of those that are not the base; of equals the cheapest."""
    scaled_up = [outcome for outcome in outcomes if outcome.candidate.coefficients]
    return min(scaled_up, key=lambda outcome: (-outcome.mean, outcome.macs))


def within_noise(outcomes: Iterable[Outcome]) -> bool | None:
    """Whether the best is ahead of the base by less than twice the standard error of that.

    By the seeds of all networks, pooled; None with one seed alone.
    """
    by_network = [*outcomes]
    first, *_ = by_network
    seeds = len(first.average_precision)
    if seeds < 2:
        return None
    (base,) = (each for each in by_network if not each.candidate.coefficients)
    pooled = mean((each.deviation or 0.0) ** 2 for each in by_network)
    return best(by_network).mean - base.mean < 2 * math.sqrt(2 * pooled / seeds)


def with_network(prepared: Prepared, network: NetworkConfig, seed: int) -> Prepared:
    """The same data for another network and seed."""
    training = prepared.experiment.training.model_copy(update={"seed": seed})
    update = {"network": network, "training": training}
    return replace(prepared, experiment=prepared.experiment.model_copy(update=update))


def _outcome(prepared: Prepared, candidate: Candidate, seeds: int) -> Outcome:
    features, first = prepared.experiment.features, prepared.experiment.training.seed
    cost = describe(build_network(candidate.network, features))
    found = []
    with nested_run(candidate.name) as run:
        mlflow.log_params(candidate.network.model_dump(mode="json", include=set(SCALED)))
        mlflow.log_metrics({"parameters": cost.parameters, "macs": cost.macs})
        for seed in range(first, first + seeds):
            with nested_run(f"{candidate.name}, seed {seed}"):
                trained = train(with_network(prepared, candidate.network, seed))
            found.append(trained.facts.metrics["validation"]["average_precision"])
        mlflow.log_metric("validation_average_precision", mean(found))
    return Outcome(
        candidate=candidate,
        parameters=cost.parameters,
        receptive_field=cost.receptive_field,
        macs=cost.macs,
        average_precision=tuple(found),
        run_id=run.info.run_id,
    )
