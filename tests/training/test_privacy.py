"""No account, counterparty or transaction is named in what is kept or logged."""

import re
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")

COLUMNS = ("account_id", "counterparty_id", "transaction_id")


def identifiers(world: World) -> set[bytes]:
    found = set()
    for column in COLUMNS:
        found |= set(world.table[column].to_pylist())
    return {name.encode() for name in found - {None}}


def contents(path: Path) -> Iterator[bytes]:
    """A file as it is, and what it holds compressed or as a database."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    if path.suffix == ".db":
        connection = sqlite3.connect(path)
        yield "\n".join(connection.iterdump()).encode()
        connection.close()


def named_in(path: Path, names: set[bytes]) -> set[bytes]:
    words = (re.findall(rb"(?=([ACT]\d{6,9}))", content) for content in contents(path))
    shortened = {word[:length] for found in words for word in found for length in (7, 10)}
    return shortened & names


def test_the_search_finds_them_where_they_are(world: World, tmp_path: Path) -> None:
    names = identifiers(world)
    assert named_in(world.data, names) == names
    with zipfile.ZipFile(tmp_path / "packed.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(world.data, "transactions")
    assert named_in(tmp_path / "packed.npz", names) == names
    connection = sqlite3.connect(tmp_path / "some.db")
    connection.execute("CREATE TABLE tags (value TEXT)")
    connection.execute("INSERT INTO tags VALUES ('see A000001 and T000000012')")
    connection.commit()
    connection.close()
    assert named_in(tmp_path / "some.db", names) == {b"A000001", b"T000000012"}


def test_the_trained_network_names_none(world: World) -> None:
    own = ("trained.json", "windows.npz", "network.weights.h5", "report.html", "MODEL_CARD.md")
    for name in own:
        assert named_in(world.model / name, identifiers(world)) == set()


def test_the_artifact_names_none(world: World) -> None:
    assert named_in(world.artifact, identifiers(world)) == set()


def test_mlflow_is_told_of_none(world: World) -> None:
    names = identifiers(world)
    files = [path for path in world.logged.parent.rglob("*") if path.is_file()]
    kinds = {".db", ".json", ".png", ".tflite", ".html", ".md", ".parquet"}
    assert {path.suffix for path in files} >= kinds
    for path in files:
        assert named_in(path, names) == set(), path


def test_mlflow_is_not_told_where_the_data_lie(world: World) -> None:
    place = str(world.data.parent).encode()
    for path in world.logged.parent.rglob("*"):
        if path.is_file():
            assert not any(place in content for content in contents(path)), path
