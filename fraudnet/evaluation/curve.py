"""Recall against false positives, of rows ranked once and weighed by account as often as wanted."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.integrate import trapezoid

from fraudnet.evaluation.metrics import Ints, Scored

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """What is flagged at each threshold, the highest first; equal scores are flagged together.

    Attributes:
        caught: [T] weight of the frauds at or above each threshold.
        false_alarms: [T] weight of the genuine transactions at or above it.
    """

    caught: Doubles
    false_alarms: Doubles

    @property
    def defined(self) -> bool:
        """Whether there are both frauds and genuine transactions."""
        return bool(self.caught[-1] > 0 and self.false_alarms[-1] > 0)

    def average_precision(self) -> float:
        """Mean precision over the frauds, as `sklearn.metrics.average_precision_score`."""
        flagged = self.caught + self.false_alarms
        more = np.diff(self.caught, prepend=0.0)
        precision = np.divide(self.caught, flagged, out=np.zeros_like(flagged), where=flagged > 0)
        return float(more @ precision / self.caught[-1])

    def roc_auc(self) -> float:
        """Area under the ROC curve."""
        false_positive_rate, recall = self._rates()
        return float(trapezoid(recall, false_positive_rate))

    def partial_auc(self, most: float) -> float:
        """Area under the ROC curve up to a false positive rate, standardised: chance is 0.5.

        McClish 1989, "Analyzing a Portion of the ROC Curve", equation 4; as
        `sklearn.metrics.roc_auc_score(max_fpr=most)`.

        Args:
            most: the false positive rate, 0..1.
        """
        false_positive_rate, recall = self._rates()
        stop = int(np.searchsorted(false_positive_rate, most, side="right"))
        last = float(np.interp(most, false_positive_rate[stop - 1 :], recall[stop - 1 :]))
        area = trapezoid(
            np.append(recall[:stop], last), np.append(false_positive_rate[:stop], most)
        )
        least = most**2 / 2
        return float((1 + (area - least) / (most - least)) / 2)

    def recall_at(self, most: float) -> float:
        """The highest recall of a threshold whose false positive rate is at most `most`, 0..1."""
        false_positive_rate, recall = self._rates()
        return float(recall[np.searchsorted(false_positive_rate, most, side="right") - 1])

    def _rates(self) -> tuple[Doubles, Doubles]:
        return (
            np.append(0.0, self.false_alarms) / self.false_alarms[-1],
            np.append(0.0, self.caught) / self.caught[-1],
        )


@dataclass(frozen=True)
class Ranking:
    """Rows in the order of their scores, the highest first, [N] each.

    Attributes:
        fraud: which are frauds.
        account: code of each row's account, 0 .. A - 1.
        ends: [T] positions of the thresholds: the last row of each distinct score that a fraud
            has, and of the score before it; in between recall stays as it is.
    """

    fraud: npt.NDArray[np.bool_]
    account: Ints
    ends: Ints

    @classmethod
    def of(cls, scored: Scored) -> Self:
        """Rank rows, whose accounts are 0 .. A - 1."""
        order = np.argsort(-scored.score, kind="stable")
        score = scored.score[order]
        fraud = scored.is_fraud[order] == 1
        ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
        more = np.diff(np.cumsum(fraud)[ends], prepend=0) > 0
        return cls(fraud, scored.account[order], ends[more | np.append(more[1:], True)])

    def curve(self, weight: Ints | None = None) -> Curve:
        """The curve, each row weighed as its account: [A], or 1 each."""
        if weight is None:
            weight = np.ones(int(self.account.max()) + 1, np.int64)
        own = weight.take(self.account)
        both = np.cumsum(own)[self.ends].astype(np.float64)
        caught = np.cumsum(own * self.fraud)[self.ends].astype(np.float64)
        return Curve(caught, both - caught)
