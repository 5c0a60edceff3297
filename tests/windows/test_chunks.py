from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.windows.chunks import Chunks, chunks_over, windows_of
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification
from tests.windows.tables import SOME_ROWS, VOCABULARY, Row, past_of, table_of

SPECIFICATION = FeatureSpecification(
    categorical=(CategoricalColumn(column="category", vocabulary=VOCABULARY),),
    numeric=("distance",),
)
Stretch = list[int | None]


def built(rows: list[Row]) -> Histories:
    return build_histories(table_of(rows), SPECIFICATION, 1.0)


def naive_values(rows: list[Row], stretch: Stretch) -> dict[str, list[float]]:
    """Raw inputs of source rows; None = padding, which is 0 in every input."""
    held = [None if at is None else rows[at] for at in stretch]
    index: dict[str | None, int] = {word: i for i, word in enumerate(VOCABULARY, start=1)}
    second = [row and row.timestamp_us // 1_000_000 for row in held]
    return {
        "valid": [float(row is not None) for row in held],
        "amount": [float(np.float32(row.amount)) if row else 0.0 for row in held],
        "day": [(s or 0) // 86_400 for s in second],
        "second": [(s or 0) % 86_400 for s in second],
        "category": [index.get(row.category, 0) if row else 0 for row in held],
        "distance": [float(np.float32((row and row.distance) or 0.0)) for row in held],
    }


def check_same(chunks: Chunks, rows: list[Row], stretches: list[Stretch]) -> None:
    """Every chunk holds the inputs of its stretch of source rows."""
    batch = chunks.gather(np.arange(len(chunks)))
    assert set(batch) == {i.name for i in SPECIFICATION.inputs}
    assert {i.name: i.dtype for i in SPECIFICATION.inputs} == {
        name: values.dtype.name for name, values in batch.items()
    }
    shape = (len(stretches), chunks.context + chunks.length)
    assert {values.shape for values in batch.values()} == {shape}
    for at, stretch in enumerate(stretches):
        for name, expected in naive_values(rows, stretch).items():
            assert batch[name][at].tolist() == expected
        padding = [i for i, source in enumerate(stretch) if source is None]
        assert all(not values[at, padding].any() for values in batch.values())


@settings(deadline=None)
@given(SOME_ROWS, st.integers(1, 12), st.data())
def test_a_window_is_the_last_transactions_newest_last(
    rows: list[Row], receptive_field: int, data: st.DataObject
) -> None:
    histories = built(rows)
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    chunks = windows_of(histories, np.array(asked, np.int64), receptive_field)
    stretches: list[Stretch] = []
    for row in asked:
        past = past_of(rows, int(histories.source_row[row]))[-receptive_field:]
        stretches.append([None] * (receptive_field - len(past)) + past)
    assert len(chunks) == len(asked)
    assert chunks.rows(np.arange(len(asked))).tolist() == [[row] for row in asked]
    check_same(chunks, rows, stretches)


@settings(deadline=None)
@given(SOME_ROWS, st.data())
def test_counts_of_a_window_are_those_of_its_rows(rows: list[Row], data: st.DataObject) -> None:
    histories = built(rows)
    asked = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10)), np.int64)
    batch = windows_of(histories, asked, 3).gather(np.arange(len(asked)))
    for name in (i.name for i in SPECIFICATION.inputs if i.kind == "reputation"):
        by_source = dict(
            zip(histories.source_row.tolist(), histories.columns[name].tolist(), strict=True)
        )
        for at, row in enumerate(asked):
            past = past_of(rows, int(histories.source_row[row]))[-3:]
            counts = [by_source[source] for source in past]
            assert batch[name][at].tolist() == [0.0] * (3 - len(past)) + counts


@settings(deadline=None, max_examples=200)
@given(SOME_ROWS, st.integers(1, 12), st.integers(1, 9), st.data())
def test_chunks_tile_each_account_from_its_first_wanted_row(
    rows: list[Row], receptive_field: int, length: int, data: st.DataObject
) -> None:
    histories = built(rows)
    wanted = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    chunks = chunks_over(histories, np.array(wanted), receptive_field, length)
    place = {int(source): at for at, source in enumerate(histories.source_row)}
    stretches: list[Stretch] = []
    scored: list[list[int]] = []
    for begin in sorted({min(place[at] for at in past_of(rows, i)) for i in range(len(rows))}):
        account = rows[histories.source_row[begin]].account
        last = max(
            (i for i, row in enumerate(rows) if row.account == account),
            key=lambda i: (rows[i].timestamp_us, i),
        )
        history = past_of(rows, last)
        chosen = [at for at, source in enumerate(history) if wanted[place[source]]]
        for start in range(min(chosen, default=len(history)), len(history), length):
            if not any(start <= at < start + length for at in chosen):
                continue
            positions = range(start - receptive_field + 1, start + length)
            stretch = [history[at] if 0 <= at < len(history) else None for at in positions]
            stretches.append(stretch)
            scored.append([-1 if at is None else place[at] for at in stretch[-length:]])
    assert chunks.rows(np.arange(len(chunks))).tolist() == scored
    check_same(chunks, rows, stretches)
    padded = sum(stretch.count(None) for stretch in stretches)
    positions_in_all = len(stretches) * (receptive_field - 1 + length)
    assert chunks.padded_share() == pytest.approx(padded / max(1, positions_in_all))


@settings(deadline=None)
@given(SOME_ROWS, st.integers(1, 9), st.data())
def test_every_wanted_row_is_scored_exactly_once(
    rows: list[Row], length: int, data: st.DataObject
) -> None:
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    chunks = chunks_over(built(rows), wanted, 4, length)
    scored = Counter(chunks.rows(np.arange(len(chunks))).ravel().tolist())
    del scored[-1]
    assert all(scored[int(row)] == 1 for row in np.flatnonzero(wanted))
    assert set(scored.values()) <= {1}


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 20), st.none() | st.integers(0, 2**32))
def test_batches_hold_every_chunk_once(count: int, size: int, seed: int | None) -> None:
    chunks = windows_of(HISTORIES, np.arange(count), 3)
    batches = [batch.tolist() for batch in chunks.batches(size, seed)]
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert all(1 <= len(batch) <= size for batch in batches)
    together = [index for batch in batches for index in batch]
    assert sorted(together) == list(range(count))
    if seed is None:
        assert together == sorted(together)
    assert batches == [batch.tolist() for batch in chunks.batches(size, seed)]


HISTORIES = built([Row(f"a{at % 4}", at) for at in range(60)])


def test_another_seed_another_order() -> None:
    chunks = windows_of(HISTORIES, np.arange(60), 3)
    orders = {tuple(np.concatenate(list(chunks.batches(7, seed)))) for seed in range(5)}
    assert len(orders) == 5
    assert tuple(range(60)) not in orders


def test_nothing_wanted_gives_no_chunks() -> None:
    for histories in (HISTORIES, built([])):
        chunks = chunks_over(histories, np.zeros(len(histories), bool), 4, 2)
        assert len(chunks) == 0
        assert chunks.padded_share() == 0.0
        assert list(chunks.batches(3, seed=1)) == []
        assert chunks.gather(np.arange(0))["amount"].shape == (0, 5)
