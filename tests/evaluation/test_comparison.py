"""Paired bootstrap over accounts, against scikit-learn on resamples that are really made."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from fraudnet.errors import InputError
from fraudnet.evaluation import comparison
from fraudnet.evaluation.comparison import (
    Bootstrap,
    Difference,
    paired_differences,
    why_not_paired,
)
from fraudnet.evaluation.metrics import figures_of
from fraudnet.evaluation.scores import Scores

NAMES = ("average_precision", "recall_at_alert_budget", "value_recall_at_alert_budget")


def scores(seed: int, rows: int = 400, accounts: int = 30, levels: int = 50) -> Scores:
    """Scores that tie often; what is of the data is the same whatever the seed."""
    data, own = np.random.default_rng(1), np.random.default_rng(seed)
    is_fraud = (data.random(rows) < 0.1).astype(np.int8)
    probability = np.clip(own.random(rows) + 0.3 * is_fraud, 0, 1)
    return Scores(
        row=np.arange(rows),
        account=data.integers(accounts, size=rows).astype(np.int32),
        timestamp_us=np.sort(data.integers(86_400_000_000 * 7, size=rows)),
        amount=data.lognormal(3, 1, rows),
        is_fraud=is_fraud,
        fraud_probability=(np.round(probability * levels) / levels).astype(np.float32),
        ood_distance=np.zeros(rows, np.float32),
        fingerprint="sha256:abc",
        period="2025-01-01 00:00 .. 2025-01-08 00:00",
        threshold=0.75,
    )


def as_stored(given_: Scores, seed: int) -> Scores:
    """The same rows in another order, with other codes of the accounts, as another file has."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(given_.row))
    codes = rng.permutation(int(given_.account.max()) + 1).astype(np.int32)
    arrays = ("row", "timestamp_us", "amount", "is_fraud", "fraud_probability", "ood_distance")
    shuffled = {name: getattr(given_, name)[order] for name in arrays}
    return replace(given_, account=codes[given_.account][order], **shuffled)


def naive(a: Scores, b: Scores, bootstrap: Bootstrap) -> dict[str, Difference]:
    """Rows of the drawn accounts repeated one by one; recalls counted; scikit-learn's precision."""
    rng = np.random.default_rng(bootstrap.seed)
    accounts = np.unique(a.account)

    def measured(of: Scores, rows: NDArray[np.int64]) -> tuple[float, ...]:
        fraud = of.is_fraud[rows] == 1
        if not fraud.any():
            return (np.nan,) * 3
        score, amount = of.fraud_probability[rows], of.amount[rows]
        caught = fraud & (score >= of.threshold)
        return (
            float(average_precision_score(fraud, score)),
            caught.sum() / fraud.sum(),
            amount[caught].sum() / amount[fraud].sum(),
        )

    resampled = []
    for _ in range(bootstrap.resamples):
        drawn = accounts[rng.integers(len(accounts), size=len(accounts))]
        rows = np.concatenate([np.flatnonzero(a.account == each) for each in drawn])
        resampled.append(np.subtract(measured(b, rows), measured(a, rows)))
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    everything = np.arange(len(a.row))
    first, second = measured(a, everything), measured(b, everything)
    return {
        name: Difference(*map(float, values))
        for name, *values in zip(NAMES, first, second, low, high, strict=True)
    }


def assert_same(found: dict[str, Difference], expected: dict[str, Difference]) -> None:
    """But for the last bits: in which order sums are taken is the machine's."""
    assert tuple(found) == tuple(expected) == NAMES
    for name in NAMES:
        assert vars(found[name]) == pytest.approx(vars(expected[name]), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 40), st.sampled_from([2, 10, 1000]), st.integers(0, 99))
def test_the_intervals_are_those_of_resamples_made_one_by_one(
    seed: int, accounts: int, levels: int, other: int
) -> None:
    a, b = (scores(seed + i, accounts=accounts, levels=levels) for i in (0, 1 + other))
    bootstrap = Bootstrap(confidence=0.8, resamples=20, seed=seed)
    assert_same(paired_differences(a, b, bootstrap), naive(a, b, bootstrap))


def test_the_figures_are_those_that_are_reported() -> None:
    a, b = scores(1), scores(2)
    found = paired_differences(a, b, Bootstrap(resamples=1))
    for each, side in ((a, "first"), (b, "second")):
        expected = figures_of(each.scored(), each.threshold, 5)
        for name in NAMES:
            assert getattr(found[name], side) == pytest.approx(expected[name], abs=1e-12)


def test_rows_pair_the_scores_whatever_their_order_and_codes() -> None:
    a, b = scores(1), scores(2)
    bootstrap = Bootstrap(resamples=30)
    shuffled = as_stored(b, 5)
    assert why_not_paired(a, shuffled) is None
    assert_same(paired_differences(a, shuffled, bootstrap), paired_differences(a, b, bootstrap))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = scores(1), scores(2)
    whole = paired_differences(a, b, Bootstrap(resamples=30))
    monkeypatch.setattr(comparison, "MEMORY_BYTES", 16 * 400 * 7)
    assert_same(paired_differences(a, b, Bootstrap(resamples=30)), whole)


def test_the_same_scores_differ_by_nothing() -> None:
    for each in paired_differences(scores(1), as_stored(scores(1), 3), Bootstrap()).values():
        assert (each.value, each.low, each.high) == (0, 0, 0)


def test_more_confidence_makes_wider_intervals() -> None:
    a, b = scores(1), scores(2)
    narrow, wide = (
        paired_differences(a, b, Bootstrap(confidence=share))["average_precision"]
        for share in (0.5, 0.99)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprint": "sha256:def"}, "different data (abc and def)"),
        ({"period": "2025-02-01 00:00 .. 2025-02-08 00:00"}, "periods differ"),
        ({"row": np.arange(1, 401)}, "different rows"),
    ],
)
def test_what_cannot_be_paired_is_said(change: dict[str, object], said: str) -> None:
    reason = why_not_paired(scores(1), replace(scores(2), **change))  # type: ignore[arg-type]
    assert reason is not None
    assert said in reason


def test_no_fraud_is_refused() -> None:
    none = replace(scores(1), is_fraud=np.zeros(400, np.int8))
    with pytest.raises(InputError, match="holds no fraud"):
        paired_differences(none, none, Bootstrap())


@pytest.mark.parametrize("wrong", [{"confidence": 1.0}, {"resamples": 0}, {"seed": -1}])
def test_bootstrap_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"--{next(iter(wrong))}"):
        Bootstrap(**wrong)  # type: ignore[arg-type]
