"""All that is told of a period: figures, slices, groups, detections."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fraudnet.evaluation.calibration import Predicted
from fraudnet.evaluation.comparison import Difference
from fraudnet.evaluation.detection import FirstDetections, first_detections
from fraudnet.evaluation.fairness import Group, groups_of
from fraudnet.evaluation.further import AT_BUDGET
from fraudnet.evaluation.metrics import Floats, Ints, Scored
from fraudnet.evaluation.slices import (
    Grouping,
    Shortfall,
    Slice,
    by_history,
    by_month,
    shortfalls,
    slices_of,
)


@dataclass(frozen=True)
class Sample:
    """A period's labelled transactions, N of them, and how they can be divided.

    Attributes:
        scored: with their scores.
        predicted: their probabilities before and after calibration.
        threshold: from which score on a transaction is flagged.
        distance: [N] from the familiar.
        distance_threshold: above which a transaction is unfamiliar.
        chosen_by: how the threshold was chosen.
        alerts_per_day: the alert budget.
        earlier: [N] how many earlier transactions of its account the data hold.
        features: divisions by what the network reads.
        kinds: kinds of fraud; genuine transactions are in no group. None: not declared.
        groups: divisions of customers, which must be treated alike.
        resamples: of the accounts, for intervals.
        seed: of their draws.
    """

    scored: Scored
    predicted: Predicted
    threshold: float
    distance: Floats
    distance_threshold: float
    chosen_by: str
    alerts_per_day: float
    earlier: Ints
    features: list[Grouping]
    kinds: Grouping | None
    groups: list[Grouping]
    resamples: int
    seed: int


@dataclass(frozen=True)
class Beside:
    """Another network's figures of the same period.

    Attributes:
        name: of the network.
        figures: by name.
        differences: from the other network's figures to the report's, of those that have an
            interval.
    """

    name: str
    figures: Mapping[str, float]
    differences: Mapping[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What is told of a period.

    Attributes:
        sample: that it is told of.
        figures: of the whole period, by name.
        kinds: of fraud; only recall and value recall mean anything.
        slices: of each grouping, with its name.
        shortfalls: slices that are served badly, the worst first.
        fairness: the groups of each declared column, by its name.
        detections: of the compromised accounts.
        beside: another network's figures, or none.
    """

    sample: Sample
    figures: Mapping[str, float]
    kinds: list[Slice]
    slices: list[tuple[str, list[Slice]]]
    shortfalls: list[Shortfall]
    fairness: dict[str, list[Group]]
    detections: FirstDetections
    beside: Beside | None = None

    @property
    def defrauded(self) -> int:
        """How many accounts have a fraud in the period."""
        return len(self.detections.hours)


def report_of(sample: Sample, figures: Mapping[str, float], beside: Beside | None = None) -> Report:
    """Divide a period and measure its parts.

    Args:
        sample: its transactions.
        figures: of the whole period, first and further ones.
        beside: another network's figures of the same period, to be shown with them.
    """
    scored = sample.scored
    common = sample.resamples, sample.seed
    divisions = [
        by_month(scored.timestamp_us),
        by_history(sample.earlier),
        *sample.features,
        *sample.groups,
    ]
    slices = [(each.name, slices_of(scored, sample.threshold, each, *common)) for each in divisions]
    kinds = slices_of(scored, sample.threshold, sample.kinds, *common) if sample.kinds else []
    overall = {name: figures[AT_BUDGET.get(name, name)] for name in ("recall", "average_precision")}
    return Report(
        sample,
        figures,
        kinds,
        slices,
        shortfalls([*kinds, *(each for _, part in slices for each in part)], overall),
        {each.name: groups_of(scored, sample.threshold, each, *common) for each in sample.groups},
        first_detections(scored, sample.threshold),
        beside,
    )
