"""JSON lines: one object a line."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from fraudnet.errors import InputError
from fraudnet.transactions.recipe import Recipe
from fraudnet.transactions.sources.rows import (
    BrokenLine,
    Rows,
    assemble,
    choose,
    needed,
    numbered,
    unread,
)
from fraudnet.transactions.sources.text import open_text

_LINES = 200_000  # of a piece
# Numbers stay as they are written, so that nothing is rounded before it is judged.
_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def read_json_lines(path: Path, recipe: Recipe) -> Iterator[Rows]:
    """The objects of a file, 200,000 at a time; a key counts as a column from where it is met.

    Raises:
        InputError: no line of the first piece is an object, or a needed key is in none of them.
    """
    seen: dict[str, object] = {}
    with open_text(path, recipe.encoding) as text:
        numbers = enumerate(text, start=1)
        while piece := list(islice(numbers, _LINES)):
            lines: list[int] = []
            records: list[dict[str, object]] = []
            broken: list[BrokenLine] = []
            for number, line in piece:
                record = _json_object(line)
                if isinstance(record, str):
                    broken.append(BrokenLine(number, record, line.rstrip()))
                elif record is not None:
                    lines.append(number)
                    records.append(record)
                    seen.update(record)
            if not seen and broken and not records:
                raise InputError(
                    f"{path}: no line is a JSON object; expected one JSON object a line"
                )
            if not seen and not records:
                continue
            header = numbered(list(seen), recipe)
            own = dict(zip(header, seen, strict=True))
            chosen = choose(str(path), header, recipe)
            values = {
                name: pa.array(
                    [_json_text(record.get(own[name])) for record in records], pa.string()
                )
                for name in needed(chosen)
            }
            left = unread(header, chosen, recipe)
            at = np.array(lines, dtype=np.int64)
            yield Rows(str(path), assemble(chosen, values, recipe), at, broken, left)


def _json_object(line: str) -> dict[str, object] | str | None:
    """The object of a line, None for a blank line, or the code of what is wrong with it."""
    if not line.strip():
        return None
    if "\0" in line:
        return "not_text"
    try:
        record = _JSON.decode(line)
        if "\\u" in line:  # which may write half of a character
            json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "not_text"
    except (ValueError, RecursionError):
        return "not_json"
    return record if isinstance(record, dict) else "not_json"


def _json_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
