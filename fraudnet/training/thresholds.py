"""The threshold of a validation period: chosen, logged and shown with what follows from it."""

import mlflow
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from fraudnet.evaluation.thresholds import Decided, Threshold, choose_threshold
from fraudnet.training.experiment import Experiment
from fraudnet.training.scoring import scored_of
from fraudnet.windows.labels import KnownRows

CONSEQUENCES = (
    "alerts_per_day", "precision", "recall", "money_recall", "money_saved_per_day",
    "customers_bothered_per_day",
)  # fmt: skip


def threshold_of(
    known: KnownRows, probability: npt.NDArray[np.float32], experiment: Experiment
) -> Threshold:
    """Choose the threshold of a period as the experiment says, and log it to MLflow.

    Args:
        known: the period, with the labels that are known in time.
        probability: of all its transactions, those without a label too.
        experiment: policy, costs and prior.

    Raises:
        InputError: the wanted precision is not reached.
    """
    histories = known.histories
    rows = known.period.contains(histories.timestamp_us)
    weight = experiment.calibration.weights(histories.is_fraud[rows])
    decided = Decided(scored_of(histories, rows, probability), weight, known.period.days)
    threshold = choose_threshold(decided, experiment.alerts, str(known.period))
    mlflow.log_dict(threshold.model_dump(mode="json"), "threshold.json")
    for choice in (threshold, *threshold.alternatives):
        values = {name: getattr(choice, name) for name in ("probability", *CONSEQUENCES)}
        measured = {name: value for name, value in values.items() if value is not None}
        mlflow.log_metrics(
            {f"threshold_{choice.chosen_by}_{name}": value for name, value in measured.items()}
        )
    return threshold


def print_threshold(threshold: Threshold) -> None:
    """Print what follows from each policy whose terms are given, the chosen one marked."""
    choices = (threshold, *threshold.alternatives)
    table = Table("", title=f"thresholds, by the validation period {threshold.period}")
    for choice in choices:
        name = choice.chosen_by.replace("_", " ")
        table.add_column(f"{name} (chosen)" if choice is threshold else name, justify="right")
    table.add_row("probability", *(f"{choice.probability:.4g}" for choice in choices))
    terms = ("\n".join(f"{k} {v:g}" for k, v in choice.terms.items()) for choice in choices)
    table.add_row("terms", *(text.replace("_", " ") for text in terms), end_section=True)
    for name in CONSEQUENCES:
        shown = (getattr(choice, name) for choice in choices)
        table.add_row(
            name.replace("_", " "), *("" if value is None else f"{value:,.4g}" for value in shown)
        )
    console = Console()
    console.print(table)
    if threshold.unreached:
        console.print(threshold.unreached, highlight=False, soft_wrap=True)
