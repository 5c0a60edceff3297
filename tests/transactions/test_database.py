"""Databases: SQLite, and a PostgreSQL server that is started for these tests."""

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.rows import tuple_row

from fraudnet.errors import InputError
from fraudnet.transactions.place import name_of, place_of
from fraudnet.transactions.reading import ReadOptions, read_transactions
from fraudnet.transactions.recipe import Recipe, load_recipe
from fraudnet.transactions.sources import database
from tests.postgresql import Server

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
LENIENT = ReadOptions(max_bad_share=1.0, now=NOW)
COLUMNS = [
    "transaction_id",
    "timestamp",
    "account_id",
    "counterparty_id",
    "amount",
    "category",
    "is_fraud",
]
# Sums of powers of two: no way to a float can round them.
ROWS: list[tuple[Any, ...]] = [
    (
        UUID(int=at),
        datetime(2024, 5, 1, 10, tzinfo=UTC) + timedelta(hours=7 * at, microseconds=250 * at),
        f"DE{at % 3:04}",
        None if at % 4 == 3 else 4_000_000_000 + at,
        Decimal(at * 1000 - 2500) / 16,
        [None, "food", "füel"][at % 3],
        [None, False, True][at % 3],
    )
    for at in range(12)
]
EXPECTED = pa.table(
    {
        "transaction_id": [str(row[0]) for row in ROWS],
        "timestamp": pa.array([row[1] for row in ROWS], pa.timestamp("us", tz="UTC")),
        "account_id": [row[2] for row in ROWS],
        "counterparty_id": [None if row[3] is None else str(row[3]) for row in ROWS],
        "amount": [float(row[4]) for row in ROWS],
        "category": [row[5] for row in ROWS],
        "is_fraud": pa.array([None if row[6] is None else int(row[6]) for row in ROWS], pa.int8()),
    }
)


def declared(**keys: object) -> Recipe:
    return Recipe.model_validate(load_recipe().model_dump() | keys)


def refused(source: str, recipe: Recipe | None = None) -> str:
    """What is said of a source that cannot be read, in one line that begins with its place."""
    with pytest.raises(InputError) as caught:
        read_transactions(source, recipe, LENIENT)
    message = str(caught.value)
    assert message.startswith(f"{place_of(source)}: ")
    assert "\n" not in message
    return message


# SQLite


def sqlite(path: Path, statements: str, rows: list[tuple[Any, ...]] | None = None) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)
        for row in rows or []:
            connection.execute("insert into payments values (?, ?, ?, ?, ?, ?, ?)", row)
        connection.commit()
    return f"sqlite:///{path}"


PAYMENTS = (
    'create table payments (transaction_id text, "timestamp" text, account_id text, '
    "counterparty_id integer, amount real, category text, is_fraud integer);"
)


def as_sqlite(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (str(row[0]), row[1].isoformat(), *row[2:4], float(row[4]), *row[5:])


@pytest.fixture
def bank(tmp_path: Path) -> str:
    return sqlite(tmp_path / "bank.db", PAYMENTS, [as_sqlite(row) for row in ROWS])


def test_the_same_rows_from_sqlite_csv_and_parquet(bank: str, tmp_path: Path) -> None:
    assert read_transactions(f"{bank}#payments", options=LENIENT).table.equals(EXPECTED)
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(["" if value is None else value for value in row] for row in ROWS)
    assert read_transactions(tmp_path / "a.csv", options=LENIENT).table.equals(EXPECTED)
    typed = pa.table(dict(zip(COLUMNS, map(list, zip(*ROWS, strict=True)), strict=True)))
    typed = typed.set_column(0, "transaction_id", pa.array([str(row[0]) for row in ROWS]))
    pq.write_table(typed, tmp_path / "a.parquet")
    assert read_transactions(tmp_path / "a.parquet", options=LENIENT).table.equals(EXPECTED)


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_a_table_in_batches_is_the_same(
    bank: str, monkeypatch: pytest.MonkeyPatch, size: int, tmp_path: Path
) -> None:
    sqlite(tmp_path / "bank.db", "update payments set amount = 'x' where rowid in (2, 11)")
    monkeypatch.setattr(database, "_BATCH_ROWS", size)
    target = tmp_path / "bad.parquet"
    options = ReadOptions(target, max_bad_share=1.0, now=NOW)
    whole = read_transactions(f"{bank}#payments", options=options)
    good = [at for at in range(12) if at not in (1, 10)]
    assert whole.table.combine_chunks().equals(EXPECTED.take(good))
    faults = pq.read_table(target).to_pylist()
    assert [(fault["line"], fault["value"]) for fault in faults] == [(2, "x"), (11, "x")]
    assert {fault["source"] for fault in faults} == {f"{bank}#payments"}


def test_sqlite_keeps_any_type_in_any_column(tmp_path: Path) -> None:
    values: list[tuple[Any, Any, Any]] = [
        ("a", 5, 0),
        (7, "6.5", 1),
        (b"\xff", 1, "1"),
        (2.7e15, 1, None),
        ("b", "many", 0),
        ("c", None, 0),
        ("d", 1e400, 0),
        ("e", 2**62, "fraud?"),
    ]
    rows = [
        (f"t{at}", "2024-05-01", account, "m", amount, None, label)
        for at, (account, amount, label) in enumerate(values)
    ]
    untyped = PAYMENTS.replace(" text", "").replace(" integer", "").replace(" real", "")
    bank = sqlite(tmp_path / "bank.db", untyped, rows)
    whole = read_transactions(f"{bank}#payments", options=LENIENT)
    assert whole.table["account_id"].to_pylist() == ["a", "7", "b'\\xff'"]
    assert whole.table["amount"].to_pylist() == [5.0, 6.5, 1.0]
    assert whole.table["is_fraud"].to_pylist() == [0, 1, 1]
    assert whole.report.reasons == {
        "account_id_rounded": 1,
        "amount_not_a_number": 1,
        "amount_missing": 1,
        "amount_not_finite": 1,
        "is_fraud_unknown_label": 1,
    }


def test_a_view_and_a_query_give_what_they_select(bank: str, tmp_path: Path) -> None:
    sqlite(
        tmp_path / "bank.db",
        "create view frauds as select * from payments where is_fraud = 1;"
        'create view "day first" as select * from payments limit 1;',
    )
    frauds = EXPECTED.take([2, 5, 8, 11])
    assert read_transactions(f"{bank}#frauds", options=LENIENT).table.equals(frauds)
    assert len(read_transactions(f"{bank}#day first", options=LENIENT).table) == 1
    query = (
        "select transaction_id, timestamp as at, account_id, counterparty_id, amount, category, "
        "is_fraud, ':is_fraud' as note from payments where is_fraud = 1 and category like 'f%'"
    )
    recipe = declared(query=query, timestamp="at")
    whole = read_transactions(bank, recipe, LENIENT)
    assert whole.table.equals(frauds)
    assert whole.report.unread == ["note"]
    assert "recipe canonical gives a query; leave out #frauds" in refused(f"{bank}#frauds", recipe)
    doubled = declared(query="select payments.*, amount from payments")
    assert "2 columns are called 'amount'" in refused(bank, doubled)
    assert "no such table: paiments" in refused(bank, declared(query="select * from paiments"))


def test_a_query_that_changes_the_database_changes_nothing(bank: str) -> None:
    assert "SELECT or WITH" in refused(bank, declared(query="delete from payments"))
    assert read_transactions(f"{bank}#payments", options=LENIENT).report.rows_in == len(ROWS)


def test_a_table_without_rows_or_a_needed_column(bank: str, tmp_path: Path) -> None:
    sqlite(
        tmp_path / "bank.db",
        "create table hollow as select * from payments limit 0;"
        "create table amountless (transaction_id, timestamp, account_id, counterparty_id, amont);",
    )
    assert "holds no rows" in refused(f"{bank}#hollow")
    assert "no column 'amount' for amount; did you mean 'amont'?" in refused(f"{bank}#amountless")


def test_a_table_that_is_not_there_is_answered_with_the_nearest(bank: str) -> None:
    message = refused(f"{bank}#payment")
    assert "there is no table 'payment'; did you mean 'payments'? (tables: payments)" in message
    assert "names no table (tables: payments); give it as URL#TABLE" in refused(bank)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    assert "there is no file" in refused(f"sqlite:///{tmp_path}/none.db#payments")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("transaction_id,amount\n" * 100)
    assert "file is not a database" in refused(f"sqlite:///{tmp_path}/text.db#payments")
    sqlite(tmp_path / "whole.db", PAYMENTS, [as_sqlite(row) for row in ROWS * 500])
    content = (tmp_path / "whole.db").read_bytes()
    (tmp_path / "cut.db").write_bytes(content[: len(content) // 2])
    assert "malformed" in refused(f"sqlite:///{tmp_path}/cut.db#payments")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("://x", "is no database URL"),
        ("nothing://user:hush@host/bank#t", "Can't load plugin"),
        ("mysql+pymysql://user:hush@host/bank#t", "No module named 'pymysql'"),
        ("postgresql://user:hush@host:port/bank#t", "is no database URL"),
        ("postgresql://user:hush@127.0.0.1:1/bank#t", "127.0.0.1"),
        ("postgresql+psycopg://user:hush@/bank?host=/nowhere#t", "/nowhere"),
    ],
)
def test_a_url_that_leads_nowhere_ends_in_one_line_without_the_password(
    url: str, problem: str
) -> None:
    message = refused(url)
    assert problem in message
    assert "hush" not in message


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("postgresql://host/bank#s.t", "postgresql://host/bank#s.t"),
        ("postgresql://user@host/bank", "postgresql://user@host/bank"),
        ("postgresql://user:hush@host/bank#t", "postgresql://user:***@host/bank#t"),
        ("postgresql+psycopg://u:a:b@h:5/bank?x=1#t", "postgresql+psycopg://u:***@h:5/bank?x=1#t"),
        ("postgresql://u:hu@sh@host/bank#t", "postgresql://u:***@host/bank#t"),
        ("postgresql://u:hu%23sh@host/bank#t", "postgresql://u:***@host/bank#t"),
        ("sqlite:///C:/bank.db#t", "sqlite:///C:/bank.db#t"),
        (
            "postgresql://host/bank?user=u&password=hush#t",
            "postgresql://host/bank?user=u&password=***#t",
        ),
        ("postgresql://u:hu#sh@h/bank#t", "postgresql://u:***@h/bank#t"),
    ],
)
def test_a_password_is_masked_wherever_a_source_is_named(source: str, place: str) -> None:
    assert place_of(source) == place
    assert "hush" not in name_of(source)


# PostgreSQL

DEFINITION = (
    "(transaction_id uuid, timestamp timestamptz, account_id text, counterparty_id bigint, "
    "amount numeric(12, 4), category varchar(10), is_fraud boolean)"
)
postgres_group = pytest.mark.xdist_group("postgres")


@pytest.fixture(scope="module")
def server(postgres: Server) -> Iterator[Server]:
    with connect(postgres) as connection:
        connection.execute("create schema bank")
        connection.execute(f"create table bank.payments {DEFINITION}")
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into bank.payments values (%s, %s, %s, %s, %s, %s, %s)", ROWS
            )
        connection.execute("create view bank.frauds as select * from bank.payments where is_fraud")
        connection.execute(
            "create materialized view frauds as select * from bank.payments where is_fraud"
        )
        connection.execute("create role stranger login password 'unknown'")
    yield postgres
    with connect(postgres) as connection:
        connection.execute("drop schema bank cascade")


def connect(server: Server) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(server.url(), autocommit=True, row_factory=tuple_row)


def postgres_table(server: Server, name: str, select: str) -> str:
    """A further table, made anew; returns its source."""
    with connect(server) as connection:
        connection.execute(f"drop table if exists bank.{name}")
        connection.execute(f"create table bank.{name} as {select}")
    return f"{server.url()}#bank.{name}"


@postgres_group
@pytest.mark.parametrize("size", [5, 100_000])
def test_the_same_rows_from_postgresql(
    server: Server, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(database, "_BATCH_ROWS", size)
    whole = read_transactions(f"{server.url()}#bank.payments", options=LENIENT)
    assert whole.table.combine_chunks().equals(EXPECTED)
    assert whole.report.source == f"postgresql://owner:***@/postgres?host={server.folder}" + (
        "#bank.payments"
    )


@postgres_group
def test_views_of_postgresql(server: Server) -> None:
    frauds = EXPECTED.take([2, 5, 8, 11])
    for name in ("bank.frauds", "frauds"):  # the latter is a materialized one
        assert read_transactions(f"{server.url()}#{name}", options=LENIENT).table.equals(frauds)


@postgres_group
def test_a_query_to_postgresql(server: Server) -> None:
    query = (
        "select *, counterparty_id::text as note from bank.payments "
        "where is_fraud and account_id like 'DE%' and account_id <> ' :none'"
    )
    whole = read_transactions(server.url(), declared(query=query), LENIENT)
    assert whole.table.equals(EXPECTED.take([2, 5, 8, 11]))
    assert whole.report.unread == ["note"]
    delete = "delete from bank.payments"
    assert "SELECT or WITH" in refused(server.url(), declared(query=delete))
    hidden = declared(query=f"with gone as ({delete} returning *) select * from gone")
    assert "cannot be read (" in refused(server.url(), hidden)
    assert read_transactions(f"{server.url()}#bank.payments", options=LENIENT).report.rows_in > 0
    narrow = declared(query="select amount from bank.payments")
    assert "there is no column 'transaction_id'" in refused(server.url(), narrow)


@postgres_group
def test_numbers_of_postgresql_that_are_none(server: Server) -> None:
    source = postgres_table(
        server,
        "odd",
        "select transaction_id, timestamp, account_id, counterparty_id, "
        "case extract(hour from timestamp at time zone 'UTC') "
        "when 17 then 'NaN'::numeric when 0 then null else 1.5 end as amount, is_fraud "
        "from bank.payments",
    )
    whole = read_transactions(source, options=LENIENT)
    hours = [row[1].hour for row in ROWS]
    assert whole.report.reasons == {
        "amount_not_finite": hours.count(17),
        "amount_missing": hours.count(0),
    }
    assert whole.table["amount"].to_pylist() == [1.5] * whole.report.rows_used


@postgres_group
def test_decimals_of_postgresql_are_the_nearest_floats(server: Server) -> None:
    source = postgres_table(
        server,
        "exact",
        "select 't' || n as transaction_id, timestamptz '2024-05-01' as timestamp, "
        "'a' as account_id, 'm' as counterparty_id, (1234567890 + n * 1.01)::numeric(14, 2) "
        "as amount from generate_series(1, 99) as n",
    )
    expected = [float(Decimal(1234567890) + at * Decimal("1.01")) for at in range(1, 100)]
    assert read_transactions(source, options=LENIENT).table["amount"].to_pylist() == expected


@postgres_group
def test_times_that_python_cannot_hold_are_named(server: Server) -> None:
    source = postgres_table(
        server,
        "endless",
        "select 't' as transaction_id, timestamptz 'infinity' as timestamp, 'a' as account_id, "
        "'m' as counterparty_id, 1 as amount",
    )
    assert "'infinity'" in refused(source)


@postgres_group
def test_a_table_that_postgresql_lacks(server: Server) -> None:
    message = refused(f"{server.url()}#bank.payment")
    assert "there is no table 'bank.payment'; did you mean 'payments'?" in message
    assert "there is no table 'payments'" in refused(f"{server.url()}#payments")
    assert "there is no table 'bnak.payments'" in refused(f"{server.url()}#bnak.payments")
    assert "names no table (tables: " in refused(server.url())


@postgres_group
def test_whom_postgresql_refuses_is_told_in_one_line_without_the_password(server: Server) -> None:
    wrong = refused(f"{server.url(password='hush')}#bank.payments")
    assert "password authentication failed" in wrong
    assert "hush" not in wrong
    assert 'database "none" does not exist' in refused(f"{server.url('none')}#bank.payments")
    stranger = Server(server.folder, "stranger", "unknown").url()
    assert "permission denied" in refused(f"{stranger}#bank.payments")
    nowhere = Server(server.folder / "none").url()
    assert "check the URL (special characters" in refused(f"{nowhere}#bank.payments")


@postgres_group
def test_no_connection_is_left_open(server: Server) -> None:
    for _ in range(20):  # the server takes 10
        refused(f"{server.url()}#bank.payment")
    with connect(server) as connection:
        query = "select count(*) from pg_stat_activity where usename = 'owner' and state <> ''"
        (count,) = connection.execute(query).fetchone() or (0,)
    assert count <= 2


@pytest.mark.parametrize(
    "query",
    [
        "drop table t",
        "create table z (a)",
        "vacuum into 'copy'",
        "with x as (select 1) delete from t",
    ],
)
def test_a_query_of_a_recipe_changes_nothing(tmp_path: Path, query: str) -> None:
    path = tmp_path / "bank.db"
    with sqlite3.connect(path) as bank:
        bank.execute("create table t (a)")
        bank.execute("insert into t values (1)")
    bank.close()
    before = path.read_bytes()
    recipe = load_recipe().model_copy(update={"query": query})
    with pytest.raises(InputError, match=r"SELECT or WITH|cannot be read"):
        read_transactions(f"sqlite:///{path}", recipe)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["bank.db"]


def test_what_is_no_database_is_told_so() -> None:
    for source in ("https://host/a.csv", "s3://bucket/a.parquet", "file:///a.csv"):
        with pytest.raises(InputError, match="is no database; download the file"):
            read_transactions(source)


def test_a_slash_in_a_password_is_masked_too() -> None:
    assert place_of("postgresql://bob:a/hush@host:5/bank#t") == "postgresql://bob:***@host:5/bank#t"
