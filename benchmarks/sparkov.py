"""The Sparkov protocol: one cut in time, labels known at once, no history made by hand."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from benchmarks.card_history import Table as Features
from benchmarks.card_history import history_features, plain_features
from benchmarks.fitted import Answer, Scores, Task, fit_fraudnet, shipped_experiment
from fraudnet.errors import InputError
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import ReadOptions, Transactions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.windows.histories import build_histories
from fraudnet.windows.labels import known_rows
from fraudnet.windows.periods import Period, labelled_rows
from fraudnet.windows.vocabularies import with_vocabularies

CUT = datetime(2020, 6, 21, 12, 14, tzinfo=UTC)  # of the well-known download's two files
TUNING_DAYS = 60  # at the end of the training period, on which the peers are tuned
FALSE_POSITIVES = 0.01
MODELS = ("fraudnet", "boosting_with_history", "boosting_without_history")

DESCRIPTION = f"""\
Train on everything before {CUT:%Y-%m-%d %H:%M}, test on everything after; labels are known at
once. The network is that of the shipped experiment sparkov, which reads no history made by hand;
the boosting's iterations are chosen on the last {TUNING_DAYS} days of its training."""

EXAMPLE = """\
example:
  python -m benchmarks.detection sparkov --data sparkov.parquet --models fraudnet"""


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        models: names out of MODELS.
        seeds: 0 to `seeds` - 1.
        validation_days: None: the protocol. Else so many days before the cut are scored and
            trained before; the test period is not touched. To choose a configuration by.
        every: only every so many of the cards is used, to choose by in less time.
        overrides: of the experiment, "section.key=value" each.

    Raises:
        InputError: a name or number is not one that can be measured.
    """

    models: Sequence[str] = MODELS
    seeds: int = 1
    validation_days: int | None = None
    every: int = 1
    overrides: Sequence[str] = ()

    def __post_init__(self) -> None:
        if wrong := [name for name in self.models if name not in MODELS]:
            raise InputError(f"models: there is no {wrong[0]!r}; choose among {', '.join(MODELS)}")
        for name in ("seeds", "every", "validation_days"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name.replace('_', ' ')}: {value}; give at least 1")


@dataclass(frozen=True)
class Row:
    """The scores of one fit; shares are 0..1, `parameters` is None for boosting."""

    model: str
    seed: int
    average_precision: float
    roc_auc: float
    recall_at_1_percent_false_positives: float
    train_seconds: float
    parameters: int | None


def measure(transactions: Transactions, plan: Plan) -> list[Row]:
    """Fit every model of the plan with every seed, score what comes after.

    Args:
        transactions: with labels, in canonical columns.
        plan: what is measured.

    Raises:
        InputError: the transactions do not cover the cut, or lack frauds or genuine ones on a side.
    """
    training, test = periods(transactions, plan)
    experiment = shipped_experiment("sparkov", plan.overrides)
    table = every_account(transactions.table, plan.every)
    features = with_vocabularies(experiment.features, [_within(table, training)], training.end)
    histories = build_histories(table, features, experiment.split.label_delay_days)
    known, asked = known_rows(histories, training, training.end), labelled_rows(histories, test)
    for name, labels in (("training", known.is_fraud), ("test", histories.is_fraud[asked])):
        if len(np.unique(labels)) < 2:
            raise InputError(
                f"{transactions.report.source}: the {name} period holds no fraud or no genuine "
                "transaction; give a file with both on both sides of the cut"
            )
    made = _models()
    rows = []
    for seed in range(plan.seeds):
        for name in dict.fromkeys(plan.models):
            answer = made[name](Task(histories, known, asked, seed, experiment))
            rows.append(_row(name, seed, answer, histories.is_fraud[asked]))
    return rows


def periods(transactions: Transactions, plan: Plan) -> tuple[Period, Period]:
    """Training and test, or within the training a shorter one and its validation.

    Raises:
        InputError: the transactions do not cover the cut.
    """
    first, last = transactions.report.first_timestamp, transactions.report.last_timestamp
    cut, end = CUT, last
    if plan.validation_days is not None:
        cut, end = CUT - timedelta(days=plan.validation_days), CUT
    days = TUNING_DAYS + 1
    if first is None or last is None or end is None or first > cut - timedelta(days=days):
        reaches = "is empty" if first is None else f"begins on {first:%Y-%m-%d}"
        raise InputError(
            f"{transactions.report.source}: {reaches}; at least {days} days before "
            f"{cut:%Y-%m-%d %H:%M} are learnt from: give a file that begins earlier"
        )
    if last < cut:
        raise InputError(
            f"{transactions.report.source}: ends on {last:%Y-%m-%d}; what comes after "
            f"{CUT:%Y-%m-%d %H:%M} is the test: give a file that goes on longer"
        )
    after = CUT if end == CUT else end + timedelta(seconds=1)
    return Period(first, cut), Period(cut, after)


def every_account(table: pa.Table, every: int) -> pa.Table:
    """The rows of every so many of the accounts, in the order of their ids."""
    if every == 1:
        return table
    accounts = pc.unique(table["account_id"]).sort()
    return table.filter(pc.is_in(table["account_id"], accounts[::every]))


def _within(table: pa.Table, period: Period) -> pa.Table:
    end = pa.scalar(period.end, table["timestamp"].type)
    return table.filter(pc.less(table["timestamp"], end))


def _models() -> dict[str, Callable[[Task], Answer]]:
    return {
        "fraudnet": fit_fraudnet,
        "boosting_with_history": lambda task: fit_boosting(task, history_features(task.histories)),
        "boosting_without_history": lambda task: fit_boosting(task, plain_features(task.histories)),
    }


def fit_boosting(task: Task, features: Features) -> Answer:
    """Histogram boosting; the iterations that are best at the end of the training, then all of it.

    Args:
        task: what is learnt and scored.
        features: of all rows.
    """
    training, tuning_begins = task.training, task.training.period.end - timedelta(days=TUNING_DAYS)
    earlier = replace(training.period, end=tuning_begins)
    late = replace(training.period, begin=tuning_begins).contains(task.histories.timestamp_us)
    before = known_rows(training.histories, earlier, tuning_begins)
    checked = training.rows & late
    begin = time.perf_counter()
    model = _boosting(features, task.seed, 300).fit(features.values[before.rows], before.is_fraud)
    labels = training.histories.is_fraud[checked]
    staged = model.staged_predict_proba(features.values[checked])
    quality = [
        average_precision_score(labels, p[:, 1]) for i, p in enumerate(staged) if i % 10 == 9
    ]
    best = 10 * (int(np.argmax(quality)) + 1)
    model = _boosting(features, task.seed, best)
    model.fit(features.values[training.rows], training.is_fraud)
    seconds = time.perf_counter() - begin
    return Answer(model.predict_proba(features.values[task.test])[:, 1], seconds)


def _boosting(features: Features, seed: int, iterations: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=0.06,
        min_samples_leaf=40,
        l2_regularization=5.0,
        categorical_features=features.categorical,
        early_stopping=False,
        random_state=seed,
    )


def _row(name: str, seed: int, answer: Answer, is_fraud: npt.NDArray[np.int8]) -> Row:
    return Row(
        model=name,
        seed=seed,
        average_precision=float(average_precision_score(is_fraud, answer.score)),
        roc_auc=float(roc_auc_score(is_fraud, answer.score)),
        recall_at_1_percent_false_positives=recall_at(is_fraud, answer.score, FALSE_POSITIVES),
        train_seconds=answer.train_seconds,
        parameters=answer.parameters,
    )


def recall_at(is_fraud: npt.NDArray[np.int8], score: Scores, false_positives: float) -> float:
    """Highest share of the frauds found by a threshold with at most that false positive rate."""
    rate, recall, _ = roc_curve(is_fraud, score, drop_intermediate=False)
    return float(recall[rate <= false_positives].max())


def table(rows: Sequence[Row], plan: Plan) -> Table:
    """Mean over the seeds, and their standard deviation, to print with rich."""
    what = "test" if plan.validation_days is None else f"validation, {plan.validation_days} days"
    made = Table(title=f"Sparkov, {what}", box=box.SIMPLE, padding=(0, 1, 0, 0))
    made.add_column("model", no_wrap=True)
    headings = (
        "average\nprecision",
        "ROC\nAUC",
        "recall at 1 %\nfalse positives",
        "seconds\na fit",
    )
    for heading in (*headings, "para-\nmeters"):
        made.add_column(heading, justify="right", no_wrap=True)
    for name in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == name]
        figures = (
            "average_precision", "roc_auc", "recall_at_1_percent_false_positives",
        )  # fmt: skip
        seconds = np.mean([row.train_seconds for row in own])
        parameters = "-" if own[0].parameters is None else f"{own[0].parameters:,}"
        made.add_row(name, *(_spread(own, f) for f in figures), f"{seconds:.0f}", parameters)
    return made


def _spread(rows: Sequence[Row], name: str) -> str:
    values = [getattr(row, name) for row in rows]
    spread = f"\n±{np.std(values):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """The arguments of `sparkov`."""
    plan = Plan()
    made.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="transactions with labels"
    )
    made.add_argument(
        "--recipe", default="sparkov", help="recipe to read them with (default: %(default)s)"
    )
    made.add_argument(
        "--models", nargs="+", choices=MODELS, default=plan.models,
        help="models to measure (default: all)",
    )  # fmt: skip
    made.add_argument(
        "--seeds", type=int, default=plan.seeds, metavar="N",
        help="repeat every fit with seeds 0 to N - 1 (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--validation-days", type=int, metavar="DAYS",
        help="score these days before the cut, trained on what is earlier; the test is not touched",
    )  # fmt: skip
    made.add_argument(
        "--every", type=int, default=plan.every, metavar="N",
        help="use one card in N only (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override a key of the experiment, as network.width=48",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    """Measure as the arguments say: the table to print, and what to write.

    Raises:
        InputError: as `measure`.
    """
    plan = Plan(
        models=arguments.models,
        seeds=arguments.seeds,
        validation_days=arguments.validation_days,
        every=arguments.every,
        overrides=arguments.overrides,
    )
    options = ReadOptions(require_labels=True)
    read = read_transactions(arguments.data, load_recipe(arguments.recipe), options)
    rows = measure(read, plan)
    report = {
        "data_fingerprint": fingerprint(read.table),
        "plan": asdict(plan),
        "experiment": shipped_experiment("sparkov", plan.overrides).model_dump(mode="json"),
        "rows": [asdict(row) for row in rows],
    }
    return table(rows, plan), report
