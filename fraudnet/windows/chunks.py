"""Raw windows and chunks of sequences, gathered on demand."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudnet.windows.histories import Array, Histories, Ints

Batch = dict[str, Array]


@dataclass(frozen=True)
class Chunks:
    """Stretches of account histories, each preceded by the context that its scores depend on.

    A chunk is `context` positions followed by `length` positions that are scored. Positions
    before an account's first transaction, or after its last, are padding. A window is a chunk of
    length 1.

    Attributes:
        histories: where the rows come from.
        start: [C] row of the first scored position of each chunk.
        context: positions before it, the receptive field less one.
        length: scored positions.
    """

    histories: Histories
    start: Ints
    context: int
    length: int

    def __len__(self) -> int:
        return len(self.start)

    def rows(self, chosen: Ints) -> Ints:
        """Rows of the scored positions of the chosen chunks, [B, length]; -1 where padded."""
        return self._rows(chosen, 0)

    def gather(self, chosen: Ints) -> Batch:
        """Raw inputs of the chosen chunks by name, [B, context + length] each, `valid` included."""
        rows = self._rows(chosen, self.context)
        valid = rows >= 0
        batch: Batch = {"valid": valid.astype(np.float32)}
        for name, values in self.histories.columns.items():
            batch[name] = np.where(valid, values[rows], values.dtype.type(0))
        return batch

    def _rows(self, chosen: Ints, context: int) -> Ints:
        start = self.start[chosen]
        account = self.histories.account[start]
        rows: Ints = start[:, None] + np.arange(-context, self.length)
        first = self.histories.offsets[account][:, None]
        last = self.histories.offsets[account + 1][:, None]
        return np.where((rows >= first) & (rows < last), rows, -1)

    def padded_share(self) -> float:
        """Share of all positions that are padding."""
        padded = sum(int((self._rows(part, self.context) < 0).sum()) for part in self.batches(4096))
        return padded / max(1, len(self) * (self.context + self.length))

    def batches(self, size: int, seed: int | None = None) -> Iterator[Ints]:
        """Indices of chunks, `size` at a time (the last may be fewer), shuffled if seeded."""
        order = np.arange(len(self))
        if seed is not None:
            np.random.default_rng(seed).shuffle(order)
        for begin in range(0, len(order), size):
            yield order[begin : begin + size]


def windows_of(histories: Histories, rows: Ints, receptive_field: int) -> Chunks:
    """The raw window of each given row: what a device would gather when that row arrives."""
    return Chunks(histories, np.asarray(rows, np.int64), receptive_field - 1, 1)


def chunks_over(
    histories: Histories, wanted: npt.NDArray[np.bool_], receptive_field: int, length: int
) -> Chunks:
    """Chunks that cover every wanted row once, each account's tiled from its first wanted row.

    Args:
        histories: N rows.
        wanted: [N] rows to score.
        receptive_field: of the network.
        length: scored positions a chunk.
    """
    rows = np.flatnonzero(wanted)
    account = histories.account[rows]
    begins = np.concatenate(([True], account[1:] != account[:-1])) if len(rows) else account == 0
    first = np.repeat(rows[begins], np.diff(np.append(np.flatnonzero(begins), len(rows))))
    start = np.unique(first + (rows - first) // length * length)
    return Chunks(histories, start, receptive_field - 1, length)
