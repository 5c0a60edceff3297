"""100,000 odd inputs: no traceback, no decision on nonsense."""

import copy
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudnet.device import ArtifactError, Transaction, TransactionError
from fraudnet.device.artifact import open_artifact
from fraudnet.device.contract import ReputationTerms
from fraudnet.device.reading import read_rows
from fraudnet.device.reputation import Snapshot, SnapshotError
from fraudnet.device.transactions import LARGEST_NUMBER
from fraudnet.device.window import Window
from tests.device.conftest import contract, vectors, with_tail, write_snapshot
from tests.device.test_command import STREAM

pytestmark = pytest.mark.slow

KINDS = {"category": "categorical", "distance": "numeric"}
TERMS = ReputationTerms(("count_7d", "fraud_7d"), 2)


def cases(count: int) -> settings:
    checks = [
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ]
    return settings(max_examples=count, deadline=None, suppress_health_check=checks, database=None)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
    | st.sampled_from(["2024-10-05T10:00:00Z", "0001-01-01", "9999-12-31T23:59:59-12:00", "1e400"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
changed_rows = st.dictionaries(
    st.sampled_from([*STREAM[0], "is_fraud", "note"]) | st.text(max_size=5), values, max_size=4
).map(lambda changes: json.dumps(STREAM[0] | changes).encode())


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes changed, dropped, put in or cut off."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(made)))
        new = draw(st.binary(max_size=4))
        made[place : place + draw(st.integers(0, 5))] = new
    return bytes(made[: draw(st.sampled_from([len(made)] * 5 + [len(made) // 2]))])


# Each kind of line has a test of its own, that no test takes minutes.
@cases(20_000)
@given(line=changed_rows)
def test_any_row(line: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    _read(line, tmp_path_factory)


@cases(20_000)
@given(line=damaged(json.dumps(STREAM[0]).encode()))
def test_any_damage_to_a_row(line: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    _read(line, tmp_path_factory)


@cases(20_000)
@given(line=st.binary(max_size=40))
def test_any_line(line: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    _read(line, tmp_path_factory)


def _read(line: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = Path(tempfile.gettempdir()) / f"fuzz-{tmp_path_factory.getbasetemp().name}.jsonl"
    path.write_bytes(b"{}\n" + line.replace(b"\n", b" "))
    for row in list(read_rows(path, KINDS))[1:]:
        assert isinstance(row.parsed, Transaction | TransactionError)
        if isinstance(row.parsed, TransactionError):
            assert "\n" not in str(row.parsed)
            continue
        read = row.parsed
        assert math.isfinite(read.amount)
        assert abs(read.amount) <= LARGEST_NUMBER
        assert read.transaction_id
        assert read.account_id
        assert WINDOW.fits(WINDOW.pack(read, {}))
        json.loads(json.dumps(read.columns, allow_nan=False))


@cases(25_000)
@given(data=st.data())
def test_any_snapshot(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = Path(tempfile.gettempdir()) / f"fuzz-{tmp_path_factory.getbasetemp().name}.reputation"
    good = write_snapshot(path, {f"m{i}": (i, i) for i in range(20)}, 0).read_bytes()
    path.write_bytes(content := data.draw(damaged(good) | st.binary(max_size=60)))
    try:
        snapshot = Snapshot(path, TERMS)
    except SnapshotError as error:
        assert str(path) in str(error)  # noqa: PT017  (it need not be raised)
    else:
        assert content == good
        assert snapshot.counts("m3", 1) == {"count_7d": 3, "fraud_7d": 3}


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:  # noqa: ANN401
    """A document with one value somewhere in it exchanged, or taken out."""
    made = copy.deepcopy(document)
    holder: Any = None
    key: Any = None
    inner = made
    while isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
        holder = inner
        key = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        inner = inner[key]
    if holder is None:
        return draw(values)
    if draw(st.booleans()):
        holder[key] = draw(values)
    else:
        del holder[key]
    return made


@cases(15_000)
@given(data=st.data())
def test_any_artifact(
    model: bytes, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Damaged anywhere; or whole, its digests right, with another contract or other vectors."""
    path = Path(tempfile.gettempdir()) / f"fuzz-{tmp_path_factory.getbasetemp().name}.tflite"
    documents = {"contract.json": contract(), "vectors.json": vectors(1)}
    good = with_tail(model, documents)
    name = data.draw(st.sampled_from([None, *documents]))
    if name is None:
        content = data.draw(damaged(good) | st.binary(max_size=60))
    else:
        content = with_tail(model, documents | {name: data.draw(changed(documents[name]))})
    path.write_bytes(content)
    try:
        opened = open_artifact(path)
    except ArtifactError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017  (it need not be raised)
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert name is not None or content == good
        # What is accepted can be used: a window of it is packed and answered.
        window = Window(opened.contract)
        transaction = Transaction("t", "a", 10**15, None, 1.0, {})
        assert window.fits(window.pack(transaction, {}))


def _window() -> Window:
    from fraudnet.device.contract import parse_contract

    return Window(parse_contract(contract()))


WINDOW = _window()
