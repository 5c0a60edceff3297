"""Files from the database: against its own queue, and what a spreadsheet would make of them."""

import csv
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.erasure import forget_account
from fraudnet.review.exporting import export_cases, export_labels, labels
from fraudnet.review.importing import add_flags
from fraudnet.review.verdicts import record_verdict, undo_verdict
from fraudnet.transactions.labels import Labels
from tests.review.conftest import HOSTILE, START_US, both
from tests.review.test_importing import flag

MOMENT_US = 1_800_000_000_000_000


@both
def test_labels_are_what_the_verdicts_in_force_say(source: str) -> None:
    database = CaseDatabase(source, create=True)
    chosen = flag(0, "e", reason="random", inclusion_probability=0.25)
    add_flags(database, "phone", [flag(1, "a"), *(flag(0, each) for each in "abcdf"), chosen])
    a, b, c, d, e, _ = list_cases(database).sort_values("account_id")["case_id"]
    record_verdict(database, a, "false_positive", "ana", now_us=MOMENT_US - 5)
    record_verdict(database, a, "confirmed_fraud", "ben", kind="theft", now_us=MOMENT_US)
    record_verdict(database, b, "false_positive", "ana", now_us=MOMENT_US + 1)
    record_verdict(database, c, "suspicious", "ana")
    record_verdict(database, d, "confirmed_fraud", "ana")
    undo_verdict(database, d, "ana")
    record_verdict(database, e, "false_positive", "ana", now_us=MOMENT_US + 2)
    found = labels(database)
    rows = found.drop(columns=["label_time", "case_id"]).to_numpy().tolist()
    assert rows == [
        ["a-0", 1, "theft", 2, "flagged", 1.0],
        ["a-1", 1, "theft", 2, "flagged", 1.0],
        ["b-0", 0, "", 1, "flagged", 1.0],
        ["e-0", 0, "", 1, "random", 0.25],
    ]
    moments = [MOMENT_US, MOMENT_US, MOMENT_US + 1, MOMENT_US + 2]
    assert found["label_time"].tolist() == [pd.Timestamp(m, unit="us", tz="UTC") for m in moments]


def test_what_a_verdict_does_not_cover_has_no_label(empty: CaseDatabase) -> None:
    add_flags(empty, "phone", [flag(0), flag(1)])
    record_verdict(empty, 1, "confirmed_fraud", "ana", transaction_ids=["a-1"])
    assert labels(empty)["transaction_id"].tolist() == ["a-1"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_training_reads_what_the_review_writes(
    empty: CaseDatabase, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"labels.{ending}"
    export_labels(empty, path)
    assert Labels(path).report().labels == 0
    add_flags(empty, "phone", [flag(0, name="=1+1"), flag(0, "b"), flag(0, "c", name='c\n"0",')])
    for case_id in (1, 2, 3):
        record_verdict(empty, case_id, "confirmed_fraud", "ana", kind="by\nphone")
    assert len(export_labels(empty, path)) == 3
    read = Labels(path)
    assert read.report().labels == 3
    assert sorted(read._ids.to_pylist()) == ["=1+1", "b-0", 'c\n"0",']


@pytest.mark.parametrize("name", ["labels.json", "labels.jsonl.gz", "labels.CSV"])
def test_labels_that_training_would_not_read_are_not_written(
    empty: CaseDatabase, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match=r"give labels as one of .csv, .csv.gz, .parquet, .jsonl"):
        export_labels(empty, tmp_path / name)
    assert not any(tmp_path.glob("labels*"))


def test_cases_in_every_format(database: CaseDatabase, tmp_path: Path) -> None:
    record_verdict(database, 7, "confirmed_fraud", "ana", "=HYPERLINK(1)", kind="@theft")
    forget_account(database, "a-4")
    for ending in ("csv", "CSV", "parquet", "json", "JSON", "jsonl"):
        assert export_cases(database, tmp_path / f"cases.{ending}") == 30
    table = pq.read_table(tmp_path / "cases.parquet")
    rows = table.to_pylist()
    queue = list_cases(database).set_index("case_id")
    for row in rows:
        listed = queue.loc[row["case_id"]]
        assert row["verdict"] == listed["verdict"]
        assert row["account_id"] == listed["account_id"]
        if row["account_id"] is None:
            assert row["erased_at"] is not None
            assert row["transaction_id"] is None
        else:
            assert row["amount"] == listed["amount"]
    assert {row["note"] for row in rows} >= {"=HYPERLINK(1)"}
    as_json = json.loads((tmp_path / "cases.json").read_text())
    assert [row["counterparty_id"] for row in as_json] == [row["counterparty_id"] for row in rows]
    assert [pd.Timestamp(row["opened_at"]) if row["opened_at"] else None for row in as_json] == [
        row["opened_at"] for row in rows
    ]
    lines = (tmp_path / "cases.jsonl").read_text().splitlines()
    assert len(lines) == 30
    with (tmp_path / "cases.csv").open(newline="") as file:
        in_csv = list(csv.DictReader(file))
    assert (tmp_path / "cases.CSV").read_bytes() == (tmp_path / "cases.csv").read_bytes()
    assert {row["note"] for row in in_csv} >= {"'=HYPERLINK(1)"}
    assert {row["kind"] for row in in_csv} >= {"'@theft"}
    assert {row["counterparty_id"] for row in in_csv} >= {"'=cmd()", HOSTILE[0]}
    assert not any(v[:1] in set("=+@\t\r") for row in in_csv for v in row.values() if v)


def test_a_file_that_cannot_be_written(database: CaseDatabase, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one of .*\.json,"):
        export_cases(database, tmp_path / "cases.xlsx")
    for name in ("cases.json", "cases.csv"):
        with pytest.raises(InputError, match="cannot be written"):
            export_cases(database, tmp_path / "no" / name)


@both
def test_a_clock_that_was_set_back_gives_no_label_before_its_transaction(
    source: str, tmp_path: Path
) -> None:
    """Training would refuse the whole file."""
    database = CaseDatabase(source, create=True)
    add_flags(database, "phone", [flag(0)])
    record_verdict(database, 1, "confirmed_fraud", "ana", now_us=START_US - 1)
    (moment,) = export_labels(database, tmp_path / "labels.parquet")["label_time"]
    assert moment == pd.Timestamp(START_US * 1000, tz="UTC")
    row = {"transaction_id": "a-0", "timestamp": moment.to_pydatetime(), "is_fraud": 0}
    table = pa.Table.from_pylist([row])
    assert Labels(tmp_path / "labels.parquet").put_on(table)["is_fraud"].to_pylist() == [1]


@both
def test_a_queue_without_cases_has_the_columns_of_a_full_one(source: str, tmp_path: Path) -> None:
    database = CaseDatabase(source, create=True)
    schemas = []
    for rows in (0, 1):
        for ending in ("csv", "csv.gz", "parquet", "json", "jsonl", "jsonl.gz"):
            assert export_cases(database, tmp_path / f"{rows}.{ending}") == rows
        schemas.append(pq.read_schema(tmp_path / f"{rows}.parquet"))
        add_flags(database, "phone", [flag(0)])
    assert schemas[0].equals(schemas[1], check_metadata=False)
    heads = [(tmp_path / f"{rows}.csv").read_text().splitlines()[0] for rows in (0, 1)]
    assert heads[0] == heads[1]
    assert json.loads((tmp_path / "0.json").read_text()) == []
