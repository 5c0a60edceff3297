"""A table or query of a SQL database, through SQLAlchemy."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from fraudnet.errors import InputError
from fraudnet.transactions.place import place_of
from fraudnet.transactions.recipe import Recipe, nearest
from fraudnet.transactions.sources.rows import (
    Chosen,
    Rows,
    assemble,
    choose,
    needed,
    numbered,
    unread,
)

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, Executable

_BATCH_ROWS = 100_000
_PLAIN = (bool, int, float, Decimal, str, date, datetime)


def read_database(source: str, recipe: Recipe) -> Iterator[Rows]:
    """The rows of a table or query, 100,000 at a time, never all of them in memory.

    Args:
        source: `URL#TABLE` or `URL#SCHEMA.TABLE`; no table where the recipe gives a query. The URL
            is SQLAlchemy's, such as `sqlite:///bank.db` or `postgresql+psycopg://user@host/bank`.
        recipe: which column is which, and the query if there is one.

    Raises:
        InputError: the URL, the connection, the table or a column is not as it must be.
    """
    try:
        import sqlalchemy
    except ImportError:
        raise InputError(
            "reading a database needs SQLAlchemy: pip install 'fraudnet[train,sql]'"
        ) from None
    place = place_of(source)
    try:
        engine = _read_only(_url(source))
        with engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=_BATCH_ROWS)
            yield from _rows(streaming, source, place, recipe)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        problem = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        # A driver that took a part of the password for the host's name would show it.
        for secret in re.findall(r"://[^:/@]*:(.*)@", source):
            problem = problem.replace(f"{secret.rpartition('@')[2]}@", "***@")
        raise InputError(
            f"{place}: cannot be read ({problem}); check the URL (special characters of a "
            "password as %40 and the like), the driver, the server and the rights of the user"
        ) from None


def _read_only(url: URL) -> Engine:
    """An engine that changes nothing; without a pool, it is closed however the reading ends."""
    import sqlalchemy

    if url.get_backend_name() == "sqlite":
        at = f"file:{quote(url.database or '')}?mode=ro"
        return sqlalchemy.create_engine(
            "sqlite://",
            creator=partial(sqlite3.connect, at, uri=True),
            poolclass=sqlalchemy.NullPool,
        )
    if url.get_backend_name() == "postgresql":
        options = {"postgresql_readonly": True}
        return sqlalchemy.create_engine(
            url, execution_options=options, poolclass=sqlalchemy.NullPool
        )
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)


def _url(source: str) -> URL:
    import sqlalchemy

    if re.match(r"(?i)(https?|ftp|s3|gs|file)://", source):
        raise InputError(f"{place_of(source)}: is no database; download the file, give its path")
    try:
        url = sqlalchemy.make_url(source.partition("#")[0])
    except (sqlalchemy.exc.ArgumentError, ValueError):  # ValueError: a port that is no number
        raise InputError(
            f"{place_of(source)}: is no database URL; give one such as "
            "sqlite:///bank.db#transactions"
        ) from None
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise InputError(f"{place_of(source)}: there is no file {url.database}")
    # PostgreSQL without a driver's name means the one that the extra brings.
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _rows(connection: Connection, source: str, place: str, recipe: Recipe) -> Iterator[Rows]:
    statement, header, chosen = _statement(connection, source, place, recipe)
    with connection.execute(statement) as result:
        if chosen is None:
            header = numbered(list(result.keys()), recipe)
            chosen = choose(place, header, recipe)
            wanted = [header.index(name) for name in needed(chosen)]
        else:
            wanted = list(range(len(needed(chosen))))
        left = unread(header, chosen, recipe)
        first = 1
        for records in result.partitions(_BATCH_ROWS):
            columns: list[tuple[object, ...]] = list(zip(*records, strict=True))
            values = {
                name: _array(columns[at]) for name, at in zip(needed(chosen), wanted, strict=True)
            }
            line = np.arange(first, first + len(records))
            yield Rows(place, assemble(chosen, values, recipe), line, [], left)
            first += len(records)


def _statement(
    connection: Connection, source: str, place: str, recipe: Recipe
) -> tuple[Executable, list[str], Chosen | None]:
    """What to ask, and of a table the columns it has and those that are asked for."""
    import sqlalchemy

    name = source.partition("#")[2]
    if recipe.query is not None:
        if not re.match(r"(?i)\s*(select|with)\b", recipe.query):
            raise InputError(
                f"{place}: the query of recipe {recipe.name} does not begin with SELECT or WITH; "
                "give one that only reads"
            )
        if name:
            raise InputError(
                f"{place}: recipe {recipe.name} gives a query; leave out #{name}, or the query"
            )
        # A colon stands for itself; there are no parameters.
        return sqlalchemy.text(recipe.query.replace(":", r"\:")), [], None
    schema, _, table = name.rpartition(".")
    inspector = sqlalchemy.inspect(connection)
    if not table or not inspector.has_table(table, schema or None):
        where = schema or None
        known = [*inspector.get_table_names(where), *inspector.get_view_names(where)]
        what = f"there is no table '{name}'{nearest(table, known)}" if name else "names no table"
        raise InputError(
            f"{place}: {what} (tables: {', '.join(known) or 'none'}); give it as URL#TABLE"
        )
    header = [column["name"] for column in inspector.get_columns(table, schema or None)]
    chosen = choose(place, header, recipe)
    names = needed(chosen)
    at = sqlalchemy.table(table, *map(sqlalchemy.column, names), schema=schema or None)
    return sqlalchemy.select(*(at.c[name] for name in names)), header, chosen


def _array(values: Sequence[object]) -> pa.Array:
    """A column as Arrow infers it; as text where its values are of several types, or of others."""
    with suppress(pa.ArrowException, OverflowError):
        if all(value is None or isinstance(value, _PLAIN) for value in values):
            return pa.array(values)
    # SQLite keeps any type in any column, and a numeric column may hold what is not finite.
    return pa.array([None if value is None else str(value) for value in values], pa.string())
