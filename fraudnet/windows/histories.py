"""Account histories: one table sorted by account and time, plus offsets."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.windows.reputation import known_times_us, reputation_counts, sorted_order
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification

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
    timestamp = _microseconds(table["timestamp"])
    label_time = None
    if "label_time" in table.column_names:
        label_time = _microseconds(pc.fill_null(table["label_time"], -1))
    known = known_times_us(timestamp, label_time, label_delay_days)
    is_fraud, counterparty = _labels(table), _codes(table["counterparty_id"])
    columns: dict[str, Array] = {}
    if specification.reputation is not None:
        counts = reputation_counts(
            specification.reputation, counterparty, timestamp, known, is_fraud
        )
        names = [i.name for i in specification.inputs if i.kind == "reputation"]
        columns = {name: counts[:, i] for i, name in enumerate(names)}
    account = _codes(table["account_id"])
    order = sorted_order(account, timestamp)
    for values in columns.values():
        values[:] = values[order]  # in place: these are the bulk of what is held
    return Histories(
        offsets=np.concatenate(([0], np.cumsum(np.bincount(account)))).astype(np.int64),
        account=account[order],
        source_row=order,
        timestamp_us=timestamp[order],
        known_us=known[order],
        is_fraud=is_fraud[order],
        amount=table["amount"].to_numpy()[order],
        counterparty=counterparty[order],
        columns=_raw_columns(table, specification, order, timestamp[order]) | columns,
        specification=specification,
    )


def with_vocabularies(
    specification: FeatureSpecification, training_rows: pa.Table
) -> FeatureSpecification:
    """Fill in the vocabularies that are left empty, most frequent value first, ties by name.

    Args:
        specification: as declared.
        training_rows: rows before the validation period, nothing else.
    """

    def filled(column: CategoricalColumn) -> CategoricalColumn:
        if column.vocabulary:
            return column
        counts = pc.value_counts(pc.drop_null(training_rows[column.column].cast(pa.string())))
        ranked = sorted(counts.to_pylist(), key=lambda c: (-c["counts"], c["values"]))
        known = tuple(c["values"] for c in ranked[: column.max_size])
        return column.model_copy(update={"vocabulary": known})

    return specification.model_copy(
        update={"categorical": tuple(filled(c) for c in specification.categorical)}
    )


def _raw_columns(
    table: pa.Table, specification: FeatureSpecification, order: Ints, timestamp_us: Ints
) -> dict[str, Array]:
    second = timestamp_us // 1_000_000
    columns: dict[str, Array] = {
        "amount": table["amount"].to_numpy()[order].astype(np.float32),
        "day": (second // 86_400).astype(np.int32),
        "second": (second % 86_400).astype(np.int32),
    }
    for column in specification.categorical:
        values = table[column.column].cast(pa.string())
        index = pc.index_in(values, pa.array(column.vocabulary, pa.string()))
        columns[column.column] = (pc.fill_null(index, -1).to_numpy()[order] + 1).astype(np.int32)
    for name in specification.numeric:
        values = pc.fill_null(table[name].cast(pa.float64()), 0.0)
        columns[name] = values.to_numpy()[order].astype(np.float32)
    return columns


def _codes(column: pa.ChunkedArray) -> Ints:
    """Codes from 0, -1 for null."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes: Ints = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


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
