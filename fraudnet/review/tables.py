"""Tables for a page: formatted for people, and every text from the store shown as text."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from IPython.display import HTML

from fraudnet.review.shown import LITERAL
from fraudnet.review.text import age, escaped, moment, plain
from fraudnet.review.verdicts import VERDICTS


def table(frame: pd.DataFrame, rows: int) -> HTML:
    """The first rows of a frame of cases, transactions or verdicts, and how many there are.

    Args:
        frame: columns as `list_cases`, `open_case` and `audit_trail` name them, and any others.
        rows: at most so many are shown.
    """
    shown = frame.head(rows)
    text = pd.DataFrame(
        {
            name: [plain(value, _FORMATS.get(str(name), str)) for value in shown[name]]
            for name in shown.columns
        }
    )
    text.columns = pd.Index([str(name).replace("_", " ") for name in shown.columns])
    with pd.option_context("display.max_colwidth", None):
        body = text.to_html(index=False, border=0, classes=LITERAL, justify="left")
    more = f"<p>{len(shown):,} of {len(frame):,} shown.</p>" if len(shown) < len(frame) else ""
    return _html(body + more)


def paragraph(text: str) -> HTML:
    """A line of plain text."""
    return _html(f'<p class="{LITERAL}">{escaped(text)}</p>')


def heading(text: str) -> HTML:
    """A line of plain text above others."""
    return _html(f'<h3 class="{LITERAL}">{escaped(text)}</h3>')


def _html(body: str) -> HTML:
    return HTML(body)  # type: ignore[no-untyped-call]


def _age(value: pd.Timedelta) -> str:
    return age(value).replace(" ", "\N{NO-BREAK SPACE}")


_FORMATS: dict[str, Callable[[Any], str]] = {
    "timestamp": moment,
    "decided_at": moment,
    "amount": "{:,.2f}".format,
    "expected_loss": "{:,.2f}".format,
    "gap_hours": "{:,.2f}".format,
    "fraud_probability": "{:.3f}".format,
    "ood_distance": "{:.2f}".format,
    "age": _age,
    "difference": "{:.2f}".format,
    "distance": "{:.2f}".format,
    "gate": "{:.3f}".format,
    "usual": "{:.3f}".format,
    "departure": "{:+.1f}".format,
    "verdict": VERDICTS.__getitem__,
}
