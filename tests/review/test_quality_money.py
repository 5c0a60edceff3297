from typing import Any

import numpy as np
import pandas as pd
import pytest

from fraudnet.evaluation.thresholds import AlertConfig
from fraudnet.review.groups import alert_rate_by_group, precision_by_group
from fraudnet.review.quality import alert_precision, flags_with_verdicts
from fraudnet.review.what_if import what_if
from tests.review.quality_team import make_team

TERMS = AlertConfig(review_cost=5, customer_cost=3, loss_given_fraud=0.9, recovered=0.5)


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return flags_with_verdicts(make_team(tmp_path_factory.mktemp("money") / "reviews.sqlite"))


def naive(flags: pd.DataFrame, threshold: float) -> dict[str, float]:
    """One by one: each labelled transaction stands for those of its kind without a label, too."""
    own = flags[flags["artifact"] == flags["artifact"].iloc[-1]].to_dict("records")
    kinds: dict[Any, list[Any]] = {}
    for row in own:
        kinds.setdefault((row["reason"], row["is_alert"]), []).append(row)
    alerts = frauds = missed = genuine = money = 0.0
    for rows in kinds.values():
        labelled = [row for row in rows if row["is_fraud"] >= 0]
        scale = sum(row["weight"] for row in rows) / sum(row["weight"] for row in labelled)
        for row in labelled:
            weight, fraud = scale * row["weight"], row["is_fraud"] == 1
            if row["fraud_probability"] >= threshold:
                alerts += weight
                frauds += weight * fraud
                genuine += weight * (not fraud)
                money += weight * fraud * row["amount"]
            else:
                missed += weight * fraud
    begin, end = own[0]["timestamp"].floor("D"), own[-1]["timestamp"].ceil("D")
    days = (end - begin) / pd.Timedelta(days=1)
    return {
        "alerts_per_day": alerts / days,
        "precision": frauds / (frauds + genuine),
        "recall": frauds / (frauds + missed),
        "saved": (money * 0.9 * 0.5 - 5 * (frauds + genuine) - 3 * genuine) / days,
    }


def test_what_if_is_the_sum_over_what_each_verdict_stands_for(flags: pd.DataFrame) -> None:
    found = what_if(flags, TERMS)
    assert found is not None
    assert (found.present, found.artifact) == (0.3, "c" * 12)
    assert found.left_out == (flags["artifact"] == "a" * 12).sum()
    assert found.drawn > 0
    assert found.table["threshold"].is_monotonic_increasing
    assert found.table["threshold"].iloc[0] < 0.3
    for row in found.table.to_dict("records"):
        for name, value in naive(flags, row["threshold"]).items():
            assert row[name] == pytest.approx(value)
            if name != "alerts_per_day":
                assert row[f"{name}_low"] <= value + 1e-9
                assert value - 1e-9 <= row[f"{name}_high"]
    now = found.table.iloc[found.at_present]
    assert now[["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
    assert (found.table["gain_low"] <= found.table["gain"] + 1e-9).all()
    assert (found.table["gain"] <= found.table["gain_high"] + 1e-9).all()
    for name, value in naive(flags, 0.3).items():
        assert now[name] == pytest.approx(value)


def test_without_a_drawn_case_nothing_is_said_of_lower_thresholds(flags: pd.DataFrame) -> None:
    found = what_if(flags[flags["reason"] != "random"], TERMS)
    assert found is not None
    assert found.drawn == 0
    assert found.table["recall"].isna().all()
    assert found.at_present == 0
    own = flags[flags["is_alert"] & (flags["artifact"] == "c" * 12)]
    (row,) = alert_precision(own).to_dict("records")
    assert found.table["precision"].iloc[0] == pytest.approx(row["precision"])
    days = (own["timestamp"].max().ceil("D") - own["timestamp"].min().floor("D")).days
    assert found.table["alerts_per_day"].iloc[0] == pytest.approx(len(own) / days, rel=0.05)


def test_what_if_of_nothing(flags: pd.DataFrame) -> None:
    assert what_if(flags[:0], TERMS) is None
    assert what_if(flags.assign(is_fraud=-1), TERMS) is None
    one = flags[flags["is_alert"] & (flags["is_fraud"] == 0)][:1]
    found = what_if(one, TERMS)
    assert found is not None
    assert found.table["precision"].tolist() == [0]


def test_corrected_recall_finds_the_true_one() -> None:
    """Of 20,000 transactions all flagged are judged and one in twenty of the others."""
    rng = np.random.default_rng(3)
    probability = rng.beta(0.4, 6, 20_000)
    fraud = rng.random(20_000) < probability
    alert = probability >= 0.3
    chosen = alert | (rng.random(20_000) < 0.05)
    flags = pd.DataFrame(
        {
            "case_id": np.arange(20_000),
            "account_id": np.arange(20_000).astype(str),
            "timestamp": pd.Timestamp("2024-06-01", tz="UTC")
            + pd.to_timedelta(np.arange(20_000), unit="min"),
            "amount": 10.0,
            "fraud_probability": probability,
            "threshold": 0.3,
            "artifact": "a",
            "reason": np.where(alert, "flagged", "random"),
            "is_alert": alert,
            "weight": np.where(alert, 1.0, 20.0),
            "is_fraud": fraud.astype(int),
        }
    )[chosen]
    found = what_if(flags, TERMS)
    assert found is not None
    table = found.table[found.table["threshold"] > 0.1]
    hits = [
        row["recall_low"] <= (fraud & (probability >= row["threshold"])).sum() / fraud.sum()
        <= row["recall_high"]
        for row in table.to_dict("records")
    ]  # fmt: skip
    assert all(hits)
    uncorrected = (fraud & alert).sum() / (fraud & chosen).sum()
    assert found.table["recall_high"].iloc[found.at_present] < uncorrected


def test_precision_by_group_is_a_count_with_a_ratio_to_the_largest(flags: pd.DataFrame) -> None:
    found = precision_by_group(flags, "region")
    assert found is not None
    judged = flags[flags["is_alert"] & (flags["is_fraud"] >= 0)]
    region = judged["columns"].map(lambda columns: columns["region"])
    largest = region.value_counts().index[0]
    shares = judged["is_fraud"].groupby(region).mean()
    assert found["group"].tolist()[0] == largest
    for row in found.to_dict("records"):
        assert row["transactions"] == (region == row["group"]).sum()
        assert row["share"] == pytest.approx(shares[row["group"]])
        assert row["low"] < row["share"] < row["high"]
        if row["group"] != largest:
            assert row["ratio"] == pytest.approx(row["share"] / shares[largest])
            unlike = not 0.8 <= row["ratio"] <= 1.25 and not (
                row["ratio_low"] <= 1 <= row["ratio_high"]
            )
            assert row["says"] == ("differs" if unlike else "alike")
    assert precision_by_group(flags, "colour") is None


def test_small_groups_are_said_to_be_small_and_tiny_ones_are_not_shown() -> None:
    accounts = [f"a-{n}" for n in range(400)]
    group = ["north"] * 390 + ["south"] * 7 + ["tower"] * 3
    transactions = pd.DataFrame(
        {
            "account_id": accounts,
            "amount": 1.0,
            "flagged": [n % 10 == 0 for n in range(400)],
            "columns": [{"region": name} for name in group],
        }
    )
    found = alert_rate_by_group(transactions, "region")
    assert found is not None
    rows = {row["group"]: row for row in found.to_dict("records")}
    assert set(rows) == {"north", "south"}
    assert (rows["north"]["events"], rows["north"]["share"]) == (39, pytest.approx(0.1))
    assert rows["south"]["says"].startswith("too small")
    assert np.isnan(rows["south"]["ratio_low"])
    assert alert_rate_by_group(transactions, "colour") is None
