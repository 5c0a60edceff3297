"""A kind of fraud that the network has not learnt: what an alert budget finds of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks import ood_methods as methods
from benchmarks.ood_measure import Detectors
from benchmarks.ood_methods import Floats
from benchmarks.ood_reading import Reading, draw_rows
from benchmarks.speed_data import Fold
from fraudnet.errors import InputError
from fraudnet.training.fitting import TrainingConfig

BUDGET = 0.01  # alerts a transaction
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOut:
    """What is found, in the later week, of a kind that was left out of the training rows.

    Attributes:
        kind: of fraud.
        frauds: of it in the later week.
        method: whose distance takes part of the budget.
        layer: that it reads.
        auroc: of those frauds against all genuine transactions, by method.
        share: of the budget that goes to the most distant; chosen on the training period, where
            another kind had been left out, by the recall of all kinds but this.
        recall_alone: of the kind, all alerts by probability.
        recall_shared: of the kind, with that share.
        all_kinds_alone: recall of all frauds, all alerts by probability.
        all_kinds_shared: with that share.
    """

    kind: str
    frauds: int
    method: str
    layer: str
    auroc: dict[str, float]
    share: float
    recall_alone: float
    recall_shared: float
    all_kinds_alone: float
    all_kinds_shared: float


@dataclass(frozen=True)
class _Scores:
    """Our method; and of some rows, [N] each: logit, distances, kinds, "" of what is genuine."""

    ours: str
    logit: Floats
    distances: dict[str, npt.NDArray[np.float64]]
    kind: npt.NDArray[np.str_]

    def recall(self, share: float, asked: Mask) -> float:
        """Of the asked rows, with a share of the budget to our distance."""
        return float(alerts(self.logit, self.distances[self.ours], share)[asked].mean())


def alerts(probability: Floats, distance: Floats, share: float) -> Mask:
    """[N] which transactions are flagged: the most probable, then the most distant of the rest.

    Args:
        probability: [N], or what rises with it.
        distance: [N].
        share: of the budget, 1 per cent of N, for the distance.
    """
    budget = max(1, round(BUDGET * len(probability)))
    by_distance = round(share * budget)
    flagged = np.zeros(len(probability), np.bool_)
    flagged[np.argsort(-probability, kind="stable")[: budget - by_distance]] = True
    rest = np.where(flagged, -np.inf, distance)
    flagged[np.argsort(-rest, kind="stable")[:by_distance]] = True
    return flagged


def frequent_kinds(fold: Fold, count: int) -> list[str]:
    """The kinds of fraud that there are most of in the training rows, of those in both periods.

    Raises:
        InputError: there are fewer.
    """
    if not count:
        return []
    learnt = fold.kind[np.flatnonzero(fold.training.rows)[fold.training.is_fraud == 1]]
    kinds, frequency = np.unique(learnt[learnt != ""], return_counts=True)
    both = np.isin(kinds, fold.kind[fold.validation])
    order = np.argsort(-frequency[both], kind="stable")
    if len(order) < count:
        raise InputError(
            f"--held-out {count}: the transactions hold {len(order)} kinds of fraud in both "
            "periods; give a smaller number, or use more of the accounts"
        )
    return [str(kind) for kind in kinds[both][order][:count]]


def hold_out(
    fold: Fold, kinds: Sequence[str], config: TrainingConfig, windows: int
) -> list[HeldOut]:
    """Train without each kind's frauds, and measure them; each share is chosen with the next kind.

    The rows of the kind remain context, and the reputation of their counterparties counts them.

    Args:
        fold: with kinds.
        kinds: two or more.
        config: of the training.
        windows: genuine ones of the later week, for `draw_rows`.
    """
    periods = [_without(fold, kind, config, windows) for kind in kinds]
    found = []
    for number, kind in enumerate(kinds):
        layer, _, later = periods[number]
        learnt = periods[(number + 1) % len(kinds)][1]
        known = (learnt.kind != "") & (learnt.kind != kind)
        share = max(SHARES, key=lambda s: learnt.recall(s, known))
        own, all_kinds = later.kind == kind, later.kind != ""
        compared = {"probability": later.logit, **later.distances}
        found.append(
            HeldOut(
                kind=kind,
                frauds=int(own.sum()),
                method=later.ours,
                layer=layer,
                auroc={n: methods.auroc(v[~all_kinds], v[own]) for n, v in compared.items()},
                share=share,
                recall_alone=later.recall(0.0, own),
                recall_shared=later.recall(share, own),
                all_kinds_alone=later.recall(0.0, all_kinds),
                all_kinds_shared=later.recall(share, all_kinds),
            )
        )
    return found


def _without(
    fold: Fold, kind: str, config: TrainingConfig, windows: int
) -> tuple[str, _Scores, _Scores]:
    """The layer that ours reads, and the scores of the training period and of the later week."""
    left_out = fold.training.rows & (fold.kind == kind)
    training = replace(fold.training, rows=fold.training.rows & ~left_out)
    reading = Reading(fold, training, config)
    rows = draw_rows(replace(fold, training=training), windows, config.seed)
    detectors = Detectors(reading, rows, seed=None)

    def scores(asked: Mask) -> _Scores:
        activations = reading.of_rows(np.flatnonzero(asked))
        distances = detectors.distances(activations)
        return _Scores(detectors.ours, activations["logit"][:, 0], distances, fold.kind[asked])

    return detectors.layers[detectors.ours], scores(fold.training.rows), scores(fold.validation)
