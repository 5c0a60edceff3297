"""What is looked at a day, of rows ranked once and counted by account as often as wanted."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fraudnet.evaluation.metrics import Ints, Scored

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DailyAlerts:
    """Transactions by day and, in a day, by score, the highest first, [N] each.

    Attributes:
        account: code of each one's account, 0 .. A - 1.
        fraud: which are frauds.
        begin: position of the first of its day.
        end: position after the last of its day and score.
    """

    account: Ints
    fraud: Mask
    begin: Ints
    end: Ints

    @classmethod
    def of(cls, scored: Scored) -> Self:
        """Rank the transactions of every day."""
        order = np.lexsort([-scored.score, scored.day])
        day, score = scored.day[order], scored.score[order]
        begins = np.append(True, day[1:] != day[:-1])
        ends = np.append(begins[1:] | (score[1:] != score[:-1]), True)
        return cls(
            scored.account[order],
            scored.is_fraud[order] == 1,
            np.flatnonzero(begins)[np.cumsum(begins) - 1],
            np.flatnonzero(ends)[np.cumsum(ends) - ends] + 1,
        )

    def recall(self, k: int, times: Ints) -> float:
        """Share of the frauds among the k highest scores of each day; ties are left out whole.

        Args:
            k: how many are looked at a day.
            times: [A] how often the transactions of each account are there.

        Returns:
            NaN where no fraud is there.
        """
        there = times[self.account]
        before = np.append(0, np.cumsum(there))
        looked_at = before[self.end] - before[self.begin] <= k
        frauds = there * self.fraud
        return float(frauds[looked_at].sum() / frauds.sum()) if frauds.any() else np.nan
