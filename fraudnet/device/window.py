"""The raw window: the last transactions of an account as the arrays that the artifact reads.

A transaction is encoded once, when it arrives, into one number an input: its packed row. A window
is then packed rows side by side, which is a copy and no arithmetic.
"""

import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import Contract, Input
from fraudnet.device.errors import TransactionError
from fraudnet.device.transactions import DAY_US, LARGEST_NUMBER, Scalar, Transaction, as_kind

SECOND_US = 1_000_000
UNKNOWN_COUNT = -1
ROOM = 32  # transactions that a Past takes before its columns move
_MARK_BYTES = 4

Encoder = Callable[[Transaction, Mapping[str, int]], float]


class Window:
    """How one artifact reads transactions.

    A packed row is 4 bytes that say which inputs it was encoded for, then 4 bytes an input,
    float32 or int32, in the order of the contract, little-endian.
    """

    def __init__(self, contract: Contract) -> None:
        self.length = contract.window_length
        self.names = [entry.name for entry in contract.inputs]
        self.is_float = [entry.dtype == "float32" for entry in contract.inputs]
        self._kinds = contract.columns
        self._statistics = {entry.statistic for entry in contract.inputs if entry.statistic}
        self._encoders = [_encoder(entry) for entry in contract.inputs]
        told = [
            (e.name, e.dtype, e.kind, e.column, e.vocabulary, e.statistic) for e in contract.inputs
        ]
        self._mark = zlib.crc32(json.dumps(told).encode()).to_bytes(_MARK_BYTES, "little")
        letters = "".join("f" if is_float else "i" for is_float in self.is_float)
        self._row = struct.Struct(f"<{_MARK_BYTES}s{letters}")

    def pack(self, transaction: Transaction, reputation: Mapping[str, int]) -> bytes:
        """Returns the packed row of a transaction.

        Args:
            transaction: checked.
            reputation: counts by statistic as known at its time; {} = unknown.

        Raises:
            TransactionError: a number is too large for the network, or the amount is none.
        """
        try:
            return self._row.pack(self._mark, *self.numbers(transaction, reputation))
        except (OverflowError, struct.error) as error:
            raise TransactionError(
                f"transaction {transaction.transaction_id!r}: a number is too large for the "
                f"network ({error}); expected at most {LARGEST_NUMBER:.3g}"
            ) from error

    def pack_again(self, transaction: Transaction, reputation: Mapping[str, int]) -> bytes:
        """Returns the packed row of what may have been stored for an artifact of other columns.

        Raises:
            TransactionError: a number is too large for the network.
        """
        columns = transaction.columns
        read = {name: as_kind(columns.get(name), kind) for name, kind in self._kinds.items()}
        as_read = replace(transaction, columns={**columns, **read})
        return self.pack(as_read, self.known(reputation))

    def known(self, reputation: Mapping[str, int]) -> Mapping[str, int]:
        """Stored counts; {} = unknown, where the artifact reads one that they are without."""
        return reputation if self._statistics <= reputation.keys() else {}

    def numbers(self, transaction: Transaction, reputation: Mapping[str, int]) -> list[float]:
        """What the inputs hold at a transaction, in the order of the contract."""
        return [encode(transaction, reputation) for encode in self._encoders]

    def fits(self, row: bytes | None) -> bool:
        """Whether a stored row was packed for these inputs."""
        return row is not None and len(row) == self._row.size and row.startswith(self._mark)

    def columns(self, rows: Sequence[bytes]) -> NDArray[np.int32]:
        """Packed rows as [inputs, len(rows)]; float32 inputs by their bits."""
        held = np.frombuffer(b"".join(rows), "<i4").reshape(len(rows), len(self.names) + 1)
        return held[:, 1:].T

    def inputs(self, matrix: NDArray[np.int32], start: int, stop: int) -> dict[str, NDArray]:  # type: ignore[type-arg]
        """The arrays, [1, stop - start] each: views of a matrix [inputs, positions]."""
        floats = matrix.view(np.float32)
        return {
            name: (floats if self.is_float[i] else matrix)[i : i + 1, start:stop]
            for i, name in enumerate(self.names)
        }


class Past:
    """The packed rows of one account that a window reads, with room for the next.

    Padding first, zero everywhere.

    Args:
        window: of the artifact.
        rows: packed, oldest first, at most `window.length - 1`.
        newest_us: the time of the account's newest transaction; None: it has none.
    """

    __slots__ = ("_end", "_matrix", "_window", "newest_us")

    def __init__(self, window: Window, rows: Sequence[bytes], newest_us: int | None) -> None:
        self._window = window
        self._matrix = np.zeros((len(window.names), window.length - 1 + ROOM), np.int32)
        self._end = window.length - 1
        if rows:
            self._matrix[:, self._end - len(rows) : self._end] = window.columns(rows)
        self.newest_us = newest_us

    @property
    def packed(self) -> NDArray[np.int32]:
        """The window that was last asked for, [inputs, length], as a copy."""
        start = self._end + 1 - self._window.length
        return self._matrix[:, start : self._end + 1].copy()

    @property
    def is_full(self) -> bool:
        """Whether the next `keep` moves the columns."""
        return self._end == self._matrix.shape[1]

    def window(self, row: bytes) -> dict[str, NDArray]:  # type: ignore[type-arg]
        """The artifact's inputs, [1, length] each, for the transaction of this packed row.

        They are views that the next call overwrites.
        """
        if self.is_full:
            self._matrix[:, :-ROOM] = self._matrix[:, ROOM:].copy()
            self._end -= ROOM
        self._matrix[:, self._end] = np.frombuffer(row, "<i4", offset=_MARK_BYTES)
        start = self._end + 1 - self._window.length
        return self._window.inputs(self._matrix, start, self._end + 1)

    def keep(self, timestamp_us: int) -> None:
        """Makes the transaction that `window` was last called with the newest one."""
        self._end += 1
        self.newest_us = timestamp_us

    def extend(self, columns: NDArray[np.int32], newest_us: int) -> None:
        """Makes the transactions of these packed columns, [inputs, n], the newest ones."""
        stop = self._end + columns.shape[1]
        if stop <= self._matrix.shape[1]:
            self._matrix[:, self._end : stop] = columns
            self._end = stop
        else:
            kept = np.concatenate([self.context(), columns], axis=1)[:, columns.shape[1] :]
            self._matrix[:, ROOM:] = kept
            self._end = self._matrix.shape[1]
        self.newest_us = newest_us

    def context(self) -> NDArray[np.int32]:
        """The last `length - 1` columns, [inputs, length - 1]."""
        return self._matrix[:, self._end + 1 - self._window.length : self._end]


def _encoder(entry: Input) -> Encoder:
    encode = _encoder_of_kind(entry)
    if entry.dtype == "int32":
        return lambda transaction, reputation: int(encode(transaction, reputation))
    return encode


def _encoder_of_kind(entry: Input) -> Encoder:
    match entry.kind:
        case "amount":
            return _amount
        case "day":
            return lambda transaction, _: transaction.timestamp_us // DAY_US
        case "second":
            return lambda transaction, _: transaction.timestamp_us % DAY_US // SECOND_US
        case "valid":
            return lambda *_: 1
        case "categorical":
            index = {word: i for i, word in enumerate(entry.vocabulary, start=1)}
            return partial(_position, entry.column, index)
        case "numeric":
            return partial(_number, entry.column)
        case _:
            statistic = entry.statistic
            return lambda _, reputation: reputation.get(statistic, UNKNOWN_COUNT)


def _amount(transaction: Transaction, _: Mapping[str, int]) -> float:
    """The amount; some processors' minimum and maximum make of NaN an answer that looks right."""
    if not math.isfinite(transaction.amount):
        raise TransactionError(
            f"transaction {transaction.transaction_id!r}: amount is {transaction.amount}; "
            "expected finite"
        )
    return transaction.amount


def _position(
    column: str, index: Mapping[str, int], transaction: Transaction, _: Mapping[str, int]
) -> int:
    """Position in the vocabulary from 1; 0 = unknown or null."""
    return index.get(transaction.columns.get(column), 0)  # type: ignore[arg-type]


def _number(column: str, transaction: Transaction, _: Mapping[str, int]) -> float:
    """A number; null becomes 0, and so does what was stored before an artifact read the column."""
    value: Scalar = transaction.columns.get(column)
    if type(value) in (float, int) and abs(value) <= LARGEST_NUMBER:  # type: ignore[arg-type]
        return value  # type: ignore[return-value]
    return 0.0
