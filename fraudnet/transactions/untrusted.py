"""Texts from elsewhere, shown so that neither a spreadsheet nor a terminal obeys them.

OWASP, "CSV Injection": a cell that begins with = + - @, a tab or a line's end is computed. An
apostrophe before it makes it text; one that stands there already gets another, so that the guard
can be taken off again.
"""

import pyarrow as pa
import pyarrow.compute as pc

_GUARDED = r"^('*[=+\-@\t\r\n])"
_UNGUARDED = r"^'('*[=+\-@\t\r\n])"


JOINERS = "\u200c\u200d"
"""Not to be seen, and part of words in Persian and Indian scripts; they steer nothing."""


def printable(text: str) -> str:
    """The text without what would steer a terminal, or turn the direction of writing."""
    return "".join(each if each.isprintable() or each in JOINERS else "\ufffd" for each in text)


def guarded(table: pa.Table) -> pa.Table:
    """The table with its texts guarded; numbers and times stay."""
    return _replaced(table, _GUARDED, r"'\1")


def unguarded(table: pa.Table) -> pa.Table:
    """The texts of a guarded table as they were."""
    return _replaced(table, _UNGUARDED, r"\1")


def _replaced(table: pa.Table, pattern: str, replacement: str) -> pa.Table:
    for position, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            text = pc.replace_substring_regex(table[field.name], pattern, replacement)
            table = table.set_column(position, field.name, text)
    return table
