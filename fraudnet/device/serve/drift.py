"""How far the answers of a live stream are from those of the validation period."""

from collections import Counter, deque
from collections.abc import Mapping

import numpy as np

RECENT = 10_000


class Drift:
    """The last values against the quantiles that the artifact tells.

    Args:
        quantiles: share of the values, in (0, 1) -> the value that they do not exceed.
        recent: how many values are compared.
    """

    def __init__(self, quantiles: Mapping[float, float], recent: int = RECENT) -> None:
        # Where several shares have one value, how many lie on it is not told: no bin ends there.
        times = Counter(quantiles.values())
        shares = [share for share in sorted(quantiles) if times[quantiles[share]] == 1]
        self.edges = tuple(quantiles[share] for share in shares)
        self._expected = np.diff([0.0, *shares, 1.0])
        self._counts = np.zeros(len(self._expected), np.int64)
        self._bins: deque[int] = deque()
        self._recent = recent

    def note(self, value: float) -> None:
        """Counts a value, and forgets the one that is no longer among the last."""
        place = int(np.searchsorted(self.edges, value))  # edge before < value <= edge
        self._counts[place] += 1
        self._bins.append(place)
        if len(self._bins) > self._recent:
            self._counts[self._bins.popleft()] -= 1

    def __len__(self) -> int:
        """How many values are compared."""
        return len(self._bins)

    def stability_index(self) -> float:
        """The population stability index; NaN before the first value.

        sum (o - e) ln (o / e) over the bins between the quantiles (Siddiqi, Credit Risk Scorecards,
        2006), o with half a value added to each bin, so that an empty one stays finite. By the
        common rule, from 0.1 on look into it, from 0.25 on do not rely on the network.
        """
        if not self._bins:
            return float("nan")
        smoothed = self._counts + 0.5
        observed = smoothed / smoothed.sum()
        return float(np.sum((observed - self._expected) * np.log(observed / self._expected)))
