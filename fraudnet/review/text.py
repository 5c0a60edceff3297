"""Values as people read them; texts from the store are untrusted and shown literally."""

import html
import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from fraudnet.transactions.untrusted import printable

_UNKNOWN = "-"
_MOST_DIGITS = 19  # of whole numbers in 64 bits
# Overrides, embeddings and isolates would turn what stands around the text, too.
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd")


def plain(value: Any, formatter: Callable[[Any], str] = str) -> str:  # noqa: ANN401
    """A value as text; a dash where there is none (None, NA, NaN or NaT).

    Signs that turn the direction of writing become the replacement character.
    """
    # Not pandas.isna, which answers element by element for the lists a further column may hold.
    is_unknown = value is None or value is pd.NA or value != value
    return _UNKNOWN if is_unknown else formatter(value).translate(_TURNING)


def escaped(value: Any) -> str:  # noqa: ANN401
    """The same, so that markup in it is shown and not obeyed, by browsers and by plotly.

    The dollar sign is escaped too: plotly typesets what stands between two of them.
    """
    return html.escape(plain(value)).replace("$", "&#36;")


def brief(value: Any, width: int) -> str:  # noqa: ANN401
    """A text in at most `width` characters on one line, nothing in it that moves others.

    Line ends and all else that is not to be seen become the replacement character.
    """
    text = printable(plain(value))
    return text if len(text) <= width else f"{text[: width - 1]}\N{HORIZONTAL ELLIPSIS}"


def age(value: pd.Timedelta) -> str:
    """How long ago, in days or in hours and minutes."""
    days, hours, minutes = value.components[:3]
    return f"{days} d" if days > 2 else f"{24 * days + hours} h {minutes} min"


def moment(value: pd.Timestamp) -> str:
    """A UTC time to the second."""
    return f"{value:%Y-%m-%d %H:%M:%S}"


def moment_us(value: int) -> str:
    """The same of microseconds since 1970-01-01 UTC."""
    return moment(pd.Timestamp(value * 1000, tz="UTC"))


def document(text: str) -> Any:  # noqa: ANN401
    """A JSON document as pandas can hold it: whole numbers of many digits become floating ones.

    Raises:
        ValueError: it is none.
    """
    return json.loads(text, parse_int=lambda n: int(n) if len(n) < _MOST_DIGITS else float(n))


def stored_text(value: str) -> str:
    """A text as both databases can hold it: no NUL, no half of a surrogate pair."""
    return value.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
