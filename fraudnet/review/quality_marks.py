"""What the figures of the alerts' quality share: sizes, whiskers, named lines, short names."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from fraudnet.review.figures import TEXT
from fraudnet.review.text import brief, escaped

ROW_PX, FRAME_PX = 26, 130
"""Height of a row, and of what is around the rows."""

BLUE_BAND = "rgba(0, 114, 178, 0.22)"
_LEVEL_NAME_PX = 110
_LONGEST_NAME = 36


def whiskers(frame: pd.DataFrame, value: str, low: str, high: str) -> dict[str, Any]:
    """Error bars of a column, from two others that hold the ends of its intervals."""
    return {
        "type": "data", "symmetric": False, "array": frame[high] - frame[value],
        "arrayminus": frame[value] - frame[low], "thickness": 1.3, "width": 4,
    }  # fmt: skip


def level_line(figure: go.Figure, y: float, text: str, colour: str) -> None:
    """A line across, named at its right end where no data lie; after `styled`."""
    figure.add_hline(y=y, line={"color": colour, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=1, xref="paper", xanchor="left", y=y, text=f" {text}", showarrow=False,
        font={"color": TEXT},
    )  # fmt: skip
    figure.update_layout(margin={"r": _LEVEL_NAME_PX})


def short(name: object) -> str:
    """An untrusted name as an axis may show it."""
    return escaped(brief(name, _LONGEST_NAME))
