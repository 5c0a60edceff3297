"""Corrupt files: each ends in one clear line, or every row is used or set aside with its reason."""

import bz2
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudnet.cli import main
from fraudnet.errors import InputError
from fraudnet.transactions.reading import ReadOptions, read_transactions
from fraudnet.transactions.recipe import Recipe, load_recipe

Content = bytes | str | Callable[[Path], object]

GOOD = {
    "transaction_id": "",
    "timestamp": "2024-05-01 10:00:00",
    "account_id": "a1",
    "counterparty_id": "m1",
    "amount": "1.5",
    "category": "food",
    "is_fraud": "0",
}
HEADER = ",".join(GOOD) + "\n"
PLACE = "it may be cut short or of another format: write or copy it again"


def row(at: int, end: str = "\n", **changes: str) -> str:
    return ",".join((GOOD | {"transaction_id": f"t{at}"} | changes).values()) + end


def rows(count: int, first: int = 0) -> str:
    return "".join(row(at) for at in range(first, first + count))


def column(name: str, values: Iterable[str]) -> str:
    """A file of 20 good rows, then one for each of the values."""
    bad = "".join(row(at, **{name: value}) for at, value in enumerate(values, start=20))
    return HEADER + rows(20) + bad


def line(at: int, **changes: object) -> str:
    return json.dumps(GOOD | {"transaction_id": f"t{at}", "amount": 1.5} | changes) + "\n"


def lines(count: int, first: int = 0) -> str:
    return "".join(line(at) for at in range(first, first + count))


def typed(count: int = 20, **changes: object) -> pa.Table:
    columns: dict[str, Any] = {name: [value] * count for name, value in GOOD.items()}
    columns["transaction_id"] = [f"t{at}" for at in range(count)]
    columns["amount"] = [1.5] * count
    return pa.table(columns | changes)


def parquet(count: int = 20, **changes: object) -> Callable[[Path], object]:
    return lambda path: pq.write_table(typed(count, **changes), path)


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return target.getvalue()


def zipped(name: str, content: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, content)
    return target.getvalue()


def folder(**files: bytes) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.mkdir()
        for name, content in files.items():
            (path / name.replace("_", ".")).write_bytes(content)

    return make


def damaged(content: bytes, at: slice, by: bytes | None = None) -> bytes:
    """The content with that part of it replaced, or else every bit of it turned over."""
    target = bytearray(content)
    target[at] = bytes(each ^ 0xFF for each in target[at]) if by is None else by
    return bytes(target)


def check(
    name: str, content: Content, folder: Path, capsys: pytest.CaptureFixture[str], recipe: str
) -> tuple[int, dict[str, Any], list[dict[str, Any]], str]:
    """Runs `fraudnet data check`: status, report, quarantine, and what is said of an error."""
    path, target = folder / name, folder / "quarantine.jsonl"
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    known = load_recipe().model_dump(include={*GOOD})
    keys = {key: json.dumps(value["column"]) for key, value in known.items()}
    keys |= dict(each.split(" = ", 1) for each in recipe.splitlines())
    toml = folder / "bank.toml"
    toml.write_text("".join(f"{key} = {value}\n" for key, value in keys.items()))
    arguments = ["--recipe", str(toml), "--max-bad-share", "1", "--quarantine", str(target)]
    status = main(["data", "check", str(path), "--json", *arguments])
    said = capsys.readouterr()
    report = json.loads(said.out) if status == 0 else {}
    told = [json.loads(each) for each in target.read_text("utf-8").splitlines()]
    return status, report, told, said.err


@dataclass(frozen=True)
class Refused:
    """A file that ends in one line."""

    name: str
    content: Content
    says: str
    mend: str
    recipe: str = ""


WHOLE = parquet_bytes(typed(3000))
PACKED = gzip.compress((HEADER + rows(3000)).encode(), mtime=0)
NONE_LEFT = "20 of 20 rows cannot be used, none is left; most often "
COMMA = (HEADER + rows(20)).replace("1.5", "1,5")
QUOTED_COMMA = COMMA.replace("1,5", '"1,5"')

REFUSED = {
    # Parquet
    "parquet: cut after 0.1%": Refused("a.parquet", WHOLE[: len(WHOLE) // 1000], "cannot", PLACE),
    "parquet: cut at a half": Refused("a.parquet", WHOLE[: len(WHOLE) // 2], "footer", PLACE),
    "parquet: cut before the end": Refused("a.parquet", WHOLE[:-1], "footer", PLACE),
    "parquet: head missing": Refused("a.parquet", WHOLE[1000:], "cannot be read (", PLACE),
    "parquet: more at its end": Refused("a.parquet", WHOLE + b"more", "footer", PLACE),
    "parquet: garbage in the footer": Refused(
        "a.parquet", damaged(WHOLE, slice(-40, -8), b"\xff" * 32), "thrift", PLACE
    ),
    "parquet: footer of another length": Refused(
        "a.parquet", damaged(WHOLE, slice(-8, -4), b"\xff\xff\xff\x7f"), "smaller than", PLACE
    ),
    "parquet: flipped bytes": Refused(
        "a.parquet",
        damaged(parquet_bytes(typed(3000), write_page_checksum=True), slice(300, 308)),
        "CRC checksum verification failed",
        PLACE,
    ),
    "parquet: no rows": Refused("a.parquet", parquet(0), "holds no rows", "give it rows"),
    "parquet: no columns": Refused(
        "a.parquet", parquet_bytes(pa.table({})), "no column 'transaction_id'", "recipe bank"
    ),
    "parquet: nested column": Refused(
        "a.parquet",
        parquet(account_id=pa.array([{"bank": 1, "number": 2}] * 20)),
        "column 'account_id' for account_id holds struct<bank: int64, number: int64>",
        "expected text or numbers; convert it",
    ),
    "parquet: binary ids": Refused(
        "a.parquet",
        parquet(transaction_id=pa.array([b"\xff%d" % at for at in range(20)])),
        "holds binary",
        "expected text or numbers; convert it",
    ),
    "parquet: float ids": Refused(
        "a.parquet",
        parquet(account_id=[2703186189652095.0] * 20),
        "holds double, expected text or integers, since floats round identifiers",
        "convert it",
    ),
    "parquet: times of the day": Refused(
        "a.parquet",
        parquet(timestamp=pa.array([36000] * 20, pa.time32("s"))),
        "holds time32[ms], expected times",
        "convert it, or name another column",
    ),
    "parquet: counted times without a unit": Refused(
        "a.parquet",
        parquet(timestamp=[1_714_557_600] * 20),
        "holds int64, expected times",
        "give unit = 's'",
    ),
    "parquet: two columns of one name": Refused(
        "a.parquet",
        parquet_bytes(typed().append_column("amount", pa.array([1.0] * 20))),
        "2 columns are called 'amount'",
        "leave one of them under that name",
    ),
    # Encodings
    "utf-16 with its mark": Refused(
        "a.csv", (HEADER + rows(20)).encode("utf-16"), "not in utf-8", "name the right encoding"
    ),
    "utf-16 without its mark": Refused(
        "a.csv", (HEADER + rows(20)).encode("utf-16-be"), "not in utf-8", "name the right encoding"
    ),
    "latin-1 in the header": Refused(
        "a.csv",
        (HEADER.replace("category", "catégorie") + rows(20)).encode("latin-1"),
        "not in utf-8",
        "name the right encoding",
    ),
    "zero byte in the header": Refused(
        "a.csv", HEADER.replace("amount", "am\0ount") + rows(20), "is binary", "right ending"
    ),
    # Headers
    "no header": Refused(
        "a.csv", rows(20), "no column 'transaction_id'", "name the right one in recipe bank"
    ),
    "header alone": Refused("a.csv", HEADER, "holds no rows", "give it rows"),
    "header without a line end": Refused("a.csv", HEADER[:-1], "holds no rows", "give it rows"),
    "header and blank lines": Refused("a.csv", HEADER + "\n\r\n\n", "holds no rows", "give it"),
    "blank lines alone": Refused("a.csv", "\n \r\n\t\n\n", "is empty", "expected a header"),
    "a column missing": Refused(
        "a.csv",
        (HEADER + rows(20)).replace("account_id", "acount_id"),
        "there is no column 'account_id' for account_id; did you mean 'acount_id'?",
        "name the right one in recipe bank",
    ),
    "a column twice": Refused(
        "a.csv",
        HEADER.replace("category", "amount") + rows(20),
        "2 columns are called 'amount'",
        "leave one of them under that name",
    ),
    "a first line for spreadsheets": Refused(
        "a.csv",
        "sep=;\n" + (HEADER + rows(20)).replace(",", ";"),
        "there is no column 'transaction_id'",
        "name the right one in recipe bank",
    ),
    # Numbers and fields
    "decimal commas between commas": Refused(
        "a.csv", COMMA, NONE_LEFT + "line has not as many fields as the header", "delimiter = ';'"
    ),
    "decimal commas in quotes": Refused(
        "a.csv", QUOTED_COMMA, NONE_LEFT + "amount is not a number", "decimal = ','"
    ),
    "decimal commas between semicolons": Refused(
        "a.csv",
        (HEADER + rows(20)).replace(",", ";").replace("1.5", "1,5"),
        NONE_LEFT + "amount is not a number",
        "decimal = ','",
    ),
    "thousands between commas": Refused(
        "a.csv",
        (HEADER + rows(20)).replace("1.5", '"1,234.50"'),
        NONE_LEFT + "amount is not a number",
        "mend the rows or the recipe",
    ),
    "a delimiter at the end of every row": Refused(
        "a.csv",
        HEADER + rows(20).replace("\n", ",\n"),
        NONE_LEFT + "line has not as many fields as the header",
        "delimiter = ';'",
    ),
    "unclosed quote early": Refused(
        "a.csv",
        HEADER + row(0, account_id='"a') + rows(19, 1),
        NONE_LEFT + "line is run together with others by a quote that is not closed",
        "mend the rows",
    ),
    "cards as floats": Refused(
        "a.csv",
        (HEADER + rows(20)).replace("a1", "2703186189652095.0"),
        NONE_LEFT + "account_id is a rounded number",
        "such identifiers are lost",
    ),
    "labels as floats": Refused(
        "a.csv",
        (HEADER + rows(20)).replace("food,0", "food,0.0"),
        NONE_LEFT + "is_fraud is neither a fraud nor a genuine value of the recipe",
        "such as fraud = ['Yes']",
    ),
    "milliseconds for seconds": Refused(
        "a.csv",
        (HEADER + rows(20)).replace("2024-05-01 10:00:00", "1714557600000"),
        NONE_LEFT + "timestamp lies more than one day in the future",
        "unit = 'ms'",
        'timestamp = { column = "timestamp", unit = "s" }',
    ),
    "days and months that may be swapped": Refused(
        "a.csv",
        (HEADER + rows(20)).replace("2024-05-01 10:00:00", "05/04/2024"),
        "can be read as '%d/%m/%Y' and as '%m/%d/%Y', which differ",
        "leave the right one in recipe bank",
        'timestamp = { column = "timestamp", format = ["%d/%m/%Y", "%m/%d/%Y"] }',
    ),
    # JSON lines
    "json: one array": Refused(
        "a.json",
        "[\n" + lines(20).replace("}\n", "},\n") + "]",
        "no line is a JSON object",
        "expected one JSON object a line",
    ),
    "json: pretty": Refused(
        "a.json", json.dumps(GOOD, indent=1), "no line is a JSON object", "one JSON object a line"
    ),
    "json: utf-16": Refused("a.jsonl", lines(20).encode("utf-16"), "no line is", "expected one"),
    "json: empty objects": Refused(
        "a.jsonl", "{}\n" * 20, "there is no column 'transaction_id'", "recipe bank"
    ),
    # Compressed
    "gz: cut": Refused("a.csv.gz", PACKED[: len(PACKED) // 2], "Truncated", PLACE),
    "gz: cut in its last bytes": Refused("a.csv.gz", PACKED[:-3], "Truncated", PLACE),
    "gz: garbage at its end": Refused("a.csv.gz", PACKED + b"garbage", "cannot be read (", PLACE),
    "gz: flipped bytes": Refused(
        "a.csv.gz", damaged(PACKED, slice(500, 504)), "cannot be read (", PLACE
    ),
    "gz: json lines, cut": Refused(
        "a.jsonl.gz", gzip.compress(lines(20).encode(), mtime=0)[:-9], "Truncated", PLACE
    ),
    "bz2: cut": Refused(
        "a.csv.bz2", bz2.compress((HEADER + rows(3000)).encode())[:-200], "Truncated", PLACE
    ),
    # What the ending does not say
    "parquet as csv": Refused("a.csv", WHOLE, "is binary", "give the file its right ending"),
    "csv as parquet": Refused("a.parquet", HEADER + rows(20), "magic bytes not found", PLACE),
    "zip as csv": Refused(
        "a.csv", zipped("a.csv", HEADER + rows(20)), "is binary", "give the file its right ending"
    ),
    "gz as csv": Refused("a.csv", PACKED, "is binary", "give the file its right ending"),
    "zip as gz": Refused("a.csv.gz", zipped("a.csv", HEADER), "cannot be read (", PLACE),
    "csv as json": Refused("a.jsonl", HEADER + rows(20), "no line is", "expected one JSON object"),
    "json as csv": Refused("a.csv", lines(20), "no column 'transaction_id'", "name the right one"),
    "spreadsheet": Refused(
        "a.xlsx", zipped("a.xml", ""), "cannot tell", "expected an ending among"
    ),
    # Folders
    "folder called x.csv": Refused("x.csv", folder(), "holds no Parquet files", "give a folder"),
    "empty folder": Refused("payments", folder(), "holds no Parquet files", "give a folder"),
    "folder of csv": Refused(
        "payments", folder(a_csv=(HEADER + rows(20)).encode()), "a.csv", "of another format"
    ),
    "folder with one file of another kind": Refused(
        "payments", folder(a_parquet=WHOLE, b_md=b"# Read me"), "b.md", "of another format"
    ),
    "folder with a cut file": Refused(
        "payments", folder(a_parquet=WHOLE, b_parquet=WHOLE[:999]), "b.parquet", PLACE
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_used_ends_in_one_clear_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = REFUSED[name]
    status, _, _, error = check(case.name, case.content, tmp_path, capsys, case.recipe)
    assert status == 2
    assert error.startswith(f"fraudnet data: {tmp_path / case.name}: ")
    assert error.count("\n") == 1
    assert case.says in error
    assert case.mend in error


@dataclass(frozen=True)
class SetAside:
    """A file of which some rows cannot be used, and why."""

    name: str
    content: Content
    rows: int  # that were written
    reasons: dict[str, int] = field(default_factory=dict)
    recipe: str = ""


WRONG_NUMBERS = [
    "NaN", "nan(0x1)", "0x1F", "1_000", "1 000", "(5.00)", "5-", "--5", "$5", "5 EUR", "1.2.3",
    "1e", "\xbd", "\u0661\u0662", "\uff15", "\u22125", "\u20135", "NULL", "None",
    "#REF!", "TRUE", "1d5", "'5", "+ 5",
]  # fmt: skip
RIGHT_NUMBERS = ["1e5", ".5", "5.", "+5", "-0", "00012", "1e-400", " 7 ", "\u00a05", "5\u2009"]
WRONG_TIMES = [
    "2023-02-29 10:00:00", "2024-04-31", "2024-13-01", "2024-00-10", "2024-05-00", "2024-5-1",
    "2024-05-01 24:00:00", "2024-05-01 23:59:60", "2024-05-01 1:00:00", "20240501", "1714557600",
    "2024-05-01 10:00:00 UTC", "2024-05-01T10:00:00+25:00", "2024-05-01T10:00:00[Europe/Paris]",
    "2024-05-01\xa010:00:00", "\uff12024-05-01", "2024-05-01T10:00:00\u221202:00", "05/01/2024",
    "10000-01-01",
]  # fmt: skip
FORMULAS = ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "=HYPERLINK(0)"]
SET_ASIDE = {
    # Encodings
    "latin-1 in some rows": SetAside(
        "a.csv", column("category", ["caf\xe9", "\xfc", "x"]).encode("latin-1"), 23,
        {"line_not_text": 2},
    ),
    "utf-8 and then others": SetAside(
        "a.csv",
        column("category", ["é"]).encode() + row(21, category="é").encode("latin-1")
        + row(22).encode("utf-16-le") + row(23).encode(),
        24, {"line_not_text": 3},  # the last row begins with half of a line end
    ),
    "utf-8 cut in a character": SetAside(
        "a.csv", column("is_fraud", ["é"]).rstrip().encode()[:-1], 21, {"line_not_text": 1}
    ),
    "marks in the middle": SetAside(
        "a.csv", "\ufeff\ufeff" + column("amount", ["x"]) + "\ufeff" + row(21) + "\ufeff" + HEADER,
        23, {"amount_not_a_number": 1, "line_header_repeated": 1},
    ),
    "zero byte in a value": SetAside(
        "a.csv", column("category", ["a\0b", "\0"]), 22, {"line_not_text": 2}
    ),
    "a run of zero bytes": SetAside(
        "a.csv", column("amount", []) + "\0" * 70_000 + "\n" + row(20), 22, {"line_field_count": 1}
    ),
    "zero bytes at the end": SetAside(
        "a.csv", column("amount", []) + "\0" * 70_000, 21, {"line_field_count": 1}
    ),
    # Lines
    "carriage returns alone": SetAside(
        "a.csv", (column("amount", ["x"]) + "a,b\n").replace("\n", "\r"), 22,
        {"amount_not_a_number": 1, "line_field_count": 1},
    ),
    "carriage returns and stray quotes": SetAside(
        "a.csv",
        column("amount", []).replace("t3,", '"t3,').replace("t6,", '"t6,').replace("\n", "\r"),
        20, {"line_unclosed_quote": 4},
    ),
    "line ends of all kinds": SetAside(
        "a.csv",
        HEADER + "".join(row(at, ["\n", "\r\n", "\r", "\r\r\n"][at % 4]) for at in range(20)),
        20,
    ),
    "a carriage return within quotes": SetAside(
        "a.csv", column("category", ['"a\rb"', '"a\r\nb"']), 24, {"line_unclosed_quote": 4}
    ),
    "header twice": SetAside("a.csv", HEADER + HEADER + rows(20), 21, {"line_header_repeated": 1}),
    "header in the middle": SetAside(
        "a.csv", column("amount", []) + HEADER + rows(5, 20), 26, {"line_header_repeated": 1}
    ),
    "delimiters at the end of some rows": SetAside(
        "a.csv", column("is_fraud", ["0,", "0,,,"]), 22, {"line_field_count": 2}
    ),
    "delimiters at the end of all lines": SetAside(
        "a.csv", column("amount", []).replace("\n", ",\n"), 20
    ),
    "delimiters alone": SetAside(
        "a.csv", column("amount", []) + ",,,,,,\n   \n\n", 22,
        {"transaction_id_missing": 1, "line_field_count": 1},
    ),
    "a line of 10 MB": SetAside(
        "a.csv", column("amount", []) + "x" * (10 << 20) + "\n" + row(20), 22,
        {"line_field_count": 1},
    ),
    "a quoted field of 20 MB": SetAside(
        "a.csv", column("category", ['"' + "x, " * (7 << 20) + '"', "x"]), 22
    ),
    "a quoted field of 20 MB over many lines": SetAside(
        "a.csv", column("category", ['"' + ("x" * 4095 + "\n") * (5 << 10) + '"', "x"]), 5142,
        {"line_unclosed_quote": 5121},
    ),
    "unclosed quote late": SetAside(
        "a.csv", column("account_id", ['"a']), 21, {"line_field_count": 1}
    ),
    "unclosed quote in the middle": SetAside(
        "a.csv", column("account_id", ['"a']) + rows(5, 21), 26, {"line_unclosed_quote": 6}
    ),
    "unclosed quote in a column that is not read": SetAside(
        "a.csv",
        column("is_fraud", ["0", "0"]).replace("\n", ",n\n").replace("is_fraud,n", "is_fraud,note")
        .replace("0,n\nt3", '0,"n\nt3').replace("0,n\nt9", '0,n"\nt9'),
        22, {"line_unclosed_quote": 7},
    ),
    # Values
    "formulas": SetAside("a.csv", column("account_id", FORMULAS), 25),
    "formulas for categories": SetAside("a.csv", column("category", FORMULAS), 25),
    "formulas for amounts": SetAside(
        "a.csv", column("amount", FORMULAS), 25, {"amount_not_a_number": 5}
    ),
    "negative amounts": SetAside(
        "a.csv", column("amount", ["-1", "-0.01", "0", "-0"]), 24, {"amount_negative": 2},
        "allow_negative = false",
    ),
    "amounts that are none": SetAside(
        "a.csv", column("amount", WRONG_NUMBERS), 20 + len(WRONG_NUMBERS),
        {"amount_not_a_number": len(WRONG_NUMBERS) - 1, "amount_not_finite": 1},
    ),
    "amounts without an end": SetAside(
        "a.csv", column("amount", ["inf", "-Infinity", "1e400", "3.5e38", "1e38", "", " "]), 27,
        {"amount_not_finite": 3, "amount_missing": 2, "amount_too_large": 1},
    ),
    "amounts that look odd": SetAside(
        "a.csv", column("amount", RIGHT_NUMBERS), 20 + len(RIGHT_NUMBERS)
    ),
    "cards as floats in some rows": SetAside(
        "a.csv", column("account_id", ["2.70E+15", "2.7e15", "4E+15", "596.0", "12e34", "1.5"]), 26,
        {"account_id_rounded": 4},
    ),
    "identifiers with margins": SetAside(
        "a.csv", column("account_id", [" a1 ", "\ta1", "a1\u00a0", " ", "\u2003", "\uff14"]), 26,
        {"account_id_missing": 2},
    ),
    "one identifier for several rows": SetAside(
        "a.csv", HEADER + rows(20) + rows(20), 40, {"transaction_id_duplicate": 20}
    ),
    "labels of other kinds": SetAside(
        "a.csv",
        column("is_fraud", ["0.0", "1.0", "yes", "NULL", "-1", "nan", "", "TRUE", " 1 ", "\uff10"]),
        30,
        {"is_fraud_unknown_label": 7},
    ),
    "columns of one name that are not read": SetAside(
        "a.csv", column("is_fraud", ["0"]).replace("\n", ",1,2\n").replace("d,1,2", "d,x,x"), 21
    ),
    # Times
    "times that are none": SetAside(
        "a.csv", column("timestamp", WRONG_TIMES), 20 + len(WRONG_TIMES),
        {"timestamp_unparsable": len(WRONG_TIMES)},
    ),
    "times of the years 1 and 9999": SetAside(
        "a.csv",
        column("timestamp", ["0001-01-01 00:00:00", "9999-12-31 23:59:59", "1969-12-31 23:59:59"]),
        23, {"timestamp_too_early": 2, "timestamp_in_the_future": 1},
    ),
    "times with offsets and without": SetAside(
        "a.csv",
        column("timestamp", [
            "2024-05-01T10:00:00Z", "2024-05-01T10:00:00+02:00", "2024-05-01T10:00:00-0500",
            "2024-05-01", "2024-05-01 10:00", "2024-05-01T10:00:00.123456789Z",
        ]), 26,
    ),
    "days and months swapped in some rows": SetAside(
        "a.csv",
        column("timestamp", ["05/21/2024", "2024-05-01"])
        .replace("2024-05-01 10:00:00", "21/05/2024"),
        22, {"timestamp_unparsable": 2},
        'timestamp = { column = "timestamp", format = ["%d/%m/%Y", "%m/%d/%Y"] }',
    ),
    "seconds and milliseconds": SetAside(
        "a.csv",
        column("timestamp", ["1714557600000", "1714557600.5", "-5", "1e300", "soon", "0"])
        .replace("2024-05-01 10:00:00", "1714557600"), 26,
        {"timestamp_unparsable": 2, "timestamp_too_early": 2, "timestamp_in_the_future": 1},
        'timestamp = { column = "timestamp", unit = "s" }',
    ),
    # JSON lines
    "json: arrays and nesting": SetAside(
        "a.jsonl",
        lines(20) + line(20, amount=[1]) + line(21, amount={"value": 1}) + "[1]\n7\nnull\n"
        + line(22, category=["food"]), 26,
        {"amount_not_a_number": 2, "line_not_json": 3},
    ),
    "json: keys twice": SetAside(
        "a.jsonl", lines(20) + line(20).replace("}", ', "transaction_id": "t0"}'), 21,
        {"transaction_id_duplicate": 1},
    ),
    "json: commas too many": SetAside(
        "a.jsonl", lines(20) + line(20).replace("}", ",}") + line(21).replace("\n", ",\n"), 22,
        {"line_not_json": 2},
    ),
    "json: last line cut": SetAside("a.jsonl", lines(21)[:-30], 21, {"line_not_json": 1}),
    "json: deep": SetAside(
        "a.jsonl",
        lines(20) + "[" * 100_000 + "]" * 100_000 + "\n" + '{"a":' * 5000 + "1" + "}" * 5000 + "\n"
        + line(21).replace('"food"', "[" * 5000 + "]" * 5000), 23,
        {"line_not_json": 3},
    ),
    "json: numbers without an end": SetAside(
        "a.jsonl",
        lines(20) + line(20, amount=float("nan")) + line(21, amount=float("inf"))
        + line(22).replace("1.5", "1e400") + line(23, amount=True) + line(24, amount=None)
        + line(25).replace("1.5", "9" * 5000), 26,
        {"amount_not_finite": 4, "amount_not_a_number": 1, "amount_missing": 1},
    ),
    "json: cards as floats": SetAside(
        "a.jsonl", lines(20) + line(20, account_id=2.7e15) + line(21, account_id=10**40), 22,
        {"account_id_rounded": 1},
    ),
    "json: half a character": SetAside(
        "a.jsonl",
        lines(20) + line(20).replace("food", r"\ud800") + line(21).replace("category", r"\udfff")
        + line(22).replace("food", r"\ud83d\ude00") + line(23, account_id="a\0"), 24,
        {"line_not_text": 3},
    ),
    "json: broken text": SetAside(
        "a.jsonl", lines(20).encode() + line(20).encode().replace(b"food", b"caf\xe9") + b"\0\n",
        22, {"line_not_text": 2},
    ),
    "json: carriage returns alone": SetAside("a.jsonl", lines(20).replace("\n", "\r"), 20),
    # Parquet
    "parquet: decimals": SetAside(
        "a.parquet", parquet(amount=[None, *[Decimal("123.45")] * 19]), 20, {"amount_missing": 1}
    ),
    "parquet: dictionaries": SetAside(
        "a.parquet",
        parquet(
            account_id=pa.array(["a1", None] * 10).dictionary_encode(),
            amount=pa.array([1.5, float("nan")] * 10).dictionary_encode(),
        ), 20, {"account_id_missing": 10},
    ),
    "parquet: views of text": SetAside(
        "a.parquet", parquet(category=pa.array(["food", ""] * 10, pa.string_view())), 20
    ),
    "parquet: times without a zone": SetAside(
        "a.parquet",
        parquet(timestamp=[*map(datetime, (2024, 1, 9999), (1,) * 3, (1,) * 3), None] * 5),
        20, {"timestamp_too_early": 5, "timestamp_in_the_future": 5, "timestamp_missing": 5},
    ),
    "parquet: nanoseconds": SetAside(
        "a.parquet",
        parquet(timestamp=pa.array([2**60, 0, -5000, 2**62] * 5, pa.timestamp("ns"))),
        20, {"timestamp_too_early": 5, "timestamp_in_the_future": 5},
    ),
    "parquet: days": SetAside("a.parquet", parquet(timestamp=[date(2024, 5, 1)] * 20), 20),
    "parquet: times beyond the year 9999": SetAside(
        "a.parquet",
        parquet(timestamp=pa.array([2**30, 2**40] * 10, pa.timestamp("s"))), 20,
        {"timestamp_in_the_future": 10},
    ),
    "parquet: times before the year 1": SetAside(
        "a.parquet",
        parquet(timestamp=pa.array([2**50, -(2**60)] * 10, pa.timestamp("us", "UTC"))),
        20, {"timestamp_too_early": 10},
    ),
    "parquet: labels as floats": SetAside(
        "a.parquet", parquet(is_fraud=[0.0, 1.0, None, 0.5] * 5), 20, {"is_fraud_unknown_label": 5}
    ),
    "parquet: zero bytes": SetAside(
        "a.parquet", parquet(account_id=["a\0", "a"] * 10), 20, {"line_not_text": 10}
    ),
    "parquet: nested column that is not read": SetAside(
        "a.parquet", parquet(basket=[[{"item": 1}]] * 20), 20
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SET_ASIDE)
def test_every_row_is_used_or_set_aside_with_its_reason(
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = SET_ASIDE[name]
    status, report, told, error = check(case.name, case.content, tmp_path, capsys, case.recipe)
    assert (status, error) == (0, "")
    bad = sum(case.reasons.values())
    assert report["reasons"] == case.reasons
    assert report["rows_in"] == case.rows
    assert (report["rows_used"], report["rows_quarantined"]) == (case.rows - bad, bad)
    assert len(told) == bad
    assert all(fault["source"] == str(tmp_path / case.name) for fault in told)
    assert all(fault["line"] > 0 and fault["sentence"] for fault in told)


def test_the_corpus_is_large() -> None:
    assert len(REFUSED) + len(SET_ASIDE) >= 45


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("checksum", [False, True])
def test_bytes_flipped_within_parquet_pages_lose_no_row(
    tmp_path: Path, compression: str, checksum: bool
) -> None:
    rng = np.random.default_rng(11)
    table = typed(2000, amount=rng.normal(50, 9, 2000), account_id=[f"{at}" for at in range(2000)])
    whole = parquet_bytes(table, compression=compression, write_page_checksum=checksum)
    path = tmp_path / "a.parquet"
    path.write_bytes(whole)
    expected = read_transactions(path).table
    pages = pq.ParquetFile(path).metadata.row_group(0)
    places = [pages.column(each).data_page_offset for each in range(pages.num_columns)]
    refused = []
    for place in places:
        for shift in (40, 60):  # behind the page's own header
            path.write_bytes(damaged(whole, slice(place + shift, place + shift + 4)))
            try:
                read = read_transactions(path, options=ReadOptions(max_bad_share=1.0))
            except InputError as error:
                refused.append(str(error))
                continue
            assert read.report.rows_in == 2000
            assert not checksum or read.table.equals(expected)
    assert refused
    assert all(each.startswith(f"{path}: ") and "\n" not in each for each in refused)


def test_the_clocks_change_gives_the_earlier_time(tmp_path: Path) -> None:
    zone = {"column": "timestamp", "timezone": "Europe/Paris"}
    recipe = Recipe.model_validate(load_recipe().model_dump() | {"timestamp": zone})
    times = {
        "2023-10-29 01:59:59": datetime(2023, 10, 28, 23, 59, 59, tzinfo=UTC),
        "2023-10-29 02:30:00": datetime(2023, 10, 29, 0, 30, tzinfo=UTC),  # there are two
        "2023-10-29 02:30:00+01:00": datetime(2023, 10, 29, 1, 30, tzinfo=UTC),
        "2023-10-29 03:00:00": datetime(2023, 10, 29, 2, tzinfo=UTC),
        "2023-03-26 03:00:00": datetime(2023, 3, 26, 1, tzinfo=UTC),
    }
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "".join(row(at, timestamp=each) for at, each in enumerate(times)))
    assert read_transactions(path, recipe).table["timestamp"].to_pylist() == list(times.values())


def test_what_is_odd_and_right_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(column("account_id", [*FORMULAS, " a1\u00a0"]), "utf-8")
    assert read_transactions(path).table["account_id"].to_pylist()[20:] == [*FORMULAS, "a1"]
    path.write_text(column("amount", RIGHT_NUMBERS), "utf-8")
    amounts = [float(text.strip()) for text in RIGHT_NUMBERS]
    assert read_transactions(path).table["amount"].to_pylist()[20:] == amounts
    path.write_text("\ufeff" + HEADER + rows(2) + "\ufeff" + row(2) + '\ufeff"t3"' + row(3)[2:])
    assert read_transactions(path).table["transaction_id"].to_pylist() == ["t0", "t1", "t2", "t3"]
