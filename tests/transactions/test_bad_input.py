import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.transactions.reading import ReadOptions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.transactions.sources import delimited

HEADER = "transaction_id,timestamp,account_id,counterparty_id,amount,category,is_fraud\n"


def row(number: int, amount: str = "1.5", label: str = "0") -> str:
    return f"t{number},2024-05-01 10:00:00,a1,m1,{amount},food,{label}\n"


TABLE = pa.table({name: ["x"] * 1000 for name in HEADER.strip().split(",")})


def parquet(path: Path) -> bytes:
    pq.write_table(TABLE, path)
    return path.read_bytes()


def noise(size: int) -> bytes:
    return np.random.default_rng(7).bytes(size)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty; expected a header and rows"),
        ("empty.parquet", b"", "is empty"),
        ("blank.csv", b"\n \r\n", "is empty"),
        ("packed.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("header.csv", HEADER.encode(), "holds no rows, only the names of columns"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n" + noise(5000), "is binary or not in utf-8"),
        ("noise.csv", noise(50_000), "is binary or not in utf-8"),
        ("zeros.csv", bytes(100_000), "is binary or not in utf-8"),
        ("wide.csv", (HEADER + row(1)).encode("utf-16"), "name the right encoding in recipe"),
        ("noise.parquet", noise(5000), "cannot be read ("),
        ("noise.jsonl", noise(5000), "no line is a JSON object; expected one JSON object a line"),
        ("list.json", b'[\n{"amount": 1}\n]\n', "there is no column 'transaction_id'"),
        ("not packed.csv.gz", (HEADER + row(1)).encode(), "cannot be read ("),
        (
            "cut.csv.gz",
            gzip.compress(HEADER.encode() + noise(9000), mtime=0)[:-4000],
            "cannot be read (",
        ),
        ("book.xlsx", b"PK", "cannot tell what it holds; expected an ending among .csv, .tsv"),
        ("packed.parquet.gz", b"PK", "cannot tell what it holds"),
        ("none", b"x", "cannot tell what it holds"),
        (
            "amont.csv",
            (HEADER.replace("amount", "amont") + row(1)).encode(),
            "there is no column 'amount' for amount; did you mean 'amont'? (columns: tr",
        ),
        (
            "no header.csv",
            (row(1) + row(2)).encode(),
            "there is no column 'transaction_id' for transaction_id",
        ),
        (
            "twice.csv",
            (HEADER.replace("category", "amount") + row(1)).encode(),
            "2 columns are called 'amount'; leave one",
        ),
        (
            "swapped.jsonl",
            b'{"transaction_id": "1"}\n',
            "there is no column 'timestamp' for timestamp",
        ),
        (
            "amounts.csv",
            (HEADER + "".join(row(at, "12,5") for at in range(20)))
            .replace("12,5", '"12,5"')
            .encode(),
            "20 of 20 rows cannot be used, none is left; most often amount is not a "
            "number (20 of them, first in line 2: '12,5'); mend the rows or the recipe",
        ),
        (
            "cards.csv",
            (HEADER + "".join(row(at).replace("a1", "2.70E+15") for at in range(9))).encode(),
            "most often account_id is a rounded number",
        ),
    ],
)
def test_a_file_that_cannot_be_used_ends_in_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_transactions(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_without_end_is_named_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1000)
    path = tmp_path / "quote.csv"
    path.write_text(HEADER + row(1) + '"' + row(2) * 100)
    with pytest.raises(InputError, match="a quote that is never closed runs over more than 1,000"):
        read_transactions(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_truncated_parquet_ends_in_one_line(tmp_path: Path, share: float) -> None:
    content = parquet(tmp_path / "whole.parquet")
    path = tmp_path / "cut.parquet"
    path.write_bytes(content[: 8 + int(share * (len(content) - 8))])
    with pytest.raises(InputError, match=r"cut\.parquet: cannot be read \(.*it may be cut short"):
        read_transactions(path)


def test_parquet_with_a_broken_middle_ends_in_one_line(tmp_path: Path) -> None:
    content = bytearray(parquet(tmp_path / "whole.parquet"))
    content[4:200] = noise(196)
    path = tmp_path / "broken.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.parquet: cannot be read \("):
        read_transactions(path)


def test_parquet_with_text_that_is_none_ends_in_one_line(tmp_path: Path) -> None:
    ends, data = np.array([0, 2], np.int32), b"\xff\xfe"
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    table = TABLE.slice(0, 1).set_column(2, "account_id", text)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read \(.*UTF8"):
        read_transactions(tmp_path / "a.parquet")


def test_parquet_without_rows_ends_in_one_line(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="holds no rows"):
        read_transactions(tmp_path / "a.parquet")


GOOD_CSV = (HEADER + "".join(row(at) for at in range(20))).encode()
GOOD_JSON = b"".join(
    b'{"transaction_id": %d, "timestamp": "2024-05-01", "account_id": "a", "amount": 1.5, '
    b'"counterparty_id": "m", "is_fraud": 0}\n' % at
    for at in range(20)
)
DAMAGE = st.tuples(
    st.floats(0, 1),
    st.integers(0, 30),
    st.sampled_from([b'"', b",", b"\0", b"\xe9", b"{", b"]", b"7"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.booleans(), st.lists(DAMAGE, min_size=1, max_size=4))
def test_whatever_is_damaged_every_line_is_used_or_quarantined(
    tmp_path: Path, is_csv: bool, damages: list[tuple[float, int, bytes]]
) -> None:
    content = GOOD_CSV if is_csv else GOOD_JSON
    spared = content.index(b"t1," if is_csv else b"\n")  # header and first row
    for share, cut, put in damages:
        at = spared + int(share * (len(content) - spared))
        content = content[:at] + put + content[at + cut :]
    assume(b"\n\n" not in content)
    path = tmp_path / ("a.csv" if is_csv else "a.jsonl")
    path.write_bytes(content)
    report = read_transactions(path, options=ReadOptions(max_bad_share=1.0)).report
    assert report.rows_in == len(content.removesuffix(b"\n").split(b"\n")) - is_csv
    assert report.rows_in == report.rows_used + report.rows_quarantined


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: there is no such file"):
        read_transactions(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="holds no Parquet files"):
        read_transactions(tmp_path)


def test_more_bad_rows_than_allowed_are_refused_and_still_quarantined(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "".join(row(at, "x" if at < 3 else "1") for at in range(20)))
    target = tmp_path / "bad.jsonl"
    with pytest.raises(InputError, match=r"3 of 20 rows cannot be used, more than the 5% allowed"):
        read_transactions(path, options=ReadOptions(target))
    assert len(target.read_text().splitlines()) == 3
    assert read_transactions(path, options=ReadOptions(max_bad_share=0.15)).report.rows_used == 17


def test_not_one_good_row_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + row(1, "x"))
    with pytest.raises(InputError, match="1 of 1 rows cannot be used"):
        read_transactions(path, options=ReadOptions(max_bad_share=1.0))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("00", "no transaction is labelled fraud"),
        ("11", "no transaction is labelled genuine"),
        ("  ", "no transaction is labelled at all"),
    ],
)
def test_labels_are_asked_for_where_they_are_needed(
    tmp_path: Path, labels: str, message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "".join(row(at, label=label) for at, label in enumerate(labels)))
    assert read_transactions(path).report.rows_used == 2
    with pytest.raises(InputError) as caught:
        read_transactions(path, options=ReadOptions(require_labels=True))
    assert message in str(caught.value)
    assert "in recipe canonical" in str(caught.value)


def test_a_label_column_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER.replace("is_fraud", "is_frad") + row(1))
    assert read_transactions(path).report.unread == ["is_frad"]
    with pytest.raises(InputError, match=r"no column 'is_fraud'; did you mean 'is_frad'\?; tr"):
        read_transactions(path, options=ReadOptions(require_labels=True))
    recipe = load_recipe().model_copy(update={"is_fraud": None})
    with pytest.raises(InputError, match="no column is declared as is_fraud; training needs"):
        read_transactions(path, recipe, ReadOptions(require_labels=True))


def test_options_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_bad_share 5: give a share from 0 to 1"):
        ReadOptions(max_bad_share=5)
    with pytest.raises(InputError, match=r"give a \.parquet or \.jsonl file"):
        ReadOptions(tmp_path / "bad.csv")
    path = tmp_path / "a.csv"
    path.write_text(HEADER + row(1))
    with pytest.raises(InputError, match="the quarantine cannot be written"):
        read_transactions(path, options=ReadOptions(tmp_path / "none" / "bad.jsonl"))
    with pytest.raises(InputError, match="the quarantine cannot be written"):
        read_transactions(path, options=ReadOptions(tmp_path / "none" / "bad.parquet"))
