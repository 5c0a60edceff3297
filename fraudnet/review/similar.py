"""Cases that were decided before and looked like this one, with their verdicts.

Alike are cases whose newest transactions differ little in a few plain figures (`MEASURES`), each in
units of its standard deviation over the cases that are compared. It is a help to memory, not a
judgement: the measures are the same for every kind of fraud, and none is weighted.
"""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import text

from fraudnet.review.database import CaseDatabase
from fraudnet.review.leases import find_case
from fraudnet.review.text import document

MOST_COMPARED = 2000  # of the latest verdicts
MEASURES = (
    "amount", "amount against usual", "gap", "pace", "time of day", "time of day", "counterparty",
    "category", "score", "distance",
)  # fmt: skip
"""What is compared: logarithms of the amount, of the amount over the median of the window's others,
of the seconds since the transaction before and of the number in the last 24 hours; the hour as a
point on its circle; the shares of earlier transactions with the same counterparty and of the same
category; the log-odds of the probability; and the distance."""

Floats = npt.NDArray[np.float64]

_DAY_US = 86_400_000_000
_LEAST = 1e-6  # of what a logarithm is taken of
_COLUMNS = [
    "case_id", "verdict", "kind", "difference", "most_different", "amount", "counterparty_id",
    "category", "note", "reviewer", "decided_at",
]  # fmt: skip
_WINDOWS = text("""
SELECT cases.case_id, flag_id, window_json, amount, counterparty_id, category,
       verdict, kind, note, reviewer, decided_at_us
FROM cases
JOIN flags ON flags.flag_id = (
  SELECT own.flag_id FROM flags AS own WHERE own.case_id = cases.case_id
  ORDER BY own.timestamp_us DESC, own.transaction_id DESC LIMIT 1)
LEFT JOIN verdicts_in_force ON verdicts_in_force.case_id = cases.case_id
WHERE cases.case_id = :case_id OR verdict <> 'undecided'
ORDER BY CASE WHEN cases.case_id = :case_id THEN 0 ELSE 1 END, decided_at_us DESC
LIMIT :most
""")


class SimilarCases:
    """Looks for decided cases like a given one; each window is measured once and remembered.

    Args:
        database: open.
    """

    def __init__(self, database: CaseDatabase) -> None:
        self._database = database
        self._measured: dict[int, Floats] = {}

    def nearest(self, case_id: int, count: int = 8) -> pd.DataFrame:
        """The decided cases most like one, most alike first.

        Args:
            case_id: of the case.
            count: how many at most.

        Returns:
            One row a case: case_id, verdict, kind, difference (root of the mean squared difference
            of the measures, in standard deviations), most_different (the measure that differs
            most), amount, counterparty_id, category, note, reviewer, decided_at (UTC).

        Raises:
            InputError: the case is not there, was joined with another, or was erased.
        """
        values = {"case_id": case_id, "most": MOST_COMPARED + 1}
        with self._database.read() as connection:
            find_case(self._database, connection, case_id)
            own, *decided = connection.execute(_WINDOWS, values).mappings().all()
        measures = np.array([self._measure(row) for row in (own, *decided)])
        squared = squared_differences(measures[0], measures[1:])
        differences = np.sqrt(squared.mean(axis=1))
        chosen = np.argsort(differences, kind="stable")[:count]
        found = [
            _described(decided[i], float(differences[i]), MEASURES[int(squared[i].argmax())])
            for i in chosen
        ]
        return pd.DataFrame(found, columns=_COLUMNS)

    def _measure(self, row: Any) -> Floats:  # noqa: ANN401  (a row of SQLAlchemy)
        if row["flag_id"] not in self._measured:
            self._measured[row["flag_id"]] = _measure_stored(row["window_json"])
        return self._measured[row["flag_id"]]


def measure(window: Sequence[dict[str, Any]]) -> Floats:
    """The measures of a window's newest transaction, [M]; NaN what there is nothing to say of.

    Args:
        window: transactions as the case database holds them, oldest first.
    """
    if not window:
        return np.full(len(MEASURES), np.nan)
    newest, earlier = window[-1], window[:-1]
    now_us, amount = newest["timestamp_us"], _logarithm(newest["amount"])
    angle = 2 * math.pi * (now_us % _DAY_US) / _DAY_US
    usual, gap_s = math.nan, math.nan
    if earlier:
        usual = _logarithm(median(abs(entry["amount"]) for entry in earlier))
        gap_s = max(now_us - earlier[-1]["timestamp_us"], 0) / 1e6
    same = [entry["counterparty_id"] == newest["counterparty_id"] for entry in earlier]
    category = newest["columns"].get("category")
    alike = [entry["columns"].get("category") == category for entry in earlier]
    probability, distance = newest["fraud_probability"], newest["ood_distance"]
    odds = math.nan
    if probability is not None:
        odds = _logarithm(probability) - _logarithm(1 - probability)
    return np.array(
        [
            amount,
            amount - usual,
            math.log1p(gap_s),
            math.log(sum(now_us - entry["timestamp_us"] <= _DAY_US for entry in window)),
            math.sin(angle),
            math.cos(angle),
            sum(same) / len(same) if same else math.nan,
            sum(alike) / len(alike) if alike else math.nan,
            odds,
            math.nan if distance is None else distance,
        ]
    )


def squared_differences(own: Floats, others: Floats) -> Floats:
    """Squared differences of measures, in variances over all of them; an unknown one counts 1.

    Args:
        own: [M].
        others: [N, M].

    Returns:
        [N, M].
    """
    everything = np.vstack([own, others])
    known = ~np.isnan(everything)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, everything, 0).sum(axis=0) / counts
    variances = np.square(np.where(known, everything - means, 0)).sum(axis=0) / counts
    squared = (others - own) ** 2 / np.where(variances > 0, variances, 1.0)
    return np.where(np.isnan(squared), 1.0, squared)


def _measure_stored(window_json: str) -> Floats:
    """The measures of a stored window; all unknown where it is damaged."""
    try:
        return measure(document(window_json))
    except (AttributeError, KeyError, TypeError, ValueError):
        return np.full(len(MEASURES), np.nan)


def _logarithm(value: float) -> float:
    return math.log(max(abs(value), _LEAST))


def _described(row: Any, difference: float, most_different: str) -> dict[str, Any]:  # noqa: ANN401
    own = {name: row[name] for name in _COLUMNS if name in row}
    return own | {
        "difference": difference,
        "most_different": most_different,
        "decided_at": pd.Timestamp(row["decided_at_us"] * 1000, tz="UTC"),
    }
