"""A source read in many small pieces gives what it gives in one."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.transactions.reading import Reading, ReadOptions, read_transactions
from fraudnet.transactions.recipe import Recipe, load_recipe
from fraudnet.transactions.report import QualityReport
from fraudnet.transactions.seen import SeenIds
from fraudnet.transactions.sources import delimited, json_lines, parquet

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
HEADER = [
    "transaction_id",
    "timestamp",
    "account_id",
    "counterparty_id",
    "amount",
    "category",
    "is_fraud",
]
GOOD = ["", "2024-05-01 10:00:00", "a1", "m1", "1.5", "food", "0"]
PER_EXAMPLE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None
)
PLACES = count()


@dataclass(frozen=True)
class Outcome:
    """All that reading gives."""

    table: pa.Table
    report: QualityReport
    quarantine: list[dict[str, Any]]


def read(path: Path, recipe: Recipe | None = None) -> Outcome | str:
    """Reads a source wholly; a refusal is its message."""
    target = path.parent / "quarantine.jsonl"
    try:
        whole = read_transactions(path, recipe, ReadOptions(target, max_bad_share=1.0, now=NOW))
    except InputError as error:
        return str(error)
    quarantine = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    report = whole.report
    assert report.rows_in == report.rows_used + report.rows_quarantined
    assert (report.rows_used, report.rows_quarantined) == (len(whole.table), len(quarantine))
    return Outcome(whole.table.combine_chunks(), report, quarantine)


@contextmanager
def pieces_of(module: ModuleType, name: str, size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, size)
        yield


def place(folder: Path, name: str, content: str) -> Path:
    """A file of its own for every example."""
    own = folder / str(next(PLACES))
    own.mkdir()
    path = own / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    return path


VALUES: dict[str, st.SearchStrategy[str]] = {
    "transaction_id": st.integers(0, 40).map(lambda at: f"t{at}") | st.sampled_from(["", "1E+9"]),
    "timestamp": st.sampled_from([GOOD[1], "2024-05-01", "soon", "", "2023-02-29", "1969-12-31"]),
    "account_id": st.sampled_from(["a1", "a2", "", "a\0", "füße", "caf\udce9"]),
    "counterparty_id": st.sampled_from(["m1", "", "12.0"]),
    "amount": st.sampled_from(["1.5", "-3", "x", "", "nan", "amount"]),
    "category": st.sampled_from(
        ["food", "", "a,b", 'say "no"', "two\nlines", "\n\n", "one\r\ntwo"]
    ),
    "is_fraud": st.sampled_from(["0", "1", "", "2"]),
}
ROW = st.tuples(*(VALUES[name] for name in HEADER)).map(list)
GOOD_ROW = st.integers(0, 10**6).map(lambda at: [f"t{at}", *GOOD[1:]])
RECORD: st.SearchStrategy[list[str]] = (
    GOOD_ROW
    | ROW
    | ROW.map(lambda row: row[:-1])
    | ROW.map(lambda row: [*row, "more"])
    | st.sampled_from([[], [""] * 7, HEADER, ["one"], ["two\nlines"]])
)


def delimited_text(records: list[list[str]], end: str, *, quoted: bool = False) -> str:
    text = io.StringIO()
    quoting: Any = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=end, quoting=quoting).writerows([HEADER, *records])
    return text.getvalue()


@PER_EXAMPLE
@given(
    st.lists(RECORD, max_size=40),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.integers(200, 1500),
)
@example([["t1", *GOOD[1:5], "two\nlines", "0"], ["t2", *GOOD[1:]]] * 6, "\n", False, 200)
@example([["t1", *GOOD[1:]], ["one"], [], ["t2", *GOOD[1:]], ["one"]] * 6, "\r\n", False, 200)
@example([["t1", *GOOD[1:]], ["one"], [], ["t2", *GOOD[1:]], ["one"]] * 6, "\r", False, 200)
def test_delimited_text_in_pieces(
    tmp_path: Path, records: list[list[str]], end: str, quoted: bool, size: int
) -> None:
    path = place(tmp_path, "a.csv", delimited_text(records, end, quoted=quoted))
    whole = read(path)
    with pieces_of(delimited, "BLOCK_BYTES", size):
        assert read(path) == whole


STRAY = st.tuples(st.floats(0, 1), st.sampled_from(['"', ',"', '",', '\n"', '"\n', "\0", "\r"]))


@PER_EXAMPLE
@given(
    st.lists(GOOD_ROW, min_size=5, max_size=30),
    st.lists(STRAY, min_size=1, max_size=6),
    st.integers(200, 1500),
)
def test_delimited_text_with_stray_quotes_in_pieces(
    tmp_path: Path, rows: list[list[str]], strays: list[tuple[float, str]], size: int
) -> None:
    header, _, content = delimited_text(rows, "\n").partition("\n")
    for share, put in strays:
        at = int(share * len(content))
        content = content[:at] + put + content[at:]
    path = place(tmp_path, "a.csv", f"{header}\n{content}")
    whole = read(path)
    with pieces_of(delimited, "BLOCK_BYTES", size):
        pieces = read(path)
    if isinstance(pieces, str) and "a quote that is never closed" in pieces:
        assert longest_record(content) > size
    else:
        assert pieces == whole
    if isinstance(whole, Outcome):  # every line that holds more than a quote is accounted for
        lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        told = {fault["line"] for fault in whole.quarantine}
        assert len(told) == whole.report.rows_quarantined
        assert whole.report.rows_in >= sum(line.strip('"') != "" for line in lines)
        assert all(at in told for at, line in enumerate(lines, 2) if 0 < line.count(",") < 6)


def longest_record(content: str) -> int:
    """In characters, as the standard library takes them apart."""
    lines = content.splitlines(keepends=True)
    reader = csv.reader(iter(lines))
    ends = [0, *(reader.line_num for _ in reader)]
    return max(sum(map(len, lines[first:last])) for first, last in pairwise(ends))


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("put", ["\0", "x\0y", "caf\udce9"])
def test_a_zero_byte_harms_its_own_row_alone(tmp_path: Path, put: str, quoted: bool) -> None:
    # Arrow's parser looks at several bytes at once after a while, where values are long.
    rows = [[f"t{at}", GOOD[1], "a" * 30, "m" * 30, "1.5", f"{at}" * 9, "0"] for at in range(9000)]
    for row in rows[::500]:
        row[5] += put
    whole = read(place(tmp_path, "a.csv", delimited_text(rows, "\n", quoted=quoted)))
    assert isinstance(whole, Outcome)
    assert whole.report.reasons == {"line_not_text": 18}
    assert [fault["line"] for fault in whole.quarantine] == list(range(2, 9002, 500))


def test_a_quote_in_a_column_that_is_not_read_eats_no_row_unseen(tmp_path: Path) -> None:
    lines = [",".join([*HEADER, "note"])]
    lines += [",".join([f"t{at}", *GOOD[1:], "n"]) for at in range(9)]
    lines[3] += '"'  # within a value it is no more than a character
    lines[5] = lines[5][:-1] + '"n'
    lines[7] = lines[7][:-1] + 'n"'
    lines[9] = lines[9].replace("1.5", "x")
    whole = read(place(tmp_path, "a.csv", "\n".join(lines) + "\n"))
    assert isinstance(whole, Outcome)
    assert whole.table["transaction_id"].to_pylist() == ["t0", "t1", "t2", "t3", "t7"]
    assert [(fault["line"], fault["reason"]) for fault in whole.quarantine] == [
        (6, "line_unclosed_quote"),
        (7, "line_unclosed_quote"),
        (8, "line_unclosed_quote"),
        (10, "amount_not_a_number"),
    ]


JSON_VALUE = st.sampled_from([None, 0, 1, 1.5, True, "t1", "2024-05-01", "", [1], {"a": 1}, 1e400])
GOOD_OBJECT = st.integers(0, 10**6).map(
    lambda at: dict(zip(HEADER, [f"t{at}", *GOOD[1:]], strict=True))
)
JSON_LINE = (
    GOOD_OBJECT.map(json.dumps)
    | st.dictionaries(st.sampled_from([*HEADER, "place"]), JSON_VALUE).map(json.dumps)
    | st.sampled_from(["", "  ", "[1]", "{", "null", "{}", "\0", "\udce9", '{"amount": 1,}'])
)


@PER_EXAMPLE
@given(st.lists(JSON_LINE, max_size=40), st.sampled_from(["\n", "\r\n"]), st.integers(1, 20))
def test_json_lines_in_pieces(tmp_path: Path, lines: list[str], end: str, size: int) -> None:
    # All keys stand in the first line: a key counts as a column from where it is met.
    first = json.dumps(dict(zip(HEADER, ["first", *GOOD[1:]], strict=True)) | {"place": "p"})
    path = place(tmp_path, "a.jsonl", end.join([first, *lines]))
    whole = read(path)
    with pieces_of(json_lines, "_LINES", size):
        assert read(path) == whole


def test_keys_that_come_later_are_columns_from_there_on(tmp_path: Path) -> None:
    objects: list[dict[str, Any]] = [
        dict(zip(HEADER, [f"t{at}", *GOOD[1:]], strict=True)) for at in range(6)
    ]
    for at in range(3):
        del objects[at]["category"]
        objects[at + 3]["place"] = f"p{at}"
    path = place(tmp_path, "a.jsonl", "\n".join(map(json.dumps, objects)))
    with pieces_of(json_lines, "_LINES", 2):
        pieces = read(path)
    assert pieces == read(path)
    assert isinstance(pieces, Outcome)
    assert pieces.table["category"].to_pylist() == [None] * 3 + ["food"] * 3
    assert pieces.table["place"].to_pylist() == [None] * 3 + ["p0", "p1", "p2"]


def test_empty_objects_ahead_of_all_others_are_not_lost(tmp_path: Path) -> None:
    good = dict(zip(HEADER, ["t1", *GOOD[1:]], strict=True))
    path = place(tmp_path, "a.jsonl", f"{{}}\n{{}}\n{json.dumps(good)}\n")
    whole = read(path)
    assert isinstance(whole, Outcome)
    assert whole.report.reasons == {"transaction_id_missing": 2}
    with pieces_of(json_lines, "_LINES", 2):
        pieces = read(path)
    assert "there is no column 'transaction_id'" in str(pieces)


def parquet_rows(first: int, rows: int, **changes: object) -> pa.Table:
    columns: dict[str, Any] = {
        name: [value] * rows for name, value in zip(HEADER, GOOD, strict=True)
    }
    columns["transaction_id"] = [f"t{at}" for at in range(first, first + rows)]
    columns["amount"] = [float(at) for at in range(first, first + rows)]
    return pa.table(columns | changes)


@PER_EXAMPLE
@given(st.lists(st.sampled_from([1.0, -2.5, None, float("nan")]), min_size=1, max_size=50),
       st.integers(1, 12), st.integers(1, 12))  # fmt: skip
def test_parquet_in_pieces(
    tmp_path: Path, amounts: list[float | None], size: int, group: int
) -> None:
    ids = [f"t{at % 31}" for at in range(len(amounts))]
    table = parquet_rows(0, len(amounts), amount=pa.array(amounts, pa.float64()))
    path = place(tmp_path, "a.parquet", "")
    table = table.set_column(0, "transaction_id", pa.array(ids))
    pq.write_table(table, path, row_group_size=group)
    whole = read(path)
    with pieces_of(parquet, "BATCH_ROWS", size):
        assert read(path) == whole
    if isinstance(whole, Outcome):
        good = {at for at, amount in enumerate(amounts, start=1) if amount in (1.0, -2.5)}
        first = {ids[at - 1]: at for at in sorted(good, reverse=True)}
        assert len(whole.table) == len(first)
        bad = sorted(set(range(1, len(ids) + 1)) - set(first.values()))
        assert [fault["line"] for fault in whole.quarantine] == bad


def folder_of(folder: Path, files: dict[str, pa.Table]) -> Path:
    for name, table in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name)
    return folder


def test_folders_of_parquet_are_columns_and_stay_text(tmp_path: Path) -> None:
    files = {
        "account_id=007/category=food/b.parquet": parquet_rows(0, 2),
        "account_id=007/category=a%20b%2Fc/a.parquet": parquet_rows(2, 1),
        "account_id=7/category=__HIVE_DEFAULT_PARTITION__/a.parquet": parquet_rows(3, 2),
    }
    files = {name: each.drop_columns(["account_id", "category"]) for name, each in files.items()}
    folder = folder_of(tmp_path / "payments", files)
    (folder / "_SUCCESS").write_text("")
    (folder / ".part.crc").write_bytes(b"\1")
    whole = read(folder)
    assert isinstance(whole, Outcome)
    assert whole.table["transaction_id"].to_pylist() == ["t2", "t0", "t1", "t3", "t4"]
    assert whole.table["account_id"].to_pylist() == ["007", "007", "007", "7", "7"]
    assert whole.table["category"].to_pylist() == ["a b/c", "food", "food", None, None]
    with pieces_of(parquet, "BATCH_ROWS", 1):
        assert read(folder) == whole


def test_a_folder_of_days_is_read_by_its_days(tmp_path: Path) -> None:
    files = {
        f"timestamp=2024-05-{day:02}/part-0.parquet": parquet_rows(day, 1).drop_columns("timestamp")
        for day in (3, 1, 2)
    }
    files["year=2024/more.parquet"] = parquet_rows(9, 1)
    whole = read(folder_of(tmp_path / "payments", files))
    assert isinstance(whole, Outcome)
    days = [datetime(2024, 5, day, tzinfo=UTC) for day in (1, 2, 3)]
    assert whole.table["timestamp"].to_pylist() == [*days, datetime(2024, 5, 1, 10, tzinfo=UTC)]
    assert whole.report.unread == ["year"]


def test_files_of_a_folder_may_differ_in_columns_and_in_types(tmp_path: Path) -> None:
    files = {
        "a.parquet": parquet_rows(0, 2, amount=[3, 4]).drop_columns(["category", "is_fraud"]),
        "b.parquet": parquet_rows(2, 3, amount=[1.5, None, 2.5], place=["p", "q", "r"]),
        "c.parquet": parquet_rows(4, 2, is_fraud=pa.nulls(2)),
    }
    folder = folder_of(tmp_path / "payments", files)
    whole = read(folder)
    assert isinstance(whole, Outcome)
    assert whole.table["transaction_id"].to_pylist() == ["t0", "t1", "t2", "t4", "t5"]
    assert whole.table["amount"].to_pylist() == [3.0, 4.0, 1.5, 2.5, 5.0]
    assert whole.table["category"].to_pylist() == [None, None, "food", "food", "food"]
    assert whole.table["is_fraud"].to_pylist() == [None, None, 0, 0, None]
    assert whole.table["place"].to_pylist() == [None, None, "p", "r", None]
    faults = [
        (Path(each["source"]).name, each["line"], each["reason"]) for each in whole.quarantine
    ]
    assert faults == [
        ("b.parquet", 2, "amount_missing"),
        ("c.parquet", 1, "transaction_id_duplicate"),
    ]
    assert all(Path(fault["source"]).parent == folder for fault in whole.quarantine)
    with pieces_of(parquet, "BATCH_ROWS", 1):
        assert read(folder) == whole


def test_files_of_a_folder_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    files = {"a.parquet": parquet_rows(0, 2), "b.parquet": parquet_rows(2, 2, account_id=[1, 2])}
    message = read(folder_of(tmp_path / "payments", files))
    assert "account_id has incompatible types: string vs int64" in str(message)


def test_rows_as_identifiers_differ_between_the_files_of_a_folder(tmp_path: Path) -> None:
    files = {f"{at}.parquet": parquet_rows(at, 2).drop_columns("transaction_id") for at in (0, 2)}
    recipe = Recipe.model_validate(
        load_recipe().model_dump() | {"transaction_id": {"from_row": True}}
    )
    whole = read(folder_of(tmp_path / "payments", files), recipe)
    assert isinstance(whole, Outcome)
    assert len(set(whole.table["transaction_id"].to_pylist())) == 4


@PER_EXAMPLE
@given(st.lists(st.lists(st.text("ab\0ü", max_size=3), max_size=12), max_size=12))
def test_seen_identifiers_are_those_of_a_set(pieces: list[list[str]]) -> None:
    seen, known = SeenIds(), set[str]()
    for ids in pieces:
        expected = []
        for each in ids:
            expected.append(each in known)
            known.add(each)
        cut = len(ids) // 2
        chunks = [pa.array(ids[:cut], pa.string()), pa.array(ids[cut:], pa.string())]
        assert seen.repeats(pa.chunked_array(chunks, pa.string())).tolist() == expected


def test_seen_identifiers_of_many_pieces_and_sizes() -> None:
    rng = np.random.default_rng(3)
    seen, known = SeenIds(), set[str]()
    for size in rng.integers(0, 2000, 60):
        ids = [f"{each}" for each in rng.integers(0, 30_000, size)]
        expected = [each in known or each in ids[:at] for at, each in enumerate(ids)]
        assert seen.repeats(pa.chunked_array([pa.array(ids, pa.string())])).tolist() == expected
        known.update(ids)


def test_currencies_are_counted_over_all_pieces(tmp_path: Path) -> None:
    rows = [[f"t{at}", *GOOD[1:], "EUR" if at < 30 else "USD"] for at in range(40)]
    lines = [",".join(row) for row in [[*HEADER, "currency"], *rows]]
    path = place(tmp_path, "a.csv", "\n".join(lines))
    with pieces_of(delimited, "BLOCK_BYTES", 300):
        assert "several currencies (EUR 30, USD" in str(read(path))


def test_the_pieces_are_tables_of_their_own(tmp_path: Path) -> None:
    rows = [[f"t{at}", *GOOD[1:]] for at in range(60)]
    path = place(tmp_path, "a.csv", delimited_text(rows, "\n"))
    with pieces_of(delimited, "BLOCK_BYTES", 300):
        pieces = list(Reading(path))
    assert len(pieces) > 5
    assert pa.concat_tables(pieces)["transaction_id"].to_pylist() == [row[0] for row in rows]
