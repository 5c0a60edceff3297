"""Whether groups of customers are treated alike."""

from dataclasses import dataclass

import numpy as np

from fraudnet.evaluation.bootstrap import Estimate, interval_of
from fraudnet.evaluation.metrics import Scored
from fraudnet.evaluation.slices import Grouping, rates_of

COMPARED = ("selection_rate", "recall", "false_positive_rate", "precision")
TOLERATED = 0.8
"""The four-fifths rule (EEOC 1978, 29 CFR 1607.4 D), applied both ways: 0.8 to 1.25."""

EXPECTED = 5
"""Events that a group must have, or be expected to have if it were treated as the largest group is,
before a difference is told (Cochran 1954, "Some Methods for Strengthening the Common Chi-square
Tests"). A group of few has none by chance, and resampling cannot know it."""


@dataclass(frozen=True)
class Group:
    """A group's rates at the threshold, and their ratios to those of the largest group.

    Attributes:
        value: of the group column.
        transactions: of the group.
        frauds: among them.
        rates: by name; those that are not defined are left out.
        ratios: likewise, with intervals over accounts where there are 5 events, or should be;
            the largest group has none.
    """

    value: str
    transactions: int
    frauds: int
    rates: dict[str, float]
    ratios: dict[str, Estimate]

    @property
    def unlike(self) -> list[str]:
        """Rates whose ratio lies outside 0.8 to 1.25, and whose interval excludes 1."""
        return [
            name
            for name, ratio in self.ratios.items()
            if not TOLERATED <= ratio.value <= 1 / TOLERATED
            and ratio.interval is not None
            and not ratio.interval.low <= 1 <= ratio.interval.high
        ]


def groups_of(
    scored: Scored, threshold: float, grouping: Grouping, resamples: int, seed: int
) -> list[Group]:
    """The groups of a column, the largest first.

    Selection rate (demographic parity), recall (equal opportunity), false positive rate (with
    recall: equalised odds; Hardt, Price and Srebro 2016, "Equality of Opportunity in Supervised
    Learning") and precision (predictive parity; Chouldechova 2017, "Fair prediction with disparate
    impact"). Where base rates differ they cannot all be equal (the same, section 2).

    Args:
        scored: N rows.
        threshold: from which score on a row is flagged.
        grouping: of the rows by the column.
        resamples: of the accounts.
        seed: of the draws.
    """
    rates = rates_of(scored, threshold, grouping, resamples, seed)
    transactions, frauds, flagged, *_ = rates.counts.T
    wholes = dict(
        zip(COMPARED, (transactions, frauds, transactions - frauds, flagged), strict=True)
    )
    order = np.argsort(-transactions, kind="stable").tolist()
    groups = []
    for at in order:
        own = {name: float(rates.point[name][at]) for name in COMPARED}
        ratios = {}
        for name in COMPARED if at != order[0] else ():
            base = rates.point[name][order[0]]
            if np.isnan(own[name]) or not base > 0:
                continue
            again = rates.resampled[name]
            bases = again[:, order[0]]
            ratio = np.divide(again[:, at], bases, out=np.full_like(bases, np.nan), where=bases > 0)
            told = max(base, own[name]) * wholes[name][at] >= EXPECTED
            ratios[name] = Estimate(own[name] / float(base), interval_of(ratio) if told else None)
        groups.append(
            Group(
                grouping.values[at],
                int(transactions[at]),
                int(frauds[at]),
                {name: value for name, value in own.items() if not np.isnan(value)},
                ratios,
            )
        )
    return groups
