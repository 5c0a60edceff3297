"""What another threshold would bring, as a picture."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fraudnet.review.figures import BLUE, GREEN, ORANGE, TEXT, VERMILLION, styled
from fraudnet.review.quality_marks import BLUE_BAND
from fraudnet.review.what_if import WhatIf

_ORANGE_BAND, _GREEN_BAND = "rgba(230, 159, 0, 0.22)", "rgba(0, 158, 115, 0.22)"
_SHADE = "rgba(128, 128, 128, 0.15)"


def what_if_figure(found: WhatIf) -> go.Figure:
    """Alerts a day, precision, recall and money by threshold, the present one marked."""
    table = found.table
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05)
    x = table["threshold"]
    figure.add_scatter(
        x=x, y=table["alerts_per_day"], name="alerts a day", mode="lines", showlegend=False,
        line={"color": BLUE, "width": 2}, row=1, col=1,
        hovertemplate="%{y:.3~g} alerts a day<extra></extra>",
    )  # fmt: skip
    for name, colour, band, dash in (
        ("precision", BLUE, BLUE_BAND, "solid"), ("recall", ORANGE, _ORANGE_BAND, "dash"),
    ):  # fmt: skip
        if table[name].notna().any():
            _band(figure, table, name, colour, band, dash, ".0%", 2)
    _band(figure, table, "saved", GREEN, _GREEN_BAND, "solid", ",.0f", 3)
    present = found.present
    figure.add_vline(x=present, line={"color": VERMILLION, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=present, y=1, xref="x", yref="y domain", text=f" now {present:.3g}", showarrow=False,
        xanchor="left", yanchor="top", font={"color": TEXT},
    )  # fmt: skip
    if x.min() < present:
        for row in (1, 2, 3):
            figure.add_vrect(
                x0=float(x.min()), x1=present, fillcolor=_SHADE, line={"width": 0}, layer="below",
                row=row, col=1,
            )  # fmt: skip
        figure.add_annotation(
            x=present, y=0, xref="x", yref="y3 domain", text="known from drawn cases alone ",
            showarrow=False, xanchor="right", yanchor="bottom", font={"color": TEXT, "size": 11},
        )  # fmt: skip
    figure.update_yaxes(title_text="alerts a day", rangemode="tozero", row=1)
    figure.update_yaxes(title_text="share", tickformat=".0%", range=[0, 1.03], row=2)
    figure.update_yaxes(title_text="saved a day", row=3)
    figure.update_xaxes(title_text="threshold", row=3)
    figure.update_layout(hovermode="x unified")
    return styled(figure, "What another threshold would bring", 640)


def _band(
    figure: go.Figure, table: pd.DataFrame, name: str, colour: str, fill: str, dash: str,
    form: str, row: int,
) -> None:  # fmt: skip
    x = table["threshold"]
    edge: dict[str, Any] = {
        "x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False,
        "legendgroup": name, "row": row, "col": 1,
    }  # fmt: skip
    figure.add_scatter(y=table[f"{name}_low"], **edge)
    figure.add_scatter(y=table[f"{name}_high"], fill="tonexty", fillcolor=fill, **edge)
    figure.add_scatter(
        x=x, y=table[name], name=f"{name} (95 % interval)", mode="lines", legendgroup=name,
        line={"color": colour, "width": 2, "dash": dash}, row=row, col=1,
        hovertemplate=f"{name} %{{y:{form}}}<extra></extra>",
    )  # fmt: skip
