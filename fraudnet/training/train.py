"""Train: weights, calibration, threshold and distance, each from the rows it may see."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import keras
import mlflow
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fraudnet.errors import InputError
from fraudnet.evaluation.report import Beside
from fraudnet.evaluation.thresholds import AlertConfig
from fraudnet.network.network import Network, Sentinel, build_network
from fraudnet.training.calibration import fit_calibration
from fraudnet.training.champion import champion_beside
from fraudnet.training.check_windows import check_windows
from fraudnet.training.checkpoint import Checkpoint
from fraudnet.training.experiment import Experiment
from fraudnet.training.facts import facts_of
from fraudnet.training.fitting import Progress, fit_network
from fraudnet.training.measuring import measure
from fraudnet.training.prepare import Prepared, known_of, refuse_one_class
from fraudnet.training.reporting import ReportFiles, report_test
from fraudnet.training.runs import TEST_OUTDATED
from fraudnet.training.scoring import logits_of, predict_rows, score
from fraudnet.training.sentinel import Candidate, candidates
from fraudnet.training.tensorboard import TensorBoardProgress
from fraudnet.training.thresholds import threshold_of
from fraudnet.training.tracking import TrackedProgress, log_configuration, log_data, tracked_run
from fraudnet.training.trained import Trained
from fraudnet.transactions.place import name_of, place_of
from fraudnet.windows.chunks import windows_of
from fraudnet.windows.labels import KnownRows

CHECKPOINT = "training.npz"
DISTANCE_ROWS = 50_000
SHIFTED_WINDOWS = 1_000


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
    refuse_one_class(prepared)
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
        prepared: the data, both periods of both classes; its experiment's network is this one.
        network: with fitted weights; what is returned has a network of its own.
        run_id: of the MLflow run, which is active.

    Raises:
        InputError: the network ranks no better than chance, or the wanted precision is not reached.
    """
    experiment, histories = prepared.experiment, prepared.histories
    seed, period = experiment.training.seed, prepared.split.validation
    known, checked = known_of(prepared, prepared.split.training), known_of(prepared, period)
    network, compared = _with_sentinel(network, known, checked, experiment)
    logits = logits_of(network, histories, checked.rows)
    fit_calibration(network.calibration, logits, checked.is_fraud, experiment.calibration)
    everything = period.contains(histories.timestamp_us)
    answers = score(network, histories, everything)
    probability = answers["fraud_probability"]
    threshold = threshold_of(checked, probability, experiment)
    found = measure(prepared, network, period, threshold.probability, "validation")
    genuine = answers["ood_distance"][checked.histories.is_fraud[everything] == 0]
    return Trained(
        network,
        facts_of(
            prepared, network, threshold, probability, genuine, compared, run_id, found.figures
        ),
        check_windows(histories, everything, network.receptive_field, seed),
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
        measured = measure(prepared, trained.network, test, threshold, "test")
        if beside is None and registered:
            own = run.info.run_id
            beside = champion_beside(registered, own, measured.scores, prepared.experiment)
        found = report_test(prepared, trained, measured, files, beside)
        mlflow.set_tag(TEST_OUTDATED, "false")
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
        found = measure(prepared, trained.network, period, threshold.probability, "validation")
        mlflow.set_tag(TEST_OUTDATED, "true")
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
