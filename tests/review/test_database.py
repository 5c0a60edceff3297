import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from fraudnet.errors import InputError
from fraudnet.review import schema
from fraudnet.review.cases import list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.exporting import labels
from fraudnet.review.importing import import_store
from fraudnet.review.leases import take
from fraudnet.review.quality import flags_with_verdicts
from tests.review.conftest import both


def test_missing_file_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    with pytest.raises(InputError, match=r"none\.sqlite: no case database there; make one with"):
        CaseDatabase(path)
    assert not path.exists()
    with pytest.raises(InputError, match="no directory"):
        CaseDatabase(tmp_path / "no" / "x.sqlite", create=True)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("content", [b"SELECT 1;\n" * 200, bytes(range(256)) * 8])
def test_other_files_are_refused(tmp_path: Path, content: bytes, create: bool) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.bin: not a case database"):
        CaseDatabase(path, create=create)
    assert path.read_bytes() == content


def test_a_device_store_is_refused_with_the_command_to_run(device_path: Path) -> None:
    before = device_path.read_bytes()
    for create in (False, True):
        with pytest.raises(InputError, match=r"`fraudnet cases import .*cases\.sqlite --into "):
            CaseDatabase(device_path, create=create)
    assert device_path.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE runs (id)")
    with pytest.raises(InputError, match=r"mlflow\.db: not a case database \(no table migrations"):
        CaseDatabase(path, create=True)


def test_path_with_characters_of_a_uri(tmp_path: Path, device_path: Path) -> None:
    odd = CaseDatabase(tmp_path / "what? #1 100%.sqlite", create=True, gap_hours=0)
    import_store(odd, DeviceStore(device_path))
    assert len(list_cases(CaseDatabase(tmp_path / "what? #1 100%.sqlite"))) == 30


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://user:hush@host/cases", "is no URL of SQLite or PostgreSQL"),
        ("postgresql://user:hush@host:port/cases", "is no URL"),
        ("postgresql://user:hush@127.0.0.1:1/cases", "127.0.0.1"),
    ],
)
def test_a_url_that_leads_nowhere_ends_in_one_line_without_the_password(
    url: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        CaseDatabase(url, create=True)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["", "a\0b", "sqlite://", "sqlite:///"])
@pytest.mark.parametrize("create", [False, True])
def test_a_source_that_names_nothing(source: str, create: bool) -> None:
    with pytest.raises(InputError, match=r"names no database|is no URL of SQLite or") as caught:
        CaseDatabase(source, create=create)
    assert str(caught.value).isprintable()


def test_a_file_that_vanishes_is_missed_and_no_empty_one_made_for_it(
    source: str, device_path: Path
) -> None:
    import_store(CaseDatabase(source, create=True, gap_hours=0), DeviceStore(device_path))
    opened = CaseDatabase(source)
    Path(source).rename(f"{source}.away")
    with pytest.raises(InputError, match=r"reviews0\.sqlite: unable to open database file"):
        list_cases(opened)
    assert not Path(source).exists()
    Path(f"{source}.away").rename(source)
    assert len(list_cases(opened)) == 30


@both
def test_what_a_query_ends_in_is_one_line_without_the_query(database: CaseDatabase) -> None:
    """pandas wraps the database's error in one of its own."""
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE cases RENAME TO gone")
        connection.exec_driver_sql("DROP VIEW verdicts_in_force")
    for read in (list_cases, flags_with_verdicts, labels):
        with pytest.raises(InputError, match=r"verdicts_in_force|cases") as caught:
            read(database)
        assert "\n" not in str(caught.value)
        assert "SELECT" not in str(caught.value)


@both
def test_a_database_that_is_not_made_yet(source: str) -> None:
    with pytest.raises(InputError, match="no case database there; make one with"):
        CaseDatabase(source)


@both
def test_an_older_database_is_migrated_and_keeps_what_it_holds(
    source: str, device_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = dict(schema.MIGRATIONS)
    first = {name: steps[name] for name in ("flags and cases", "verdicts")}
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", first)
        patch.setattr("fraudnet.review.database.MIGRATIONS", first)
        old = CaseDatabase(source, create=True)
        with old.write() as connection:
            connection.exec_driver_sql("INSERT INTO cases (account_id) VALUES ('a-1')")
    new = CaseDatabase(source)
    assert list_cases(new)["account_id"].tolist() == ["a-1"]
    assert take(new, 1, "ana").number == 1
    import_store(new, DeviceStore(device_path))
    with new.read() as connection:
        assert schema.done_migrations(connection) == set(steps)


@both
def test_a_newer_database_is_refused_with_the_command_to_run(source: str) -> None:
    with CaseDatabase(source, create=True).write() as connection:
        connection.execute(text("INSERT INTO migrations VALUES ('wings')"))
    with pytest.raises(InputError, match=r"migration 'wings', which .* `pip install --upgrade"):
        CaseDatabase(source)


@pytest.mark.parametrize("gap_hours", [-1.0, float("nan"), float("inf")])
def test_a_gap_that_is_none(tmp_path: Path, gap_hours: float) -> None:
    with pytest.raises(InputError, match=r"gap_hours .*: expected 0 to 87,600"):
        CaseDatabase(tmp_path / "x.sqlite", create=True, gap_hours=gap_hours)
    assert not (tmp_path / "x.sqlite").exists()


def test_opening_waits_for_no_writer(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fraudnet.review.database._TIMEOUT_S", 0.0)
    with CaseDatabase(source, create=True).write():
        assert list_cases(CaseDatabase(source)).empty


@both
def test_the_gap_is_fixed_when_the_database_is_made(source: str) -> None:
    assert CaseDatabase(source, create=True, gap_hours=5).gap_us == 5 * 3_600_000_000
    assert CaseDatabase(source).gap_us == 5 * 3_600_000_000
    with pytest.raises(InputError, match="groups flags within 5 hours"):
        CaseDatabase(source, gap_hours=6)


@both
def test_an_error_undoes_all_of_a_transaction(database: CaseDatabase) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE cases SET assigned_to = 'eve'")
            connection.exec_driver_sql("SELECT nothing")

    with pytest.raises(InputError, match="nothing"):
        fail()
    assert set(list_cases(database)["assigned_to"]) == {None}
