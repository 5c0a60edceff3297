"""Rows that are good and rows that are not, in every format."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.device import DeviceInputError, Transaction, TransactionError, parse_transaction
from fraudnet.device.reading import Row, read_rows

KINDS = {"category": "categorical", "distance": "numeric"}
GOOD: dict[str, object] = {
    "transaction_id": "t1",
    "timestamp": "2025-03-31T12:00:00.000250Z",
    "account_id": "a",
    "counterparty_id": "m",
    "amount": 12.5,
    "category": "food",
    "distance": 3.25,
    "city": "Ghent",
}
EXPECTED = Transaction(
    transaction_id="t1",
    account_id="a",
    timestamp_us=1_743_422_400_000_250,
    counterparty_id="m",
    amount=12.5,
    columns={"category": "food", "distance": 3.25, "city": "Ghent"},
)


def read(path: Path, content: bytes) -> list[Row]:
    path.write_bytes(content)
    return list(read_rows(path, KINDS))


def csv_text(*rows: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


LINE = json.dumps(GOOD)
TABLE = csv_text(list(GOOD), list(GOOD.values()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.jsonl", LINE.encode()),
        ("t.ndjson", f"\n{LINE}\r\n\n".encode()),
        ("t.JSONL.gz", gzip.compress(LINE.encode(), mtime=0)),
        ("t.csv", TABLE.encode()),
        ("t.v2.csv", b"\xef\xbb\xbf" + TABLE.replace("\r", "").encode()),
        ("t.csv.gz", gzip.compress(TABLE.encode(), mtime=0)),
    ],
)
def test_every_format_gives_the_same(tmp_path: Path, name: str, content: bytes) -> None:
    assert [row.transaction() for row in read(tmp_path / name, content)] == [EXPECTED]


@given(
    moment=st.datetimes(
        min_value=datetime(1970, 1, 3),
        max_value=datetime(2025, 1, 1),
        timezones=st.integers(-1439, 1439).map(lambda n: timezone(timedelta(minutes=n))),
    )
)
def test_timestamps_are_exact(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    expected_us = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
    assert parse_transaction(GOOD | {"timestamp": moment.isoformat()}, {}).timestamp_us == (
        expected_us
    )


def test_values_that_are_let_through() -> None:
    changes: dict[str, object] = {
        "transaction_id": 17, "timestamp": "2025-03-31 12:00:00", "counterparty_id": "",
        "amount": -3, "category": 5411, "distance": None, "card_present": True, "is_fraud": 1,
        "label_time": "2025-04-07",
    }  # fmt: skip
    parsed = parse_transaction(GOOD | changes, KINDS)
    assert parsed.transaction_id == "17"
    assert parsed.timestamp_us == EXPECTED.timestamp_us - 250
    assert parsed.counterparty_id is None
    assert parsed.amount == -3.0
    assert parsed.columns == {
        "category": "5411", "distance": None, "city": "Ghent", "card_present": True
    }  # fmt: skip
    soon = (datetime.now(UTC) + timedelta(hours=23)).isoformat()
    assert parse_transaction(GOOD | {"timestamp": soon}, KINDS).timestamp_us > 0


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("amount", "12.5", "amount is '12.5'; expected a finite number"),
        ("amount", None, "amount is null"),
        ("amount", True, "amount is True"),
        ("amount", 1e39, "amount is 1e+39"),
        ("amount", 10**400, "amount is 1000"),
        ("amount", float("inf"), "Infinity is no JSON number"),
        ("amount", float("nan"), "NaN is no JSON number"),
        ("distance", "far", "distance is 'far'"),
        ("category", 1.5, "category is 1.5; expected text"),
        ("city", ["Ghent"], "city is ['Ghent']; expected text"),
        ("city", "\ud800", "expected text in UTF-8"),
        ("ci\nty", [], r"'ci\nty' is []; expected text"),
        ("transaction_id", "", "transaction_id is empty"),
        ("account_id", None, "account_id is empty"),
        ("counterparty_id", 1.5, "counterparty_id is 1.5; expected text"),
        ("timestamp", 1743422400, "timestamp is 1743422400; expected ISO 8601"),
        ("timestamp", "0001-01-01", "timestamp is '0001-01-01'; expected 1970 or later"),
        ("timestamp", "31/03/2025", "timestamp is '31/03/2025'; expected ISO 8601"),
    ],
)
def test_bad_value_in_json(tmp_path: Path, key: str, value: object, reason: str) -> None:
    lines = [LINE, json.dumps(GOOD | {key: value}), LINE]
    first, bad, last = read(tmp_path / "t.jsonl", "\n".join(lines).encode())
    assert first.transaction() == last.transaction() == EXPECTED
    assert (bad.line, bad.content) == (2, lines[1])
    with pytest.raises(TransactionError) as caught:
        bad.transaction()
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[1, 2]", "expected a JSON object"),
        (b'"text"', "expected a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (LINE.encode().replace(b"Ghent", b"Gh\0nt"), "not JSON (Invalid control character"),
        (LINE.encode().replace(b"{", b'{"amount": 1, ', 1), "key 'amount' is there twice"),
        (LINE.encode().replace(b"12.5", b"1e999"), "amount is inf"),
        (LINE.encode().replace(b'"Ghent"', b"-1e999"), "city is -inf"),
        (LINE.encode().replace(b"Ghent", b"Li\xe8ge"), "expected text in UTF-8"),
        *(
            (json.dumps({k: v for k, v in GOOD.items() if k != key}).encode(), f"key '{key}'")
            for key in GOOD
            if key != "city"
        ),
    ],
)
def test_bad_line_of_json(tmp_path: Path, line: bytes, reason: str) -> None:
    rows = read(tmp_path / "t.jsonl", b"\n" + line + b"\n" + LINE.encode())
    assert [row.line for row in rows] == [2, 3]
    assert rows[1].transaction() == EXPECTED
    with pytest.raises(TransactionError) as caught:
        rows[0].transaction()
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("12.5", "abc", "amount is 'abc'"),
        ("12.5", "", "amount is null"),
        ("12.5", "nan", "amount is nan"),
        ("12.5", "1_000", "amount is '1_000'"),
        ("3.25", "far", "distance is 'far'"),
        ("Ghent", "Ghent,more", "9 cells; expected 8"),
        (",Ghent", "", "7 cells; expected 8"),
        ("food", '"food" and more', "not CSV"),
        ("Ghent", "x" * 200_000, "not CSV"),
        ("Ghent", "Gh\0nt", "holds a NUL byte"),
    ],
)
def test_bad_row_of_csv(tmp_path: Path, old: str, new: str, reason: str) -> None:
    header, row = TABLE.splitlines()
    content = "\r\n".join([header, row, row.replace(old, new), "", row])
    first, bad, last = read(tmp_path / "t.csv", content.encode())
    assert first.transaction() == last.transaction() == EXPECTED
    assert (first.line, bad.line, last.line) == (2, 3, 5)
    with pytest.raises(TransactionError) as caught:
        bad.transaction()
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.csv", b"", "empty; expected a CSV header"),
        ("t.csv", TABLE.replace("amount", "value").encode(), "no column amount; found 'transact"),
        ("t.csv", TABLE.replace("city", "amount").encode(), "column amount is there twice"),
        ("t.csv", b"\x00\x01\x02" * 99, "binary"),
        ("t.csv", gzip.compress(TABLE.encode(), mtime=0), "binary|no column"),
        ("t.csv.gz", TABLE.encode(), "damaged gzip"),
        ("t.csv.gz", gzip.compress(TABLE.encode(), mtime=0)[:-9], "damaged gzip"),
        ("t.csv", TABLE.replace(",", ";").encode(), "separated by ';', expected commas"),
        ("t.csv", TABLE.replace(",", "\t").encode(), "separated by '.t', expected commas"),
        ("t.csv", TABLE.encode("utf-16-le"), "binary"),
        ("t.jsonl", LINE.encode("utf-16"), "binary"),
        ("t.jsonl", LINE.encode("utf-16-le"), "binary"),
        ("t.jsonl", bytes(4096), "binary"),
        ("t.parquet", b"PAR1", "expected a name that ends in .jsonl"),
        ("t", b"", "expected a name that ends in .jsonl"),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(DeviceInputError, match=reason) as caught:
        read(tmp_path / name, content)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert str(caught.value).isprintable()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DeviceInputError, match="No such file"):
        list(read_rows(tmp_path / "none.csv", KINDS))
