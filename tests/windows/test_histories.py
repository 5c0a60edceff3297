from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification
from fraudnet.windows.vocabularies import with_vocabularies
from tests.windows.tables import DELAYS, ROWS, VOCABULARY, Row, known_us, past_of, table_of

EVER = datetime(9999, 1, 1, tzinfo=UTC)
SPECIFICATION = FeatureSpecification(
    categorical=(CategoricalColumn(column="category", vocabulary=VOCABULARY),),
    numeric=("distance",),
)


def built(rows: list[Row], milli_days: int = 7000, chunk: int = 1000) -> Histories:
    return build_histories(table_of(rows, chunk=chunk), SPECIFICATION, milli_days / 1000)


@settings(deadline=None)
@given(ROWS, st.integers(1, 30))
def test_every_row_once_in_time_order_within_its_account(rows: list[Row], chunk: int) -> None:
    histories = built(rows, chunk=chunk)
    assert len(histories) == len(rows)
    assert sorted(histories.source_row.tolist()) == list(range(len(rows)))
    assert histories.offsets[0] == 0
    assert histories.offsets[-1] == len(rows)
    spans = list(pairwise(histories.offsets.tolist()))
    assert len(spans) == len({row.account for row in rows})
    for account, (begin, end) in enumerate(spans):
        held = histories.source_row[begin:end].tolist()
        assert held == past_of(rows, held[-1])
        assert len(held) == sum(row.account == rows[held[0]].account for row in rows)
        assert histories.account[begin:end].tolist() == [account] * len(held)


@settings(deadline=None)
@given(ROWS, DELAYS, st.integers(1, 30))
def test_columns_hold_what_the_source_says(rows: list[Row], milli_days: int, chunk: int) -> None:
    histories = built(rows, milli_days, chunk)
    columns = histories.columns
    assert {i.name: i.dtype for i in SPECIFICATION.inputs if i.kind != "valid"} == {
        name: values.dtype.name for name, values in columns.items()
    }
    index = {None: 0, "other": 0, "": 0} | {word: i + 1 for i, word in enumerate(VOCABULARY)}
    codes: dict[str | None, int] = {}
    for at, source in enumerate(histories.source_row):
        row = rows[source]
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row.timestamp_us)
        assert histories.timestamp_us[at] == row.timestamp_us
        assert histories.known_us[at] == known_us(row, milli_days * 86_400_000)
        assert histories.is_fraud[at] == (-1 if row.is_fraud is None else row.is_fraud)
        assert histories.amount[at] == row.amount
        assert columns["amount"][at] == np.float32(row.amount)
        assert columns["day"][at] == moment.toordinal() - datetime(1970, 1, 1).toordinal()
        assert columns["second"][at] == moment.hour * 3600 + moment.minute * 60 + moment.second
        assert columns["category"][at] == index[row.category]
        assert columns["distance"][at] == np.float32(row.distance or 0.0)
        assert (
            codes.setdefault(row.counterparty, histories.counterparty[at])
            == (histories.counterparty[at])
        )
    assert len(set(codes.values())) == len(codes)
    assert codes.get(None, -1) == -1


def test_ties_keep_the_order_of_the_source() -> None:
    rows = [Row(account, 5, amount=float(i)) for i, account in enumerate("abab" * 20)]
    rows += [Row("a", 4, amount=80.0)]
    amounts = built(rows, chunk=7).amount.tolist()
    assert amounts == [80.0, *range(0, 80, 2), *range(1, 80, 2)]


def test_a_source_without_labels_is_unlabelled() -> None:
    table = table_of([Row("a", 3, is_fraud=1, label_time_us=4)], labelled=False)
    histories = build_histories(table, SPECIFICATION, 0.043)
    assert histories.is_fraud.tolist() == [-1]
    assert histories.known_us.tolist() == [3 + 3_715_200_000]


def test_times_of_any_unit_are_microseconds() -> None:
    rows = [Row("a", 3_000_000, label_time_us=9_000_000), Row("a", 7_000_000)]
    for unit in ("s", "ms", "ns"):
        table = table_of(rows)
        position = table.column_names.index("timestamp")
        cast = table["timestamp"].cast(pa.timestamp(unit, "UTC"))
        table = table.set_column(position, "timestamp", cast)
        assert build_histories(table, SPECIFICATION, 1.0).timestamp_us.tolist() == [
            3_000_000,
            7_000_000,
        ]


def test_no_rows_give_empty_histories() -> None:
    histories = built([])
    assert len(histories) == 0
    assert histories.offsets.tolist() == [0]
    assert all(len(values) == 0 for values in histories.columns.values())


def test_without_reputation_there_are_no_counts() -> None:
    specification = FeatureSpecification(reputation=None)
    histories = build_histories(table_of([Row("a", 1)]), specification, 7.0)
    assert set(histories.columns) == {"amount", "day", "second"}


@pytest.mark.parametrize(
    "specification",
    [
        FeatureSpecification(numeric=("speed",)),
        FeatureSpecification(categorical=(CategoricalColumn(column="speed"),)),
    ],
)
def test_a_column_that_is_not_there_is_named(specification: FeatureSpecification) -> None:
    with pytest.raises(KeyError, match="speed"):
        build_histories(table_of([Row("a", 1)]), specification, 7.0)


WORDS = st.lists(st.sampled_from(["a", "b", "B", "é", "ab", "10", "9", "", None]), max_size=30)


@settings(deadline=None)
@given(WORDS, st.integers(1, 5), st.integers(1, 30))
def test_a_vocabulary_is_the_most_frequent_values_then_by_name(
    words: list[str | None], max_size: int, chunk: int
) -> None:
    column = CategoricalColumn(column="category", max_size=max_size)
    table = table_of([Row("a", 1, category=word) for word in words], chunk=chunk)
    filled = with_vocabularies(FeatureSpecification(categorical=(column,)), [table], EVER)
    expected: list[str] = []
    left = Counter(word for word in words if word is not None)
    while left and len(expected) < max_size:
        most = max(left.values())
        expected.append(min(word for word, count in left.items() if count == most))
        del left[expected[-1]]
    assert filled.categorical == (column.model_copy(update={"vocabulary": tuple(expected)}),)


def test_only_empty_vocabularies_are_filled_and_only_from_the_given_rows() -> None:
    declared = CategoricalColumn(column="category", vocabulary=("x", "y", "z"), max_size=2)
    empty = CategoricalColumn(column="transaction_type")
    specification = FeatureSpecification(categorical=(declared, empty), numeric=("distance",))
    rows = [Row("a", i, counterparty=name, category="w") for i, name in enumerate("mmnoooo")]
    table = table_of(rows)
    table = table.append_column("transaction_type", table["counterparty_id"])
    training_rows = table.slice(0, 3)
    filled = with_vocabularies(specification, [training_rows], EVER)
    assert filled.categorical[0] == declared
    assert filled.categorical[1].vocabulary == ("m", "n")
    assert filled.numeric == ("distance",)
    assert specification.categorical[1].vocabulary == ()
