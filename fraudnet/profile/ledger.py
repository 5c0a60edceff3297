"""The columns of a canonical table as arrays, for everything that is counted of them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.transactions.recipe import Recipe
from fraudnet.windows.histories import build_histories
from fraudnet.windows.specification import FeatureSpecification

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int8]
Numbers = npt.NDArray[Any]

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
LABELS = {"genuine": 0, "fraud": 1, "unlabelled": -1}
_ROLES = {
    "transaction_id": "identifier",
    "timestamp": "time",
    "account_id": "identifier",
    "counterparty_id": "identifier",
    "amount": "amount",
    "is_fraud": "label",
    "label_time": "label time",
}


@dataclass(frozen=True)
class Ledger:
    """A canonical table and its columns, [N] each, in the source's order.

    Attributes:
        table: N >= 1 rows.
        order: positions of the rows by account, then time; ties keep the source's order.
        timestamp_us: microseconds since 1970, UTC.
        account: codes.
        counterparty: codes, -1 where there is none.
        amount: major units.
        is_fraud: 1, 0 or -1 (unlabelled).
        gap_us: microseconds since the account's previous transaction, -1 for its first.
    """

    table: pa.Table
    order: Ints
    timestamp_us: Ints
    account: Ints
    counterparty: Ints
    amount: Floats
    is_fraud: Labels
    gap_us: Ints

    def by_label(self, values: Numbers) -> dict[str, Numbers]:
        """The values [N] of the genuine, fraudulent and unlabelled rows, where there are any."""
        parts = {name: values[self.is_fraud == label] for name, label in LABELS.items()}
        return {name: part for name, part in parts.items() if len(part)}


def ledger_of(table: pa.Table) -> Ledger:
    """The arrays of a canonical table of at least one row.

    Raises:
        KeyError: the table lacks its timestamp, account or amount.
    """
    if "counterparty_id" not in table.column_names:
        table = table.append_column("counterparty_id", pa.nulls(len(table), pa.string()))
    histories = build_histories(table, FeatureSpecification(reputation=None), 0.0)
    gap_us = np.diff(histories.timestamp_us, prepend=0)
    gap_us[histories.offsets[:-1]] = -1

    def in_source_order(values: Numbers) -> Numbers:
        result = np.empty_like(values)
        result[histories.source_row] = values
        return result

    return Ledger(
        table=table,
        order=histories.source_row,
        timestamp_us=in_source_order(histories.timestamp_us),
        account=in_source_order(histories.account),
        counterparty=in_source_order(histories.counterparty),
        amount=in_source_order(histories.amount),
        is_fraud=in_source_order(histories.is_fraud),
        gap_us=in_source_order(gap_us),
    )


def text_codes(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """[N] codes of a column, -1 for null, and [V] the values that they stand for."""
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    encoded = whole.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64), encoded.dictionary


def number_values(column: pa.ChunkedArray) -> Floats:
    """[N] values of a column of numbers, NaN for null."""
    values: Floats = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    return values


def role_of(column: str, recipe: Recipe) -> str:
    """What a column is: identifier, time, amount, category, number, report, label or label time."""
    if column in recipe.report:
        return "report"
    return _ROLES.get(column, "number" if column in recipe.numeric else "category")


def moment_of(timestamp_us: int) -> datetime:
    """The time, UTC, that lies so many microseconds after the beginning of 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=timestamp_us)
