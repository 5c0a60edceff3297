"""What settings of the network give on the weeks that settings are chosen by, before all tests."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.command_line import run
from benchmarks.detection import versions
from benchmarks.fitted import Answer, Task, fit_fraudnet
from benchmarks.handbook import CARDS, Plan
from benchmarks.handbook_folds import (
    DAY,
    FOLDS,
    PUBLISHED_TEST_END,
    TRIALS,
    WEEK,
    Fold,
    trials_of,
)
from benchmarks.handbook_oracle import fraud_probability
from benchmarks.handbook_task import DELAY_DAYS, Trial
from benchmarks.results_file import refuse_unwritable, write_results
from benchmarks.speed_data import kinds_of
from fraudnet.errors import InputError
from fraudnet.evaluation.metrics import Scored, card_precision_at
from fraudnet.training.experiment import Experiment, load_experiment
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.reading import ReadOptions, Transactions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.specification import FeatureSpecification, Reputation

PROGRAM = "python -m benchmarks.validation"
EXPERIMENT = "handbook"
UNFORESEEN = 0.02
"""A fraud that one who knows the simulator gives less has shown no sign: where it ranks is luck."""

_DESCRIPTION = """\
Train the network of the Handbook experiment, with what --set changes of it, on the three folds that
lie before the Handbook's tests, and score their validation weeks: figures as of the tests, average
precision of each kind of fraud among genuine transactions, and ROC AUC of what cannot be foreseen:
transactions that one who knows the simulator gives a probability under .02. No label of a test is
read. The experiment makes 12 passes; the protocol's table makes 6 with fewer than 8 days, or more
than 28."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --data handbook.parquet --training-days 7 --set training.epochs=6"""


@dataclass(frozen=True)
class Row:
    """What was found on one validation week; shares are 0..1.

    Attributes:
        trial: 1 is the latest.
        seed: of everything random; None where nothing is.
        by_kind: average precision of a kind's frauds among genuine transactions.
        unforeseen_share: of the frauds, those that the simulator's rules give less than .02.
        unforeseen_roc_auc: among the transactions that they give less; None without both classes.
        seconds: wall-clock time of the fit.
        parameters: numbers in the network; None where there is none.
    """

    trial: int
    seed: int | None
    roc_auc: float
    average_precision: float
    card_precision_at_100: float
    by_kind: dict[str, float]
    unforeseen_share: float
    unforeseen_roc_auc: float | None
    seconds: float
    parameters: int | None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="the Handbook's transactions"
    )
    made.add_argument(
        "--training-days", type=int, default=28, metavar="DAYS",
        help="length of each training period (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--trials", nargs="+", type=int, choices=range(1, TRIALS + 1), metavar="N",
        help="weeks to validate on, 1 is the latest (default: all that there are)",
    )  # fmt: skip
    made.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help=f"a setting of the {EXPERIMENT} experiment to change (network and training)",
    )  # fmt: skip
    made.add_argument(
        "--seeds", type=int, default=1, metavar="N",
        help="repeat every fit with seeds 0 to N - 1 (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--oracle", action="store_true",
        help="score by the simulator's rules instead (benchmarks/handbook_oracle.py)",
    )  # fmt: skip
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write every row to")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(arguments: argparse.Namespace, command: str) -> None:
    plan = Plan(training_days=[arguments.training_days], seeds=arguments.seeds)
    if arguments.json:
        refuse_unwritable(arguments.json)
    experiment = _experiment(arguments)
    read = read_transactions(
        arguments.data, load_recipe(EXPERIMENT), ReadOptions(require_labels=True)
    )
    rows = list(_measure(read, experiment, plan, arguments))
    Console().print(_table(rows, arguments.training_days))
    if arguments.json:
        about = {
            "command": command,
            "data_fingerprint": fingerprint(read.table),
            "versions": versions(),
            "training_days": arguments.training_days,
            "network": experiment.network.model_dump(),
            "training": experiment.training.model_dump(),
        }
        write_results(arguments.json, about | {"rows": [asdict(row) for row in rows]})


def _experiment(arguments: argparse.Namespace) -> Experiment:
    if arguments.oracle and (arguments.set or arguments.seeds > 1):
        raise InputError("--oracle: nothing is fitted; leave --set and --seeds out")
    shipped = load_experiment(EXPERIMENT)
    experiment = load_experiment(EXPERIMENT, arguments.set)
    if experiment.training.seed != shipped.training.seed:
        raise InputError("--set training.seed: give --seeds instead")
    parts = {"network": shipped.network, "training": shipped.training}
    if experiment.model_copy(update=parts) != shipped:
        raise InputError("--set: only keys of network and training change what is measured here")
    return experiment


def _measure(
    read: Transactions, experiment: Experiment, plan: Plan, arguments: argparse.Namespace
) -> Iterator[Row]:
    features = FeatureSpecification(reputation=Reputation(refresh=plan.refresh))
    histories = build_histories(read.table, features, DELAY_DAYS)
    kind = kinds_of(read.table, histories)
    trials = _whole_trials(read, histories, plan.training_days[0])
    chosen = dict.fromkeys(arguments.trials or sorted(trials))
    absent = [number for number in chosen or (1,) if number not in trials]
    if absent:
        raise InputError(
            f"{arguments.data}: does not hold the days of validation week {absent[0]}, with "
            f"{plan.training_days[0]} days to learn from before it; give a file that does, other "
            "weeks or fewer training days"
        )
    by_rules = fraud_probability(histories)
    for number in chosen:
        trial = trials[number]
        wanted = trial.validation.rows
        asked = _Asked(number, trial, kind[wanted], by_rules[wanted] < UNFORESEEN)
        if arguments.oracle:
            yield _row(asked, None, Answer(by_rules[wanted], 0.0))
            continue
        for seed in range(plan.seeds):
            task = Task(histories, trial.training, wanted, seed, experiment)
            yield _row(asked, seed, fit_fraudnet(task))


def _whole_trials(read: Transactions, histories: Histories, days: int) -> dict[int, Trial]:
    """By number, those whose days are all there."""
    first, last = read.report.first_timestamp, read.report.last_timestamp
    latest = Fold(max(FOLDS), days).training.end
    return {
        1 + (latest - trial.validation.period.end) // WEEK: trial
        for trial in trials_of(histories, days, PUBLISHED_TEST_END)
        if first is not None and first < trial.training.period.begin + DAY
        if last is not None and last >= trial.validation.period.end - DAY
    }


@dataclass(frozen=True)
class _Asked:
    """A validation week of W rows: its number, their kinds of fraud, which cannot be foreseen."""

    number: int
    trial: Trial
    kind: npt.NDArray[np.str_]
    unforeseen: npt.NDArray[np.bool_]


def _row(asked: _Asked, seed: int | None, answer: Answer) -> Row:
    trial, kind, unforeseen, score = asked.trial, asked.kind, asked.unforeseen, answer.score
    rows, histories = trial.validation.rows, trial.histories
    is_fraud = trial.validation.is_fraud
    scored = Scored(
        score=score.astype(np.float32),
        is_fraud=is_fraud,
        timestamp_us=histories.timestamp_us[rows],
        account=histories.account[rows],
        amount=histories.amount[rows],
    )
    by_kind = {}
    for each in sorted(set(kind[is_fraud == 1].tolist()) - {""}):
        among = (is_fraud == 0) | (kind == each)
        by_kind[each] = float(average_precision_score(is_fraud[among], score[among]))
    return Row(
        trial=asked.number,
        seed=seed,
        roc_auc=float(roc_auc_score(is_fraud, score)),
        average_precision=float(average_precision_score(is_fraud, score)),
        card_precision_at_100=card_precision_at(scored, CARDS).value,
        by_kind=by_kind,
        unforeseen_share=float(unforeseen[is_fraud == 1].mean()),
        unforeseen_roc_auc=(
            float(roc_auc_score(is_fraud[unforeseen], score[unforeseen]))
            if len(np.unique(is_fraud[unforeseen])) > 1
            else None
        ),
        seconds=answer.train_seconds,
        parameters=answer.parameters,
    )


def _table(rows: Sequence[Row], training_days: int) -> Table:
    """A line a fit, and their mean."""
    kinds = sorted({kind for row in rows for kind in row.by_kind})
    made = Table(
        title=f"Validation weeks, {training_days} training days",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        caption="AP: average precision; of a kind of fraud: among genuine transactions; "
        f"unforeseen: share of the frauds given less than {UNFORESEEN:g} by the simulator's rules",
    )
    figures = {
        "ROC AUC": [row.roc_auc for row in rows],
        "AP": [row.average_precision for row in rows],
        "card\nprec.": [row.card_precision_at_100 for row in rows],
    }
    # A week without frauds of a kind has no figure of it.
    figures |= {f"AP\nkind {k}": [row.by_kind.get(k, np.nan) for row in rows] for k in kinds}
    figures["un-\nfore-\nseen"] = [row.unforeseen_share for row in rows]
    of_unforeseen = [row.unforeseen_roc_auc for row in rows]
    if any(auc is not None for auc in of_unforeseen):
        figures["their\nROC AUC"] = [np.nan if auc is None else auc for auc in of_unforeseen]
    made.add_column("week, seed")
    for heading in (*figures, "s"):
        made.add_column(heading, justify="right")
    for row, *values in zip(rows, *figures.values(), strict=True):
        name = str(row.trial) if row.seed is None else f"{row.trial}, {row.seed}"
        made.add_row(name, *(f"{value:.3f}" for value in values), f"{row.seconds:.0f}")
    means = [f"{np.nanmean(values):.3f}" for values in figures.values()]
    made.add_row("mean", *means, f"{np.mean([row.seconds for row in rows]):.0f}", style="bold")
    return made


if __name__ == "__main__":
    sys.exit(main())
