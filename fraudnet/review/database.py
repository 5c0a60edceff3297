"""The team's case database: a SQLite file, or a PostgreSQL database by its URL."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from pandas.errors import DatabaseError
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from fraudnet.errors import InputError
from fraudnet.review.schema import MIGRATIONS, TABLES, done_migrations, migrate
from fraudnet.transactions.place import place_of

HOUR_US = 3_600_000_000
DEFAULT_GAP_HOURS = 72.0
"""Flags of an account that follow each other within this are one case."""

_LONGEST_GAP_HOURS = 87_600  # ten years
_TIMEOUT_S = 10.0
_WRITERS = 0x66726175646E6574  # a lock of our own: "fraudnet"
_DIALECTS = ("sqlite", "postgresql")


class CaseDatabase:
    """A team's case database that is there and of the version this package reads.

    One of an older version is migrated when it is opened.

    Args:
        source: path of a SQLite file, or a URL such as postgresql://user@host/cases.
        create: make it if it is not there.
        gap_hours: between two flags of one case at most; fixed when the database is made. None:
            whatever it was made with, `DEFAULT_GAP_HOURS` for a new one.

    Raises:
        InputError: it is not there, cannot be reached, is no case database (a device's store
            among them), was made by a newer fraudnet, or was made with another gap.
    """

    def __init__(
        self, source: str | Path, *, create: bool = False, gap_hours: float | None = None
    ) -> None:
        url = _url(source)
        self.place = place_of(source)
        self.name = (
            Path(url.database or "").name
            if url.get_backend_name() == "sqlite"
            else (url.database or self.place)
        )
        if url.get_backend_name() == "sqlite":
            self._refuse_other_files(Path(url.database or ""), create)
        self._engine = _engine(url, create)
        if gap_hours is not None and not 0 <= gap_hours < _LONGEST_GAP_HOURS:
            raise InputError(f"gap_hours {gap_hours}: expected 0 to {_LONGEST_GAP_HOURS:,}")
        with self.read() as connection:
            is_current = self._is_current(connection)
        if not is_current:  # only then a writer is waited for
            with self.write() as connection:
                self._make_current(connection, create, gap_hours)
        self.gap_us = self._gap_us(gap_hours)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database.

        A connection a call, because notebook front ends run widget callbacks in other threads
        than the cells, and SQLite connections do not cross threads.

        Raises:
            InputError: the database says no; the message names it.
        """
        with self._explained(), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One SQL transaction: committed on leaving, undone on an error; one writer at a time.

        Raises:
            InputError: the database says no; the message names it.
        """
        engine = self._engine.execution_options(fraudnet_writes=True)
        with self._explained(), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
            yield connection

    def vacuum(self) -> None:
        """Writes SQLite's file anew, or clears PostgreSQL's tables, of what was deleted."""
        with self._explained(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ImportError, DatabaseError) as error:
            # pandas puts the whole query into an error of its own.
            cause = error.__cause__ if isinstance(error, DatabaseError) else error
            problem = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
            raise InputError(f"{self.place}: {problem}") from error

    def _refuse_other_files(self, path: Path, create: bool) -> None:
        expected = "expected the SQLite file that `fraudnet cases import` makes"
        if not path.is_file():
            if create and path.parent.is_dir():
                return
            raise InputError(
                f"{path}: no case database there; make one with "
                f"`fraudnet cases import STORE --into {path}`"
                if not create
                else f"{path}: no directory {path.parent}; make it first"
            )
        try:
            with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as connection:
                query = "SELECT name FROM sqlite_master WHERE type = 'table'"
                tables = {name for (name,) in connection.execute(query)}
            connection.close()
        except sqlite3.Error as error:
            raise InputError(f"{path}: not a case database ({error}); {expected}") from error
        if {"meta", "transactions", "cases"} <= tables:
            raise InputError(
                f"{path}: is the store of one device; take its cases into a team's database "
                f"with `fraudnet cases import {path} --into reviews.sqlite` and give that"
            )
        if "migrations" not in tables and (tables or not create):
            raise InputError(f"{path}: not a case database (no table migrations); {expected}")

    @staticmethod
    def _is_current(connection: Connection) -> bool:
        tables = set(sqlalchemy.inspect(connection).get_table_names())
        return tables >= {*TABLES, "migrations"} and done_migrations(connection) == set(MIGRATIONS)

    def _make_current(self, connection: Connection, create: bool, gap_hours: float | None) -> None:
        tables = set(sqlalchemy.inspect(connection).get_table_names())
        is_new = "migrations" not in tables
        if is_new and not create:
            raise InputError(
                f"{self.place}: no case database there; make one with "
                "`fraudnet cases import STORE --into URL`"
            )
        if is_new and (clash := sorted(tables & TABLES)):
            raise InputError(
                f"{self.place}: holds a table {clash[0]} of something else; give another database"
            )
        if not is_new and "flags" not in tables:
            raise InputError(f"{self.place}: not a case database (no table flags)")
        try:
            migrate(connection)
        except ValueError as error:
            raise InputError(
                f"{self.place}: {error}; upgrade with `pip install --upgrade fraudnet`"
            ) from error
        if is_new:
            gap_us = round((DEFAULT_GAP_HOURS if gap_hours is None else gap_hours) * HOUR_US)
            values = {"gap_us": str(gap_us), "erasure_key": secrets.token_hex(32)}
            connection.execute(
                sqlalchemy.text("INSERT INTO meta VALUES (:key, :value)"),
                [{"key": key, "value": value} for key, value in values.items()],
            )

    def _gap_us(self, gap_hours: float | None) -> int:
        gap_us = int(self.meta("gap_us"))
        if gap_hours is not None and round(gap_hours * HOUR_US) != gap_us:
            raise InputError(
                f"{self.place}: groups flags within {gap_us / HOUR_US:g} hours, which was fixed "
                "when it was made; leave --gap-hours out, or make another database"
            )
        return gap_us

    def meta(self, key: str) -> str:
        """A value that was fixed when the database was made."""
        query = sqlalchemy.text("SELECT value FROM meta WHERE key = :key")
        with self.read() as connection:
            return str(connection.execute(query, {"key": key}).scalar_one())


def _url(source: str | Path) -> URL:
    if not str(source) or "\0" in str(source):
        raise InputError(f"{str(source)!r}: names no database; give a path, or a PostgreSQL URL")
    if isinstance(source, Path) or "://" not in source:
        return URL.create("sqlite", database=str(source))
    try:
        url = sqlalchemy.make_url(source)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        backend = ""
    if backend not in _DIALECTS or (backend == "sqlite" and not url.database):
        raise InputError(
            f"{place_of(source)}: is no URL of SQLite or PostgreSQL; give the path of a file, or "
            "a URL such as postgresql://user@host/cases"
        )
    # PostgreSQL without a driver's name means the one that the extra `sql` brings.
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _engine(url: URL, create: bool) -> Engine:
    if url.get_backend_name() == "postgresql":
        try:
            return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        except ImportError as error:
            raise InputError(
                f"{place_of(str(url))}: {error.name} is not installed; PostgreSQL needs "
                "pip install 'fraudnet[sql]'"
            ) from error
    path = Path(url.database or "").absolute()
    mode = "rwc" if create else "rw"  # a file that vanishes is missed, and no empty one made for it
    engine = sqlalchemy.create_engine(
        URL.create("sqlite", database=path.as_uri(), query={"mode": mode, "uri": "true"}),
        poolclass=sqlalchemy.NullPool,
        connect_args={"timeout": _TIMEOUT_S},
    )

    @sqlalchemy.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the module
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            writes = options.get("fraudnet_writes")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
