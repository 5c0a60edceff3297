"""What is said of a sample of times."""

from typing import Any

import numpy as np
import numpy.typing as npt

PERCENTILES = {"p50_us": 50.0, "p90_us": 90.0, "p99_us": 99.0, "p999_us": 99.9}


def percentiles(times_us: npt.ArrayLike) -> dict[str, Any]:
    """Count, mean and percentiles of times in microseconds, by name with its unit.

    A percentile that fewer than one of the times lies beyond is not measured: None. So p99.9 needs
    1,000 times. Between two times it is interpolated linearly (numpy's default).

    Args:
        times_us: [N], N > 0.
    """
    times = np.asarray(times_us, np.float64)
    found: dict[str, Any] = {"count": len(times), "mean_us": float(times.mean())}
    for name, percent in PERCENTILES.items():
        beyond = len(times) * (100 - percent) / 100
        found[name] = float(np.percentile(times, percent)) if beyond > 1 - 1e-9 else None
    return found
