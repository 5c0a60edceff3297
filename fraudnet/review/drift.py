"""Whether scores, distances and features are distributed as they were."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2_contingency, chisquare, false_discovery_control, ks_2samp
from scipy.stats import wasserstein_distance as wasserstein

from fraudnet.evaluation.wilson import wilson_interval
from fraudnet.profile.drift import (
    SHIFTED,
    category_bins,
    index_by_chance,
    number_bins,
    population_stability_index,
)
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.quality import mapping_of

FEWEST = 50
"""Transactions that a period must have to be compared."""

MOVED = 0.1
"""Index from which a population is no longer called stable (Siddiqi 2006)."""

MOST_TRANSACTIONS = 200_000  # of a device's store: the latest
_MOST_COLUMNS = 30
_LEVEL = 0.05  # false discoveries among what is said to have moved
_OWN = {
    "fraud_probability": "fraud probability", "ood_distance": "distance", "amount": "amount",
}  # fmt: skip
_RESULT = [
    "feature", "earlier", "later", "effect", "shift", "index", "index_by_chance", "p", "q", "says",
]  # fmt: skip

Floats = npt.NDArray[np.float64]


def transactions_of(stores: Iterable[DeviceStore]) -> pd.DataFrame:
    """All transactions that devices scored, flagged or not: the latest of each store, each once.

    Returns:
        account_id, timestamp (UTC), amount, columns (a mapping), fraud_probability, ood_distance
        and flagged.

    Raises:
        InputError: a store cannot be read.
    """
    names = ["account_id", "timestamp", "amount", "columns", "fraud_probability", "ood_distance"]
    rows = [row for store in stores for row in store.latest_scored(MOST_TRANSACTIONS)]
    frame = pd.DataFrame(rows, columns=[*names, "flagged", "transaction_id"])
    frame = frame.drop_duplicates("transaction_id", ignore_index=True)
    del frame["transaction_id"]
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="us", utc=True)
    frame["columns"] = frame["columns"].map(mapping_of)
    for name in ("amount", "fraud_probability", "ood_distance"):
        frame[name] = frame[name].astype(float)
    frame["flagged"] = frame["flagged"].astype(bool)
    return frame


def first_and_last(
    timestamps: "pd.Series[pd.Timestamp]", weeks: int
) -> tuple["pd.Series[bool]", "pd.Series[bool]"]:
    """Which rows are of the first weeks and which of the last.

    Args:
        timestamps: one at least.
        weeks: of each; where there are fewer in all, the earlier and the later half of the time.
    """
    begin, end = timestamps.min(), timestamps.max()
    length = min(pd.Timedelta(weeks=weeks), (end - begin) / 2)
    return timestamps < begin + length, timestamps > end - length


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """What may drift, a column each: score, distance, amount, hour and what else came along.

    Args:
        frame: of `transactions_of` or `flags_with_verdicts`.

    Returns:
        Numbers as float, NaN where there is none; everything else as text, None likewise.
    """
    found = frame[list(_OWN)].rename(columns=_OWN)
    found["hour of day"] = frame["timestamp"].dt.hour.astype(str)
    names = {name for columns in frame["columns"] for name in columns}
    columns = frame["columns"].tolist()
    for name in sorted(names)[:_MOST_COLUMNS]:
        values = _column(columns, name).set_axis(found.index)
        found[f"{name} (column)" if name in found else name] = values
    return found


def compare(earlier: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """How far each feature's distribution differs between two periods.

    Numbers: Kolmogorov and Smirnov's two-sample test, with its statistic (0..1) as the effect, and
    the Wasserstein distance in interquartile ranges of the earlier period as the shift.
    Categories: Pearson's chi-squared test, with Cramer's V (0..1) as the effect. Both: the
    population stability index. The tests are corrected together (Benjamini and Hochberg 1995,
    "Controlling the False Discovery Rate"). They take rows as independent, which those of one
    account are not, and find any trifle in many rows; so a feature is said to have moved only if
    its index says so, too.

    Args:
        earlier: of `features`.
        later: likewise; features of one alone are left out.

    Returns:
        One row a feature, the furthest first: feature, earlier and later (rows with a value),
        effect, shift, index, index_by_chance (what 95 of 100 samples without drift stay below), p,
        q (corrected) and says: shifted, moved, stable, or too few.
    """
    rows = []
    for name in (name for name in earlier.columns if name in later.columns):
        samples = [each[name].dropna() for each in (earlier, later)]
        if all(pd.api.types.is_numeric_dtype(each) for each in samples):
            rows.append([name, *_numbers(*(each.to_numpy(float) for each in samples))])
        else:
            rows.append([name, *_categories(*samples)])
    found = pd.DataFrame(rows, columns=_RESULT[:8])
    tested = found["p"].notna()
    found["q"] = np.nan
    if tested.any():
        found.loc[tested, "q"] = false_discovery_control(found.loc[tested, "p"])
    found["says"] = [_says(q, index) for q, index in zip(found["q"], found["index"], strict=True)]
    return found.sort_values("index", ascending=False, kind="stable").reset_index(drop=True)


def against_quantiles(distances: Floats, quantiles: Mapping[str, float]) -> pd.DataFrame:
    """Distances against the quantiles of the training's genuine validation rows.

    Args:
        distances: [N], at least one.
        quantiles: of the artifact's contract: share of rows as text, and their highest distance.

    Returns:
        One row a part between quantiles: up_to (infinite for the last), expected (the share of
        validation rows), observed with low and high (Wilson), and p, the same in all rows, of
        Pearson's chi-squared test of the counts.
    """
    levels = sorted((float(level), limit) for level, limit in quantiles.items())
    shares = np.diff([0.0, *(level for level, _ in levels), 1.0])
    limits = [limit for _, limit in levels]
    counts = np.bincount(np.searchsorted(limits, distances), minlength=len(shares))
    observed = counts / counts.sum()
    low, high = wilson_interval(observed, np.full(len(counts), float(counts.sum())))
    return pd.DataFrame(
        {
            "up_to": [*limits, np.inf],
            "expected": shares,
            "observed": observed,
            "low": low,
            "high": high,
            "p": float(chisquare(counts, shares * counts.sum()).pvalue),
        }
    )


def _numbers(earlier: Floats, later: Floats) -> list[Any]:
    counts = [len(earlier), len(later)]
    if min(counts) < FEWEST:
        return [*counts, *[np.nan] * 5]
    tested = ks_2samp(earlier, later, method="asymp")
    width = float(np.subtract(*np.quantile(earlier, [0.75, 0.25]))) or float(earlier.std())
    shift = float(wasserstein(earlier, later)) / width if width else np.nan
    in_earlier = np.arange(sum(counts)) < len(earlier)
    bins = number_bins(np.concatenate([earlier, later]), in_earlier)
    index, chance, _ = _index(bins, in_earlier)
    return [*counts, float(tested.statistic), shift, index, chance, float(tested.pvalue)]


def _categories(earlier: "pd.Series[Any]", later: "pd.Series[Any]") -> list[Any]:
    counts = [len(earlier), len(later)]
    if min(counts) < FEWEST:
        return [*counts, *[np.nan] * 5]
    codes, _ = pd.factorize(pd.concat([earlier, later]).astype(str))
    in_earlier = np.arange(sum(counts)) < len(earlier)
    bins, _ = category_bins(codes.astype(np.int64), in_earlier)
    index, chance, table = _index(bins, in_earlier)
    if len(table) < 2:
        return [*counts, 0.0, np.nan, index, chance, 1.0]
    tested = chi2_contingency(table, correction=False)
    cramer = float(np.sqrt(tested.statistic / table.sum()))  # of two columns
    return [*counts, cramer, np.nan, index, chance, float(tested.pvalue)]


def _index(
    bins: npt.NDArray[np.int64], in_earlier: npt.NDArray[np.bool_]
) -> tuple[float, float, npt.NDArray[np.int64]]:
    """Index, index by chance, and the filled bins' counts [B, 2]."""
    size = int(bins.max()) + 1
    table = np.stack([np.bincount(bins[m], minlength=size) for m in (in_earlier, ~in_earlier)], 1)
    return (
        population_stability_index(*table.T),
        index_by_chance(*table.T),
        table[table.sum(axis=1) > 0],
    )


def _says(q: float, index: float) -> str:
    if np.isnan(q):
        return "too few"
    if q >= _LEVEL or index < MOVED:
        return "stable"
    return "shifted" if index >= SHIFTED else "moved"


def _column(columns: Sequence[Mapping[str, Any]], name: str) -> "pd.Series[Any]":
    values = [each.get(name) for each in columns]
    given = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
        return pd.Series(values, dtype="float64")
    return pd.Series([None if value is None else str(value) for value in values], dtype=object)
