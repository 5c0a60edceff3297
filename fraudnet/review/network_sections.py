"""What the trained network says of a case: what it attended to, and what is near it."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fraudnet.review.cases import Case
from fraudnet.review.explainers import Explainers
from fraudnet.review.figures import BLUE, ORANGE, SKY, styled
from fraudnet.review.shown import Shown
from fraudnet.review.tables import paragraph, table
from fraudnet.review.text import moment

EARLIER = 64
"""Windows of the account before the newest one that tell its usual attention, at most."""

_CHANNELS = 10


def attention_shown(case: Case, explainers: Explainers) -> Sequence[Shown]:
    """Gates of the squeeze-and-excitation blocks at the newest transaction and usually."""
    network = explainers.trained.network
    from fraudnet.review.explanations.attention import attention

    sequence = explainers.sequence(case, windows=1 + EARLIER)
    gates = attention(network, sequence.inputs)
    known = gates["usual"].notna().any()
    count = min(len(sequence.transaction_ids) - 1, EARLIER)
    usual = (
        f"its usual is the mean over the {count} transactions before"
        if known
        else "the account has no earlier transactions to compare with"
    )
    return [
        paragraph(
            "Each squeeze-and-excitation block scales its channels by gates between 0 and 1, by "
            f"what the last transactions were like. One mark is a channel; {usual}. Far from the "
            "diagonal the block attended to something that it usually does not."
        ),
        *([_gate_figure(gates)] if known else []),
        table(gates.drop(columns="deviation"), _CHANNELS),
    ]


def familiar_shown(case: Case, explainers: Explainers) -> Sequence[Shown]:
    """The distance, and the nearest windows that pass for genuine."""
    trained = explainers.trained
    from fraudnet.review.explanations.familiar import nearest_windows

    newest = case.flags.iloc[-1]
    sequence = explainers.sequence(case, windows=1 + EARLIER)
    nearest = nearest_windows(trained, sequence.inputs, count=5)
    quantiles = trained.facts.ood_quantiles
    said = ", ".join(f"{value:.1f} at {name}" for name, value in quantiles.items())
    return [
        paragraph(
            f"The distance of the newest transaction is {newest['ood_distance']:.2f}; of genuine "
            f"validation transactions it was {said}. Below are the nearest windows that pass for "
            "genuine, of the account itself and of the training's sample, by the same covariance; "
            "'differs' names the fields, the most different first."
        ),
        table(_named_windows(nearest, case), len(nearest)),
    ]


def _named_windows(nearest: pd.DataFrame, case: Case) -> pd.DataFrame:
    """The account's windows by their newest transaction, the sample's by their number."""
    ids = case.window["transaction_id"].tolist()
    times = case.window["timestamp"].tolist()
    rows = []
    for row in nearest.to_dict("records"):
        is_own = row["source"] == "account"
        before = row["index"]
        rows.append(
            {
                "source": row["source"],
                "window": f"{ids[-1 - before]}, {moment(times[-1 - before])}"
                if is_own
                else f"number {before}",
                "distance": row["distance"],
                "fraud_probability": row["fraud_probability"],
                "differs": ", ".join(row["differs"][:3]),
            }
        )
    return pd.DataFrame(rows)


def _gate_figure(gates: pd.DataFrame) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as usual", hoverinfo="skip",
        line={"color": ORANGE, "dash": "dash", "width": 1.2},
    )  # fmt: skip
    symbols = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")
    for number, (block, rows) in enumerate(gates.groupby("block")):
        figure.add_scatter(
            x=rows["usual"], y=rows["gate"], mode="markers", name=f"block {block}",
            marker={
                "color": (BLUE, SKY)[number % 2], "symbol": symbols[number % len(symbols)],
                "size": 7,
            },
            customdata=rows[["channel", "departure"]],
            hovertemplate=f"block {block}, channel %{{customdata[0]}}<br>gate %{{y:.3f}}, usually "
            "%{x:.3f}<br>%{customdata[1]:+.1f} deviations<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="usual gate", range=[-0.02, 1.02])
    figure.update_yaxes(title_text="gate now", range=[-0.02, 1.02])
    return styled(figure, "What each block attended to, against the account's usual", 460)
