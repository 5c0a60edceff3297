"""The scores of the Handbook protocol as a table."""

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.handbook import CARDS, Row

PEER = "random_forest"  # whose average precision every other is divided by
_HEADINGS = (
    "days",
    "ROC\nAUC",
    "average\nprecision",
    "ratio\nto peer",
    f"card\nprecision\n@{CARDS}",
    "its\nceiling",
    "seconds\na fit",
    "para-\nmeters",
)


def table(rows: Sequence[Row]) -> Table:
    """Mean and standard deviation over folds, to print with rich.

    With several seeds, a fold counts with its mean over them.
    """
    made = Table(
        title="Fraud Detection Handbook, prequential folds",
        box=box.SIMPLE,
        padding=0,
        caption=_caption(rows),
    )
    made.add_column("model", no_wrap=True)
    for heading in _HEADINGS:
        made.add_column(heading, justify="right", no_wrap=True)
    for days in sorted({row.training_days for row in rows}):
        here = [row for row in rows if row.training_days == days]
        for name in dict.fromkeys(row.model for row in here):
            made.add_row(*_cells(name, here))
    return made


def _caption(rows: Sequence[Row]) -> str:
    folds, seeds = len({row.fold for row in rows}), len({row.seed for row in rows})
    return (
        "days: length of the training period\n"
        f"mean ± standard deviation over {folds} fold{'s' * (folds > 1)}, "
        f"each the mean of {seeds} seed{'s' * (seeds > 1)}\n"
        f"ratio: average precision divided by that of {PEER} in this run\n"
        "ceiling: card precision of a scorer that knows the labels"
    )


def _cells(name: str, rows: Sequence[Row]) -> list[str]:
    own = [row for row in rows if row.model == name]
    peer = [row for row in rows if row.model == PEER]
    ratio = "not run"
    if peer:
        ratio = f"{_mean(own, 'average_precision') / _mean(peer, 'average_precision'):.3f}"
    parameters = own[0].parameters
    return [
        name,
        str(own[0].training_days),
        _spread(own, "roc_auc"),
        _spread(own, "average_precision"),
        ratio,
        _spread(own, "card_precision_at_100"),
        f"{_mean(own, 'card_precision_at_100_ceiling'):.3f}",
        f"{_mean(own, 'train_seconds'):.1f}",
        "-" if parameters is None else f"{parameters:,}",
    ]


def _by_fold(rows: Sequence[Row], name: str) -> list[float]:
    folds = dict.fromkeys(row.fold for row in rows)
    return [float(np.mean([getattr(row, name) for row in rows if row.fold == f])) for f in folds]


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(np.mean(_by_fold(rows, name)))


def _spread(rows: Sequence[Row], name: str) -> str:
    folds = _by_fold(rows, name)
    spread = f"\n±{np.std(folds):.3f}" if len(folds) > 1 else ""
    return f"{np.mean(folds):.3f}{spread}"
