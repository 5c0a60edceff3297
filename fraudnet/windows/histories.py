"""Account histories: one table sorted by account and time, plus offsets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.windows.parallel import at_once, block_by_block, even_edges
from fraudnet.windows.reputation import known_times_us, reputation_counts, sorted_order
from fraudnet.windows.specification import FeatureSpecification

Array = npt.NDArray[np.generic]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Histories:
    """Every account's transactions, oldest first; ties in time keep the order of the source.

    Attributes:
        offsets: [A + 1]; account a holds the rows offsets[a] .. offsets[a + 1] - 1.
        account: [N] index of the account of each row.
        source_row: [N] row in the table that the histories were made of.
        timestamp_us: [N] microseconds since 1970, UTC.
        known_us: [N] when the row's label is known.
        is_fraud: [N] 1, 0, or -1 for unlabelled.
        amount: [N] float64.
        counterparty: [N] codes, -1 where there is none.
        columns: the network's raw inputs by name, [N] each, all but `valid`.
        specification: what the columns were made by, vocabularies filled in.
    """

    offsets: Ints
    account: Ints
    source_row: Ints
    timestamp_us: Ints
    known_us: Ints
    is_fraud: npt.NDArray[np.int8]
    amount: npt.NDArray[np.float64]
    counterparty: Ints
    columns: dict[str, Array]
    specification: FeatureSpecification

    def __len__(self) -> int:
        return len(self.source_row)


def build_histories(
    table: pa.Table, specification: FeatureSpecification, label_delay_days: float
) -> Histories:
    """Sort a table of canonical transactions into account histories with their raw inputs.

    Args:
        table: canonical columns; `is_fraud` and `label_time` may be absent.
        specification: what the network reads, with its vocabularies (see `with_vocabularies`).
        label_delay_days: days until a label is known, where a row has no label time of its own.

    Raises:
        KeyError: a column that the specification names is not in the table.
    """
    events = events_of(table, label_delay_days)
    reputation = specification.reputation
    keys = dict.fromkeys(["account_id", "counterparty_id"])
    if reputation is not None:
        keys[reputation.key] = None
    codes = dict(zip(keys, at_once(*(partial(codes_of, table[key]) for key in keys)), strict=True))
    account, counterparty = codes["account_id"], codes["counterparty_id"]
    if reputation is None:
        order = sorted_order(account, events.timestamp_us)
        return _arranged(table, specification, events, (account, order), counterparty, None)
    key = codes[reputation.key]
    order, key_order = at_once(
        *(partial(sorted_order, each, events.timestamp_us) for each in (account, key))
    )
    moments = events.timestamp_us, events.known_us, events.is_fraud
    counts = reputation_counts(reputation, key, *moments, key_order)
    del key_order
    return _arranged(table, specification, events, (account, order), counterparty, counts.of)


@dataclass(frozen=True)
class Events:
    """When each row happened, when its label is known, and the label: [N] each, unsorted."""

    timestamp_us: Ints
    known_us: Ints
    is_fraud: npt.NDArray[np.int8]


def events_of(table: pa.Table, label_delay_days: float) -> Events:
    """The events of canonical transactions, in their order."""
    timestamp = _microseconds(table["timestamp"])
    label_time = None
    if "label_time" in table.column_names:
        label_time = _microseconds(pc.fill_null(table["label_time"], -1))
    known = known_times_us(timestamp, label_time, label_delay_days)
    return Events(timestamp, known, _labels(table))


def arrange(
    table: pa.Table,
    specification: FeatureSpecification,
    events: Events,
    counterparty: Ints,
    counts: npt.NDArray[np.float32] | None,
) -> Histories:
    """Sort rows whose reputation is known into account histories.

    Args:
        table: `account_id`, `amount` and the columns that the specification names.
        specification: with its vocabularies.
        events: of the table's rows.
        counterparty: [N] codes.
        counts: [N, columns] of the reputation. None: the network reads none.
    """
    account = codes_of(table["account_id"])
    order = sorted_order(account, events.timestamp_us)
    if counts is None:
        return _arranged(table, specification, events, (account, order), counterparty, None)
    given = counts

    def counts_of(rows: Ints) -> npt.NDArray[np.float32]:
        return given.take(rows, axis=0)

    return _arranged(table, specification, events, (account, order), counterparty, counts_of)


def _arranged(
    table: pa.Table,
    specification: FeatureSpecification,
    events: Events,
    account_order: tuple[Ints, Ints],
    counterparty: Ints,
    counts_of: Callable[[Ints], npt.NDArray[np.float32]] | None,
) -> Histories:
    """Histories; `counts_of` gives the reputation of some of the table's rows."""
    account, order = account_order
    rows = len(order)
    timestamp, known, counterparties = (np.empty(rows, np.int64) for _ in range(3))
    amount, is_fraud = np.empty(rows, np.float64), np.empty(rows, np.int8)
    columns: dict[str, Array] = {
        "amount": np.empty(rows, np.float32),
        "day": np.empty(rows, np.int32),
        "second": np.empty(rows, np.int32),
    }
    names = [i.name for i in specification.inputs if i.kind == "reputation"]
    reputation = {name: np.empty(rows, np.float32) for name in names if counts_of is not None}
    columns_before = (
        (timestamp, events.timestamp_us),
        (known, events.known_us),
        (counterparties, counterparty),
        (amount, table["amount"].to_numpy()),
        (is_fraud, events.is_fraud),
    )

    def spread(begin: int, end: int) -> None:
        block = slice(begin, end)
        own = order[block]
        for values, before in columns_before:
            values[block] = before.take(own)
        columns["amount"][block] = amount[block]
        second = timestamp[block] // 1_000_000
        day = second // 86_400
        columns["day"][block] = day
        columns["second"][block] = second - day * 86_400
        if counts_of is not None:
            for column, counts in zip(reputation.values(), counts_of(own).T, strict=True):
                column[block] = counts

    block_by_block(spread, even_edges(rows))
    columns |= _further_columns(table, specification, order)
    columns |= reputation
    sizes = np.bincount(account)
    return Histories(
        offsets=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        account=np.repeat(np.arange(len(sizes)), sizes),
        source_row=order,
        timestamp_us=timestamp,
        known_us=known,
        is_fraud=is_fraud,
        amount=amount,
        counterparty=counterparties,
        columns=columns,
        specification=specification,
    )


def _further_columns(
    table: pa.Table, specification: FeatureSpecification, order: Ints
) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    for column in specification.categorical:
        values = table[column.column].cast(pa.string())
        index = pc.index_in(values, pa.array(column.vocabulary, pa.string()))
        columns[column.column] = (pc.fill_null(index, -1).to_numpy()[order] + 1).astype(np.int32)
    for name in specification.numeric:
        values = pc.fill_null(table[name].cast(pa.float64()), 0.0)
        columns[name] = values.to_numpy()[order].astype(np.float32)
    return columns


def codes_of(column: pa.ChunkedArray) -> Ints:
    """[N] codes from 0 in the order of first appearance, -1 for null."""
    encoded = column.cast(pa.string()).dictionary_encode().unify_dictionaries()
    codes = [pc.fill_null(chunk.indices, -1).to_numpy() for chunk in encoded.chunks]
    return np.concatenate(codes).astype(np.int64) if codes else np.empty(0, np.int64)


def _microseconds(column: pa.ChunkedArray) -> Ints:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz))
    microseconds: Ints = column.cast(pa.int64()).to_numpy()
    return microseconds


def _labels(table: pa.Table) -> npt.NDArray[np.int8]:
    if "is_fraud" not in table.column_names:
        return np.full(table.num_rows, -1, np.int8)
    labels: npt.NDArray[np.int8] = pc.fill_null(table["is_fraud"].cast(pa.int8()), -1).to_numpy()
    return labels
