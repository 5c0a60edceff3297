"""Scored transactions to test with."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from fraudnet.evaluation.metrics import DAY_US, Scored

Mask = NDArray[np.bool_]


def scored(
    seed: int = 0, count: int = 500, accounts: int = 50, days: int = 7, levels: int = 40
) -> Scored:
    """Scores on a few levels, so that there are ties, which tell something of the label."""
    rng = np.random.default_rng(seed)
    score = (rng.integers(0, levels, count) / levels).astype(np.float32)
    is_fraud = (rng.random(count) < score**3).astype(np.int8)
    is_fraud[:2] = 0, 1
    return Scored(
        score=score,
        is_fraud=is_fraud,
        timestamp_us=rng.integers(0, days * DAY_US, count) + 20_000 * DAY_US,
        account=rng.integers(0, accounts, count),
        amount=rng.lognormal(2, 1, count),
    )


def some_of(given: Scored, rows: Mask | NDArray[np.int64]) -> Scored:
    """Some rows, or rows several times."""
    return Scored(
        given.score[rows],
        given.is_fraud[rows],
        given.timestamp_us[rows],
        given.account[rows],
        given.amount[rows],
    )


SCORED = st.builds(
    scored,
    seed=st.integers(0, 10_000),
    count=st.integers(3, 60),
    accounts=st.integers(1, 12),
    days=st.integers(1, 4),
    levels=st.integers(1, 30),
)
