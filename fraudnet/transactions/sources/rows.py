"""What a source gives, piece by piece, before any of it is judged."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.errors import InputError
from fraudnet.transactions.parsing import null_where
from fraudnet.transactions.recipe import Column, Recipe, nearest

BATCH_ROWS = 1 << 18

Chosen = dict[str, tuple[str, ...]]
"""Our name of each column that a source has, with the source's own names of its parts."""


@dataclass(frozen=True)
class BrokenLine:
    """A line that could not be taken apart into values."""

    line: int
    code: str
    text: str


@dataclass(frozen=True)
class Rows:
    """A piece of a source, in the source's order."""

    place: str  # the file or table, for errors
    table: pa.Table  # our column names, the source's own types and values
    line: npt.NDArray[np.int64]  # of each row: line of the text file, or row of the table; from 1
    broken: list[BrokenLine]
    unread: list[str]  # source columns that the recipe says nothing of


def choose(place: str, header: list[str], recipe: Recipe) -> Chosen:
    """Which of a source's columns make up which of ours.

    Raises:
        InputError: a needed column is not there, or its name stands twice.
    """
    chosen = {}
    for name, columns in recipe.source_columns.items():
        for column in columns:
            if header.count(column) > 1:
                raise InputError(
                    f"{place}: {header.count(column)} columns are called '{column}'; "
                    f"leave one of them under that name"
                )
        missing = [column for column in columns if column not in header]
        if not missing:
            chosen[name] = columns
        elif not recipe.may_lack(name):
            raise InputError(
                f"{place}: there is no column '{missing[0]}' for {name}"
                f"{nearest(missing[0], header)} "
                f"(columns: {', '.join(header)}); name the right one in recipe {recipe.name}"
            )
    return chosen


def numbered(header: list[str], recipe: Recipe) -> list[str]:
    """The header in the recipe's names.

    Repeated names are told apart (`x`, `x.1`) where the recipe knows them so, and a column that
    goes by another name that the recipe knows gets the one that it is read by.
    """
    known = {*recipe.ignore, *(part for parts in recipe.source_columns.values() for part in parts)}
    names = []
    times: Counter[str] = Counter()
    for name in header:
        before = times[name]
        times[name] += 1
        if before and f"{name}.1" in known:
            name = f"{name}.{before}"
        called = recipe.aliases.get(name, name)
        names.append(name if called in header else called)
    return names


def unread(header: list[str], chosen: Chosen, recipe: Recipe) -> list[str]:
    """The columns that the recipe says nothing of."""
    read = needed(chosen)
    left = [name for name in header if name not in read]
    return [name for name in left if not any(fnmatchcase(name, each) for each in recipe.ignore)]


def needed(chosen: Chosen) -> list[str]:
    """The source's columns that are read, each once."""
    return list(dict.fromkeys(part for parts in chosen.values() for part in parts))


def assemble(
    chosen: Chosen, values: Mapping[str, pa.ChunkedArray | pa.Array], recipe: Recipe
) -> pa.Table:
    """Our columns, those of several parts joined as text; null where every part is missing.

    Args:
        chosen: as `choose` gives it.
        values: the source's columns by name.
        recipe: says what stands between the parts.
    """
    table = {}
    for name, parts in chosen.items():
        if len(parts) == 1:
            table[name] = _without_views(values[parts[0]])
            continue
        at: Column = getattr(recipe, name)
        texts = [_part(values[part]) for part in parts]
        missing = texts[0].is_null()
        for text in texts[1:]:
            missing = pc.and_(missing, text.is_null())
        joined = pc.binary_join_element_wise(
            *texts, at.join, null_handling="replace", null_replacement=""
        )
        table[name] = pc.if_else(missing, pa.scalar(None, pa.string()), joined)
    return pa.table(table)


def _part(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    text = pc.utf8_trim_whitespace(values.cast(pa.string()))
    return null_where(pc.equal(text, ""), text)


def _without_views(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Plain text for views of text, for which Arrow lacks half of what is done with text."""
    return values.cast(pa.string()) if pa.types.is_string_view(values.type) else values
