"""Histories made on disk are those made in memory, whatever the pieces and partitions."""

import gc
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.training.prepare import Prepared, prepare
from fraudnet.transactions.sources import delimited, json_lines
from fraudnet.windows import on_disk, parallel
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.on_disk import Spool
from fraudnet.windows.periods import Period
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification, Reputation
from tests.training.world import experiment
from tests.windows.tables import DAY_US, DELAYS, SOME_ROWS, VOCABULARY, Row, table_of

Array = npt.NDArray[Any]

ENOUGH = 1 << 40
CATEGORY = CategoricalColumn(column="category", vocabulary=VOCABULARY)
SPECIFICATION = FeatureSpecification(categorical=(CATEGORY,), numeric=("distance",))
SPECIFICATIONS = st.builds(
    lambda reputation: SPECIFICATION.model_copy(update={"reputation": reputation}),
    st.none()
    | st.builds(
        Reputation,
        key=st.sampled_from(["counterparty_id", "category"]),
        windows_days=st.sampled_from([(), (1,), (1, 7, 30)]),
        refresh=st.sampled_from(["day", "transaction"]),
    ),
)
NAMES = st.sampled_from(["a", "b", "c", "d", "é", "10", "9", " ", "", "アカウント", "A" * 300])
ROWS = st.builds(
    lambda rows, names: [
        row._replace(account=names[row.account]) if row.account in names else row for row in rows
    ],
    SOME_ROWS,
    st.dictionaries(st.sampled_from("abc"), NAMES),
) | st.lists(
    st.builds(
        lambda account, day, counterparty, is_fraud: Row(
            account, day * DAY_US, counterparty, category=counterparty, is_fraud=is_fraud
        ),
        NAMES,
        st.integers(0, 20),
        st.none() | NAMES,
        st.sampled_from([0, 1, None]),
    ),
    min_size=1,
    max_size=30,
)


@contextmanager
def partitions(count: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_disk, "PARTITIONS", count)
        yield


def spooled(
    folder: Path, pieces: list[pa.Table], specification: FeatureSpecification, days: float
) -> Spool:
    spool = Spool(folder, specification, days)
    for piece in pieces:
        spool.add(piece)
    spool.close()
    return spool


def cut(table: pa.Table, edges: list[int]) -> list[pa.Table]:
    """The table in pieces; the edges are within it, in any order, and may repeat."""
    bounds = sorted({0, *edges, len(table)})
    return [table.slice(begin, end - begin) for begin, end in pairwise(bounds)]


def by_source(histories: Histories, values: Array) -> Array:
    return np.asarray(values)[np.argsort(histories.source_row)]


def accounts(histories: Histories) -> set[tuple[int, ...]]:
    """The source rows of each account, oldest first."""
    ends = histories.offsets[1:-1].tolist()
    return {tuple(rows.tolist()) for rows in np.split(np.asarray(histories.source_row), ends)}


def grouped(codes: Array) -> list[int]:
    """Codes anew, in the order of first appearance; -1 stays."""
    names = {-1: -1}
    return [names.setdefault(code, len(names) - 1) for code in codes.tolist()]


def assert_same(found: Histories, expected: Histories) -> None:
    count = len(expected)
    assert len(found) == count
    assert np.sort(found.source_row).tolist() == list(range(count))
    assert len(found.offsets) == len(expected.offsets)
    assert accounts(found) == accounts(expected)
    sizes = np.diff(found.offsets)
    assert found.account.tolist() == np.repeat(np.arange(len(sizes)), sizes).tolist()
    for name in ("timestamp_us", "known_us", "is_fraud", "amount", "source_row", "account"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype, name
    for name in ("timestamp_us", "known_us", "is_fraud", "amount"):
        ours, theirs = (by_source(each, getattr(each, name)) for each in (found, expected))
        assert ours.tobytes() == theirs.tobytes(), name
    counterparties = (by_source(each, each.counterparty) for each in (found, expected))
    assert grouped(next(counterparties)) == grouped(next(counterparties))
    assert list(found.columns) == list(expected.columns)
    for name, values in expected.columns.items():
        assert found.columns[name].dtype == values.dtype, name
        ours, theirs = by_source(found, found.columns[name]), by_source(expected, values)
        assert ours.tobytes() == theirs.tobytes(), name
    assert found.specification == expected.specification


@settings(deadline=None, max_examples=80)
@given(
    ROWS,
    st.lists(st.integers(0, 30), max_size=5),
    st.integers(1, 30),
    SPECIFICATIONS,
    DELAYS,
    st.sampled_from([1, 3, 3, 128]),
)
def test_same_as_in_memory(
    rows: list[Row],
    edges: list[int],
    chunk: int,
    specification: FeatureSpecification,
    milli_days: int,
    count: int,
) -> None:
    table, days = table_of(rows, chunk=chunk), milli_days / 1000
    pieces = cut(table, [edge for edge in edges if edge < len(rows)])
    expected = build_histories(table, specification, days)
    with tempfile.TemporaryDirectory() as folder, partitions(count):
        spool = spooled(Path(folder), pieces, specification, days)
        found = spool.histories(specification, ENOUGH)
        assert_same(found, expected)
        del found
    times = [row.timestamp_us for row in rows]
    assert (spool.rows, spool.first_us, spool.last_us) == (len(rows), min(times), max(times))


@pytest.mark.parametrize("key", ["counterparty_id", "category"])
@pytest.mark.parametrize("count", [1, 3, 128])
def test_many_accounts_and_counterparties(tmp_path: Path, key: str, count: int) -> None:
    rng = np.random.default_rng(5)
    rows = [
        Row(
            account=f"account {rng.integers(300)}",
            timestamp_us=int(rng.integers(40 * 24)) * DAY_US // 24,
            counterparty=[None, f"shop {rng.integers(90)}"][int(rng.random() < 0.9)],
            amount=float(rng.lognormal()),
            category=[None, f"kind {rng.integers(9)}"][int(rng.random() < 0.9)],
            is_fraud=[0, 1, None][rng.integers(3)],
        )
        for _ in range(3000)
    ]
    table = table_of(rows, chunk=700)
    specification = SPECIFICATION.model_copy(update={"reputation": Reputation(key=key)})
    with partitions(count), pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BLOCK_ROWS", 100)
        spool = spooled(tmp_path, cut(table, [1, 900, 901, 2500]), specification, 7.0)
        found = spool.histories(specification, ENOUGH)
    assert_same(found, build_histories(table, specification, 7.0))


def test_without_labels_and_label_times(tmp_path: Path) -> None:
    rows = [Row(f"a{at % 5}", at, is_fraud=1, label_time_us=at) for at in range(20)]
    table = table_of(rows, labelled=False)
    spool = spooled(tmp_path, cut(table, [6]), SPECIFICATION, 7.0)
    assert_same(spool.histories(SPECIFICATION, ENOUGH), build_histories(table, SPECIFICATION, 7.0))


def test_a_label_time_that_only_a_later_piece_has(tmp_path: Path) -> None:
    rows = [Row(f"a{at % 5}", at * DAY_US, is_fraud=1) for at in range(10)]
    late = [row._replace(label_time_us=row.timestamp_us + DAY_US) for row in rows]
    pieces = [table_of(rows).drop(["label_time"]), table_of(late)]
    whole = pa.concat_tables(pieces, promote_options="default")
    spool = spooled(tmp_path, pieces, SPECIFICATION, 7.0)
    assert_same(spool.histories(SPECIFICATION, ENOUGH), build_histories(whole, SPECIFICATION, 7.0))


@settings(deadline=None, max_examples=60)
@given(ROWS, st.lists(st.integers(0, 30), max_size=3), st.data())
def test_a_period_holds_its_rows_and_no_others(
    rows: list[Row], edges: list[int], data: st.DataObject
) -> None:
    moments = st.sampled_from([row.timestamp_us for row in rows])
    first, last = sorted((data.draw(moments), data.draw(moments)))
    period = Period(*(pa.scalar(us, pa.timestamp("us", "UTC")).as_py() for us in (first, last)))
    pieces = cut(table_of(rows), [edge for edge in edges if edge < len(rows)])
    with tempfile.TemporaryDirectory() as folder, partitions(3):
        spool = spooled(Path(folder), pieces, SPECIFICATION, 7.0)
        found = [
            (row["row"], row["account_id"], row["category"])
            for table in spool.within(period)
            for row in table.to_pylist()
        ]
    expected = [
        (at, row.account, row.category)
        for at, row in enumerate(rows)
        if first <= row.timestamp_us < last
    ]
    assert sorted(found, key=lambda row: row[0]) == expected


@pytest.mark.parametrize("larger", ["account", "counterparty"])
def test_the_refusal_names_a_limit_that_suffices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, larger: str
) -> None:
    """One partition, 12 rows: 12 x 500 kB of accounts, or as much of counterparties."""
    monkeypatch.setattr(on_disk, "PARTITIONS", 1)
    sizes = {"account": (500_000, 250_000), "counterparty": (250_000, 500_000)}[larger]
    monkeypatch.setattr(on_disk, "BYTES_PER_ROW", sizes[0])
    monkeypatch.setattr(on_disk, "BYTES_PER_EVENT", sizes[1])
    table = table_of([Row(f"a{at}", at) for at in range(12)])
    spool = spooled(tmp_path, [table], SPECIFICATION, 7.0)
    named = set()
    for limit in (1, 4, 5):
        with pytest.raises(InputError) as caught:
            spool.histories(SPECIFICATION, limit << 20)
        assert f"data.memory_limit_mb is {limit}, but" in str(caught.value)
        named |= set(re.findall(r"needs (\d+) MB", str(caught.value)))
    assert named == {"6"}  # 6,000,000 bytes are 5.7 MB
    assert_same(spool.histories(SPECIFICATION, 6 << 20), build_histories(table, SPECIFICATION, 7.0))


def test_the_largest_partition_of_all_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_disk, "BYTES_PER_ROW", 1 << 20)
    monkeypatch.setattr(on_disk, "BYTES_PER_EVENT", 1 << 20)
    reputation = Reputation(key="category")
    specification = SPECIFICATION.model_copy(update={"reputation": reputation})
    for account, counterparty, category in (("a", "", ""), ("", "m", ""), ("", "", "c")):
        rows = [Row(account or f"a{i}", i, counterparty or f"m{i}", 1.0, category or f"c{i}")
                for i in range(40)]  # fmt: skip
        folder = tmp_path / f"{account}{counterparty}{category}"
        folder.mkdir()
        spool = spooled(folder, [table_of(rows)], specification, 7.0)
        with pytest.raises(InputError, match="needs 40 MB: raise the limit"):
            spool.histories(specification, (40 << 20) - 1)
        assert len(spool.histories(specification, 40 << 20)) == 40


def test_the_files_that_stay_are_those_that_are_mapped(tmp_path: Path) -> None:
    rows = [Row(f"a{at % 9}", at, is_fraud=at % 2) for at in range(50)]
    found = spooled(tmp_path, [table_of(rows)], SPECIFICATION, 7.0).histories(SPECIFICATION, ENOUGH)
    mapped = sum(
        values.nbytes for values in (*vars(found).values(), *found.columns.values())
        if isinstance(values, np.memmap)
    )  # fmt: skip
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == mapped
    assert isinstance(found.columns["counterparty_fraud_30d"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.is_fraud[0] = 1


LIMITED = "data.memory_limit_mb=64"


def assert_prepared_alike(found: Prepared, expected: Prepared) -> None:
    assert found.fingerprint == expected.fingerprint
    assert found.split == expected.split
    assert found.report == expected.report
    assert found.experiment.features == expected.experiment.features
    assert_same(found.histories, expected.histories)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@contextmanager
def left_to_the_collector() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a folder that nobody cleaned up
        yield
        gc.collect()


@pytest.mark.parametrize(
    "settings_",
    [
        (),
        ("features.reputation.key=category", "features.reputation.refresh=transaction"),
        ("features.reputation=none", "split.training_days=10"),
    ],
)
def test_preparing_on_disk_gives_what_preparing_in_memory_gives(
    payments: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, settings_: tuple[str, ...]
) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 100_000)
    expected = prepare(payments, experiment(*settings_), temporary.parent / "memory.jsonl")
    found = prepare(payments, experiment(*settings_, LIMITED), temporary.parent / "disk.jsonl")
    assert_prepared_alike(found, expected)
    quarantines = [(temporary.parent / f"{name}.jsonl").read_text() for name in ("memory", "disk")]
    assert quarantines[0] == quarantines[1]
    assert expected.folder is None
    assert found.folder is not None
    assert list(temporary.iterdir()) == [Path(found.folder.name)]
    found.folder.cleanup()
    assert not list(temporary.iterdir())


def test_a_folder_that_is_forgotten_goes_with_what_was_prepared(
    payments: Path, temporary: Path
) -> None:
    prepared = prepare(payments, experiment(LIMITED))
    assert len(list(temporary.iterdir())) == 1
    with left_to_the_collector():
        del prepared
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        (("split.validation_days=90",), "shorten split.label_delay_days"),
        (("data.max_bad_share=0",), "cannot be used"),
        ((), "data.memory_limit_mb is 64, but .* needs \\d+ MB: raise the limit"),
    ],
)
def test_what_is_refused_leaves_no_folder(
    payments: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings_: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.setattr(on_disk, "BYTES_PER_ROW", 1 << 20)
    with left_to_the_collector():
        with pytest.raises(InputError, match=says) as caught:
            prepare(payments, experiment(*settings_, LIMITED))
        del caught
    assert not list(temporary.iterdir())


@pytest.fixture
def late_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """JSON lines, read 40 at a time, that have a label time only from the hundredth on."""
    monkeypatch.setattr(json_lines, "_LINES", 40)
    path = tmp_path / "late.jsonl"
    lines = []
    for at in range(200):
        known = f', "label_time": "2025-03-{1 + at % 9:02}T00:00:00Z"' if at > 100 else ""
        lines.append(
            f'{{"transaction_id": "t{at}", "timestamp": "2025-01-{1 + at // 7:02}T00:00:00Z", '
            f'"account_id": "a{at % 7}", "counterparty_id": "m{at % 5}", "amount": {at}, '
            f'"category": "c{at % 3}", "is_fraud": {int(at % 4 == 0)}{known}}}\n'
        )
    path.write_text("".join(lines))
    return path


PLAIN = (
    "features.numeric=[]",
    "split.label_delay_days=3",
    "evaluation.group_columns=[]",
)


def test_a_key_of_json_lines_that_comes_late(late_key: Path, temporary: Path) -> None:
    expected = prepare(late_key, experiment(*PLAIN))
    found = prepare(late_key, experiment(*PLAIN, LIMITED))
    assert found.folder is not None
    with found.folder:
        assert_prepared_alike(found, expected)
    assert not list(temporary.iterdir())
