"""Who knows the account's history and the counterparty's reputation finds every kind."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score

from benchmarks.kinds_boosting import DAY_S, boosting, boosting_features
from fraudnet.transactions.simulator import SimulatorConfig, simulate

LABEL_DELAY_DAYS = 7
ALERT_BUDGET = 0.007


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 13])
def test_history_and_reputation_find_every_kind(seed: int) -> None:
    table = simulate(SimulatorConfig(seed=seed)).sort_by(
        [("account_id", "ascending"), ("transaction_id", "ascending")]
    )
    day = table["timestamp"].cast(pa.int64()).to_numpy() // (DAY_S * 1_000_000)
    day = day - day.min()
    fraud = table["is_fraud"].to_numpy().astype(np.int64)
    features = boosting_features(table, LABEL_DELAY_DAYS)
    learn, test = (day >= 14) & (day < 76), day >= 76 + LABEL_DELAY_DAYS
    model = boosting(0).fit(features[learn], fraud[learn])
    score = model.predict_proba(features[test])[:, 1]
    average_precision = average_precision_score(fraud[test], score)
    alert = score > np.quantile(score, 1 - ALERT_BUDGET)
    kinds = np.array(table["fraud_kind"].to_pylist(), dtype=object)[test]
    found = {kind: alert[kinds == kind].mean().round(2) for kind in set(kinds) - {None}}
    print(f"seed {seed}: average precision {average_precision:.3f}, recall by kind {found}")
    assert len(found) == 6
    assert average_precision >= 0.5
    assert min(found.values()) > 0.25
