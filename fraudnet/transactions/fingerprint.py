"""The fingerprint of transactions, by which a run says what it was made from."""

import hashlib
import json

import numpy as np
import pyarrow as pa


class Fingerprint:
    """SHA-256 of a table's names, types, values and order; how it is cut up does not matter."""

    def __init__(self) -> None:
        self._rows = 0
        self._parts: dict[tuple[str, pa.DataType], tuple[hashlib._Hash, ...]] = {}

    def add(self, table: pa.Table) -> None:
        """Take in a piece: columns of text, numbers and times, as `Reading` gives them.

        A column that a piece lacks is null there.
        """
        for name in table.column_names:
            if (own := (name, table[name].type)) not in self._parts:
                self._parts[own] = tuple(hashlib.sha256() for _ in range(3))
                self._take(own, [pa.nulls(self._rows, own[1])])
        for name, type_ in self._parts:
            held = name in table.column_names and table[name].type == type_
            chunks = table[name].chunks if held else [pa.nulls(len(table), type_)]
            self._take((name, type_), chunks)
        self._rows += len(table)

    def _take(self, own: tuple[str, pa.DataType], chunks: list[pa.Array]) -> None:
        for chunk in chunks:
            for part, content in zip(self._parts[own], _contents(chunk), strict=True):
                part.update(content)

    def text(self) -> str:
        """`"sha256:"` and 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for (name, type_), parts in self._parts.items():
            digest.update(json.dumps([name, str(type_), self._rows]).encode())
            for part in parts:
                digest.update(part.digest())
        return f"sha256:{digest.hexdigest()}"


def fingerprint(table: pa.Table) -> str:
    """The fingerprint of a whole table."""
    whole = Fingerprint()
    whole.add(table)
    return whole.text()


def _contents(chunk: pa.Array) -> tuple[bytes, bytes, bytes]:
    """Which values are there, their lengths, and the values themselves."""
    valid = chunk.is_valid().to_numpy(zero_copy_only=False).tobytes()
    if pa.types.is_string(chunk.type):
        text = chunk.fill_null("")
        ends = np.frombuffer(text.buffers()[1], np.int32)[text.offset :][: len(text) + 1]
        data = text.buffers()[2]
        within = data.to_pybytes()[ends[0] : ends[-1]] if data else b""
        return valid, np.diff(ends).tobytes(), within
    if pa.types.is_timestamp(chunk.type):
        chunk = chunk.cast(pa.int64())
    return valid, b"", chunk.fill_null(0).to_numpy().tobytes()
