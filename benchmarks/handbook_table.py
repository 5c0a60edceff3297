"""The scores of the Handbook protocol as tables."""

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.handbook import CARDS, Row

# The Handbook's own searches over settings, as published (chapter 7), on other hardware.
PUBLISHED_GRID_SECONDS = {"lstm": 14_751, "cnn": 26_904}

_HEADINGS = (
    "days",
    "ROC\nAUC",
    "average\npreci-\nsion",
    f"card\npreci-\nsion\n@{CARDS}",
    "its\nceiling",
    "seconds\na fit",
    "to\ntune",
    "para-\nmeters",
)


def table(rows: Sequence[Row], folds_are: str) -> Table:
    """Mean and standard deviation over folds, to print with rich.

    With several seeds, a fold counts with its mean over them.

    Args:
        rows: of one data set.
        folds_are: where the folds lie, in words.
    """
    made = Table(
        title=f"Fraud Detection Handbook, prequential folds {folds_are}",
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
    lines = [
        "days: length of the training period",
        f"mean ± standard deviation over {folds} fold{'s' * (folds > 1)}, "
        f"each the mean of {seeds} seed{'s' * (seeds > 1)}",
        "ceiling: card precision of a scorer that knows the labels",
        "to tune: seconds, once for all folds and seeds of a length of training",
    ]
    for name, seconds in PUBLISHED_GRID_SECONDS.items():
        if any(row.model == name for row in rows):
            lines.append(f"{name}: the Handbook's own search took {seconds:,} s, as published")
    return "\n".join(lines)


def _cells(name: str, rows: Sequence[Row]) -> list[str]:
    own = [row for row in rows if row.model == name]
    tuned = [row.tune_seconds for row in own if row.tune_seconds is not None]
    parameters = own[0].parameters
    return [
        name,
        str(own[0].training_days),
        _spread(own, "roc_auc"),
        _spread(own, "average_precision"),
        _spread(own, "card_precision_at_100"),
        f"{mean(own, 'card_precision_at_100_ceiling'):.3f}",
        f"{mean(own, 'train_seconds'):.1f}",
        f"{np.mean(tuned):.1f}" if tuned else "-",
        "-" if parameters is None else f"{parameters:,}",
    ]


def _by_fold(rows: Sequence[Row], name: str) -> list[float]:
    folds = dict.fromkeys(row.fold for row in rows)
    return [float(np.mean([getattr(row, name) for row in rows if row.fold == f])) for f in folds]


def mean(rows: Sequence[Row], name: str) -> float:
    """Mean over folds of a figure; each fold the mean of its seeds."""
    return float(np.mean(_by_fold(rows, name)))


def _spread(rows: Sequence[Row], name: str) -> str:
    folds = _by_fold(rows, name)
    spread = f"\n±{np.std(folds):.3f}" if len(folds) > 1 else ""
    return f"{np.mean(folds):.3f}{spread}"
