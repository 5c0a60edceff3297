"""The Fraud Detection Handbook's protocol: every model on every fold (chapters 5 and 7)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Literal

from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm import tqdm

from benchmarks.code_version import code_version
from benchmarks.handbook_folds import (
    FOLDS,
    PUBLISHED_TEST_END,
    Fold,
    latest_test_end,
    rows_of,
    trials_of,
)
from benchmarks.handbook_models import contestants
from benchmarks.handbook_task import DELAY_DAYS, Answer, Mask, Task, Trial
from fraudnet.errors import InputError
from fraudnet.evaluation.metrics import Scored, card_precision_at
from fraudnet.transactions.reading import Transactions
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.specification import FeatureSpecification, Reputation

CARDS = 100  # k of card precision@k
MAX_TRAINING_DAYS = 3650
MODELS = tuple(contestants())
# What decides the scores of every model, beside its own sources.
PROTOCOL = ("benchmarks/handbook.py", "benchmarks/handbook_folds.py", "benchmarks/handbook_task.py")


@dataclass(frozen=True)
class Plan:
    """What is measured; seeds are 0 to `seeds` - 1.

    Raises:
        InputError: a name or number is not one that can be measured.
    """

    models: Sequence[str] = MODELS
    training_days: Sequence[int] = (7, 28, 90)
    folds: Sequence[int] = FOLDS
    seeds: int = 1
    # Of the moment, as the Handbook's features have them; of a device, those of midnight.
    refresh: Literal["transaction", "day"] = "transaction"

    def __post_init__(self) -> None:
        if wrong := [name for name in self.models if name not in MODELS]:
            raise InputError(f"models: there is no {wrong[0]!r}; choose among {', '.join(MODELS)}")
        if absent := [number for number in self.folds if number not in FOLDS]:
            raise InputError(f"folds: there is no fold {absent[0]}; choose among 1, 2, 3, 4")
        if odd := [days for days in self.training_days if not 1 <= days <= MAX_TRAINING_DAYS]:
            raise InputError(f"training days: {odd[0]}; give 1 to {MAX_TRAINING_DAYS}")
        if self.seeds < 1:
            raise InputError(f"seeds: {self.seeds}; give at least 1")

    def periods(self, latest_test_end: datetime = PUBLISHED_TEST_END) -> list[Fold]:
        """All folds, with each length of training."""
        chosen = product(dict.fromkeys(self.training_days), dict.fromkeys(self.folds))
        return [Fold(number, days, latest_test_end) for days, number in chosen]


@dataclass(frozen=True)
class Row:
    """The scores of one fit on one fold; shares are 0..1, None is what a model does not have.

    `code` is the version of the sources that decided the scores.
    """

    model: str
    seed: int
    fold: int
    training_days: int
    roc_auc: float
    average_precision: float
    card_precision_at_100: float
    card_precision_at_100_ceiling: float
    train_seconds: float
    parameters: int | None
    tune_seconds: float | None
    settings: Mapping[str, float] | None
    code: str

    @property
    def fit(self) -> tuple[int, int, int, str]:
        """Which fit it was: training days, fold, seed, model."""
        return self.training_days, self.fold, self.seed, self.model


def place(row: Row) -> tuple[int, int, int, int]:
    """Where a row stands among others, whichever was measured first: to sort by."""
    return row.training_days, row.fold, row.seed, MODELS.index(row.model)


def code_versions() -> dict[str, str]:
    """The version of each model's sources, the protocol's among them."""
    return {name: code_version((*PROTOCOL, *each.sources)) for name, each in contestants().items()}


def end_of_tests(transactions: Transactions, plan: Plan) -> datetime:
    """Where the latest test ends in these transactions.

    Raises:
        InputError: they are too short for the plan.
    """
    return latest_test_end(transactions, plan.periods())


def measure(transactions: Transactions, plan: Plan, done: Collection[Row] = ()) -> Iterator[Row]:
    """Fit every model of the plan on every fold with every seed; each row as it is measured.

    Args:
        transactions: with labels, in canonical columns.
        plan: what is measured.
        done: rows that need not be measured again.

    Raises:
        InputError: the transactions do not cover the folds, a period of a fold holds no fraud or no
            genuine transaction, or nothing is left before the tests to tune on.
    """
    end = end_of_tests(transactions, plan)
    features = FeatureSpecification(reputation=Reputation(refresh=plan.refresh))
    histories = build_histories(transactions.table, features, DELAY_DAYS)
    masks = {fold: rows_of(histories, fold) for fold in plan.periods(end)}
    known, versions = contestants(), code_versions()
    trials = {days: trials_of(histories, days, end) for days in plan.training_days}
    _refuse_untunable([name for name in plan.models if known[name].tuned], trials)
    names = dict.fromkeys(plan.models)
    have = {row.fit for row in done}
    fits = [
        (fold, seed, name)
        for fold, seed, name in product(masks, range(plan.seeds), names)
        if (fold.training_days, fold.number, seed, name) not in have
    ]
    with tqdm(fits, unit="fit", disable=None) as progress:
        for fold, seed, name in progress:
            progress.set_description(f"{name}, {fold.training_days} days, fold {fold.number}")
            days = fold.training_days
            training, test = masks[fold]
            task = Task(histories, training, test, days, seed, trials[days])
            answer = known[name].model(task)
            yield _row(name, versions[name], task, fold, answer)


def _refuse_untunable(tuned: list[str], trials: Mapping[int, tuple[Trial, ...]]) -> None:
    bare = [days for days, found in trials.items() if not found]
    if tuned and bare:
        raise InputError(
            f"training days: {bare[0]}; {', '.join(tuned)} are tuned on a week that ends with the "
            "earliest training period, and before it (less a delay of 7 days) the file holds no "
            "fraud or no genuine transaction to learn from; give a file that begins earlier, fewer "
            "training days, or other models"
        )


def _row(name: str, code: str, task: Task, fold: Fold, answer: Answer) -> Row:
    scored = _scored(task.histories, task.test, answer)
    card = card_precision_at(scored, CARDS)
    return Row(
        model=name,
        seed=task.seed,
        fold=fold.number,
        training_days=fold.training_days,
        roc_auc=float(roc_auc_score(scored.is_fraud, scored.score)),
        average_precision=float(average_precision_score(scored.is_fraud, scored.score)),
        card_precision_at_100=card.value,
        card_precision_at_100_ceiling=card.ceiling,
        train_seconds=answer.train_seconds,
        parameters=answer.parameters,
        tune_seconds=answer.tune_seconds,
        settings=answer.settings,
        code=code,
    )


def _scored(histories: Histories, test: Mask, answer: Answer) -> Scored:
    return Scored(
        score=answer.score,
        is_fraud=histories.is_fraud[test],
        timestamp_us=histories.timestamp_us[test],
        account=histories.account[test],
        amount=histories.amount[test],
    )
