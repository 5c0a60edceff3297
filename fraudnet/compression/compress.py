"""Compress a trained network: another trained network, whose 1x1 layers are of low rank."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import mlflow

from fraudnet.compression.factoring import approximated, factored, fine_tune
from fraudnet.compression.figures import Point, spectrum_figure, work_figure
from fraudnet.compression.moments import input_moments
from fraudnet.compression.ranks import (
    Ranks,
    by_energy,
    least_share,
    lost_energy,
    macs_of,
    within_budget,
)
from fraudnet.compression.sensitivity import Watch, measured_damage
from fraudnet.compression.spectra import Spectrum, spectra
from fraudnet.errors import InputError
from fraudnet.network.describe import describe
from fraudnet.network.network import Network
from fraudnet.training.nested import nested_run
from fraudnet.training.prepare import Prepared, known_of, refuse_one_class
from fraudnet.training.tracking import (
    TrackedProgress,
    log_configuration,
    log_data,
    log_figures,
    tracked_run,
)
from fraudnet.training.train import completed, refuse_other_periods
from fraudnet.training.trained import Trained
from fraudnet.transactions.place import name_of
from fraudnet.windows.labels import KnownRows

SHARES = (0.15, 0.25, 0.35, 0.5, 0.65, 0.8)
"""Of the 1x1 layers' multiply-accumulates: points of the chart."""


@dataclass(frozen=True)
class Plan:
    """How a network is compressed.

    Attributes:
        by: `energy`: every layer retains a share of its own; `macs`: all layers within a share of
            their multiply-accumulates, the least energy being lost; `search`: likewise, the
            answers to validation rows changing least.
        share: of the energy or the multiply-accumulates, between 0 and 1.
        whiten: whether the energy is that of the layers' answers, not of their kernels.
        epochs: of fine-tuning; 0: none.
    """

    by: Literal["energy", "macs", "search"]
    share: float
    whiten: bool = True
    epochs: int = 0


@dataclass(frozen=True)
class Compressed:
    """What came of it.

    Attributes:
        trained: the compressed network, fitted as any other.
        ranks: by layer; those that are not named are whole.
        points: of the chart.
        report: plain values; every figure names its unit.
    """

    trained: Trained
    ranks: Ranks
    points: tuple[Point, ...]
    report: dict[str, Any]


def compress(prepared: Prepared, trained: Trained, plan: Plan) -> Compressed:
    """Factor the 1x1 layers of a network, fine-tune, and fit again what stands on its weights.

    Spectra and weights are fitted on the training period; ranks are chosen, and calibration and
    threshold fitted, on the validation period; the test period is not read. All of it is logged to
    a child of the run that the network was trained in.

    Args:
        prepared: the data that the network was trained with.
        trained: the network; left as it is.
        plan: how.

    Raises:
        InputError: the network is compressed already, the data is not that which it was trained
            with, or no layer gets smaller.
    """
    if ranks := trained.network.config.ranks:
        raise InputError(
            f"{len(ranks)} layers of the network are of two factors already; compress the network "
            "that it was made of"
        )
    refuse_other_periods(prepared, trained, "training", "validation")
    refuse_one_class(prepared)
    with tracked_run("compress", trained.facts.mlflow_run_id), nested_run("compress") as run:
        known = known_of(prepared, prepared.split.training)
        watched = known_of(prepared, prepared.split.validation)
        both = spectra_of(trained.network, known)
        used = both["whitened" if plan.whiten else "plain"]
        seed = prepared.experiment.training.seed
        ranks = _ranks(plan, trained.network, used, watched, seed)
        points = _points(trained.network, both, used, ranks, watched)
        network = factored(trained.network, used, ranks)
        experiment = prepared.experiment.model_copy(update={"network": network.config})
        if plan.epochs:
            told = [TrackedProgress()]
            fine_tune(network, trained.network, known, experiment.training, plan.epochs, told)
            found = Watch(network, watched).average_precision()
            points.append(Point("fine-tuned", describe(network).macs, found))
        log_configuration(experiment)
        log_data(
            name_of(prepared.source), prepared.fingerprint, "training", prepared.report.to_dict()
        )
        made = completed(replace(prepared, experiment=experiment), network, run.info.run_id)
        report = _report(plan, trained.network, made.network, used, points)
        _log(plan, report, both, ranks, points)
    return Compressed(made, ranks, tuple(points), report)


def spectra_of(network: Network, known: KnownRows) -> dict[str, dict[str, Spectrum]]:
    """Plain and whitened spectra of all 1x1 layers, the latter on known rows."""
    return {"plain": spectra(network), "whitened": spectra(network, input_moments(network, known))}


def _ranks(
    plan: Plan, network: Network, used: Mapping[str, Spectrum], watched: KnownRows, seed: int
) -> Ranks:
    match plan.by:
        case "energy":
            ranks = by_energy(used, plan.share)
        case "macs":
            ranks = within_budget(used, lost_energy(used), plan.share)
        case "search":
            ranks = within_budget(used, measured_damage(network, used, watched, seed), plan.share)
    if not ranks:
        raise InputError(
            f"with a share of {plan.share:g} no layer gets smaller as two factors; give a lower one"
        )
    return ranks


def _points(
    network: Network,
    both: Mapping[str, Mapping[str, Spectrum]],
    used: Mapping[str, Spectrum],
    ranks: Ranks,
    watched: KnownRows,
) -> list[Point]:
    """The whole network, plain and whitened ones at several shares, and the chosen one."""
    watch = Watch(network, watched)
    others = describe(network).macs - macs_of(used, {})

    def point(series: str, spectra: Mapping[str, Spectrum], ranks: Ranks) -> Point:
        with approximated(network, spectra, ranks):
            return Point(series, others + macs_of(spectra, ranks), watch.average_precision())

    found = [point("whole", used, {})]
    shares = [share for share in SHARES if share >= least_share(used)]
    for series, each in both.items():
        damage = lost_energy(each)
        found += [point(series, each, within_budget(each, damage, share)) for share in shares]
    return [*found, point("factored", used, ranks)]


def _report(
    plan: Plan, before: Network, after: Network, used: Mapping[str, Spectrum], points: list[Point]
) -> dict[str, Any]:
    ranks = after.config.ranks
    found = {point.series: point.average_precision for point in points if point.series in _ENDS}
    return {
        "plan": asdict(plan),
        "layers": [
            {
                "name": name,
                **asdict(each.cost),
                "rank": ranks.get(name),
                "retained_energy": each.retained(ranks[name]) if name in ranks else 1.0,
            }
            for name, each in used.items()
        ],
        "pointwise_macs": {"before": macs_of(used, {}), "after": macs_of(used, ranks)},
        "macs": {"before": describe(before).macs, "after": describe(after).macs},
        "parameters": {
            "before": describe(before).parameters, "after": describe(after).parameters
        },
        "validation_average_precision": found,
        "points": [asdict(point) for point in points],
    }  # fmt: skip


_ENDS = ("whole", "factored", "fine-tuned")


def _log(
    plan: Plan,
    report: dict[str, Any],
    both: Mapping[str, Mapping[str, Spectrum]],
    ranks: Ranks,
    points: list[Point],
) -> None:
    mlflow.log_params({f"compression.{key}": value for key, value in asdict(plan).items()})
    for name in ("macs", "pointwise_macs", "parameters"):
        mlflow.log_metrics({f"{name}_{when}": value for when, value in report[name].items()})
    mlflow.log_metrics(
        {
            f"{series.replace('-', '_')}_average_precision": value
            for series, value in report["validation_average_precision"].items()
        }
    )
    mlflow.log_dict(report, "compression.json")
    drawn = {
        name: spectrum_figure(name, both["plain"][name], both["whitened"][name], ranks.get(name))
        for name in both["plain"]
    }
    log_figures(drawn, "spectra")
    log_figures({"work": work_figure(points)}, "compression")
