"""Sections and tables of the page, and how figures are written in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fraudnet.profile.figures import Picture
from fraudnet.profile.ledger import Floats
from fraudnet.profile.measures import Frequent

_QUANTILES = ("least", "1 %", "5 %", "25 %", "median", "75 %", "95 %", "99 %", "most")
_FREQUENT = ("value", "rows", "share of rows", "frauds", "fraud share")
_LONGEST = 80  # characters of a value that are shown


@dataclass(frozen=True)
class Table:
    """A table of text; the first `words` columns are set left, the others, numbers, right."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    flagged: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str
    texts: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


def quantile_table(
    caption: str, groups: dict[str, Floats], form: Callable[[float], str] | None = None
) -> Table:
    """A row a group, each with the values at `QUANTILES`, two decimals unless `form` says other."""
    rows = [(name, *map(form or number, values)) for name, values in groups.items()]
    return Table(caption, ("", *_QUANTILES), rows)


def frequent_table(caption: str, values: list[Frequent], rows: int) -> Table:
    """A row a value; shares of `rows`, and of the value's labelled rows."""
    lines = [
        (
            short(each.value) if isinstance(each.value, str) else number(each.value),
            f"{each.rows:,}",
            share(each.rows / rows),
            f"{each.frauds:,}",
            share(each.frauds / each.labelled) if each.labelled else "-",
        )
        for each in values
    ]
    return Table(caption, _FREQUENT, lines)


def number(value: float) -> str:
    """Two decimals, or the leading digits of what is very large."""
    return f"{value:,.2f}" if abs(value) < 1e9 else f"{value:.3g}"


def share(value: float) -> str:
    """A share, 0..1, in per cent."""
    return f"{value:.2%}"


def or_none(value: float | None, form: str) -> str:
    """A value in a format; a dash where there is none."""
    return "-" if value is None else form.format(value)


def short(text: str) -> str:
    """A text of the data, cut where it is very long."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
