import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, chi2_contingency, ks_2samp

from fraudnet.errors import InputError
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.drift import (
    FEWEST,
    against_quantiles,
    compare,
    features,
    first_and_last,
    transactions_of,
)
from fraudnet.review.quality import flags_with_verdicts, records
from tests.review.quality_team import make_team


def by_feature(found: pd.DataFrame) -> dict[str, dict[Any, Any]]:
    return {row["feature"]: row for row in records(found)}


def drawn(seed: int, count: int, shift: float = 0.0, rare: float = 0.2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.lognormal(3 + shift, 1, count),
            "channel": np.where(rng.random(count) < rare, "web", "shop"),
        }
    )


def test_tests_are_scipys_and_corrected_by_benjamini_and_hochberg() -> None:
    earlier, later = drawn(1, 400), drawn(2, 300, shift=0.4, rare=0.3)
    found = by_feature(compare(earlier, later))
    ks = ks_2samp(earlier["amount"], later["amount"], method="asymp")
    counts = np.array(
        [
            [(each["channel"] == value).sum() for each in (earlier, later)]
            for value in ("web", "shop")
        ]
    )
    squared = chi2_contingency(counts, correction=False)
    assert found["amount"]["effect"] == pytest.approx(ks.statistic)
    assert found["channel"]["effect"] == pytest.approx(np.sqrt(squared.statistic / 700))
    p = sorted([ks.pvalue, squared.pvalue])
    by_hand = {p[0]: min(2 * p[0], p[1]), p[1]: p[1]}
    for row in found.values():
        assert row["q"] == pytest.approx(
            by_hand[min(by_hand, key=lambda each: abs(each - row["p"]))]
        )
    # The mean distance between equal quantiles, in interquartile ranges.
    levels = (np.arange(20_000) + 0.5) / 20_000
    between = np.abs(
        np.quantile(earlier["amount"], levels, method="inverted_cdf")
        - np.quantile(later["amount"], levels, method="inverted_cdf")
    ).mean()
    width = np.subtract(*np.quantile(earlier["amount"], [0.75, 0.25]))
    assert found["amount"]["shift"] == pytest.approx(between / width, rel=1e-2)


def test_a_trifle_in_many_rows_is_stable_and_so_is_chance_in_few() -> None:
    many = by_feature(compare(drawn(1, 40_000), drawn(2, 40_000, shift=0.1, rare=0.22)))
    assert [(row["q"] < 1e-6, row["says"]) for row in many.values()] == [(True, "stable")] * 2
    few = by_feature(compare(drawn(1, 60), drawn(2, 60)))
    assert few["amount"]["index"] > 0.1
    assert few["amount"]["says"] == "stable"
    moved = by_feature(compare(drawn(1, 2000), drawn(2, 2000, shift=0.4, rare=0.6)))
    assert (moved["amount"]["says"], moved["channel"]["says"]) == ("moved", "shifted")


def test_too_few_values_are_not_compared() -> None:
    earlier, later = drawn(1, 100), drawn(2, 100)
    later.loc[FEWEST - 1 :, "amount"] = np.nan
    found = by_feature(compare(earlier, later))
    assert (found["amount"]["says"], found["amount"]["later"]) == ("too few", FEWEST - 1)
    assert np.isnan(found["amount"]["q"])
    assert found["channel"]["says"] == "stable"
    same = by_feature(compare(earlier.assign(channel="shop"), later.assign(channel="shop")))
    assert (same["channel"]["effect"], same["channel"]["p"]) == (0, 1)


def test_planted_drift_of_the_alerts_is_found_and_nothing_else(tmp_path: Path) -> None:
    """Amounts are three times what they were from the fifth week on."""
    flags = flags_with_verdicts(make_team(tmp_path / "reviews.sqlite"))
    alerts = flags[flags["is_alert"]]
    earlier, later = first_and_last(alerts["timestamp"], 4)
    assert (earlier.sum(), later.sum()) == (
        (alerts["artifact"] == "a" * 12).sum(), (alerts["artifact"] == "c" * 12).sum(),
    )  # fmt: skip
    found = features(alerts)
    rows = compare(found[earlier], found[later])
    assert rows["feature"].tolist()[0] == "amount"
    assert rows["says"].tolist() == ["shifted"] + ["stable"] * (len(rows) - 1)
    assert {"fraud probability", "distance", "hour of day", "category", "region"} < set(
        rows["feature"]
    )
    assert rows["later"].unique().tolist() == [later.sum()]


def test_first_and_last_weeks_do_not_overlap() -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=10, freq="D", tz="UTC"))
    earlier, later = first_and_last(days, 4)
    assert (earlier.tolist(), later.tolist()) == (
        [True] * 5 + [False] * 5,
        [False] * 5 + [True] * 5,
    )
    earlier, later = first_and_last(days[:1], 4)
    assert not (earlier | later).any()


def test_distances_against_quantiles() -> None:
    rng = np.random.default_rng(0)
    levels = (0.5, 0.9, 0.99, 0.999)
    quantiles = {f"{level:g}": float(chi2.ppf(level, 5)) for level in levels}
    found = against_quantiles(rng.chisquare(5, 4000), quantiles)
    assert found["expected"].tolist() == pytest.approx([0.5, 0.4, 0.09, 0.009, 0.001])
    assert found["observed"].sum() == pytest.approx(1)
    assert found["p"].iloc[0] > 0.01
    assert ((found["low"] <= found["expected"]) & (found["expected"] <= found["high"])).sum() >= 4
    further = against_quantiles(1.3 * rng.chisquare(5, 4000), quantiles)
    assert further["p"].iloc[0] < 1e-9
    assert further["observed"].iloc[3] > 2 * further["expected"].iloc[3]


def test_all_scored_transactions_of_a_store_with_their_columns(device_path: Path) -> None:
    transactions = transactions_of([DeviceStore(device_path)])
    assert len(transactions) == 250
    assert transactions["flagged"].sum() == 30
    assert transactions["columns"][0]["distance"] == 1.5
    found = features(transactions)
    assert "distance (column)" in found  # the scorer's own is named so
    assert found["distance (column)"].tolist() == [1.5] * 250
    latest = max(row[1] for row in DeviceStore(device_path).latest_scored(1000))
    assert [row[1] for row in DeviceStore(device_path).latest_scored(1)] == [latest]
    assert transactions_of([]).empty
    again = transactions_of([DeviceStore(device_path, name) for name in ("phone", "copy")])
    pd.testing.assert_frame_equal(again, transactions)  # each counts once


@pytest.mark.parametrize("columns", ["{", "[1]", "null", '"a"'])
def test_damaged_columns_say_nothing(device_path: Path, columns: str) -> None:
    change(device_path, f"UPDATE transactions SET columns = '{columns}' WHERE sequence = 20")
    found = transactions_of([DeviceStore(device_path)])
    assert found["columns"].map(len).tolist().count(0) == 1
    assert len(features(found)) == 250


def test_a_number_that_is_none_is_told(device_path: Path) -> None:
    store = DeviceStore(device_path)
    change(device_path, "UPDATE transactions SET ood_distance = 'far' WHERE sequence = 20")
    problem = "a number of transaction 't-0-19' cannot be read .'far'.; the store is damaged"
    with pytest.raises(InputError, match=problem):
        transactions_of([store])
    with pytest.raises(InputError, match=problem):
        store.scored(0, 2**62)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
