"""How long a compromised account goes unnoticed, and what is lost meanwhile."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudnet.evaluation.metrics import Ints, Scored

HOUR_US = 3_600_000_000
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FirstDetections:
    """Of each account with a fraud in a period, [C] each.

    Attributes:
        account: its code.
        hours: from its first fraud to its first flagged one; NaN where none was flagged.
        frauds_before: earlier than the first flagged one; all of them where none was.
        money_before: of those, in major units.
    """

    account: Ints
    hours: Doubles
    frauds_before: Ints
    money_before: Doubles

    @property
    def never(self) -> npt.NDArray[np.bool_]:
        """[C] which accounts were never detected."""
        return np.isnan(self.hours)

    def figures(self) -> dict[str, float]:
        """In figures by name; none without such an account."""
        count = len(self.account)
        return {"compromised_accounts": float(count), **self.means(np.ones(count, np.int64))}

    def means(self, times: Ints) -> dict[str, float]:
        """Over the accounts; the median is of the detected, and left out without any.

        Args:
            times: [C] as how many accounts each counts.
        """
        if not times.any():
            return {}
        detected = np.repeat(self.hours, times * ~self.never)
        median = {"median_hours_to_detection": float(np.median(detected))} if len(detected) else {}
        return {
            "never_detected_share": float(np.average(self.never, weights=times)),
            **median,
            "mean_frauds_before_detection": float(np.average(self.frauds_before, weights=times)),
            "mean_money_lost_before_detection": float(np.average(self.money_before, weights=times)),
        }


def first_detections(scored: Scored, threshold: float) -> FirstDetections:
    """When each account with a fraud is first noticed; a flag on a genuine transaction is no help.

    Args:
        scored: the labelled transactions of a period.
        threshold: from which score on a transaction is flagged.
    """
    fraud = scored.is_fraud == 1
    accounts, position = np.unique(scored.account[fraud], return_inverse=True)
    time_us, flagged = scored.timestamp_us[fraud], scored.score[fraud] >= threshold
    never = np.iinfo(np.int64).max
    first, noticed = (np.full(len(accounts), never) for _ in range(2))
    np.minimum.at(first, position, time_us)
    np.minimum.at(noticed, position[flagged], time_us[flagged])
    before = time_us < noticed[position]
    count, money = len(accounts), np.abs(scored.amount[fraud])
    return FirstDetections(
        accounts,
        np.where(noticed < never, (noticed - first) / HOUR_US, np.nan),
        np.bincount(position[before], minlength=count),
        np.bincount(position, np.where(before, money, 0.0), count).astype(np.float64),
    )
