"""Hand-made history of cards, against loops over all pairs of transactions."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.card_history import DAY_US, WINDOWS_DAYS, history_features, plain_features
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification

FEATURES = FeatureSpecification(
    categorical=(CategoricalColumn(column="category", vocabulary=("a", "b")),), reputation=None
)
rows = st.tuples(
    st.integers(0, 40 * 24), st.sampled_from("XYZ"), st.sampled_from("ab"), st.integers(1, 500)
)


def histories_of(given_rows: list[tuple[int, str, str, int]]) -> Histories:
    hours, cards, categories, amounts = zip(*given_rows, strict=True)
    moments = np.array(hours, np.int64) * 3_600_000_000
    table = pa.table(
        {
            "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "account_id": cards,
            "counterparty_id": ["M"] * len(cards),
            "category": categories,
            "amount": np.array(amounts, np.float64),
        }
    )
    return build_histories(table, FEATURES, 0.0)


@settings(deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=25))
def test_counts_sums_and_departures_are_those_of_a_loop(
    given_rows: list[tuple[int, str, str, int]],
) -> None:
    histories = histories_of(given_rows)
    table = history_features(histories)
    plain = plain_features(histories).values.shape[1]
    category = histories.columns["category"]
    per_key = 4 * len(WINDOWS_DAYS) + 6
    assert table.values.shape[1] == plain + 2 * per_key
    for key, within in ((0, None), (1, category)):
        block = table.values[:, plain + key * per_key :][:, :per_key]
        for row in range(len(histories)):
            same = [
                other
                for other in range(row + 1)
                if histories.account[other] == histories.account[row]
                and (within is None or within[other] == within[row])
            ]
            amounts = histories.amount[same]
            age = histories.timestamp_us[row] - histories.timestamp_us[same]
            expected: list[float] = []
            for days in WINDOWS_DAYS:
                recent = amounts[age < days * DAY_US]
                mean = recent.mean()
                expected += [len(recent), recent.sum(), mean, histories.amount[row] / mean]
            expected += [age[-1 - back] / 1e6 if len(same) > back else np.nan for back in (1, 2)]
            logs = np.log1p(amounts)
            mean = logs[:-1].mean() if len(same) > 1 else 0.0
            deviation = np.sqrt(max(logs[:-1].var() if len(same) > 1 else 0.0, 1e-2))
            departure = (logs[-1] - mean) / deviation if len(same) > 1 else 0.0
            expected += [len(same) - 1, mean, deviation, departure]
            np.testing.assert_allclose(block[row], expected, rtol=1e-4, atol=1e-4)
