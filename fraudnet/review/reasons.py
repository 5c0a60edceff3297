"""What drove a score, as the device found it, as the artifact says, and as the network says."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from fraudnet.review.cases import Case
from fraudnet.review.figures import ORANGE, SKY, TEXT, styled
from fraudnet.review.shown import Shown
from fraudnet.review.tables import paragraph
from fraudnet.review.text import brief, escaped

_WIDTH = 60


def stored_reasons(case: Case) -> Sequence[Shown]:
    """What the device found when it flagged the newest transaction, and its figure."""
    newest = case.flags.iloc[-1]
    if not newest["reasons"]:
        return [
            paragraph(
                "The device kept no reasons for this flag: its scorer was told not to look for "
                "them, or is of an older version."
            )
        ]
    said = "; ".join(str(reason.get("text", reason.get("field"))) for reason in newest["reasons"])
    return [
        paragraph(f"The device found, when it flagged the newest transaction: {said}."),
        _drop_figure(newest["reasons"], float(newest["fraud_probability"]), case),
    ]


def _drop_figure(reasons: Sequence[dict[str, Any]], probability: float, case: Case) -> go.Figure:
    """The probability with each reason's part as is usual, beside that of the window as it is."""
    newest_id = case.flags["transaction_id"].iloc[-1]
    names = [_name(reason, newest_id) for reason in reasons][::-1]
    without = [float(reason["probability_without"]) for reason in reasons][::-1]
    places = list(range(len(names)))
    figure = go.Figure()
    figure.add_bar(
        x=without, y=places, orientation="h", name="without it", marker={"color": SKY},
        text=[f"{value:.3f}" for value in without], hoverinfo="skip",
    )  # fmt: skip
    figure.add_vline(
        x=probability, line={"color": ORANGE, "dash": "dash", "width": 1.5},
        annotation={"text": f"as it is: {probability:.3f}", "font": {"color": TEXT}},
    )  # fmt: skip
    figure.update_yaxes(tickvals=places, ticktext=names)
    figure.update_xaxes(title_text="fraud probability", range=[0, 1])
    styled(figure, "Probability were this part as is usual", 140 + 44 * len(names))
    return figure.update_layout(showlegend=False, margin={"l": 260})


def _name(reason: dict[str, Any], newest_id: str) -> str:
    whose = (
        "this transaction"
        if reason["transaction_id"] == newest_id
        else f"earlier {brief(reason['transaction_id'], 16)}"
    )
    return escaped(brief(f"{reason['field']}, {whose}", _WIDTH))
