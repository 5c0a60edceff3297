"""Is one model ahead of another, and are the goals met: paired differences as tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.handbook import Row
from benchmarks.handbook_table import mean

BOOSTING = ("xgboost", "lightgbm")
WITH_REPUTATION = ("xgboost_reputation", "lightgbm_reputation")
# By training days: ROC AUC, average precision, card precision@100. Those of 7 days are the highest
# published of each (chapter 7); all are for the published data.
GOALS = {90: (0.890, 0.750, 0.314), 28: (0.885, 0.730, 0.312), 7: (0.876, 0.687, 0.303)}
_GOAL_FIGURES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "card_precision_at_100": "card precision@100",
}


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences; standard errors are None where one pair is all there is.

    Attributes:
        mean: over pairs of equal fold and seed.
        error: standard error over the pairs.
        error_of_folds: the same over the folds' means, for seeds of a fold resemble each other.
    """

    mean: float
    error: float | None
    error_of_folds: float | None


def difference(own: Sequence[Row], other: Sequence[Row]) -> Difference | None:
    """How much higher one model's average precision is, paired by fold and seed.

    Args:
        own: rows of a model with one length of training.
        other: those of the other model.

    Returns:
        None if no fold and seed were measured for both.
    """
    others = {(row.fold, row.seed): row.average_precision for row in other}
    pairs = [
        (row.fold, row.average_precision - others[row.fold, row.seed])
        for row in own
        if (row.fold, row.seed) in others
    ]
    if not pairs:
        return None
    folds = dict.fromkeys(fold for fold, _ in pairs)
    means = [float(np.mean([gap for of, gap in pairs if of == fold])) for fold in folds]
    gaps = [gap for _, gap in pairs]
    return Difference(float(np.mean(gaps)), _standard_error(gaps), _standard_error(means))


def _standard_error(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def differences_table(rows: Sequence[Row]) -> Table:
    """Every model beside the best boosting on the Handbook's features, and on ours too.

    The best is the one of the highest mean average precision on the tests, to its advantage.
    """
    made = Table(
        title="average precision, less that of the best boosting",
        box=box.SIMPLE,
        padding=0,
        caption="differences of equal fold and seed; in brackets how many standard errors that is\n"
        "± over folds and seeds: all pairs; ± over folds: a fold counts with the mean of its pairs",
    )
    made.add_column("model", no_wrap=True)
    made.add_column("days", justify="right", no_wrap=True)
    made.add_column("best\nboosting", no_wrap=True)
    for heading in ("differ-\nence", "± over folds\nand seeds", "± over\nfolds"):
        made.add_column(heading, justify="right", no_wrap=True)
    for days in sorted({row.training_days for row in rows}):
        here = [row for row in rows if row.training_days == days]
        for names in (BOOSTING, WITH_REPUTATION):
            if best := _best(here, names):
                _add_differences(made, here, best, names)
    return made


def _add_differences(made: Table, rows: Sequence[Row], best: str, besides: Sequence[str]) -> None:
    """A row for each model; that of the best and its like say nothing."""
    other = [row for row in rows if row.model == best]
    for name in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == name]
        found = difference(own, other)
        if name in besides or found is None:
            continue
        errors = (_in_errors(found.mean, error) for error in (found.error, found.error_of_folds))
        made.add_row(
            name, str(own[0].training_days), best.replace("_", "_\n"), f"{found.mean:+.4f}", *errors
        )


def _best(rows: Sequence[Row], names: Sequence[str]) -> str | None:
    found = {
        name: mean(own, "average_precision")
        for name in names
        if (own := [row for row in rows if row.model == name])
    }
    return max(found, key=found.__getitem__) if found else None


def _in_errors(gap: float, error: float | None) -> str:
    if error is None:
        return "-"
    return f"±{error:.4f} ({gap / error:+.1f})" if error > 0 else "±0.0000"


def goals_table(rows: Sequence[Row]) -> Table:
    """The project's own models beside the goals: by how much each is met or missed."""
    made = Table(title="goals", box=box.SIMPLE, padding=(0, 1, 0, 0))
    made.add_column("model", no_wrap=True)
    for heading in ("days", "figure", "mean", "goal", "difference", ""):
        made.add_column(heading, justify="left" if heading == "figure" else "right", no_wrap=True)
    for name in dict.fromkeys(row.model for row in rows if row.model.startswith("fraudnet")):
        for days, goals in sorted(GOALS.items()):
            own = [row for row in rows if (row.model, row.training_days) == (name, days)]
            if not own:
                continue
            for (key, figure), goal in zip(_GOAL_FIGURES.items(), goals, strict=True):
                found = mean(own, key)
                said = "met" if found >= goal else "missed"
                cells = (f"{found:.3f}", f"{goal:.3f}", f"{found - goal:+.4f}", said)
                made.add_row(name, str(days), figure, *cells)
    return made
