"""A sweep: Optuna chooses settings, each trial is a training in an MLflow run of its own.

What a trial is worth is the average precision of the validation period, as `fraudnet train` would
report it. The test period is never scored.
"""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from fraudnet.errors import CheckFailed, InputError
from fraudnet.network.network import Network
from fraudnet.search.experiment_file import write_experiment
from fraudnet.search.pruning import OutOfTimeError, PrunedByMedian
from fraudnet.search.space import Space, with_values
from fraudnet.training.experiment import Experiment
from fraudnet.training.fitting import Progress
from fraudnet.training.nested import nested_run
from fraudnet.training.prepare import Prepared, refuse_one_class
from fraudnet.training.tracking import log_configuration, tracked_run
from fraudnet.training.train import train

STORAGE = "sweeps.sqlite"
ATTEMPTS = 3
"""How often a trial that was killed is begun; what kills the process each time is left out."""
_RUN, _ATTEMPT, _QUESTION = "mlflow_run_id", "attempt", "question"
_Watch = Callable[[Network], Progress]


@dataclass(frozen=True)
class SweepConfig:
    """How long, and under which name.

    Attributes:
        study: its name; a later call of the same name goes on.
        trials: how many to finish, those of earlier calls included.
        minutes: after which this call ends; the trial it ends is begun anew by the next. None: any.
        seed: of the sampler.
    """

    study: str
    trials: int
    minutes: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Swept:
    """What a sweep has found so far.

    Attributes:
        states: how many trials are `complete`, `pruned` or `fail` (interrupted).
        best_trial: its number.
        average_precision: of the validation period, by the best trial.
        values: of the best trial, by key.
        experiment: file of the experiment with these values.
        mlflow_run_id: the parent of the trials' runs.
    """

    states: dict[str, int]
    best_trial: int
    average_precision: float
    values: dict[str, Any]
    experiment: Path
    mlflow_run_id: str


def sweep(
    prepared: Prepared, base: Experiment, space: Space, config: SweepConfig, folder: Path
) -> Swept:
    """Search for better settings, or go on with a search.

    The sampler is TPE (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization",
    section 4), seeded anew for each trial by the number of those finished, so that an interrupted
    sweep draws what an uninterrupted one does. The first trial is the experiment as it is, where
    the space holds it. A trial is pruned when the average precision of the validation period
    after a tenth of the fit, from the second on, is below the median of the earlier trials' then.

    Args:
        prepared: the data, prepared by the experiment.
        base: the experiment, whose values are varied.
        space: which, and how.
        config: how long.
        folder: of Optuna's storage and of the best experiment, STUDY.toml; it is there.

    Raises:
        InputError: a period lacks frauds or genuine transactions; the study was begun with other
            data, experiment or space; another process works at it; the folder cannot be used.
        CheckFailed: no trial was finished in time.
    """
    refuse_one_class(prepared)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    deadline = time.monotonic() + (np.inf if config.minutes is None else 60 * config.minutes)
    with _alone(folder / f"{config.study}.lock"):
        study = optuna.create_study(
            storage=f"sqlite:///{folder / STORAGE}",
            study_name=config.study,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
            load_if_exists=True,
        )
        _same_question(study, prepared.fingerprint, base, space)
        with tracked_run(f"sweep {config.study}", study.user_attrs.get(_RUN)) as run:
            if not study.trials:
                study.set_user_attr(_RUN, run.info.run_id)
                log_configuration(base)
                mlflow.log_dict(space.as_dictionary(), "space.json")
                own = space.values_in(base)
                if own is not None:
                    study.enqueue_trial(own)
            _take_up(study)
            objective = _objective(prepared, space, config.study, deadline)
            while _finished(study) < config.trials and time.monotonic() < deadline:
                study.sampler = optuna.samplers.TPESampler(seed=_seed(config.seed, study))
                try:
                    study.optimize(objective, n_trials=1)
                except OutOfTimeError:
                    break
                _log_best(study)
            return _swept(study, base, space, folder / f"{config.study}.toml", run.info.run_id)


def _objective(
    prepared: Prepared, space: Space, study: str, deadline: float
) -> Callable[[Trial], float]:
    def objective(trial: Trial) -> float:
        keras.utils.clear_session()
        values = space.sample(trial)

        def watch(network: Network) -> Progress:
            return PrunedByMedian(network, prepared, trial, deadline)

        try:
            tags = {"study": study, "trial": str(trial.number)}
            with nested_run(f"trial {trial.number}", tags) as run:
                trial.set_user_attr(_RUN, run.info.run_id)
                found, why = _trained(prepared, values, watch)
                if found is None:
                    mlflow.set_tag("pruned", why)
        except (OutOfTimeError, KeyboardInterrupt):
            trial.study.enqueue_trial(trial.params, {_ATTEMPT: trial.user_attrs.get(_ATTEMPT, 1)})
            raise
        if found is None:
            raise optuna.TrialPruned(why)
        return found

    return objective


def _trained(prepared: Prepared, values: dict[str, Any], watch: _Watch) -> tuple[float | None, str]:
    """Average precision of the validation period; or None, and why the trial was given up."""
    try:
        experiment = with_values(prepared.experiment, values)
        trained = train(replace(prepared, experiment=experiment), watch=watch)
    except (optuna.TrialPruned, InputError) as error:
        return None, str(error)
    return trained.facts.metrics["validation"]["average_precision"], ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it ends."""
    try:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise InputError(
            f"{path}: another process works at this sweep; wait, or give another --study"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _same_question(study: optuna.Study, fingerprint: str, base: Experiment, space: Space) -> None:
    """A study is of one data set, one experiment and one space."""
    asked = {
        "data": fingerprint,
        "experiment": base.model_dump(mode="json"),
        "space": space.as_dictionary(),
    }
    begun = study.user_attrs.get(_QUESTION)
    if begun is None:
        study.set_user_attr(_QUESTION, asked)
        return
    other = [name for name in asked if _as_stored(asked[name]) != begun[name]]
    if other:
        raise InputError(
            f"study {study.study_name!r} was begun with another {' and '.join(other)}; give the "
            "same again, or another --study"
        )


def _as_stored(value: Any) -> Any:  # noqa: ANN401  (JSON)
    """Tuples as the lists that JSON makes of them."""
    return json.loads(json.dumps(value))


def _take_up(study: optuna.Study) -> None:
    """Trials that a kill left running: failed, their MLflow runs ended, and begun anew."""
    client = mlflow.MlflowClient()
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if _RUN in trial.user_attrs:
            client.set_terminated(trial.user_attrs[_RUN], "KILLED")
        attempt = trial.user_attrs.get(_ATTEMPT, 1)
        if trial.params and attempt < ATTEMPTS:
            study.enqueue_trial(trial.params, {_ATTEMPT: attempt + 1})


def _finished(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _seed(seed: int, study: optuna.Study) -> int:
    (drawn,) = np.random.SeedSequence((seed, _finished(study))).generate_state(1)
    return int(drawn)


def _best(study: optuna.Study) -> FrozenTrial | None:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(complete, key=lambda trial: trial.value or 0.0, default=None)


def _log_best(study: optuna.Study) -> None:
    best = _best(study)
    if best is not None and best.value is not None:
        name, step = "best_validation_average_precision", study.trials[-1].number
        mlflow.log_metric(name, best.value, step=step)


def _swept(study: optuna.Study, base: Experiment, space: Space, path: Path, run_id: str) -> Swept:
    best = _best(study)
    if best is None or best.value is None:
        raise CheckFailed(
            f"study {study.study_name!r}: no trial was completed; call again to go on with it, "
            "with more --minutes or more --trials"
        )
    values = space.decoded(best.params)
    write_experiment(
        with_values(base, values),
        path,
        f"Trial {best.number} of sweep {study.study_name}: average precision {best.value:.4f} on "
        "the validation period.",
    )
    mlflow.log_artifact(str(path))
    states = [trial.state.name.lower() for trial in study.trials]
    return Swept(
        states={name: states.count(name) for name in ("complete", "pruned", "fail")},
        best_trial=best.number,
        average_precision=best.value,
        values=values,
        experiment=path,
        mlflow_run_id=run_id,
    )
