"""The Fraud Detection Handbook's protocol: prequential folds and scores (chapters 5 and 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Literal

from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm import tqdm

from benchmarks.handbook_models import DELAY_DAYS, Answer, Mask, Task, models
from fraudnet.errors import InputError
from fraudnet.evaluation.metrics import Scored, card_precision_at
from fraudnet.transactions.reading import Transactions
from fraudnet.windows import prequential
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import Period
from fraudnet.windows.prequential import prequential_folds, rows_to_test
from fraudnet.windows.specification import FeatureSpecification, Reputation

DAY = timedelta(days=1)
WEEK = 7 * DAY  # of the last part of training, of the delay and of the test
CARDS = 100  # k of card precision@k
MAX_TRAINING_DAYS = 3650
MODELS = tuple(models())

LATEST_TEST_END = datetime(2018, 9, 5, tzinfo=UTC)
FOLDS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Fold:
    """Training that ends with day s + 6, a delay of a week, a test of a week.

    Attributes:
        number: 1 to 4, the latest first.
        training_days: length of the training period.
    """

    number: int
    training_days: int

    @property
    def start(self) -> datetime:
        """Day s."""
        return self.training.end - WEEK

    @property
    def training(self) -> Period:
        """Days up to s + 6."""
        return self._periods.training

    @property
    def test(self) -> Period:
        """Days s + 14 to s + 20."""
        return self._periods.test

    @property
    def _periods(self) -> prequential.Fold:
        days = WEEK / DAY
        folds = prequential_folds(LATEST_TEST_END, len(FOLDS), self.training_days, days, days)
        return folds[self.number - 1]


@dataclass(frozen=True)
class Plan:
    """What is measured; seeds are 0 to `seeds` - 1.

    Raises:
        InputError: a name or number is not one that can be measured.
    """

    models: Sequence[str] = MODELS
    training_days: Sequence[int] = (28,)
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

    @property
    def periods(self) -> list[Fold]:
        """All folds, with each length of training."""
        chosen = product(dict.fromkeys(self.training_days), dict.fromkeys(self.folds))
        return [Fold(number, days) for days, number in chosen]


@dataclass(frozen=True)
class Row:
    """The scores of one fit on one fold; shares are 0..1, `parameters` is None for a forest."""

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


def measure(transactions: Transactions, plan: Plan) -> list[Row]:
    """Fit every model of the plan on every fold with every seed.

    Args:
        transactions: with labels, in canonical columns.
        plan: what is measured.

    Raises:
        InputError: the transactions do not cover the folds, or a period of a fold holds no fraud
            or no genuine transaction.
    """
    _refuse_short_span(transactions, plan.periods)
    features = FeatureSpecification(reputation=Reputation(refresh=plan.refresh))
    histories = build_histories(transactions.table, features, DELAY_DAYS)
    masks = {fold: _rows_of(histories, fold) for fold in plan.periods}
    known = models()
    fits = list(product(plan.periods, range(plan.seeds), dict.fromkeys(plan.models)))
    rows = []
    with tqdm(fits, unit="fit", disable=None) as progress:
        for fold, seed, name in progress:
            progress.set_description(f"{name}, {fold.training_days} days, fold {fold.number}")
            training, test = masks[fold]
            answer = known[name](Task(histories, training, test, fold.training_days, seed))
            rows.append(_row(name, seed, fold, answer, histories, test))
    return rows


def _refuse_short_span(transactions: Transactions, folds: list[Fold]) -> None:
    first = transactions.report.first_timestamp
    last = transactions.report.last_timestamp
    begin = min(fold.training.begin for fold in folds)
    end = max(fold.test.end for fold in folds)
    if first is None or last is None or first >= begin + DAY or last < end - DAY:
        raise InputError(
            f"{transactions.report.source}: holds the days {first:%Y-%m-%d} to {last:%Y-%m-%d}, "
            f"these folds need {begin:%Y-%m-%d} to {end - DAY:%Y-%m-%d}; give a file with those, "
            "or choose other folds or fewer training days"
        )


def _rows_of(histories: Histories, fold: Fold) -> tuple[KnownRows, Mask]:
    """Training rows and [N] test rows of a fold, both with frauds and genuine ones."""
    training = known_rows(histories, fold.training, known_by=fold.test.begin)
    test = rows_to_score(histories, fold)
    for mask, what, period in (
        (training.rows, "training", fold.training),
        (test, "test, customers with a known fraud left out,", fold.test),
    ):
        fraud = histories.is_fraud[mask] == 1
        if not fraud.any() or fraud.all():
            missing = "genuine" if fraud.any() else "fraud"
            raise InputError(
                f"fold {fold.number}: no transaction of its {what} ({period}) is labelled "
                f"{missing}; choose other folds, or give a file with such transactions"
            )
    return training, test


def rows_to_score(histories: Histories, fold: Fold) -> Mask:
    """[N] the labelled rows of the test week, without customers that are known to be defrauded.

    A fraud is known seven days late: on test day k those of days s to s + 6 + k are.
    """
    return rows_to_test(histories, fold.test, compromised_since=fold.start)


def _row(name: str, seed: int, fold: Fold, answer: Answer, histories: Histories, test: Mask) -> Row:
    scored = Scored(
        score=answer.score,
        is_fraud=histories.is_fraud[test],
        timestamp_us=histories.timestamp_us[test],
        account=histories.account[test],
        amount=histories.amount[test],
    )
    card = card_precision_at(scored, CARDS)
    return Row(
        model=name,
        seed=seed,
        fold=fold.number,
        training_days=fold.training_days,
        roc_auc=float(roc_auc_score(scored.is_fraud, scored.score)),
        average_precision=float(average_precision_score(scored.is_fraud, scored.score)),
        card_precision_at_100=card.value,
        card_precision_at_100_ceiling=card.ceiling,
        train_seconds=answer.train_seconds,
        parameters=answer.parameters,
    )
