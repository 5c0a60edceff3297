"""Formats of times, numbers as other countries write them, and currencies."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.transactions.reading import ReadOptions, Transactions, read_transactions
from fraudnet.transactions.recipe import Recipe, load_recipe, parse_recipe

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
LENIENT = ReadOptions(max_bad_share=1.0, now=NOW)
DAY_FIRST, MONTH_FIRST = "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"
EITHER = {"column": "timestamp", "format": ["iso", DAY_FIRST, MONTH_FIRST]}
PER_EXAMPLE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)


def declared(**keys: object) -> Recipe:
    return Recipe.model_validate(load_recipe().model_dump() | keys)


def read(
    folder: Path, column: str, values: list[str], recipe: Recipe, options: ReadOptions = LENIENT
) -> Transactions:
    """Rows that differ in one column alone; tabs stand between the values."""
    good = {
        "transaction_id": "",
        "timestamp": "2024-05-01 10:00:00",
        "account_id": "a",
        "counterparty_id": "m",
        "amount": "7",
    } | {column: ""}
    lines = ["\t".join(good)]
    for at, value in enumerate(values):
        lines.append("\t".join((good | {"transaction_id": f"t{at}", column: value}).values()))
    path = folder / "file.tsv"
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return read_transactions(path, recipe, options)


def times(*texts: str) -> list[datetime]:
    return [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2024-05-01 10:00", "2024-02-03T04:05:06Z"], ["2024-05-01 10:00", "2024-02-03 04:05:06"]),
        (["01/05/2024 10:00", "13/02/2024 04:05"], ["2024-05-01 10:00", "2024-02-13 04:05"]),
        (["05/01/2024 10:00", "02/13/2024 04:05"], ["2024-05-01 10:00", "2024-02-13 04:05"]),
        (["5/1/2024 10:00", "2/13/2024 4:05"], ["2024-05-01 10:00", "2024-02-13 04:05"]),
        (["07/07/2023 10:00", "08/08/2023 09:00"], ["2023-07-07 10:00", "2023-08-08 09:00"]),
    ],
)
def test_a_file_chooses_the_format_that_reads_its_times(
    tmp_path: Path, values: list[str], expected: list[str]
) -> None:
    whole = read(tmp_path, "timestamp", values, declared(timestamp=EITHER))
    assert whole.table["timestamp"].to_pylist() == times(*expected)
    assert not whole.report.rows_quarantined


def test_times_that_two_formats_read_differently_are_refused(tmp_path: Path) -> None:
    values = ["05/01/2024 10:00", "06/02/2024 10:00", "not a time"]
    with pytest.raises(InputError) as caught:
        read(tmp_path, "timestamp", values, declared(timestamp=EITHER))
    assert str(caught.value) == (
        f"{tmp_path / 'file.tsv'}: the times of timestamp can be read as '{DAY_FIRST}' and as "
        f"'{MONTH_FIRST}', which differ; leave the right one in recipe canonical"
    )


def test_the_format_that_reads_most_is_chosen(tmp_path: Path) -> None:
    recipe = declared(timestamp={"column": "timestamp", "format": ["%d/%m/%Y", "%d.%m.%Y"]})
    whole = read(tmp_path, "timestamp", ["01/05/2024", "02.05.2024", "03.05.2024"], recipe)
    assert whole.table["timestamp"].to_pylist() == times("2024-05-02", "2024-05-03")
    assert whole.report.reasons == {"timestamp_unparsable": 1}


@pytest.mark.parametrize("format_", [DAY_FIRST, ["iso", DAY_FIRST, MONTH_FIRST]])
def test_rows_with_day_and_month_swapped_are_set_aside(
    tmp_path: Path, format_: str | list[str]
) -> None:
    recipe = declared(timestamp={"column": "timestamp", "format": format_})
    values = ["21/05/2024 10:00", "22/05/2024 10:00", "05/23/2024 10:00", "24/05/2024 10:00"]
    whole = read(tmp_path, "timestamp", values, recipe)
    assert whole.table["transaction_id"].to_pylist() == ["t0", "t1", "t3"]
    assert whole.report.reasons == {"timestamp_unparsable": 1}


def test_label_times_choose_a_format_of_their_own(tmp_path: Path) -> None:
    recipe = declared(label_time={"column": "label_time", "format": [DAY_FIRST, MONTH_FIRST]})
    whole = read(tmp_path, "label_time", ["", "05/13/2024 09:00", ""], recipe)
    assert whole.table["label_time"].to_pylist() == [None, *times("2024-05-13 09:00"), None]


@PER_EXAMPLE
@given(
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2024, 5, 31)), min_size=1, max_size=30),
    st.sampled_from([DAY_FIRST, MONTH_FIRST, "%Y-%m-%d %H:%M"]),
)
def test_whatever_is_read_is_what_was_written_or_else_refused(
    tmp_path: Path, moments: list[datetime], written: str
) -> None:
    moments = [moment.replace(second=0, microsecond=0) for moment in moments]
    values = [moment.strftime(written) for moment in moments]
    told = written.startswith("%Y") or any(moment.day > 12 for moment in moments)
    told = told or all(moment.day == moment.month for moment in moments)
    if not told:
        with pytest.raises(InputError, match="which differ; leave the right one"):
            read(tmp_path, "timestamp", values, declared(timestamp=EITHER))
        return
    whole = read(tmp_path, "timestamp", values, declared(timestamp=EITHER))
    expected = [moment.replace(tzinfo=UTC) for moment in moments]
    assert whole.table["timestamp"].to_pylist() == expected


def test_a_time_in_several_columns(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            "name": "parts",
            "transaction_id": {"from_row": True},
            "timestamp": {"column": ["date", "hour"], "join": "T", "format": ["%d.%m.%YT%H:%M"]},
            "account_id": {"column": ["bank", "number"], "join": "/"},
            "amount": "sum",
        },
        "parts",
    )
    path = tmp_path / "a.csv"
    path.write_text(
        "hour,sum,date,bank,number\n"
        "10:30,5,01.05.2024,B1,007\n"
        ",5,01.05.2024,B1,007\n"
        "10:30,5,,B1,007\n"
        ",5,,,\n"
        "10:30,5, 2.5.2024 ,,7\n"
    )
    whole = read_transactions(path, recipe, LENIENT)
    assert whole.report.reasons == {"timestamp_unparsable": 2, "timestamp_missing": 1}
    assert whole.table["timestamp"].to_pylist() == times("2024-05-01 10:30", "2024-05-02 10:30")
    assert whole.table["account_id"].to_pylist() == ["B1/007", "/7"]
    assert whole.table["transaction_id"].to_pylist() == ["2", "6"]


SECONDS = 1_714_557_600  # 2024-05-01 10:00 UTC


@pytest.mark.parametrize(
    ("unit", "values", "used", "reasons"),
    [
        ("s", [SECONDS, SECONDS * 1000, SECONDS], ["t0", "t2"], {"timestamp_in_the_future": 1}),
        ("ms", [SECONDS * 1000, SECONDS, SECONDS * 1000], ["t0", "t2"], {"timestamp_too_early": 1}),
        ("us", [SECONDS * 10**6, SECONDS * 1000], ["t0"], {"timestamp_too_early": 1}),
        ("ms", [SECONDS * 1000, SECONDS * 10**6], ["t0"], {"timestamp_in_the_future": 1}),
        ("ns", [SECONDS * 10**9, SECONDS * 10**6], ["t0"], {"timestamp_too_early": 1}),
        ("s", [SECONDS, SECONDS * 10**9], ["t0"], {"timestamp_unparsable": 1}),
    ],
)
def test_seconds_and_milliseconds_in_one_file_are_told_apart(
    tmp_path: Path, unit: str, values: list[int], used: list[str], reasons: dict[str, int]
) -> None:
    recipe = declared(timestamp={"column": "timestamp", "unit": unit})
    whole = read(tmp_path, "timestamp", [str(value) for value in values], recipe)
    assert whole.table["transaction_id"].to_pylist() == used
    assert set(whole.table["timestamp"].to_pylist()) == set(times("2024-05-01 10:00"))
    assert whole.report.reasons == reasons


@pytest.mark.parametrize(
    ("unit", "factor", "mend"), [("s", 1000, "unit = 'ms'"), ("ms", 1, "unit = 's'")]
)
def test_a_wrong_unit_is_named(tmp_path: Path, unit: str, factor: int, mend: str) -> None:
    recipe = declared(timestamp={"column": "timestamp", "unit": unit})
    with pytest.raises(InputError) as caught:
        read(tmp_path, "timestamp", [str(SECONDS * factor)] * 3, recipe)
    assert mend in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "not_before"),
    [
        ({}, "1970-01-01"),
        ({"unit": "s"}, "1990-01-01"),
        ({"unit": "s", "origin": datetime(1970, 1, 1)}, "1990-01-01"),
        ({"unit": "s", "origin": datetime(2017, 12, 1)}, "1970-01-01"),
        ({"unit": "s", "earliest": datetime(1980, 1, 1)}, "1980-01-01"),
        ({"earliest": datetime(2020, 1, 1)}, "2020-01-01"),
        ({"earliest": datetime(2020, 1, 1, tzinfo=UTC)}, "2020-01-01"),
    ],
)
def test_the_earliest_time_that_is_believed(
    tmp_path: Path, keys: dict[str, object], not_before: str
) -> None:
    recipe = declared(timestamp={"column": "timestamp"} | keys)
    (expected,) = times(not_before)
    assert recipe.timestamp.not_before == expected
    origin = recipe.timestamp.origin.replace(tzinfo=UTC)
    moments = [expected + timedelta(seconds=shift) for shift in (-1, 0, 1)]
    values = [
        str(round((moment - origin).total_seconds())) if "unit" in keys else moment.isoformat()
        for moment in moments
    ]
    whole = read(tmp_path, "timestamp", values, recipe)
    assert whole.table["timestamp"].to_pylist() == moments[1:]
    assert whole.report.reasons == {"timestamp_too_early": 1}


def european(number: float, decimal: str, thousands: str, places: int) -> str:
    """As a spreadsheet of another country prints it."""
    return f"{number:,.{places}f}".replace(",", "\1").replace(".", decimal).replace("\1", thousands)


@PER_EXAMPLE
@given(
    st.lists(st.floats(-1e12, 1e12, allow_nan=False), min_size=1, max_size=20),
    st.sampled_from([(",", "."), (",", ""), (".", ","), (",", " "), (".", "'"), (",", "'")]),
    st.integers(0, 6),
)
@example([1234.0, 1234567.0, 999.0, -1000.0], (",", "."), 0)
def test_numbers_of_other_countries_are_read_as_they_were_meant(
    tmp_path: Path, numbers: list[float], marks: tuple[str, str], places: int
) -> None:
    decimal, thousands = marks
    texts = [european(number, decimal, thousands, places) for number in numbers]
    expected = [float(f"{number:.{places}f}") for number in numbers]
    recipe = declared(decimal=decimal, thousands=thousands)
    whole = read(tmp_path, "amount", texts, recipe)
    assert whole.table["amount"].to_pylist() == expected
    assert not whole.report.rows_quarantined


@pytest.mark.parametrize(
    ("decimal", "thousands", "text"),
    [
        (",", ".", "1.5"),
        (",", ".", "1.2345"),
        (",", ".", "1234.567"),
        (",", ".", "1,5,0"),
        (",", ".", "1.23.456"),
        (",", ".", "1,234.5"),
        (",", ".", "1,234.567"),
        (",", ".", ".234"),
        (",", "", "1.234,5"),
        (".", ",", "1,5"),
        (".", ",", "1,23"),
        (".", ",", "1.234,5"),
        (".", ",", "1,,234"),
        (".", "'", "1'5"),
        (".", " ", "1 5"),
        (".", "", "1,234.5"),
        (",", ".", "1.234.5"),
        (".", ",", "1,234,5"),
        (".", ",", "1,234,56"),
    ],
)
def test_a_number_that_is_not_grouped_as_declared_is_set_aside(
    tmp_path: Path, decimal: str, thousands: str, text: str
) -> None:
    recipe = declared(decimal=decimal, thousands=thousands)
    whole = read(tmp_path, "amount", ["7", text], recipe)
    assert whole.report.reasons == {"amount_not_a_number": 1}
    assert whole.table["amount"].to_pylist() == [7.0]


def test_further_numbers_are_read_as_the_amount_is(tmp_path: Path) -> None:
    recipe = declared(decimal=",", thousands=".", numeric=["balance"])
    balances = read(tmp_path, "balance", ["1.234,5", "", "-,5"], recipe).table["balance"]
    assert balances.to_pylist() == [1234.5, None, -0.5]


def currencies(folder: Path, values: list[str], **keys: object) -> Transactions:
    return read(folder, "currency", values, declared(currency={"column": "currency"} | keys))


def test_one_currency_is_kept_with_its_rows(tmp_path: Path) -> None:
    whole = currencies(tmp_path, ["EUR", " EUR ", ""])
    assert whole.table["currency"].to_pylist() == ["EUR", "EUR"]
    assert whole.report.reasons == {"currency_missing": 1}


def test_several_currencies_are_refused_with_their_numbers(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        currencies(tmp_path, ["EUR", "USD", "EUR", "JPY", "EUR", "USD"])
    assert str(caught.value) == (
        f"{tmp_path / 'file.tsv'}: the amounts are in several currencies (EUR 3, USD 2, JPY 1), "
        "which cannot be compared: convert them, or name the one to keep with currency.only in "
        "recipe canonical, or allow them with currency.mixed = true"
    )


def test_one_of_several_currencies_can_be_kept(tmp_path: Path) -> None:
    whole = currencies(tmp_path, ["EUR", "USD", "", "EUR"], only="EUR")
    assert whole.table["transaction_id"].to_pylist() == ["t0", "t3"]
    assert whole.report.reasons == {"currency_other_currency": 1, "currency_missing": 1}


def test_several_currencies_can_be_allowed(tmp_path: Path) -> None:
    whole = currencies(tmp_path, ["EUR", "USD"], mixed=True)
    assert whole.table["currency"].to_pylist() == ["EUR", "USD"]


def test_a_bad_row_in_another_currency_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "transaction_id,timestamp,account_id,counterparty_id,amount,currency\n"
        "t1,2024-05-01,a,m,1,EUR\nt2,2024-05-01,a,m,x,USD\n"
    )
    whole = read_transactions(path, options=LENIENT)
    assert whole.table["currency"].to_pylist() == ["EUR"]
    without: dict[str, Any] = {"currency": None}
    bare = read_transactions(path, load_recipe().model_copy(update=without), LENIENT)
    assert "currency" not in bare.table.column_names
    assert bare.report.unread == ["currency"]
