"""What the review shows, on its way to a notebook's output and to a page."""

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import plotly.graph_objects as go
from IPython.display import HTML
from plotly.io import to_html

PLOTLY_MIME = "application/vnd.plotly.v1+json"

Shown: TypeAlias = "go.Figure | HTML"

# The class keeps front ends from typesetting what stands between dollar signs.
LITERAL = "tex2jax_ignore"


def output(shown: Shown) -> dict[str, Any]:
    """As a notebook's output holds it."""
    if isinstance(shown, HTML):
        data = {"text/html": shown.data}
    else:
        data = {PLOTLY_MIME: json.loads(shown.to_json())}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def static_html(shown: Sequence[Shown]) -> str:
    """As part of a page that holds plotly's own script."""
    return "\n".join(
        str(each.data) if isinstance(each, HTML) else static_figure(each) for each in shown
    )


def static_figure(figure: go.Figure | dict[str, Any]) -> str:
    """A figure that still zooms, without plotly's own script."""
    config = {"responsive": True, "displaylogo": False}
    return str(to_html(figure, full_html=False, include_plotlyjs=False, config=config))
