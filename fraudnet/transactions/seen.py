"""Which identifiers stood in an earlier row, and how many there are, over sources of any length."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]


class SeenIds:
    """Remembers identifiers as 64-bit hashes, 8 bytes each, in sorted runs of doubling length.

    Within a piece identifiers are compared as they are; between pieces by their hashes
    (SipHash-2-4). Two different ones of n are taken for one with probability n^2 / 2^65: about
    one in 90,000 for twenty million.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []
        self._last: pa.ChunkedArray | None = None

    def repeats(self, ids: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """[N] which identifiers stood earlier in this piece or in one before; then remembers them.

        Args:
            ids: [N] text, no nulls.
        """
        codes = ids.combine_chunks().dictionary_encode().indices.to_numpy()
        # Codes are given out in order of first appearance: a new id is a new highest code.
        repeated = np.diff(np.maximum.accumulate(codes), prepend=-1) <= 0
        if self._last is not None:  # a source of one piece needs no hashes
            self._add(hashes(self._last))
            here = hashes(ids)
            for run in self._runs:
                at = np.minimum(np.searchsorted(run, here), len(run) - 1)
                repeated |= run[at] == here
        self._last = ids.filter(pa.array(~repeated)) if len(ids) else self._last
        return repeated

    def _add(self, run: Hashes) -> None:
        run = np.sort(run)
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        if len(run):
            self._runs.append(run)


def hashes(texts: pa.ChunkedArray) -> Hashes:
    """[N] 64-bit hashes of texts; null hashes as the empty text."""
    values = texts.fill_null("").to_numpy(zero_copy_only=False).astype(object, copy=False)
    return pd.util.hash_array(values, categorize=False)


class Distinct:
    """Counts different texts, null not among them, as 64-bit hashes of 8 bytes each."""

    def __init__(self) -> None:
        self._seen: Hashes = np.empty(0, np.uint64)

    def add(self, texts: pa.ChunkedArray) -> None:
        """Take in a piece."""
        distinct = pc.drop_null(pc.unique(texts))
        self._seen = np.union1d(self._seen, hashes(pa.chunked_array([distinct])))

    def __len__(self) -> int:
        return len(self._seen)
