import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.transactions.checks import Checked, Checks
from fraudnet.transactions.quarantine import SENTENCES
from fraudnet.transactions.recipe import Recipe, load_recipe
from fraudnet.transactions.sources.rows import BrokenLine, Rows

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
GOOD = {
    "transaction_id": "t1",
    "timestamp": "2024-05-01 10:00:00",
    "account_id": "a1",
    "counterparty_id": "m1",
    "amount": "12.50",
    "category": "food",
    "is_fraud": "0",
}


def judge(rows: list[dict[str, Any]], recipe: Recipe | None = None) -> Checked:
    names = list(GOOD | rows[0])
    columns = {}
    for name in names:
        values = [(GOOD | {"transaction_id": str(at)} | row)[name] for at, row in enumerate(rows)]
        columns[name] = pa.array(values)
    table = pa.table(columns)
    place = Rows("file.csv", table, np.arange(2, len(table) + 2), [], [])
    return Checks(recipe or load_recipe(), NOW).check(place)


def declared(**keys: object) -> Recipe:
    return Recipe.model_validate(load_recipe().model_dump() | keys)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("transaction_id", None, "missing"),
        ("transaction_id", "", "missing"),
        ("transaction_id", "  ", "missing"),
        ("transaction_id", "2.70E+15", "rounded"),
        ("account_id", None, "missing"),
        ("account_id", "", "missing"),
        ("account_id", "2.70E+15", "rounded"),
        ("account_id", "4E+15", "rounded"),
        ("account_id", "2.703186189652095e15", "rounded"),
        ("account_id", "596.0", "rounded"),
        ("counterparty_id", "1.2e+10", "rounded"),
        ("timestamp", None, "missing"),
        ("timestamp", "", "missing"),
        ("timestamp", "yesterday", "unparsable"),
        ("timestamp", "2024-02-30 10:00:00", "unparsable"),
        ("timestamp", "2024-05-01 25:00:00", "unparsable"),
        ("timestamp", "2024-06-02 12:00:00.000001", "in_the_future"),
        ("timestamp", "1969-12-31 23:59:59", "too_early"),
        ("amount", None, "missing"),
        ("amount", "", "missing"),
        ("amount", "abc", "not_a_number"),
        ("amount", "1,50", "not_a_number"),
        ("amount", "0x10", "not_a_number"),
        ("amount", "nan", "not_finite"),
        ("amount", "-Infinity", "not_finite"),
        ("amount", "1e999", "not_finite"),
        ("amount", "-3.5e38", "too_large"),
        ("is_fraud", "maybe", "unknown_label"),
        ("is_fraud", "2", "unknown_label"),
    ],
)
def test_a_bad_value_sets_its_row_aside(name: str, value: str | None, code: str) -> None:
    checked = judge([{}, {name: value}, {}])
    assert checked.used["transaction_id"].to_pylist() == ["0", "2"]
    (fault,) = checked.faults
    assert (fault.line, fault.name, fault.code, fault.value) == (3, name, code, value)
    assert fault.row is not None
    assert json.loads(fault.row)[name] == value
    assert fault.code in SENTENCES


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("transaction_id", " t9 ", "t9"),
        ("transaction_id", "0b242abb623afc578575680df3065e55", "0b242abb623afc578575680df3065e55"),
        ("account_id", "0042", "0042"),
        ("account_id", "12e34", "12e34"),
        ("counterparty_id", "", None),
        ("category", None, None),
        ("amount", " 1e3 ", 1000.0),
        ("amount", "-7.25", -7.25),
        ("amount", "+.5", 0.5),
        ("is_fraud", "", None),
        ("is_fraud", "True", 1),
        ("is_fraud", "0", 0),
        ("timestamp", "2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("timestamp", "2024-05-01T10:00:00Z", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("timestamp", "2024-05-01T10:00:00+02:00", datetime(2024, 5, 1, 8, tzinfo=UTC)),
        ("timestamp", "2024-05-01 10:00:00.123456", datetime(2024, 5, 1, 10, 0, 0, 123456, UTC)),
        ("timestamp", "2024-05-01 10:00:00.123456789", datetime(2024, 5, 1, 10, 0, 0, 123456, UTC)),
        ("timestamp", "1970-01-01 00:00:00", datetime(1970, 1, 1, tzinfo=UTC)),
        ("timestamp", "2024-06-02 12:00:00", NOW + timedelta(days=1)),
    ],
)
def test_a_good_value_is_read(name: str, value: str | None, read: object) -> None:
    checked = judge([{}, {name: value}])
    assert not checked.faults
    assert checked.used[name].to_pylist()[1] == read


def test_columns_and_types_are_canonical() -> None:
    recipe = load_recipe().with_features(numeric=["distance"])
    row = {"label_time": "2024-05-02", "distance": "3", "place": "P1", "fraud_kind": "none"}
    assert judge([row], recipe).used.schema == pa.schema(
        [
            ("transaction_id", pa.string()),
            ("timestamp", pa.timestamp("us", tz="UTC")),
            ("account_id", pa.string()),
            ("counterparty_id", pa.string()),
            ("amount", pa.float64()),
            ("category", pa.string()),
            ("is_fraud", pa.int8()),
            ("label_time", pa.timestamp("us", tz="UTC")),
            ("place", pa.string()),
            ("distance", pa.float64()),
            ("fraud_kind", pa.string()),
        ]
    )


def test_of_rows_with_one_id_the_first_good_one_is_used() -> None:
    ids = ["x", "y", "x", "z", "y", "x"]
    rows = [{"transaction_id": each, "account_id": f"a{at}"} for at, each in enumerate(ids)]
    rows[1]["amount"] = "broken"
    checked = judge(rows)
    assert checked.used["account_id"].to_pylist() == ["a0", "a3", "a4"]
    assert [(fault.line, fault.code) for fault in checked.faults] == [
        (3, "not_a_number"),
        (4, "duplicate"),
        (7, "duplicate"),
    ]


def test_a_repeated_header_is_told_from_a_bad_amount() -> None:
    checked = judge([{}, {name: name for name in GOOD}])
    assert [(fault.name, fault.code) for fault in checked.faults] == [("line", "header_repeated")]


def test_a_row_has_one_fault_however_much_is_wrong_with_it() -> None:
    checked = judge([{"amount": "x", "timestamp": "x", "account_id": ""}, {"amount": None}])
    assert len(checked.faults) == 2
    assert len(checked.used) == 0


def test_broken_lines_stand_among_the_faults_by_line() -> None:
    table = pa.table({name: [value, value] for name, value in GOOD.items()})
    broken = [BrokenLine(3, "field_count", "a,b")]
    checked = Checks(load_recipe(), NOW).check(Rows("f", table, np.array([2, 4]), broken, []))
    assert [(fault.line, fault.code) for fault in checked.faults] == [
        (3, "field_count"),
        (4, "duplicate"),
    ]


def test_negative_amounts_are_refunds_unless_the_recipe_says_otherwise() -> None:
    assert len(judge([{"amount": "-1"}]).used) == 1
    (fault,) = judge([{"amount": "-1"}], declared(allow_negative=False)).faults
    assert fault.code == "negative"


def test_a_label_is_not_known_before_its_transaction() -> None:
    times = ["2024-04-30", "2024-05-02", "", "soon", "9999-12-31"]
    checked = judge([{"label_time": each} for each in times])
    known = [None if each is None else each.day for each in checked.used["label_time"].to_pylist()]
    assert known == [2, None]
    codes = ["before_timestamp", "unparsable", "in_the_future"]
    assert [fault.code for fault in checked.faults] == codes


def test_further_numbers_may_be_missing_but_not_wrong() -> None:
    recipe = load_recipe().with_features(numeric=["distance"])
    texts = ["1.5", "", "nan", "far", "inf"]
    checked = judge([{"distance": each} for each in texts], recipe)
    assert checked.used["distance"].to_pylist() == [1.5, None, None]
    assert [fault.code for fault in checked.faults] == ["not_a_number", "not_finite"]


def test_a_missing_optional_column_is_null_and_nothing_is_invented() -> None:
    table = pa.table({name: [value] for name, value in GOOD.items() if name != "category"})
    table = table.drop_columns(["is_fraud", "counterparty_id"])
    used = Checks(load_recipe(), NOW).check(Rows("f", table, np.array([1]), [], [])).used
    assert used["category"].to_pylist() == [None]
    assert used["is_fraud"].to_pylist() == [None]
    assert used["counterparty_id"].to_pylist() == [None]
    assert "label_time" not in used.column_names


@pytest.mark.parametrize(
    ("name", "values", "read"),
    [
        ("account_id", pa.array([7], pa.int32()), "7"),
        ("account_id", pa.array(["7"]).dictionary_encode(), "7"),
        ("account_id", pa.array([" 7"], pa.large_string()), "7"),
        ("amount", pa.array([3], pa.int64()), 3.0),
        ("amount", pa.array([Decimal("3.25")]), 3.25),
        ("amount", pa.array([3.5], pa.float32()), 3.5),
        ("is_fraud", pa.array([True]), 1),
        ("is_fraud", pa.array([1.0]), 1),
        ("category", pa.array([5411]), "5411"),
        ("category", pa.array([None]), None),
        ("timestamp", pa.array([date(2024, 5, 1)]), datetime(2024, 5, 1, tzinfo=UTC)),
        (
            "timestamp",
            pa.array([datetime(2024, 5, 1, 10)], pa.timestamp("s", "Europe/Paris")),
            datetime(2024, 5, 1, 10, tzinfo=UTC),
        ),
        (
            "timestamp",
            pa.array([1_714_557_600_123_456_789], pa.timestamp("ns")),
            datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC),
        ),
    ],
)
def test_native_types_are_read(name: str, values: pa.Array, read: object) -> None:
    columns = {key: pa.array([value]) for key, value in GOOD.items()} | {name: values}
    checked = Checks(load_recipe(), NOW).check(Rows("f", pa.table(columns), np.array([1]), [], []))
    assert not checked.faults
    assert checked.used[name].to_pylist() == [read]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("account_id", pa.array([2.7e15]), "'account_id' for account_id holds double, expected"),
        ("amount", pa.array([True]), "holds bool, expected numbers"),
        ("category", pa.array([["a"]]), "holds list<item: string>, expected text or numbers"),
        ("timestamp", pa.array([17]), "holds int64, expected times (or give unit = 's' and origin"),
        ("timestamp", pa.array([True]), "holds bool, expected times"),
    ],
)
def test_a_column_of_an_impossible_type_is_refused(
    name: str, values: pa.Array, message: str
) -> None:
    columns = {key: pa.array([value]) for key, value in GOOD.items()} | {name: values}
    with pytest.raises(InputError) as caught:
        Checks(load_recipe(), NOW).check(
            Rows("f.parquet", pa.table(columns), np.array([1]), [], [])
        )
    assert str(caught.value).startswith("f.parquet: column ")
    assert message in str(caught.value)


def test_times_without_offset_are_in_the_declared_zone() -> None:
    recipe = declared(timestamp={"column": "timestamp", "timezone": "America/New_York"})
    texts = ["2024-01-01 00:00:00", "2024-01-01T00:00:00Z", "2024-03-10 02:30:00"]
    used = judge([{"timestamp": text} for text in texts], recipe).used
    assert [each.isoformat() for each in used["timestamp"].to_pylist()] == [
        "2024-01-01T05:00:00+00:00",
        "2024-01-01T00:00:00+00:00",
        "2024-03-10T06:59:59.999999+00:00",  # left out by the clocks' change
    ]


@pytest.mark.parametrize(
    ("unit", "count", "seconds"),
    [
        ("s", "90", 90),
        ("ms", "1500", 1.5),
        ("h", "2", 7200),
        ("d", "0.5", 43200),
        ("us", "7", 7e-6),
    ],
)
def test_times_are_counted_in_units_from_an_origin(unit: str, count: str, seconds: float) -> None:
    origin = datetime(2020, 1, 1)
    recipe = declared(timestamp={"column": "timestamp", "unit": unit, "origin": origin})
    checked = judge([{"timestamp": count}, {"timestamp": "soon"}, {"timestamp": "inf"}], recipe)
    expected = origin.replace(tzinfo=UTC) + timedelta(seconds=seconds)
    assert checked.used["timestamp"].to_pylist() == [expected]
    assert [fault.code for fault in checked.faults] == ["unparsable", "unparsable"]


@given(
    st.lists(
        st.tuples(
            st.integers(1970, 2023), st.integers(0, 13), st.integers(0, 32), st.integers(0, 25),
            st.integers(0, 61), st.integers(0, 61), st.booleans(),
        ),
        min_size=1,
    )
)  # fmt: skip
def test_a_declared_format_is_read_as_the_standard_library_reads_it(
    times: list[tuple[int, int, int, int, int, int, bool]],
) -> None:
    texts = []
    for year, month, day, hour, minute, second, padded in times:
        width = 2 if padded else 1
        texts.append(
            f"{day:0{width}}/{month:0{width}}/{year} {hour:0{width}}:{minute:02}:{second:02}"
        )
    recipe = declared(timestamp={"column": "timestamp", "format": "%d/%m/%Y %H:%M:%S"})
    checked = judge([{"timestamp": text} for text in texts], recipe)
    expected = []
    for text in texts:
        try:
            expected.append(datetime.strptime(text + " +0000", "%d/%m/%Y %H:%M:%S %z"))
        except ValueError:
            continue
    assert checked.used["timestamp"].to_pylist() == expected
    assert len(checked.faults) == len(texts) - len(expected)


def test_a_prefix_in_every_value_is_taken_off() -> None:
    recipe = declared(
        counterparty_id={"column": "counterparty_id", "strip_prefix": "fraud_"},
        amount={"column": "amount", "strip_prefix": "$"},
    )
    rows = [{"counterparty_id": "fraud_Joe", "amount": "$-3.5"}, {"counterparty_id": "Jim"}]
    used = judge(rows, recipe).used
    assert used["counterparty_id"].to_pylist() == ["Joe", "Jim"]
    assert used["amount"].to_pylist() == [-3.5, 12.5]


def test_label_values_are_those_that_the_recipe_names() -> None:
    recipe = declared(is_fraud={"column": "is_fraud", "fraud": ["Yes"], "genuine": ["No"]})
    checked = judge([{"is_fraud": each} for each in ("Yes", "no", "", "1")], recipe)
    assert checked.used["is_fraud"].to_pylist() == [1, 0, None]
    assert [fault.code for fault in checked.faults] == ["unknown_label"]
