import csv
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from fraudnet.errors import InputError
from fraudnet.transactions.writing import write_transactions

NOON = datetime(2025, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOON_TEXT = "2025-03-01T12:00:00.250000Z"


def table() -> pa.Table:
    return pa.table(
        {
            "transaction_id": ["t1", "t2", "t,3"],
            "timestamp": pa.array([NOON, None, NOON], pa.timestamp("us", "UTC")),
            "amount": [10.5, 0.01, None],
            "category": pa.array(["fuel", None, 'say "é"']).dictionary_encode(),
            "is_fraud": pa.array([1, None, 0], pa.int8()),
        }
    )


EXPECTED = [
    ("t1", NOON_TEXT, 10.5, "fuel", 1),
    ("t2", None, 0.01, None, None),
    ("t,3", NOON_TEXT, None, 'say "é"', 0),
]


def read_bytes(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
def test_csv_holds_every_value(tmp_path: Path, name: str) -> None:
    write_transactions(table(), tmp_path / name)
    written = tmp_path / name
    header, *rows = csv.reader(read_bytes(written).decode().splitlines())
    assert header == table().column_names
    assert rows == [["" if v is None else str(v) for v in row] for row in EXPECTED]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_json_lines_hold_every_value(tmp_path: Path, name: str) -> None:
    write_transactions(table(), tmp_path / name)
    rows = [json.loads(line) for line in read_bytes(tmp_path / name).decode().splitlines()]
    assert rows == [dict(zip(table().column_names, row, strict=True)) for row in EXPECTED]


def test_parquet_is_the_table(tmp_path: Path) -> None:
    write_transactions(table(), tmp_path / "a.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").equals(table())


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Zurich"])
def test_text_says_utc_whatever_the_column_says(
    tmp_path: Path, name: str, zone: str | None
) -> None:
    instants = pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us"))
    stamped = instants.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
    write_transactions(pa.table({"timestamp": stamped}), tmp_path / name)
    assert NOON_TEXT in (tmp_path / name).read_text()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_same_table_same_bytes_and_nothing_else(tmp_path: Path, name: str) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_transactions(table(), tmp_path / folder / name)
        assert [path.name for path in (tmp_path / folder).iterdir()] == [name]
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
def test_no_time_of_writing_in_gzip(tmp_path: Path, name: str) -> None:
    write_transactions(table(), tmp_path / name)
    assert (tmp_path / name).read_bytes()[4:8] == bytes(4)


def test_an_old_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old\n" * 1000)
    write_transactions(table(), path)
    assert "old" not in path.read_text()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_failure_leaves_the_old_file(tmp_path: Path, number: float) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old\n")
    with pytest.raises(InputError, match="column 'amount' holds NaN or infinity"):
        write_transactions(pa.table({"amount": [1.0, None, number]}), path)
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.gz", "csv"])
def test_an_unknown_extension_names_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"\.parquet, \.csv, \.csv\.gz, \.jsonl, \.jsonl\.gz"):
        write_transactions(table(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere/a\.csv: cannot be written: No such file"):
        write_transactions(table(), tmp_path / "nowhere" / "a.csv")


def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(InputError, match=r"a\.csv: cannot be written"):
        write_transactions(table(), tmp_path / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
