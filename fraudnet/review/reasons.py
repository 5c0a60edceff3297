"""What drove a score: as the device found it, as the artifact says, and as the network says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from fraudnet.device.reasons import WHOLE
from fraudnet.review.cases import Case
from fraudnet.review.figures import GREEN, ORANGE, SKY, TEXT, VERMILLION, styled
from fraudnet.review.shown import Shown
from fraudnet.review.tables import paragraph
from fraudnet.review.text import brief, escaped, plain

if TYPE_CHECKING:
    from fraudnet.review.explanations.integrated_gradients import Attribution

MOST_PARTS = 8
NEAR = 0.01
"""A probability that is computed anew may be so far from the one that was decided by."""

_WIDTH = 44
_LEAST_DROP = 0.005


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
    title = "As the device found it: the probability were one part as is usual"
    try:
        found = [str(reason.get("text", reason["field"])) for reason in newest["reasons"]]
        reasons = pd.DataFrame(newest["reasons"])
        reasons = reasons.rename(columns={"probability_without": "fraud_probability"})
        figure = _drop_figure(case, reasons, float(newest["fraud_probability"]), title)
    except (AttributeError, KeyError, TypeError, ValueError):
        return [paragraph("The reasons that the device kept for this flag cannot be read.")]
    said = "; ".join(found)
    return [paragraph(f"The device found, when it flagged the newest transaction: {said}."), figure]


def occlusion_shown(case: Case, table: pd.DataFrame, knows_reputation: bool) -> Sequence[Shown]:
    """What the artifact says without each part of the window.

    Args:
        case: open.
        table: what `occlusion_table` returns.
        knows_reputation: whether the case kept the counts that the artifact reads.
    """
    as_is = float((table["fraud_probability"] + table["drop"]).iloc[0])
    parts = table[(table["field"] != WHOLE) & (table["drop"] >= _LEAST_DROP)].head(MOST_PARTS)
    said = _differs(case, as_is, "artifact", knows_reputation)
    if parts.empty:
        return [*said, paragraph("By the artifact no single part of the window moves the score.")]
    title = "By the artifact: the probability were one part as is usual"
    return [*said, _drop_figure(case, parts, as_is, title)]


def gradients_shown(
    case: Case,
    found: "Attribution",
    probability: float,
    knows_reputation: bool,
    occluded: pd.DataFrame | None,
) -> Sequence[Shown]:
    """What each part adds to the network's logit, checked against occlusion where there is some.

    Args:
        case: open.
        found: integrated gradients of the newest transaction.
        probability: that the network gives it.
        knows_reputation: whether the case kept the counts that the network reads.
        occluded: what `occlusion_table` returns; None: there is no artifact.
    """
    ids = case.window["transaction_id"].tolist()
    parts = found.ranked()
    parts = parts[parts["places_before"] < len(ids)]  # no padding
    parts = parts.reindex(parts["logits"].abs().sort_values(ascending=False, kind="stable").index)
    parts = parts.head(MOST_PARTS).sort_values("logits", ascending=False, kind="stable")
    parts = parts.assign(transaction_id=[ids[-1 - before] for before in parts["places_before"]])
    difference = found.logit - found.usual_logit
    share = found.missed / max(abs(difference), 1e-12)
    return [
        *_differs(case, probability, "network", knows_reputation),
        paragraph(
            f"Integrated gradients share out the {difference:+.2f} by which the logit differs from "
            f"that of the account's usual, over the fields of all {len(ids)} transactions; "
            f"their sum misses it by {share:.2%}."
        ),
        paragraph(_agreement(case, found, occluded)),
        _logit_figure(case, parts),
    ]


def _agreement(case: Case, found: "Attribution", occluded: pd.DataFrame | None) -> str:
    if occluded is None:
        return "There is no artifact of this case to check it against by occlusion."
    ids = case.window["transaction_id"].tolist()
    by_gradients = ids[int(found.by_transaction[-len(ids) :].argmax())]
    by_occlusion = occluded.loc[occluded["field"] == WHOLE, "transaction_id"].iloc[0]
    if by_gradients == by_occlusion:
        which = _which(case, by_gradients)
        return f"Occlusion through the artifact agrees on what moved the score most: {which}."
    return (
        "The two methods do not agree on what moved the score most: integrated gradients say "
        f"{_which(case, by_gradients)}, occlusion through the artifact says "
        f"{_which(case, by_occlusion)}. Look at both."
    )


def _differs(case: Case, probability: float, what: str, knows_reputation: bool) -> list[Shown]:
    """Says so where the score is not what was decided by, and why that may be."""
    decided = float(case.flags["fraud_probability"].iloc[-1])
    if abs(probability - decided) <= NEAR:
        return []
    why = (
        "late transactions, or another version of it"
        if knows_reputation
        else "the case does not hold the counterparties' counts (an older fraudnet scored), which "
        "are read as unknown"
    )
    return [
        paragraph(
            f"The {what} now gives {probability:.3f} where {decided:.3f} was decided by: {why}. "
            "What follows explains the former."
        )
    ]


def _drop_figure(case: Case, parts: pd.DataFrame, as_is: float, title: str) -> go.Figure:
    """The probability without each part, beside that of the window as it is; first part on top."""
    without = parts["fraud_probability"].astype(float).tolist()[::-1]
    places = list(range(len(parts)))
    figure = go.Figure()
    figure.add_bar(
        x=without, y=places, orientation="h", marker={"color": SKY}, hoverinfo="skip",
        text=[f"{value:.3f}" for value in without], textposition="auto",
    )  # fmt: skip
    figure.add_vline(
        x=as_is, line={"color": ORANGE, "dash": "dash", "width": 1.5},
        annotation={"text": f"as it is: {as_is:.3f}", "font": {"color": TEXT}},
        annotation_position="top left" if as_is > 0.5 else "top right",
    )  # fmt: skip
    figure.update_xaxes(title_text="fraud probability", range=[0, 1])
    return _with_parts(figure, case, parts[::-1], title)


def _logit_figure(case: Case, parts: pd.DataFrame) -> go.Figure:
    logits = parts["logits"].tolist()[::-1]
    figure = go.Figure()
    figure.add_bar(
        x=logits, y=list(range(len(logits))), orientation="h", hoverinfo="skip",
        marker={
            "color": [VERMILLION if value > 0 else GREEN for value in logits],
            "pattern": {"shape": ["" if value > 0 else "/" for value in logits]},
        },
        text=[f"{value:+.2f}" for value in logits], textposition="auto",
    )  # fmt: skip
    figure.update_xaxes(title_text="logits: right raises the score, left (hatched) lowers it")
    return _with_parts(figure, case, parts[::-1], "By the network: what each part adds")


def _with_parts(figure: go.Figure, case: Case, parts: pd.DataFrame, title: str) -> go.Figure:
    names = [
        escaped(brief(_part(case, field, transaction_id), _WIDTH))
        for field, transaction_id in zip(parts["field"], parts["transaction_id"], strict=True)
    ]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names)
    styled(figure, title, 150 + 32 * len(names))
    return figure.update_layout(showlegend=False, margin={"l": 300})


def _part(case: Case, field: str, transaction_id: str) -> str:
    """A field with its value, and whose it is."""
    rows = case.window[case.window["transaction_id"] == transaction_id].to_dict("records")
    if not rows:
        return f"{field} of {transaction_id}"
    row = rows[0]
    values = {
        "amount": plain(row["amount"], "{:,.2f}".format),
        "time": f"{plain(row['gap_hours'], _gap)} after",
        "reputation": f"of {plain(row['counterparty_id'])}",
    }
    which = _which(case, transaction_id)
    if field == WHOLE:
        return which
    return f"{field} {values.get(field, plain(row.get(field)))}, {which}"


def _gap(hours: float) -> str:
    for unit, length in (("d", 24.0), ("h", 1.0), ("min", 1 / 60)):
        if hours >= length:
            return f"{hours / length:.3g} {unit}"
    return f"{3600 * hours:.0f} s"


def _which(case: Case, transaction_id: str) -> str:
    if transaction_id == case.flags["transaction_id"].iloc[-1]:
        return "this transaction"
    times = case.window.loc[case.window["transaction_id"] == transaction_id, "timestamp"]
    return f"that of {times.iloc[0]:%d %b %H:%M}" if len(times) else str(transaction_id)
