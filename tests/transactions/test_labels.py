"""Labels from elsewhere take the place of a source's own; against a loop over dictionaries."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.transactions.labels import SCHEMA, Labels
from fraudnet.transactions.untrusted import guarded, unguarded
from fraudnet.transactions.writing import write_transactions

START = datetime(2024, 5, 1, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {"transaction_id": f"t{n}", "timestamp": START + timedelta(hours=n), "is_fraud": own}
    for n, own in enumerate([0, 1, None, 0, 1, None])
]
GIVEN: list[tuple[str, int, datetime]] = [
    ("t0", 1, START + timedelta(days=3)),  # the source says 0
    ("t1", 0, START + timedelta(days=9)),  # and the later one agrees with the source
    ("t1", 1, START + timedelta(days=10, microseconds=5)),
    ("t2", 1, START + timedelta(days=2)),  # the source says nothing
    ("=cmd()", 1, START + timedelta(days=2)),  # not the source's
    ("t4", 1, START + timedelta(days=5)),
    ("t4", 1, START + timedelta(days=4)),
]


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    types = {"timestamp": pa.timestamp("us", "UTC"), "is_fraud": pa.int8()}
    return pa.table(
        {name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]}
    )


def write(path: Path, given: list[tuple[Any, ...]]) -> Path:
    columns = [list(column) for column in zip(*given, strict=True)]
    table = pa.table(dict(zip(SCHEMA.names, columns, strict=True)), SCHEMA)
    write_transactions(guarded(table) if ".csv" in path.name else table, path)
    return path


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "jsonl"])
@pytest.mark.parametrize("own_times", [False, True])
def test_labels_take_the_place_of_the_sources_own(
    tmp_path: Path, ending: str, own_times: bool
) -> None:
    labels = Labels(write(tmp_path / f"labels.{ending}", GIVEN))
    own = START + timedelta(days=1)
    rows = [{**row, **({"label_time": own} if own_times else {})} for row in ROWS]
    pieces = [labels.put_on(table_of(rows[:2])), labels.put_on(table_of(rows[2:]))]
    newest = {name: (label, time) for name, label, time in sorted(GIVEN, key=lambda g: g[2])}
    for row, found in zip(rows, pa.concat_tables(pieces).to_pylist(), strict=True):
        kept = (row["is_fraud"], row.get("label_time"))
        expected = newest.get(row["transaction_id"], kept)
        assert (found["is_fraud"], found["label_time"]) == expected
    report = labels.report()
    assert (report.labels, report.unknown, report.conflicting) == (5, 1, 1)
    assert (report.changed, report.added) == (1, 1)
    assert "5 labels: 4 of known transactions (1 had none, 1 said otherwise), 1 of" in report.line()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("l.xlsx", "", "unknown ending; give labels as one of .csv"),
        ("l.csv", "", "cannot be read as labels"),
        ("l.csv", "transaction_id,is_fraud\nt0,1\n", "cannot be read as labels .*label_time"),
        ("l.csv", "transaction_id,is_fraud,label_time\nt0,2,2024-05-09T00:00:00Z\n", "is_fraud 2"),
        ("l.csv", "transaction_id,is_fraud,label_time\nt0,,2024-05-09T00:00:00Z\n", "no is_fraud"),
        ("l.csv", "transaction_id,is_fraud,label_time\nt0,1,\n", "row 1: no label_time"),
        ("l.csv", "transaction_id,is_fraud,label_time\nt0,1,soon\n", "cannot be read as labels"),
        ("l.parquet", "PAR1", "cannot be read as labels"),
        ("l.jsonl", "{", "cannot be read as labels"),
        ("l.jsonl", '{"transaction_id": "t0", "is_fraud": 1}\n', "row 1: no label_time"),
    ],
)
def test_files_that_are_no_labels(tmp_path: Path, name: str, content: str, problem: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=problem) as caught:
        Labels(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"no such file|unknown ending"):
        Labels(tmp_path / f"none-{name}")


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_rows_that_name_no_transaction_are_set_aside_and_counted(
    tmp_path: Path, ending: str
) -> None:
    unnamed: list[str | None] = ["", "  ", *([] if ending == "csv" else [None])]
    rows = [(name, 1, START) for name in unnamed]
    labels = Labels(write(tmp_path / f"l.{ending}", [*rows, *GIVEN]))
    labels.put_on(table_of(ROWS))
    report = labels.report()
    assert (report.labels, report.unknown, report.unnamed) == (5, 1, len(unnamed))
    assert f"; {len(unnamed)} rows without a transaction_id left out" in report.line()
    only = Labels(write(tmp_path / f"only.{ending}", rows)).report()
    assert (only.labels, only.unknown, only.unnamed) == (0, 0, len(unnamed))
    assert "without" not in Labels(write(tmp_path / f"all.{ending}", GIVEN)).report().line()


def test_a_label_before_its_transaction_is_refused(tmp_path: Path) -> None:
    labels = Labels(write(tmp_path / "l.csv", [("t3", 1, START)]))
    with pytest.raises(InputError, match="label_time of transaction 't3' is before"):
        labels.put_on(table_of(ROWS))


TEXTS = st.text(st.sampled_from("=+-@\t\r\n'a \"<,"), max_size=6)


@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_no_cell_is_a_formula_and_the_guard_comes_off(texts: list[str]) -> None:
    table = pa.table({"note": texts, "amount": [-1.0] * len(texts)})
    shown = guarded(table)
    assert not any(text[:1] in set("=+-@\t\r\n") for text in shown["note"].to_pylist() if text)
    assert shown["amount"].equals(table["amount"])
    assert unguarded(shown).equals(table)


def test_a_csv_keeps_the_guard(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", GIVEN)
    with path.open(newline="") as file:
        assert [row[0] for row in csv.reader(file)][5] == "'=cmd()"
