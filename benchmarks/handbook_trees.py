"""Trees on the Handbook's features: its random forest as published, and tuned boosting."""

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import lightgbm
import numpy as np
import numpy.typing as npt
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from benchmarks.handbook_task import Answer, Floats, Remembered, Settings, Task, Trial
from fraudnet.windows.histories import Histories

LEARNING_RATES = (0.05, 0.1)
TREES = (25, 50, 100, 200, 400)  # tried as the first so many of the most

Labels = npt.NDArray[np.int8]
Features = Callable[[Histories], Floats]
Scorer = Callable[[Floats, int], Floats]  # of features [N, F] by the first so many trees


class HandbookForest:
    """The random forest of chapter 5, as published: 100 trees of depth 20, not tuned.

    It is the check of the protocol, whose scores are known.

    Args:
        features: [N, F] of histories.
    """

    def __init__(self, features: Features) -> None:
        self._features = features

    def __call__(self, task: Task) -> Answer:
        """Fit on the training rows, score the test rows."""
        features = self._features(task.histories)
        forest = RandomForestClassifier(
            n_estimators=100, max_depth=20, random_state=task.seed, n_jobs=-1
        )
        with warnings.catch_warnings():
            # The forest's threads set the process's warning filters, and can lose each other's.
            warnings.simplefilter("ignore", UserWarning)
            begin = time.perf_counter()
            forest.fit(features[task.training.rows], task.training.is_fraud)
            seconds = time.perf_counter() - begin
            score = forest.predict_proba(features[task.test])[:, 1].astype(np.float32)
        return Answer(score, seconds, None)


@dataclass(frozen=True)
class Library:
    """A library of boosting.

    Attributes:
        fit: features, labels, settings and a seed to a scorer.
        shapes: values tried of what bounds a tree.
    """

    fit: Callable[[Floats, Labels, Settings, int], Scorer]
    shapes: Mapping[str, Sequence[int]]


def fit_xgboost(features: Floats, is_fraud: Labels, settings: Settings, seed: int) -> Scorer:
    """Gradient boosting by XGBoost (Chen and Guestrin 2016), trees grown level by level."""
    given = {
        "objective": "binary:logistic",
        "max_depth": settings["max_depth"],
        "eta": settings["learning_rate"],
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "nthread": _threads(),
        "seed": seed,
    }
    data = xgboost.QuantileDMatrix(features, is_fraud, nthread=_threads())
    booster = xgboost.train(given, data, num_boost_round=int(settings["trees"]))

    def score(unseen: Floats, trees: int) -> Floats:
        scores = booster.inplace_predict(unseen, iteration_range=(0, trees))
        return np.asarray(scores, np.float32)

    return score


def fit_lightgbm(features: Floats, is_fraud: Labels, settings: Settings, seed: int) -> Scorer:
    """Gradient boosting by LightGBM (Ke et al. 2017), trees grown leaf by leaf."""
    given = {
        "objective": "binary",
        "num_leaves": settings["num_leaves"],
        "learning_rate": settings["learning_rate"],
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "feature_fraction": 0.8,
        # XGBoost's defaults: with LightGBM's own, leaves of a few frauds grow without bound.
        "min_sum_hessian_in_leaf": 1.0,
        "lambda_l2": 1.0,
        "num_threads": _threads(),
        "seed": seed,
        "deterministic": True,
        "verbose": -1,
    }
    data = lightgbm.Dataset(features, is_fraud)
    booster = lightgbm.train(given, data, num_boost_round=int(settings["trees"]))

    def score(unseen: Floats, trees: int) -> Floats:
        return np.asarray(booster.predict(unseen, num_iteration=trees), np.float32)

    return score


XGBOOST = Library(fit_xgboost, {"max_depth": (3, 6, 9)})
LIGHTGBM = Library(fit_lightgbm, {"num_leaves": (7, 31, 127)})


class Boosting:
    """Boosting, tuned as the Handbook tunes (chapter 5, "Model selection").

    Every combination is fitted on the trials, which are over before the earliest test begins; the
    one of the highest mean average precision serves all folds and seeds of a length of training.
    The Handbook's grid for XGBoost (depth 3, 6, 9; rate 0.1, 0.3; 25, 50, 100 trees) has moved to
    lower rates and more trees: on the trials of 28 days the rate 0.3 lost to 0.1 at every depth.

    Args:
        library: that fits.
        features: [N, F] of histories.
    """

    def __init__(self, library: Library, features: Features) -> None:
        self._library = library
        self._features = features
        self._tuned = Remembered(self._tune)

    def __call__(self, task: Task) -> Answer:
        """Tune if that is not done yet, fit on the training rows, score the test rows."""
        features = self._features(task.histories)
        settings, tune_seconds = self._tuned(task.trials)
        rows = features[task.training.rows]
        begin = time.perf_counter()
        scorer = self._library.fit(rows, task.training.is_fraud, settings, task.seed)
        seconds = time.perf_counter() - begin
        score = scorer(features[task.test], int(settings["trees"]))
        return Answer(score, seconds, None, tune_seconds, settings)

    def _tune(self, trials: tuple[Trial, ...]) -> tuple[Settings, float]:
        """The best settings, and the seconds that finding them took."""
        features = self._features(trials[0].histories)
        begin = time.perf_counter()
        ((shape, values),) = self._library.shapes.items()
        found: dict[tuple[int, float, int], float] = {}
        for value, rate in product(values, LEARNING_RATES):
            settings = {shape: value, "learning_rate": rate, "trees": max(TREES)}
            scores = np.mean([self._precisions(features, trial, settings) for trial in trials], 0)
            found |= {(value, rate, n): s for n, s in zip(TREES, scores, strict=True)}
        value, rate, trees = max(found, key=found.__getitem__)
        chosen = {shape: value, "learning_rate": rate, "trees": trees}
        return chosen, time.perf_counter() - begin

    def _precisions(self, features: Floats, trial: Trial, settings: Settings) -> list[float]:
        """Average precision on a trial of each number of trees."""
        training, validation = trial.training, trial.validation
        scorer = self._library.fit(features[training.rows], training.is_fraud, settings, 0)
        unseen = features[validation.rows]
        return [
            float(average_precision_score(validation.is_fraud, scorer(unseen, trees)))
            for trees in TREES
        ]


def _threads() -> int:
    """As many as OpenMP is allowed, else as there are cores."""
    return int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
