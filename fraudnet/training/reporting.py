"""The report and the model card of a measured test period."""

from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import numpy.typing as npt

import fraudnet
from fraudnet.errors import InputError
from fraudnet.evaluation.cases import case_figures
from fraudnet.evaluation.further import without_reputation
from fraudnet.evaluation.model_card import Card, model_card
from fraudnet.evaluation.page import Made, page
from fraudnet.evaluation.report import Beside, Sample, report_of
from fraudnet.evaluation.slices import Grouping, pooled
from fraudnet.network.network import Network
from fraudnet.training.calibration import CalibrationConfig
from fraudnet.training.measuring import Measured
from fraudnet.training.prepare import Prepared
from fraudnet.training.scoring import predict_rows
from fraudnet.training.trained import Facts, Trained
from fraudnet.transactions.place import name_of
from fraudnet.transactions.recipe import load_recipe
from fraudnet.windows.histories import Histories
from fraudnet.windows.reputation import UNKNOWN_COUNT

PAGE = "report.html"
CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class ReportFiles:
    """Where the report and the model card are written."""

    page: Path
    card: Path


def report_test(
    prepared: Prepared,
    trained: Trained,
    measured: Measured,
    files: ReportFiles | None,
    beside: Beside | None,
) -> dict[str, float]:
    """Report on the test period: to MLflow, and to files if those are named.

    Args:
        prepared: the data.
        trained: the network.
        measured: the test period.
        files: to be written, too.
        beside: another network's figures of the same period.

    Returns:
        The period's figures, those without reputation and of the four cases among them.

    Raises:
        InputError: a file cannot be written.
    """
    sample = _sample(prepared, trained.facts, measured)
    bare = _without_reputation(prepared, trained.network, measured, sample)
    sentinel = trained.facts.sentinel
    more = bare | case_figures(
        measured.scored.is_fraud,
        measured.scored.score >= sample.threshold,
        measured.scores.ood_distance > sentinel.distance_threshold,
        sentinel.false_alarm_rate,
    )
    mlflow.log_metrics({f"test_{name}": value for name, value in more.items()})
    figures = measured.figures | more
    report = report_of(sample, figures, beside)
    card = _card(prepared, trained)
    texts = {PAGE: page(report, _made(card)), CARD: model_card(report, card)}
    for name, text in texts.items():
        mlflow.log_text(text, name)
    if files is not None:
        _write(texts[PAGE], files.page)
        _write(texts[CARD], files.card)
    return figures


def _without_reputation(
    prepared: Prepared, network: Network, measured: Measured, sample: Sample
) -> dict[str, float]:
    """The figures of the same rows as a device without a snapshot scores them."""
    histories = prepared.histories
    inputs = [each.name for each in network.specification.inputs if each.kind == "reputation"]
    if not inputs:
        return {}
    # One value for all rows: it takes no memory.
    unknown = np.broadcast_to(np.float32(UNKNOWN_COUNT), len(histories))
    bare = replace(histories, columns=histories.columns | dict.fromkeys(inputs, unknown))
    answers = predict_rows(network.scores, network.receptive_field, bare, measured.rows)
    scored = replace(measured.scored, score=answers["fraud_probability"][:, 0])
    return without_reputation(scored, sample.threshold, sample.resamples, sample.seed)


def _sample(prepared: Prepared, facts: Facts, measured: Measured) -> Sample:
    histories, experiment = prepared.histories, prepared.experiment
    evaluation, rows = experiment.evaluation, np.flatnonzero(measured.rows)
    account = histories.account[rows]
    kinds = _declared(prepared, rows, evaluation.kind_column)
    if kinds is not None:
        fraud = measured.scored.is_fraud == 1
        code = np.full(len(rows), -1)
        own = pooled(kinds.name, kinds.values, kinds.code[fraud], account[fraud])
        code[fraud] = own.code
        kinds = Grouping("kind of fraud", own.values, code)
    groups = (_declared(prepared, rows, name) for name in evaluation.group_columns)
    return Sample(
        scored=measured.scored,
        predicted=measured.predicted,
        threshold=facts.threshold.probability,
        distance=measured.scores.ood_distance,
        distance_threshold=facts.sentinel.distance_threshold,
        chosen_by=facts.threshold.chosen_by,
        alerts_per_day=experiment.alerts.per_day,
        earlier=rows - histories.offsets[account],
        features=_features(histories, rows),
        kinds=kinds,
        groups=[pooled(each.name, each.values, each.code, account) for each in groups if each],
        resamples=evaluation.resamples,
        seed=experiment.training.seed,
    )


def _declared(prepared: Prepared, rows: npt.NDArray[np.int64], name: str | None) -> Grouping | None:
    """A column that the evaluation reads, at some rows of the histories."""
    if name is None or name not in prepared.slices:
        return None
    column = prepared.slices[name]
    code = column.code[prepared.histories.source_row[rows]].astype(np.int64)
    return Grouping(name, column.values, code)


def _features(histories: Histories, rows: npt.NDArray[np.int64]) -> list[Grouping]:
    return [
        pooled(
            column.column,
            column.vocabulary,
            histories.columns[column.column][rows].astype(np.int64) - 1,
            histories.account[rows],
        )
        for column in histories.specification.categorical
    ]


def _card(prepared: Prepared, trained: Trained) -> Card:
    facts, experiment = trained.facts, prepared.experiment
    recipe = load_recipe(experiment.data.recipe)
    left_out = "Accounts with a fraud that was known before a day are left out of that day."
    return Card(
        name=f"fraudnet, {recipe.name}",
        version=fraudnet.__version__,
        run_id=facts.mlflow_run_id,
        parameters=trained.network.logit.count_params(),
        window_length=facts.receptive_field,
        inputs=[each.name for each in experiment.features.inputs if each.kind != "valid"],
        training_period=facts.periods["training"],
        validation_period=facts.periods["validation"],
        test_period=str(prepared.split.test),
        label_delay_days=experiment.split.label_delay_days,
        recipe=recipe.name,
        description=recipe.description,
        licence=recipe.licence,
        traps=recipe.traps,
        training_rows=int(facts.training_data["rows"]),
        training_fingerprint=str(facts.training_data["fingerprint"]),
        source=name_of(prepared.source),
        fingerprint=prepared.fingerprint,
        left_out=left_out if experiment.split.without_compromised else "",
        shares=_shares(experiment.calibration),
    )


def _shares(calibration: CalibrationConfig) -> str:
    if calibration.prior is not None:
        said = f"In use, the share of fraud is taken to be {calibration.prior:g}."
    elif calibration.genuine_sampling_rate < 1:
        kept = calibration.genuine_sampling_rate
        said = f"Of the genuine transactions, a share of {kept:g} was kept."
    else:
        return ""
    return (
        f"{said} Probabilities, their calibration and the threshold are corrected for that; all "
        "other figures are of the rows as they are."
    )


def _made(card: Card) -> Made:
    return Made(
        f"{card.source}, {card.test_period}",
        [
            ("network", f"{card.parameters:,} parameters, reads {card.window_length} transactions"),
            ("inputs", ", ".join(card.inputs)),
            ("training period", card.training_period),
            ("validation period, for calibration and threshold", card.validation_period),
            ("test period", card.test_period),
            ("days until a label is known", f"{card.label_delay_days:g}"),
            ("trained on", card.training_fingerprint),
            ("evaluated on", f"{card.source}, {card.fingerprint}"),
            ("left out", card.left_out or "nothing"),
            ("share of fraud", card.shares or "as in use"),
            ("MLflow run", card.run_id),
            ("fraudnet", card.version),
        ],
    )


def _write(text: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
