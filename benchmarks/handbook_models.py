"""What the Handbook protocol compares: the project's network and the Handbook's random forest."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from fraudnet.windows.histories import Histories
from fraudnet.windows.labels import KnownRows
from fraudnet.windows.reputation import DAY_US, counts_as_of
from fraudnet.windows.specification import Reputation

Floats = npt.NDArray[np.float32]
Column = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

WINDOWS_DAYS = (1, 7, 30)
DELAY_DAYS = 7  # until a label is known
LAST_HOUR_OF_NIGHT = 6
SHORT_TRAINING_DAYS = 28  # up to here an account has too few transactions for longer chunks


@dataclass(frozen=True)
class Task:
    """What a model is given.

    Attributes:
        histories: N rows.
        training: the rows that may be fitted on, with their labels.
        test: [N] the W rows to score; their labels are not to be read.
        training_days: length of the training period.
        seed: of everything random.
    """

    histories: Histories
    training: KnownRows
    test: Mask
    training_days: int
    seed: int


@dataclass(frozen=True)
class Answer:
    """What a model gives back.

    Attributes:
        score: [W] of the test rows in the order of the histories; the higher, the likelier fraud.
        train_seconds: wall-clock time of the fit.
        parameters: numbers in the network, those that are not trained included; None for a forest.
    """

    score: Floats
    train_seconds: float
    parameters: int | None


Model = Callable[[Task], Answer]


def fit_fraudnet(task: Task) -> Answer:
    """The project's network as it comes; nothing of it depends on the fold.

    Raises:
        InputError: the training rows hold no fraud or no genuine transaction.
    """
    # TensorFlow takes seconds to load, and the forest does without.
    import keras

    from fraudnet.network.network import NetworkConfig, build_network
    from fraudnet.training.fitting import TrainingConfig, fit_network
    from fraudnet.training.scoring import predict_rows

    chunk_length = 64 if task.training_days <= SHORT_TRAINING_DAYS else 128
    keras.utils.clear_session()
    keras.utils.set_random_seed(task.seed)
    network = build_network(NetworkConfig(), task.histories.specification)
    begin = time.perf_counter()
    fit_network(
        network,
        task.training,
        TrainingConfig(chunk_length=chunk_length, seed=task.seed),
    )
    seconds = time.perf_counter() - begin
    answers = predict_rows(network.logit, network.receptive_field, task.histories, task.test)
    return Answer(answers["logit"][:, 0], seconds, network.logit.count_params())


class HandbookForest:
    """The random forest of chapter 5 on the features of chapter 3, computed once for all folds."""

    def __init__(self) -> None:
        self._computed: tuple[Histories, Floats] | None = None

    def __call__(self, task: Task) -> Answer:
        """Fit on the training rows, score the test rows."""
        if self._computed is None or self._computed[0] is not task.histories:
            self._computed = task.histories, handbook_features(task.histories)
        features = self._computed[1]
        forest = RandomForestClassifier(
            n_estimators=100, max_depth=20, random_state=task.seed, n_jobs=-1
        )
        begin = time.perf_counter()
        forest.fit(features[task.training.rows], task.training.is_fraud)
        seconds = time.perf_counter() - begin
        score = forest.predict_proba(features[task.test])[:, 1].astype(np.float32)
        return Answer(score, seconds, None)


def handbook_features(histories: Histories) -> Floats:
    """The Handbook's features (chapter 3, "Baseline feature transformation").

    Args:
        histories: N rows.

    Returns:
        [N, 15]: amount; weekend; night (hour 0 to 6); customer's count and mean amount, then
        terminal's count and share of frauds delayed by 7 days, over 1, 7 and 30 days each.
    """
    second = histories.timestamp_us // 1_000_000
    weekday = (second // 86_400 + 3) % 7  # 1970 began on a Thursday; Monday is 0
    columns = [histories.amount, weekday >= 5, second % 86_400 // 3600 <= LAST_HOUR_OF_NIGHT]
    columns += _customer(histories) + _terminal(histories)
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def _customer(histories: Histories) -> list[Column]:
    """[N] count, then mean amount, of (t - w, t], the transaction itself included, for each w.

    Of transactions of one account at one moment, those that come later in the source are left out.
    """
    # Rows are sorted by account and time; accounts far apart in time can be searched as one.
    first, last = int(histories.timestamp_us.min()), int(histories.timestamp_us.max())
    span = last - first + max(WINDOWS_DAYS) * DAY_US + 1
    moment = histories.account * span + histories.timestamp_us - first
    spent = np.concatenate(([0.0], np.cumsum(histories.amount)))
    end = np.arange(1, len(histories) + 1)
    columns: list[Column] = []
    for days in WINDOWS_DAYS:
        begin = np.searchsorted(moment, moment - days * DAY_US, side="right")
        count = end - begin
        columns += [count, (spent[end] - spent[begin]) / count]
    return columns


def _terminal(histories: Histories) -> list[Column]:
    """[N] count, then share of frauds, of (t - 7 - w, t - 7], for each w; 0 where there is none.

    To the moment, as the Handbook has it, whatever the network's own counts are as of.
    """
    key, now = histories.counterparty, histories.timestamp_us
    events = (key, now + DELAY_DAYS * DAY_US, histories.is_fraud)
    counts = counts_as_of(
        Reputation(episode_days="none", windows_days=WINDOWS_DAYS), key, now, events
    )
    counts[key < 0] = 0
    columns: list[Column] = []
    for i in range(len(WINDOWS_DAYS)):
        count, frauds = counts[:, 2 * i], counts[:, 2 * i + 1]
        columns += [count, frauds / np.maximum(count, 1)]
    return columns


def models() -> dict[str, Model]:
    """The models by name; the project's own begin with `fraudnet`."""
    return {"fraudnet": fit_fraudnet, "random_forest": HandbookForest()}
