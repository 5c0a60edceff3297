"""Alerts a day, and how long a case waits for its verdict."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import CensoredData, ecdf
from sqlalchemy import text

from fraudnet.review.database import CaseDatabase
from fraudnet.review.leases import clock_us

_HOUR_US = 3_600_000_000
_FIRST_VERDICTS = text("""
SELECT flags.case_id, MIN(opened_at_us) AS opened_at_us, MIN(decided_at_us) AS decided_at_us
FROM flags LEFT JOIN verdicts ON verdicts.case_id = flags.case_id AND verdict <> 'undecided'
  AND verdict_id NOT IN (SELECT undoes FROM verdicts WHERE undoes IS NOT NULL)
GROUP BY flags.case_id ORDER BY flags.case_id
""")

Hours = npt.NDArray[np.float64]


def alerts_per_day(flags: pd.DataFrame) -> pd.DataFrame:
    """Alerts and transactions for learning on each day (UTC, of the transaction).

    Args:
        flags: of `flags_with_verdicts`, one at least.

    Returns:
        Index: the days from the first to the last, those without any too. Columns alerts and
        learning.
    """
    day = flags["timestamp"].dt.tz_localize(None).dt.floor("D")
    days = pd.date_range(day.min(), day.max(), freq="D")
    counts = {
        name: day[chosen].value_counts().reindex(days, fill_value=0)
        for name, chosen in (("alerts", flags["is_alert"]), ("learning", ~flags["is_alert"]))
    }
    return pd.DataFrame(counts, index=days)


@dataclass(frozen=True)
class Waiting:
    """Hours from a case's first flag to the first verdict that stands, or until now without one.

    Attributes:
        decided_hours: [D] of the decided cases.
        open_hours: [O] of the open ones, so far.
    """

    decided_hours: Hours
    open_hours: Hours

    def until(self, share: float) -> float | None:
        """Hours after which so many of the cases have a verdict; None: not reached so far."""
        curve = survival(self)
        reached = np.flatnonzero(curve["waiting"].to_numpy() <= 1 - share + 1e-12)
        return float(curve["hours"].iloc[reached[0]]) if len(reached) else None


def waiting_of(database: CaseDatabase, now_us: int | None = None) -> Waiting:
    """How long the cases waited or wait; of those whose history was erased nothing is known.

    Args:
        database: open.
        now_us: the moment open cases wait until, microseconds since 1970-01-01 UTC; the clock's
            if None.
    """
    with database.read() as connection:
        cases = pd.read_sql_query(_FIRST_VERDICTS, connection).astype(float)
    decided = cases["decided_at_us"].notna()
    until = cases["decided_at_us"].fillna(clock_us(now_us))
    # A device's clock may go ahead of the team's.
    hours = ((until - cases["opened_at_us"]) / _HOUR_US).clip(lower=0).to_numpy()
    return Waiting(hours[decided], hours[~decided])


def survival(waiting: Waiting) -> pd.DataFrame:
    """The share of cases that wait longer than so many hours, the open ones counted as far as seen.

    Kaplan and Meier 1958, "Nonparametric Estimation from Incomplete Observations", with the
    interval of 95 per cent by the log-log transformation (`scipy.stats.ecdf`).

    Args:
        waiting: one case at least.

    Returns:
        Columns hours (ascending), waiting, low and high, the shares 0..1; NaN where no interval
        can be told.
    """
    seen = CensoredData(uncensored=waiting.decided_hours, right=waiting.open_hours)
    curve = ecdf(seen).sf
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where none can be told
        interval: Any = curve.confidence_interval(0.95, method="log-log")
    return pd.DataFrame(
        {
            "hours": curve.quantiles,
            "waiting": curve.probabilities,
            "low": interval.low.probabilities,
            "high": interval.high.probabilities,
        }
    )
