"""What the trained network says of a case: what it attended to, and what is near it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from fraudnet.review.cases import Case
from fraudnet.review.explainers import Explainers
from fraudnet.review.figures import BAND, BLUE, ORANGE, styled
from fraudnet.review.shown import Shown
from fraudnet.review.tables import paragraph, table

if TYPE_CHECKING:
    from fraudnet.training.trained import Trained

EARLIER = 64
"""Windows of the account before the newest one that tell its usual attention, at most."""

MOST = 10
"""Channels in a table."""


def attention_shown(case: Case, explainers: Explainers) -> Sequence[Shown]:
    """Gates of the squeeze-and-excitation blocks at the newest transaction and usually."""
    network = explainers.trained.network
    from fraudnet.review.explanations.attention import attention

    sequence = explainers.sequence(case, windows=1 + EARLIER)
    gates = attention(network, sequence.inputs)
    explained = (
        "Each squeeze-and-excitation block scales its channels by gates between 0 and 1, by what "
        "the last transactions were like."
    )
    if gates["usual"].isna().any():
        why = "The account has no earlier transactions in the case's window to compare with."
        return [paragraph(f"{explained} {why}"), table(gates[["block", "channel", "gate"]], MOST)]
    first = gates.to_dict("records")[0]
    count = min(len(sequence.transaction_ids) - 1, EARLIER)
    return [
        paragraph(
            f"{explained} A mark is a channel: how far its gate is from its mean over the {count} "
            "transactions before, in standard deviations. Outside the band the block attended to "
            f"something that it usually does not; farthest out is channel {first['channel']} of "
            f"block {first['block']}, open to {first['gate']:.2f} where {first['usual']:.2f} is "
            "usual."
        ),
        _gate_figure(gates),
        table(gates.drop(columns="deviation"), MOST),
    ]


def familiar_shown(case: Case, explainers: Explainers) -> Sequence[Shown]:
    """The distance, and the nearest windows that pass for genuine."""
    trained = explainers.trained
    from fraudnet.review.explanations.familiar import nearest_windows

    newest = case.flags.iloc[-1]
    sequence = explainers.sequence(case, windows=1 + EARLIER)
    nearest = nearest_windows(trained, sequence.inputs, count=5)
    said = ", ".join(
        f"{100 * float(level):.4g} % were below {value:.1f}"
        for level, value in trained.facts.ood_quantiles.items()
    )
    described = [
        _own_window(case, index) if source == "account" else _sample_window(trained, index)
        for source, index in zip(nearest["source"], nearest["index"], strict=True)
    ]
    shown = pd.concat([nearest, pd.DataFrame(described)], axis=1)
    shown["differs_in"] = [", ".join(fields[:3]) for fields in nearest["differs"]]
    return [
        paragraph(
            f"The distance of the newest transaction is {newest['ood_distance']:.2f}; of genuine "
            f"validation transactions {said}. These are the nearest windows that pass for "
            "genuine, of the account itself and of the training's sample, by the same covariance "
            "(the distance above also counts how far channels are beyond all that they have been), "
            "with their newest transactions and the fields that differ most."
        ),
        table(shown.drop(columns=["index", "differs"]), len(shown)),
    ]


def _own_window(case: Case, before: int) -> dict[str, object]:
    """What to call a window of the account, by its newest transaction."""
    row = case.window.iloc[-1 - before]
    names = ("transaction_id", "timestamp", "amount", "category")
    return {name: row[name] for name in names}


def _sample_window(trained: "Trained", index: int) -> dict[str, object]:
    """What to call a window of the training's sample, which names nobody."""
    words = {
        entry.column: entry.vocabulary or ()
        for entry in trained.network.specification.inputs
        if entry.kind == "categorical"
    }
    position = int(trained.windows["category"][index, -1]) if "category" in words else 0
    return {
        "transaction_id": f"of the sample, number {index}",
        "timestamp": None,
        "amount": float(trained.windows["amount"][index, -1]),
        "category": words["category"][position - 1] if position else None,
    }


def _gate_figure(gates: pd.DataFrame) -> go.Figure:
    figure = go.Figure()
    figure.add_hrect(y0=-2, y1=2, fillcolor=BAND, line_width=0, layer="below")
    start, middles = 0, []
    for block, rows in gates.sort_values(["block", "departure"]).groupby("block"):
        figure.add_scatter(
            x=list(range(start, start + len(rows))), y=rows["departure"], mode="markers",
            name=f"block {block}", marker={"color": (BLUE, ORANGE)[int(str(block)) % 2], "size": 6},
            customdata=rows[["channel", "gate", "usual"]],
            hovertemplate=f"block {block}, channel %{{customdata[0]}}<br>gate "
            "%{customdata[1]:.3f}, usually %{customdata[2]:.3f}<br>%{y:+.1f} standard deviations"
            "<extra></extra>",
        )  # fmt: skip
        middles.append((start + len(rows) / 2, f"block {block}"))
        start += len(rows) + 5
    figure.update_xaxes(
        tickvals=[place for place, _ in middles], ticktext=[name for _, name in middles]
    )
    figure.update_yaxes(title_text="standard deviations from usual")
    styled(figure, "What each block attended to, against the account's usual", 420)
    return figure.update_layout(showlegend=False)
