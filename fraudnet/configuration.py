"""Configuration sections: validated, documented; unknown keys refused with the nearest one."""

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fraudnet.errors import InputError


class Section(BaseModel):
    """A frozen part of a configuration; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SectionType = TypeVar("SectionType", bound=Section)


def read_toml(path: Path) -> dict[str, Any]:
    """The table that a TOML file holds.

    Raises:
        InputError: the file cannot be read or is not TOML; the message gives the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give the path of a TOML file") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give the path of a TOML file") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: not a TOML file: {error} (at line {line})") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not a TOML file: {error}") from error


def parse_section(kind: type[SectionType], values: dict[str, Any], place: str) -> SectionType:
    """Check `values` against a section.

    Args:
        kind: the section's class.
        values: keys and values as read from TOML or the command line.
        place: where they come from, for the error (a file's name).

    Raises:
        InputError: the first key that does not fit, what was expected, and the nearest known key.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _keys_beside(kind, first["loc"])
            near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0)
            raise InputError(f"{place}: unknown key {key!r}; did you mean {near[0]!r}?") from error
        if not key:  # parts that do not fit each other
            raise InputError(f"{place}: {first['msg']}") from error
        got = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise InputError(f"{place}: key {key!r}: {first['msg']}{got}") from error


def parse_json(kind: type[SectionType], text: str, place: str) -> SectionType:
    """Check a JSON document against a section.

    Raises:
        InputError: as `parse_section`, or it is not a JSON object.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"{place}: not JSON ({error}); make it again") from error
    if not isinstance(values, dict):
        raise InputError(f"{place}: expected a JSON object; make it again")
    return parse_section(kind, values, place)


def _keys_beside(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location[:-1]:
        field = kind.model_fields.get(str(part))
        if field is None:
            continue
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                kind = candidate
    return list(kind.model_fields)
