"""Train: weights, calibration, threshold and distance, each from the rows it may see."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import keras
import mlflow
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.special import expit

from fraudnet.errors import InputError
from fraudnet.evaluation.calibration import (
    Predicted,
    calibration_figures,
    calibration_intervals,
    reliability_diagram,
)
from fraudnet.evaluation.figures import figures
from fraudnet.evaluation.further import figures_with_intervals
from fraudnet.evaluation.report import Beside
from fraudnet.evaluation.thresholds import AlertConfig, Threshold
from fraudnet.network.network import Network, Sentinel, build_network
from fraudnet.training.calibration import (
    cross_fitted,
    description,
    fit_calibration,
    refuse_one_class,
)
from fraudnet.training.champion import champion_beside
from fraudnet.training.checkpoint import Checkpoint
from fraudnet.training.experiment import Experiment
from fraudnet.training.fitting import Progress, fit_network
from fraudnet.training.prepare import Prepared
from fraudnet.training.reporting import Measured, ReportFiles, log_scores, report_test, scores_of
from fraudnet.training.scoring import predict_rows, scored_of
from fraudnet.training.sentinel import Candidate, SentinelFacts, candidates
from fraudnet.training.tensorboard import TensorBoardProgress
from fraudnet.training.thresholds import threshold_of
from fraudnet.training.tracking import (
    TrackedProgress,
    log_configuration,
    log_data,
    log_figures,
    tracked_run,
)
from fraudnet.training.trained import Facts, Trained, Windows
from fraudnet.transactions.place import name_of, place_of
from fraudnet.windows.chunks import windows_of
from fraudnet.windows.histories import Histories
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import Period
from fraudnet.windows.prequential import rows_to_test

CHECKPOINT = "training.npz"
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)
DISTANCE_ROWS = 50_000
SHIFTED_WINDOWS = 1_000
CHECK_WINDOWS = 2_000

Mask = npt.NDArray[np.bool_]


def train(
    prepared: Prepared,
    folder: Path | None = None,
    tensorboard: Path | None = None,
    watch: Callable[[Network], Progress] | None = None,
) -> Trained:
    """Fit a network to the training period, calibrate and choose its threshold on the validation.

    Args:
        prepared: the data.
        folder: where the fit's state is kept after each epoch, so that the same call goes on where
            a killed one was, to the same result, in the same MLflow run; None: nowhere.
        tensorboard: folder for the fit's curves and profile; None: none are written.
        watch: makes of the network, before it is fitted, one more who is told of the fit.

    Raises:
        InputError: a period lacks frauds or genuine transactions, or a folder cannot be used.
    """
    experiment = prepared.experiment
    begun = _begun(prepared, folder)
    progress: list[Progress] = [TrackedProgress()]
    if tensorboard is not None:
        progress.append(TensorBoardProgress(tensorboard))
    with tracked_run("train", begun.run_id if begun else None) as run:
        checkpoint = replace(begun, run_id=run.info.run_id) if begun else None
        log_configuration(experiment)
        log_data(
            name_of(prepared.source), prepared.fingerprint, "training", prepared.report.to_dict()
        )
        keras.utils.set_random_seed(experiment.training.seed)
        network = build_network(
            experiment.network, experiment.features, experiment.calibration.knots
        )
        if watch is not None:
            progress.append(watch(network))
        known = known_of(prepared, prepared.split.training)
        chunks = fit_network(network, known, experiment.training, progress, checkpoint)
        mlflow.log_metrics({"chunks": len(chunks), "padded_share": chunks.padded_share()})
        return completed(prepared, network, run.info.run_id)


def completed(prepared: Prepared, network: Network, run_id: str) -> Trained:
    """Fit what stands on a network's weights: distance, calibration, threshold; and measure it.

    The distance is fitted on the training period, its place and all else on the validation period.

    Args:
        prepared: the data; its experiment's network is this one.
        network: with fitted weights; what is returned has a network of its own.
        run_id: of the MLflow run, which is active.

    Raises:
        InputError: a period lacks frauds or genuine transactions, the network ranks no better than
            chance, or the wanted precision is not reached.
    """
    experiment, histories = prepared.experiment, prepared.histories
    seed, period = experiment.training.seed, prepared.split.validation
    known, checked = known_of(prepared, prepared.split.training), known_of(prepared, period)
    refuse_one_class(checked.is_fraud)
    network, compared = _with_sentinel(network, known, checked, experiment)
    logits = logits_of(network, histories, checked.rows)
    fit_calibration(network.calibration, logits, checked.is_fraud, experiment.calibration)
    everything = period.contains(histories.timestamp_us)
    answers = score(network, histories, everything)
    probability = answers["fraud_probability"]
    threshold = threshold_of(checked, probability, experiment)
    found = _measure(prepared, network, period, threshold.probability, "validation")
    genuine = answers["ood_distance"][checked.histories.is_fraud[everything] == 0]
    return Trained(
        network,
        _facts(prepared, network, threshold, probability, genuine, compared, run_id, found.figures),
        _check_windows(histories, everything, network.receptive_field, seed),
    )


def _begun(prepared: Prepared, folder: Path | None) -> Checkpoint | None:
    """The checkpoint of this very fit, with the run that it was begun in, if it was."""
    if folder is None:
        return None
    settings = prepared.experiment.model_dump_json(), prepared.fingerprint, tf.__version__
    identity = sha256("\n".join(settings).encode()).hexdigest()
    checkpoint = Checkpoint(folder / CHECKPOINT, identity, run_id="")
    state = checkpoint.load()
    return replace(checkpoint, run_id=state.facts["run_id"]) if state else checkpoint


def evaluate(
    prepared: Prepared,
    trained: Trained,
    files: ReportFiles | None = None,
    beside: Beside | None = None,
    registered: str | None = None,
) -> Trained:
    """Measure a trained network on the test period; the figures go to MLflow and into its facts.

    Args:
        prepared: the data.
        trained: the network.
        files: where report and model card are written; they are logged in any case.
        beside: another network's figures of the same period, for the report.
        registered: model whose champion stands there where no other network does.

    Raises:
        InputError: the test period begins before the periods that the network was fitted on end,
            or a file cannot be written.
    """
    validated = trained.facts.periods["validation"].split(" .. ")[1]
    test = prepared.split.test
    if f"{test.begin:%Y-%m-%d %H:%M}" < validated:
        raise InputError(
            f"{place_of(prepared.source)}: its test period {test} begins before the validation "
            f"period of the network ended ({validated}), so the network has seen some of it; bring "
            "later data, or shorten split.test_days"
        )
    with tracked_run("evaluate", trained.facts.mlflow_run_id) as run:
        log_data(name_of(prepared.source), prepared.fingerprint, "test", prepared.report.to_dict())
        threshold = trained.facts.threshold.probability
        measured = _measure(prepared, trained.network, test, threshold, "test")
        if beside is None and registered:
            own = run.info.run_id
            beside = champion_beside(registered, own, measured.scores, prepared.experiment)
        found = report_test(prepared, trained, measured, files, beside)
    periods = trained.facts.periods | {"test": str(test)}
    metrics = trained.facts.metrics | {"test": found}
    facts = trained.facts.model_copy(update={"periods": periods, "metrics": metrics})
    return Trained(trained.network, facts, trained.windows)


def choose_again(prepared: Prepared, trained: Trained, alerts: AlertConfig) -> Trained:
    """Choose another threshold on the validation period; the weights stay as they are.

    Figures of the test period are dropped, since they were measured at the former threshold.

    Raises:
        InputError: the data's validation period is not the network's, or the wanted precision is
            not reached.
    """
    period, facts = prepared.split.validation, trained.facts
    refuse_other_periods(prepared, trained, "validation")
    experiment = facts.experiment.model_copy(update={"alerts": alerts})
    prepared = replace(prepared, experiment=experiment)
    rows = period.contains(prepared.histories.timestamp_us)
    with tracked_run("threshold", facts.mlflow_run_id):
        probability = score(trained.network, prepared.histories, rows)["fraud_probability"]
        threshold = threshold_of(known_of(prepared, period), probability, experiment)
        found = _measure(prepared, trained.network, period, threshold.probability, "validation")
    changed = {
        "experiment": experiment, "threshold": threshold, "metrics": {"validation": found.figures}
    }  # fmt: skip
    return replace(trained, facts=facts.model_copy(update=changed))


def refuse_other_periods(prepared: Prepared, trained: Trained, *names: str) -> None:
    """Refuse data whose periods of these names are not those that a network was fitted on.

    Raises:
        InputError: one is not.
    """
    for name in names:
        own, period = trained.facts.periods[name], getattr(prepared.split, name)
        if str(period) != own:
            raise InputError(
                f"{place_of(prepared.source)}: its {name} period is {period}, that of the network "
                f"{own}; give the data that the network was trained with"
            )


def logits_of(network: Network, histories: Histories, wanted: Mask) -> npt.NDArray[np.float32]:
    """Logits of the wanted rows, [W]."""
    answers = predict_rows(network.logit, network.receptive_field, histories, wanted)
    return answers["logit"][:, 0]


def score(
    network: Network, histories: Histories, wanted: Mask
) -> dict[str, npt.NDArray[np.float32]]:
    """`fraud_probability` and `ood_distance` of the wanted rows, [W] each."""
    answers = predict_rows(network.scores, network.receptive_field, histories, wanted)
    return {name: values[:, 0] for name, values in answers.items()}


def known_of(prepared: Prepared, period: Period) -> KnownRows:
    """Labelled rows whose label is known when what follows the period begins."""
    delay = timedelta(days=prepared.experiment.split.label_delay_days)
    return known_rows(prepared.histories, period, known_by=period.end + delay)


def _with_sentinel(
    network: Network, known: KnownRows, checked: KnownRows, experiment: Experiment
) -> tuple[Network, list[Candidate]]:
    """The same network with its distance where it tells shifts best, and what was compared."""
    seed = experiment.training.seed
    rows = _some_genuine(known, DISTANCE_ROWS, seed)
    wanted = np.zeros(len(known.histories), bool)
    wanted[rows] = True
    genuine = predict_rows(network.hidden, network.receptive_field, known.histories, wanted)
    rows = _some_genuine(checked, SHIFTED_WINDOWS, seed)
    windows = windows_of(checked.histories, rows, network.receptive_field)
    compared = candidates(
        network, genuine, windows.gather(np.arange(len(windows))), experiment.sentinel
    )
    best = compared[0]
    mlflow.log_metrics({f"sentinel_auroc_{each.name}": each.mean_auroc for each in compared})
    chosen = Sentinel(best.layer, len(best.familiar.covariance.excess))
    again = build_network(
        experiment.network, experiment.features, experiment.calibration.knots, chosen
    )
    again.logit.set_weights(network.logit.get_weights())
    best.familiar.put_into(again.distance)
    return again, compared


def _some_genuine(known: KnownRows, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Rows known to be genuine, at random where there are more, in the order of the histories."""
    genuine = np.flatnonzero(known.rows & (known.histories.is_fraud == 0))
    if len(genuine) > most:
        genuine = np.sort(np.random.default_rng(seed).choice(genuine, most, replace=False))
    return genuine


def _measure(
    prepared: Prepared, network: Network, period: Period, threshold: float, name: str
) -> Measured:
    """Figures of a period's labelled rows; they, pictures and scores are logged."""
    histories, alerts = prepared.histories, prepared.experiment.alerts
    split = prepared.experiment.split
    since = prepared.split.training.begin if split.without_compromised else None
    rows = rows_to_test(histories, period, since)
    answers = score(network, histories, rows)
    scored = scored_of(histories, rows, answers["fraud_probability"])
    resamples, seed = prepared.experiment.evaluation.resamples, prepared.experiment.training.seed
    try:
        found = figures_with_intervals(
            scored, threshold, alerts.per_day, alerts.accounts_per_day, resamples, seed
        )
    except ValueError as error:
        raise InputError(
            f"{place_of(prepared.source)}: the {name} period {period} {error}"
        ) from error
    logits = logits_of(network, histories, rows)
    calibration = prepared.experiment.calibration
    predicted = Predicted(
        is_fraud=scored.is_fraud,
        weight=calibration.weights(scored.is_fraud),
        uncalibrated=expit(logits),
        calibrated=scored.score,
    )
    if name == "validation":  # that the calibration was fitted to: it would flatter itself
        known = known_of(prepared, period).rows[rows]
        again = cross_fitted(logits, scored.is_fraud, known, scored.account, calibration)
        predicted = replace(predicted, calibrated=again)
    found |= calibration_figures(predicted)
    found |= calibration_intervals(predicted, scored.account, resamples, seed)
    mlflow.log_metrics({f"{name}_{key}": value for key, value in found.items()})
    pictures = figures(scored, threshold, alerts.per_day)
    log_figures(pictures | {"calibration": reliability_diagram(predicted)}, name)
    scores = scores_of(prepared, rows, answers, threshold, name)
    log_scores(scores, name)
    return Measured(rows, scored, predicted, scores, found)


def _facts(
    prepared: Prepared,
    network: Network,
    threshold: Threshold,
    probability: npt.NDArray[np.float32],
    genuine_distance: npt.NDArray[np.float32],
    compared: list[Candidate],
    run_id: str,
    validation_figures: dict[str, float],
) -> Facts:
    experiment, split = prepared.experiment, prepared.split
    return Facts(
        experiment=experiment,
        receptive_field=network.receptive_field,
        threshold=threshold,
        calibration={
            "method": experiment.calibration.method,
            **description(network.calibration),
            "period": str(split.validation),
        },
        ood_quantiles=_quantiles(genuine_distance),
        score_quantiles=_quantiles(probability),
        sentinel=_sentinel(experiment, genuine_distance, compared),
        training_data={
            "fingerprint": prepared.fingerprint,
            "rows": len(prepared.histories),
            "recipe": experiment.data.recipe,
        },
        periods={name: str(getattr(split, name)) for name in ("training", "validation", "test")},
        mlflow_run_id=run_id,
        metrics={"validation": validation_figures},
    )


def _quantiles(values: npt.NDArray[np.float32]) -> dict[str, float]:
    return {f"{q:g}": float(np.quantile(values, q)) for q in QUANTILES}


def _sentinel(
    experiment: Experiment,
    genuine_distance: npt.NDArray[np.float32],
    compared: list[Candidate],
) -> SentinelFacts:
    best, rate = compared[0], experiment.sentinel.false_alarm_rate
    threshold = float(np.quantile(genuine_distance, 1 - rate))
    mlflow.log_metric("sentinel_distance_threshold", threshold)
    return SentinelFacts(
        layer=best.layer,
        form=best.form,
        rank=len(best.familiar.covariance.excess),
        shrinkage=experiment.sentinel.shrinkage,
        false_alarm_rate=rate,
        distance_threshold=threshold,
        auroc=best.auroc,
        mean_auroc={each.name: each.mean_auroc for each in compared},
    )


def _check_windows(histories: Histories, among: Mask, receptive_field: int, seed: int) -> Windows:
    """Windows to compare copies of the network on, and to take ranges of activations from.

    Drawn by stratum, since what is rare is what a copy gets wrong: a quarter frauds, an eighth the
    largest amounts, an eighth the rarest categories, the rest at random.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.flatnonzero(among))
    rarity = np.full(len(rows), len(rows))
    for column in histories.specification.categorical:
        values = histories.columns[column.column][rows]
        rarity = np.minimum(rarity, np.bincount(values)[values])
    strata = (
        (rows[histories.is_fraud[rows] == 1], CHECK_WINDOWS // 4),
        (rows[np.argsort(-np.abs(histories.amount[rows]), kind="stable")], CHECK_WINDOWS // 8),
        (rows[np.argsort(rarity, kind="stable")], CHECK_WINDOWS // 8),
    )
    chosen = np.unique(np.concatenate([some[:count] for some, count in strata]))
    rest = rows[~np.isin(rows, chosen)][: CHECK_WINDOWS - len(chosen)]
    windows = windows_of(histories, np.sort(np.concatenate([chosen, rest])), receptive_field)
    return windows.gather(np.arange(len(windows)))
