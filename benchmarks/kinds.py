"""Each kind of simulated fraud: what is caught, and what an oracle could have caught."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rich import box
from rich.table import Table
from sklearn.metrics import average_precision_score

from benchmarks.fitted import Answer, Task, fit_fraudnet, shipped_experiment
from benchmarks.kinds_boosting import boosting, boosting_features
from benchmarks.kinds_oracle import oracle_log_odds
from benchmarks.kinds_rules import Seen, World
from fraudnet.errors import InputError
from fraudnet.transactions.command import add_simulation_arguments
from fraudnet.transactions.fingerprint import fingerprint
from fraudnet.transactions.simulated_fraud import FRAUD_KINDS
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import known_rows
from fraudnet.windows.periods import Split, labelled_rows, split_by_time
from fraudnet.windows.vocabularies import with_vocabularies

if TYPE_CHECKING:
    from fraudnet.training.experiment import Experiment

TEST_DAYS = 28
HALF = 0.5  # of what the oracle catches: under that a kind is missed
MODELS = ("fraudnet", "boosting", "oracle")

DESCRIPTION = f"""\
Simulate worlds, train on each up to a label delay before its last {TEST_DAYS} days, score those:
recall at the alert budget by kind of fraud, beside boosting on features made by hand and an oracle
that knows the generator and sees labels as late as everyone (benchmarks/kinds_oracle.py says what
it knows). The budget is the same for all: the highest scores of the test period."""

EXAMPLE = """\
example:
  python -m benchmarks.detection kinds --seeds 1 --accounts 500 --models boosting oracle"""


@dataclass(frozen=True)
class Row:
    """What one model caught in one world; shares are 0..1.

    Attributes:
        model: its name.
        seed: of the world, and of the model.
        average_precision: over all kinds.
        recall: at the alert budget, by kind.
        transactions: of each kind in the test period.
        seconds: of the fit, or of the oracle's computation.
    """

    model: str
    seed: int
    average_precision: float
    recall: dict[str, float]
    transactions: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class _Play:
    """A world with its transactions as histories, divided by time."""

    world: World
    table: pa.Table  # in the order of the histories
    fingerprint: str
    experiment: Experiment
    split: Split
    histories: Histories


def measure(
    configs: Sequence[SimulatorConfig], models: Sequence[str], overrides: Sequence[str]
) -> tuple[list[Row], list[str]]:
    """Every model in every world, and the worlds' fingerprints.

    Args:
        configs: of the worlds; their seeds are the models' too.
        models: names out of MODELS.
        overrides: of the experiment `simulated`, "section.key=value" each.

    Raises:
        InputError: a world is too short to be divided, or its periods lack frauds.
    """
    rows, fingerprints = [], []
    for config in configs:
        play = _play(config, overrides)
        fingerprints.append(play.fingerprint)
        rows += [_row(name, play) for name in dict.fromkeys(models)]
    return rows, fingerprints


def experiment_with(overrides: Sequence[str]) -> Experiment:
    """The shipped experiment, with a longer test period."""
    return shipped_experiment("simulated", [f"split.test_days={TEST_DAYS}", *overrides])


def _play(config: SimulatorConfig, overrides: Sequence[str]) -> _Play:
    table = simulate(config)
    experiment = experiment_with(overrides)
    moments = table["timestamp"].cast(pa.int64()).to_numpy()
    split = split_by_time(moments, experiment.split)
    training = table.filter(pa.array(split.training.contains(moments)))
    features = with_vocabularies(experiment.features, [training], split.training.end)
    histories = build_histories(table, features, experiment.split.label_delay_days)
    asked = labelled_rows(histories, split.test)
    if not (histories.is_fraud[asked] == 1).any():
        raise InputError(
            f"seed {config.seed}: there is no fraud in the test period {split.test}; simulate more "
            "accounts, more days or a larger share of fraud"
        )
    ordered = table.take(pa.array(histories.source_row))
    return _Play(World.of(config), ordered, fingerprint(table), experiment, split, histories)


def _row(name: str, play: _Play) -> Row:
    answer = _answer(name, play)
    asked = labelled_rows(play.histories, play.split.test)
    days, budget = play.split.test.days, play.experiment.alerts.per_day
    # As many of the highest as the budget allows; ties are left out whole.
    flagged = answer.score > np.sort(answer.score)[::-1][int(days * budget)]
    kind = np.array(play.table["fraud_kind"].to_pylist(), dtype=object)[asked]
    present = [one for one in FRAUD_KINDS if (kind == one).any()]
    return Row(
        model=name,
        seed=play.world.config.seed,
        average_precision=float(
            average_precision_score(play.histories.is_fraud[asked] == 1, answer.score)
        ),
        recall={one: float(flagged[kind == one].mean()) for one in present},
        transactions={one: int((kind == one).sum()) for one in present},
        seconds=answer.train_seconds,
    )


def _answer(name: str, play: _Play) -> Answer:
    seed, histories, period = play.world.config.seed, play.histories, play.split.training
    delay = play.experiment.split.label_delay_days
    known = known_rows(histories, period, known_by=period.end + timedelta(days=delay))
    asked = labelled_rows(histories, play.split.test)
    if name == "fraudnet":
        return fit_fraudnet(Task(histories, known, asked, seed, play.experiment))
    begin = time.perf_counter()
    if name == "boosting":
        features = boosting_features(play.table, int(delay))
        model = boosting(seed).fit(features[known.rows], known.is_fraud)
        score = model.predict_proba(features[asked])[:, 1]
    else:
        score = oracle_log_odds(play.world, Seen.of(play.world, play.table), int(delay), asked)
    return Answer(score, time.perf_counter() - begin)


def table(rows: Sequence[Row]) -> Table:
    """A line a kind: recall of each model, and what share of the oracle's the network reaches."""
    models = list(dict.fromkeys(row.model for row in rows))
    seeds = len({row.seed for row in rows})
    made = Table(
        title="Simulated kinds of fraud, recall at the alert budget",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        caption=f"mean ± standard deviation over {seeds} world{'s' * (seeds > 1)}; ratio: fraudnet "
        "to oracle",
    )
    made.add_column("kind", no_wrap=True)
    for heading in ("frauds", *models, "ratio"):
        made.add_column(heading, justify="right", no_wrap=True)
    kinds = [k for k in FRAUD_KINDS if any(k in row.recall for row in rows)]
    for kind in kinds:
        own = [row for row in rows if row.model == models[0]]
        count = sum(row.transactions.get(kind, 0) for row in own)
        shown = [_spread(recalls(rows, model, kind)) for model in models]
        made.add_row(kind, f"{count:,}", *shown, _ratio(ratio_to_oracle(rows, kind)))
    made.add_section()
    precision = [[r.average_precision for r in rows if r.model == model] for model in models]
    made.add_row("average precision", "", *(_spread(np.array(p)) for p in precision), "")
    seconds = [[r.seconds for r in rows if r.model == model] for model in models]
    made.add_row("seconds", "", *(f"{np.mean(s):.0f}" for s in seconds), "")
    return made


def recalls(rows: Sequence[Row], model: str, kind: str) -> npt.NDArray[np.float64]:
    """A model's recall of a kind in each world that has the kind."""
    return np.array([r.recall[kind] for r in rows if r.model == model and kind in r.recall])


def ratio_to_oracle(rows: Sequence[Row], kind: str) -> float | None:
    """Mean recall of the network divided by the oracle's; None where either was not run."""
    ours, oracle = recalls(rows, "fraudnet", kind), recalls(rows, "oracle", kind)
    if not len(ours) or not len(oracle) or not oracle.mean():
        return None
    return float(ours.mean() / oracle.mean())


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.2f}{' under half' * (ratio < HALF)}"


def _spread(values: npt.NDArray[np.float64]) -> str:
    spread = f"\n±{values.std():.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """The arguments of `kinds`."""
    made.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED",
        help="worlds to simulate (default: 0 1 2)",
    )  # fmt: skip
    made.add_argument(
        "--models", nargs="+", choices=MODELS, default=MODELS,
        help="models to measure (default: all)",
    )  # fmt: skip
    made.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override a key of the experiment, as training.epochs=20",
    )  # fmt: skip
    add_simulation_arguments(made)


def run(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    """Measure as the arguments say: the table to print, and what to write.

    Raises:
        InputError: as `measure`.
    """
    configs = [
        SimulatorConfig(
            accounts=arguments.accounts,
            counterparties=arguments.counterparties,
            days=arguments.days,
            start=arguments.start,
            transactions_per_day=arguments.transactions_per_day,
            fraud_share=arguments.fraud_share,
            seed=seed,
        )
        for seed in dict.fromkeys(arguments.seeds)
    ]
    rows, fingerprints = measure(configs, arguments.models, arguments.overrides)
    report = {
        "data_fingerprints": fingerprints,
        "worlds": [asdict(config) | {"start": str(config.start)} for config in configs],
        "experiment": experiment_with(arguments.overrides).model_dump(mode="json"),
        "ratio_to_oracle": {kind: ratio_to_oracle(rows, kind) for kind in FRAUD_KINDS},
        "rows": [asdict(row) for row in rows],
    }
    return table(rows), report
