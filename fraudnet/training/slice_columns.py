"""Columns that only the evaluation reads: coded as they pass, and kept from all else."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.errors import InputError

MOST_VALUES = 1_000


@dataclass(frozen=True)
class Sliced:
    """A column's values.

    Attributes:
        values: the distinct ones, sorted.
        code: [N] index of each row's value, in the order of the source; -1 where it has none.
    """

    values: tuple[str, ...]
    code: npt.NDArray[np.int16]


class SliceColumns:
    """Takes columns out of the pieces of a source as they pass, in 2 bytes a row and column."""

    def __init__(self, names: Iterable[str], others: Iterable[str]) -> None:
        """Begin.

        Args:
            names: of the columns that are kept here.
            others: of the columns that somebody else reads, too, and that stay in the pieces.
        """
        self._others = frozenset(others)
        self._values: dict[str, dict[str, int]] = {name: {} for name in names}
        self._codes: dict[str, list[npt.NDArray[np.int16]]] = {name: [] for name in self._values}
        self._found: set[str] = set()

    def take(self, piece: pa.Table) -> pa.Table:
        """Keep the columns of a piece, and return what is left of it.

        Raises:
            InputError: a column has so many values that they are no groups.
        """
        for name in self._values:
            held = name in piece.column_names
            self._found |= {name} if held else set()
            codes = self._coded(name, piece[name]) if held else np.full(len(piece), -1, np.int16)
            self._codes[name].append(codes)
        own = [name for name in self._values if name not in self._others]
        return piece.drop_columns([name for name in own if name in piece.column_names])

    def done(self) -> dict[str, Sliced]:
        """The columns by name; those that no piece had are left out."""
        found = {}
        for name in self._found:
            values = sorted(self._values[name])
            rank = {value: at for at, value in enumerate(values)}
            codes = np.array([*(rank[value] for value in self._values[name]), -1], np.int16)
            found[name] = Sliced(tuple(values), codes[np.concatenate(self._codes[name])])
        return found

    def _coded(self, name: str, column: pa.ChunkedArray) -> npt.NDArray[np.int16]:
        known = self._values[name]
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        for value in encoded.dictionary.to_pylist():
            known.setdefault(value, len(known))
        if len(known) > MOST_VALUES:
            raise InputError(
                f"evaluation column {name!r} has over {MOST_VALUES:,} values; name a column of few "
                "values, such as an age band"
            )
        codes = np.array([known[value] for value in encoded.dictionary.to_pylist()], np.int16)
        index = pc.fill_null(encoded.indices, -1).to_numpy()
        coded: npt.NDArray[np.int16] = np.append(codes, np.int16(-1))[index]
        return coded
