import bz2
import csv
import gzip
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from fraudnet.errors import InputError
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import ReadOptions, Transactions, read_transactions
from fraudnet.transactions.recipe import Recipe, load_recipe

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
LENIENT = ReadOptions(max_bad_share=1.0, now=NOW)
HEADER = [
    "transaction_id",
    "timestamp",
    "account_id",
    "counterparty_id",
    "amount",
    "category",
    "is_fraud",
]
ROWS = [
    ["t1", "2024-05-01 10:00:00", "a1", "m1", "12.5", "food", "0"],
    ["t2", "2024-05-01 10:00:01.25", "a2", "m2", "-3", "", "1"],
    ["t3", "2024-04-01 00:00:00", "a1", "", "1e2", "fuel", ""],
]


def delimited(
    rows: list[list[str]] = ROWS, delimiter: str = ",", end: str = "\n", *, quoted: bool = False
) -> str:
    text = io.StringIO()
    quoting: Any = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([HEADER, *rows])
    return text.getvalue()


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def faults_of(tmp_path: Path, path: Path, recipe: Recipe | None = None) -> list[dict[str, Any]]:
    target = tmp_path / "quarantine.jsonl"
    read_transactions(path, recipe, ReadOptions(target, max_bad_share=1.0, now=NOW))
    return [json.loads(line) for line in target.read_text("utf-8").splitlines()]


EXPECTED = pa.table(
    {
        "transaction_id": ["t1", "t2", "t3"],
        "timestamp": pa.array(
            [
                datetime(2024, 5, 1, 10),
                datetime(2024, 5, 1, 10, 0, 1, 250000),
                datetime(2024, 4, 1),
            ],
            pa.timestamp("us", tz="UTC"),
        ),
        "account_id": ["a1", "a2", "a1"],
        "counterparty_id": ["m1", "m2", None],
        "amount": [12.5, -3.0, 100.0],
        "category": ["food", None, "fuel"],
        "is_fraud": pa.array([0, 1, None], pa.int8()),
    }
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", delimited()),
        ("mark.csv", b"\xef\xbb\xbf" + delimited().encode()),
        ("windows.csv", delimited(end="\r\n")),
        ("semicolon.csv", delimited(delimiter=";")),
        ("tab.tsv", delimited(delimiter="\t")),
        ("pipe.txt", delimited(delimiter="|")),
        ("UPPER.CSV", delimited()),
        ("packed.csv.gz", gzip.compress(delimited().encode(), mtime=0)),
        ("packed.csv.bz2", bz2.compress(delimited().encode())),
        ("blank lines.csv", "\n" + delimited().replace("\n", "\n\n")),
        ("margins.csv", delimited().replace(",", " , ")),
        ("no last line end.csv", delimited().rstrip("\n")),
    ],
)
def test_delimited_text_of_any_kind(tmp_path: Path, name: str, content: str | bytes) -> None:
    read = read_transactions(written(tmp_path / name, content))
    assert read.table.equals(EXPECTED)
    assert read.report.rows_in == read.report.rows_used == 3


def test_json_lines_and_parquet_give_the_same_table(tmp_path: Path) -> None:
    records = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    records[0]["amount"] = 12.5  # type: ignore[assignment]
    records[1]["is_fraud"] = True  # type: ignore[assignment]
    del records[1]["category"]
    lines = "\n\n".join(json.dumps(record) for record in records)
    assert read_transactions(written(tmp_path / "a.jsonl", lines)).table.equals(EXPECTED)
    packed = written(tmp_path / "a.ndjson.gz", gzip.compress(lines.encode(), mtime=0))
    assert read_transactions(packed).table.equals(EXPECTED)
    pq.write_table(EXPECTED, tmp_path / "a.parquet", row_group_size=2)
    assert read_transactions(tmp_path / "a.parquet").table.equals(EXPECTED)


def test_a_declared_delimiter_and_encoding(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        load_recipe().model_dump() | {"delimiter": ":", "encoding": "utf-16"}
    )
    rows = [["t1", "2024-05-01", "ä", "m", "1", "", ""]]
    path = written(tmp_path / "a.txt", delimited(rows, ":").encode("utf-16"))
    assert read_transactions(path, recipe).table["account_id"].to_pylist() == ["ä"]


def test_columns_are_found_by_the_recipe_whatever_stands_between(tmp_path: Path) -> None:
    header = "amt,x,cc_num,x,trans_date_trans_time,merchant,category,unix_time"
    text = f"{header}\n5,,7,,2024-01-01,fraud_J,c,1\n"
    read = read_transactions(written(tmp_path / "a.csv", text), load_recipe("sparkov"))
    (row,) = read.table.to_pylist()
    assert (row["transaction_id"], row["counterparty_id"], row["amount"]) == ("2", "J", 5.0)
    assert read.report.unread == ["x", "x"]
    assert "transaction_id" in read.report.absent
    assert row["is_fraud"] is None


def test_the_quarantine_says_which_line_why_and_what_stood_there(tmp_path: Path) -> None:
    lines = delimited().splitlines()
    lines[2:2] = ["t9,2024-05-01,a1,m1,twelve,food,0", "", "too,few", ",,,,,,"]
    lines += ["t3,2024-05-01,a1,m1,1,food,0", ",".join(HEADER)]
    path = written(tmp_path / "a.csv", "\n".join(lines) + "\n\n")
    faults = faults_of(tmp_path, path)
    assert [(fault["line"], fault["reason"]) for fault in faults] == [
        (3, "amount_not_a_number"),
        (5, "line_field_count"),
        (6, "transaction_id_missing"),
        (9, "transaction_id_duplicate"),
        (10, "line_header_repeated"),
    ]
    assert faults[0]["sentence"] == "amount is not a number"
    assert (faults[0]["column"], faults[0]["value"]) == ("amount", "twelve")
    assert json.loads(faults[0]["row"])["transaction_id"] == "t9"
    assert faults[1]["value"] == "too,few"
    report = read_transactions(path, options=LENIENT).report
    assert (report.rows_in, report.rows_used, report.rows_quarantined) == (8, 3, 5)
    assert sum(report.reasons.values()) == 5


def test_the_quarantine_as_parquet_is_the_same(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", delimited([*ROWS, ["t4", "x", "a", "m", "1", "", ""]]))
    target = tmp_path / "quarantine.parquet"
    read_transactions(path, options=ReadOptions(target, max_bad_share=1.0))
    assert pq.read_table(target).to_pylist() == faults_of(tmp_path, path)


@pytest.mark.parametrize(
    ("quotes", "used", "eaten"),
    [(["t1,"], ["t0"], [3, 4, 5, 6, 7]), (["t1,", "t4,"], ["t0", "t5"], [3, 4, 5, 6])],
)
def test_lines_eaten_by_a_stray_quote_are_all_quarantined(
    tmp_path: Path, quotes: list[str], used: list[str], eaten: list[int]
) -> None:
    text = delimited([[f"t{at}", "2024-05-01", "a", "m", "1", "c", "0"] for at in range(6)])
    for each in quotes:
        text = text.replace(each, f'{each}"' if len(quotes) == 1 else f'"{each}')
    path = written(tmp_path / "a.csv", text)
    assert read_transactions(path, options=LENIENT).table["transaction_id"].to_pylist() == used
    faults = faults_of(tmp_path, path)
    assert [fault["line"] for fault in faults] == eaten
    assert {fault["reason"] for fault in faults} == {"line_unclosed_quote"}


def test_bytes_that_are_not_text_are_quarantined_with_their_row(tmp_path: Path) -> None:
    content = delimited().encode().replace(b"m2", b"caf\xe9") + b"t4,\xff\n"
    faults = faults_of(tmp_path, written(tmp_path / "a.csv", content))
    assert [(fault["line"], fault["reason"]) for fault in faults] == [
        (3, "line_not_text"),
        (5, "line_field_count"),
    ]
    assert json.loads(faults[0]["row"])["counterparty_id"] == r"caf\xe9"


def test_json_lines_that_are_not_objects_are_quarantined(tmp_path: Path) -> None:
    good = json.dumps(dict(zip(HEADER, ROWS[0], strict=True)))
    lines = [good, "", "[1]", "{", good.replace("t1", "t2").replace("12.5", "[1]"), "\xff"]
    content = "\n".join(lines).encode("latin-1")
    faults = faults_of(tmp_path, written(tmp_path / "a.jsonl", content))
    assert [(fault["line"], fault["reason"]) for fault in faults] == [
        (3, "line_not_json"),
        (4, "line_not_json"),
        (5, "amount_not_a_number"),
        (6, "line_not_text"),
    ]


def test_row_numbers_as_identifiers_do_not_depend_on_bad_rows(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        load_recipe().model_dump() | {"transaction_id": {"from_row": True}}
    )
    rows = [row[:] for row in ROWS]
    rows[1][4] = "x"
    path = written(tmp_path / "a.csv", delimited(rows))
    assert read_transactions(path, recipe, LENIENT).table["transaction_id"].to_pylist() == [
        "2",
        "4",
    ]


def test_the_report_counts_and_prints(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", delimited([*ROWS, ["t4", "", "a", "m", "1", "", ""]]))
    report = read_transactions(path, options=LENIENT).report
    figures = report.to_dict()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["reasons"] == {"timestamp_missing": 1}
    assert (figures["accounts"], figures["counterparties"]) == (2, 2)
    assert figures["first_timestamp"] == "2024-04-01T00:00:00+00:00"
    assert figures["last_timestamp"] == "2024-05-01T10:00:01.250000+00:00"
    assert figures["labelled_share"] == pytest.approx(2 / 3)
    assert figures["fraud_share"] == pytest.approx(1 / 2)
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(report.table())
    printed = console.export_text()
    assert re.search(r"rows quarantined .* 1 ", printed)
    assert "timestamp_missing" in printed


def test_the_fingerprint_knows_values_and_not_chunks() -> None:
    known = fingerprint(EXPECTED)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", known)
    chunked = pa.concat_tables([EXPECTED.slice(0, 1), EXPECTED.slice(1, 2)])
    assert fingerprint(chunked) == known
    others = [
        EXPECTED.slice(0, 2),
        EXPECTED.take([1, 0, 2]),
        EXPECTED.rename_columns(["id", *HEADER[1:]]),
        EXPECTED.set_column(4, "amount", pa.array([12.5, -3.0, None])),
        EXPECTED.set_column(4, "amount", pa.array([12.5, -3.0, 100.5])),
        EXPECTED.set_column(0, "transaction_id", pa.array(["t", "1t2", "t3"])),
        EXPECTED.set_column(5, "category", pa.array(["food", "", "fuel"])),
        EXPECTED.set_column(6, "is_fraud", pa.array([0, 1, 0], pa.int8())),
    ]
    assert len({known, *map(fingerprint, others)}) == len(others) + 1


def naive(content: str, delimiter: str) -> tuple[list[dict[str, Any]], int]:
    """The good rows and the number of bad ones, row by row."""
    used: list[dict[str, Any]] = []
    bad = 0
    for fields in list(csv.reader(io.StringIO(content), delimiter=delimiter))[1:]:
        if not fields:
            continue
        row = naive_row([field.strip() for field in fields])
        if row is None or any(row["transaction_id"] == other["transaction_id"] for other in used):
            bad += 1
        else:
            used.append(row)
    return used, bad


def naive_row(fields: list[str]) -> dict[str, Any] | None:
    if len(fields) != len(HEADER):
        return None
    row: dict[str, Any] = {name: field or None for name, field in zip(HEADER, fields, strict=True)}
    for name in ("transaction_id", "account_id", "counterparty_id"):
        if re.fullmatch(r"\d+(\.\d+)?[eE]\+\d+|\d+\.0", row[name] or ""):
            return None
    if not row["transaction_id"] or not row["account_id"]:
        return None
    try:
        row["amount"] = float(row["amount"] or "")
        moment = datetime.fromisoformat(row["timestamp"] or "")
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not datetime(1970, 1, 1, tzinfo=UTC) <= moment <= NOW + timedelta(days=1):
        return None
    row["timestamp"] = moment.astimezone(UTC)
    labels = {"": None, "0": 0, "1": 1, "true": 1, "false": 0}
    label = (row["is_fraud"] or "").lower()
    if not abs(row["amount"]) <= float(np.finfo(np.float32).max) or label not in labels:
        return None
    row["is_fraud"] = labels[label]
    return row


MOMENTS = st.datetimes(datetime(1960, 1, 1), datetime(2026, 1, 1))
VALUES: dict[str, st.SearchStrategy[str]] = {
    "transaction_id": st.sampled_from(["", "x", "y", " x", "2.70E+15"]) | st.uuids().map(str),
    "timestamp": st.sampled_from(
        [
            "2023-02-29 10:00:00", "2024-02-29", "2024-02-29T10:00:00Z", "yesterday", "", "2024",
            "2024-05-31 23:30:00-02:00", "2024-05-01T10:00:00.123456+00:30", "2024-04-31 00:00:00",
            "1969-12-31 23:59:59.999999", "1970-01-01", "2024-06-02 12:00", "2024-06-02 12:00:01",
            "9999-12-31 00:00:00", "2024-05-01 24:30:00", "2024-05-01 10:61", "timestamp",
        ]
    )
    | MOMENTS.map(lambda moment: moment.isoformat(" ")),
    "account_id": st.sampled_from(["a", "b", " a ", "", "1.5E+09", "ä;b", "c,d", "e|f"]),
    "counterparty_id": st.sampled_from(["m", "", "12.0", 'n"o', "fraud_x"]),
    "amount": st.sampled_from(
        ["", "abc", "nan", "-inf", "1,5", "0x1", " 2 ", "-7", "+1", ".5", "5.", "1e400", "amount"]
    )
    | st.floats().map(repr),
    "category": st.sampled_from(["food", "", "NA", "null", "x\ty"]),
    "is_fraud": st.sampled_from(["0", "1", "", "True", "false", "2", "no", "1.5"]),
}  # fmt: skip
ROW = st.tuples(*(VALUES[name] for name in HEADER)).map(list)
GOOD_ROW = st.uuids().map(lambda each: [str(each), *ROWS[0][1:]])
RECORD: st.SearchStrategy[list[str]] = (
    GOOD_ROW
    | ROW
    | ROW.map(lambda row: row[:-1])
    | ROW.map(lambda row: [*row, "more"])
    | st.just(HEADER)
    | st.just([])
    | st.just([""] * len(HEADER))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.lists(RECORD, min_size=1, max_size=30), st.sampled_from(",;\t|"), st.booleans())
@example([HEADER, [], [""] * 7, ROWS[0], ROWS[0]], ",", True)
def test_any_table_is_read_as_a_naive_reader_reads_it(
    tmp_path: Path, records: list[list[str]], delimiter: str, quoted: bool
) -> None:
    content = delimited(records, delimiter, quoted=quoted)
    used, bad = naive(content, delimiter)
    path = written(tmp_path / "a.csv", content)
    if not used:
        with pytest.raises(InputError, match=f"{bad} of {bad} rows" if bad else "holds no rows"):
            read_transactions(path, options=LENIENT)
        return
    read = read_transactions(path, options=LENIENT)
    assert read.table.to_pylist() == used
    report = read.report
    assert (report.rows_used, report.rows_quarantined) == (len(used), bad)
    assert report.rows_in == report.rows_used + report.rows_quarantined
    assert sum(report.reasons.values()) == bad


def shared(name: str, recipe: str) -> Transactions:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not there")
    return read_transactions(SHARED / name, load_recipe(recipe))


@pytest.mark.data
def test_every_row_of_the_handbook_is_used_unchanged() -> None:
    read = shared("handbook.parquet", "handbook")
    assert read.report.rows_in == read.report.rows_used == len(read.table) == 1_754_155
    assert (read.report.accounts, read.report.counterparties) == (4_990, 10_000)
    assert read.report.unread == []
    source = pq.read_table(SHARED / "handbook.parquet")
    for name in ("transaction_id", "account_id", "counterparty_id"):
        assert pc.all(pc.equal(read.table[name].cast(pa.int64()), source[name])).as_py()
    for name in ("amount", "is_fraud"):
        assert read.table[name].equals(source[name])
    assert read.table["timestamp"].cast(pa.int64()).equals(source["timestamp"].cast(pa.int64()))
    assert read.table["fraud_kind"].cast(pa.int8()).equals(source["fraud_scenario"])


@pytest.mark.data
def test_every_row_of_sparkov_is_used_and_has_an_identifier() -> None:
    read = shared("sparkov_regenerated.parquet", "sparkov")
    assert read.report.rows_in == read.report.rows_used == 1_719_711
    assert read.report.fraud_share == pytest.approx(0.00542, abs=5e-6)
    assert read.table["transaction_id"].slice(0, 2).to_pylist() == ["1", "2"]
    assert not pc.any(pc.starts_with(read.table["counterparty_id"], "fraud_")).as_py()


@pytest.mark.data
def test_cards_that_the_sparkov_pieces_lost_are_quarantined() -> None:
    read = shared("sparkov_fragments.parquet", "sparkov")
    source = pq.read_table(SHARED / "sparkov_fragments.parquet")
    assert read.report.reasons == {"account_id_missing": source["cc_num"].null_count}
    assert read.report.rows_in == len(source)
    kept = source.filter(pc.is_valid(source["cc_num"]))
    assert read.table["transaction_id"].to_pylist() == kept["trans_num"].to_pylist()
    assert read.table["city_pop"].to_pylist() == kept["city_pop"].to_pylist()
