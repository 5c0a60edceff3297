"""Whether groups of customers are treated alike."""

from dataclasses import dataclass

import numpy as np

from fraudnet.evaluation.bootstrap import Estimate, interval_of
from fraudnet.evaluation.metrics import Scored
from fraudnet.evaluation.slices import Grouping, rates_of

COMPARED = ("selection_rate", "recall", "false_positive_rate", "precision")
TOLERATED = 0.8
"""The four-fifths rule (EEOC 1978, 29 CFR 1607.4 D), applied both ways: 0.8 to 1.25."""


@dataclass(frozen=True)
class Group:
    """A group's rates at the threshold, and their ratios to those of the largest group.

    Attributes:
        value: of the group column.
        transactions: of the group.
        frauds: among them.
        rates: by name; those that are not defined are left out.
        ratios: likewise, with intervals over accounts; the largest group has none.
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
    order = np.argsort(-rates.counts[:, 0], kind="stable").tolist()
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
            ratios[name] = Estimate(own[name] / float(base), interval_of(ratio))
        groups.append(
            Group(
                grouping.values[at],
                int(rates.counts[at, 0]),
                int(rates.counts[at, 1]),
                {name: value for name, value in own.items() if not np.isnan(value)},
                ratios,
            )
        )
    return groups
