"""What verdicts teach the model: a year of monthly retraining by each policy, budget fixed."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from statistics import mean, pstdev
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.code_version import code_version
from benchmarks.command_line import run
from benchmarks.detection import versions
from benchmarks.results_file import refuse_unwritable, write_results
from fraudnet.errors import InputError

if TYPE_CHECKING:
    from benchmarks.feedback_policies import Policy, Row
    from benchmarks.feedback_world import Conditions

PROGRAM = "python -m benchmarks.feedback"
DRAWN = ("never_retrained", "verdicts", "verdicts_and_learning", "all_labels")
NAMES = (*DRAWN[:3], "uncertain_alone", "unfamiliar_alone", "random_alone", DRAWN[3])
SOURCES = (
    "benchmarks/feedback_policies.py",
    "benchmarks/feedback_world.py",
    "fraudnet/network",
    "fraudnet/review/learning.py",
    "fraudnet/training/batches.py",
    "fraudnet/training/checkpoint.py",
    "fraudnet/training/fitting.py",
    "fraudnet/training/scoring.py",
    "fraudnet/training/sentinel.py",
    "fraudnet/training/step.py",
    "fraudnet/transactions/simulated_fraud.py",
    "fraudnet/transactions/simulated_population.py",
    "fraudnet/transactions/simulator.py",
    "fraudnet/windows",
)
WIDTH = 110  # that the table takes
COLOURS = ("#999999", "#0072B2", "#D55E00", "#009E73")  # Okabe and Ito: told apart by all
FIGURES = ("recall_at_budget", "recall_of_ranking", "precision")

_DESCRIPTION = """\
Simulate a world whose fraud changes: three kinds begin during the year, one ends. A network is
trained at the launch on 120 days with all labels, then every month a fixed number of transactions a
day is looked at, and the network learns on from the labels that have arrived. The policies differ
in the labels: none (never_retrained); verdicts on the alerts, 5 days late and 2 in 100 of them
wrong, and a customer's report of some of the frauds, 30 days late (verdicts); the same with a fifth
of the same budget spent on uncertain, unfamiliar and random transactions (verdicts_and_learning),
or on those of one reason (where the fewest frauds are reported); the label of every transaction, 30
days late (all_labels). Nothing else is labelled, and an account goes on after its fraud is
found."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --seeds 0 --accounts 300 --months 4 --policies never_retrained verdicts"""


@dataclass(frozen=True)
class Summary:
    """A policy over all months: mean over the worlds and the standard deviation between them.

    Attributes:
        policy: its name.
        reported_share: of the frauds that customers report; None where that does not matter.
        worlds: how many.
        figures: of each name of FIGURES, and `later_recall`: at the budget in the second half of
            the year; [mean, standard deviation].
    """

    policy: str
    reported_share: float | None
    worlds: int
    figures: dict[str, tuple[float, float]]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="SEED",
        help="worlds to simulate (default: 1 2 3)",
    )  # fmt: skip
    made.add_argument(
        "--policies", nargs="+", choices=NAMES, default=NAMES,
        help="policies to measure (default: all)",
    )  # fmt: skip
    made.add_argument(
        "--reported", nargs="+", type=float, default=[0.6, 0.0], metavar="SHARE",
        help="shares of the frauds that customers report, each measured (default: 0.6 0)",
    )  # fmt: skip
    for name, default, text in (
        ("accounts", 1_000, "accounts that pay, once a day in the mean"),
        ("months", 12, "months of 30 days"),
        ("budget", 10, "transactions that are looked at a day"),
    ):
        made.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default: {default})"
        )
    made.add_argument(
        "--json", type=Path, metavar="FILE",
        help="file to write every row to, when it is measured; the plot is written beside it",
    )  # fmt: skip
    made.add_argument(
        "--resume", action="store_true",
        help="keep the years that --json FILE holds already, if they are of the same code, "
        "versions and conditions",
    )  # fmt: skip
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(arguments: argparse.Namespace, command: str) -> None:
    _check(arguments)
    # TensorFlow takes seconds to load, and wrong input is known before.
    from benchmarks.feedback_policies import Row
    from benchmarks.feedback_world import Conditions

    conditions = Conditions(
        accounts=arguments.accounts, months=arguments.months, budget_per_day=arguments.budget
    )
    shared: dict[str, Any] = {
        "conditions": asdict(conditions),
        "versions": versions(),
        "code": code_version(SOURCES),
    }
    earlier = _earlier(arguments.json, shared) if arguments.resume else []
    rows = [Row(**row) for row in earlier]
    # First what is there already, under the present command.
    for months in chain([[]], measure(conditions, arguments, rows)):
        rows += months
        if arguments.json:
            report = {"command": command, **shared}
            report |= {"summary": [asdict(each) for each in summary(rows)]}
            report |= {"rows": [asdict(row) for row in rows]}
            write_results(arguments.json, report)
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table(rows))
    if arguments.json:
        plot(rows, arguments.json.with_suffix(".png"))


def _check(arguments: argparse.Namespace) -> None:
    for name, least in (("accounts", 20), ("months", 1), ("budget", 2)):
        if getattr(arguments, name) < least:
            raise InputError(f"--{name}: give at least {least}")
    for share in arguments.reported:
        if not 0 <= share <= 1:
            raise InputError(f"--reported: {share:g} is no share; give 0 to 1")
    if arguments.resume and not arguments.json:
        raise InputError("--resume: needs --json FILE, the file to go on with")
    if arguments.json:
        refuse_unwritable(arguments.json)


def _earlier(path: Path, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier run under the same circumstances."""
    if not path.exists():
        return []
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name, value in shared.items() if report[name] != value]
        rows: list[dict[str, Any]] = report["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be gone on with, it is no results file of this command "
            f"({type(error).__name__}: {error}); leave out --resume, or name another file"
        ) from None
    if differing:
        raise InputError(
            f"{path}: was measured with other {' and '.join(differing)}; leave out --resume to "
            "measure all anew, or name another file"
        )
    return rows


def measure(
    conditions: "Conditions", arguments: argparse.Namespace, done: "Sequence[Row]"
) -> "Iterator[list[Row]]":
    """The year of every policy in every world, one after the other, but for those done already."""
    from benchmarks.feedback_policies import POLICIES, Learner, live
    from benchmarks.feedback_world import Year

    there = {(row.seed, row.policy, row.reported_share) for row in done}
    for seed in dict.fromkeys(arguments.seeds):
        wanted = [
            (name, share)
            for name in dict.fromkeys(arguments.policies)
            for share in _reported(POLICIES[name], arguments.reported)
            if (seed, name, share) not in there
        ]
        if not wanted:
            continue
        year = Year.of(conditions, seed)
        learner = Learner(year)
        for name, share in wanted:
            print(f"{PROGRAM}: world {seed}, {label(name, share)}", file=sys.stderr)
            yield [*live(name, share, year, learner)]


def _reported(policy: "Policy", shares: Sequence[float]) -> Sequence[float | None]:
    """The shares of reported frauds that a policy is measured with."""
    if not policy.reads_reports:
        return [None]
    return [min(shares)] if policy.dissected else [*dict.fromkeys(shares)]


def label(name: str, share: float | None) -> str:
    """A policy with what is reported."""
    return name if share is None else f"{name}, {share:.0%} reported"


def summary(rows: "Sequence[Row]") -> list[Summary]:
    """Each policy over all months and worlds, in the order of NAMES."""
    found = []
    keys = dict.fromkeys((row.policy, row.reported_share) for row in rows)
    for policy, share in sorted(keys, key=lambda key: (NAMES.index(key[0]), -(key[1] or 0))):
        own = [row for row in rows if (row.policy, row.reported_share) == (policy, share)]
        half = max(row.month for row in own) / 2
        figures = {name: _over_worlds(own, name) for name in FIGURES}
        later = [row for row in own if row.month > half]
        figures["later_recall"] = _over_worlds(later, "recall_at_budget")
        worlds = len({row.seed for row in own})
        found.append(Summary(policy, share, worlds, figures))
    return found


def _over_worlds(rows: "Sequence[Row]", name: str) -> tuple[float, float]:
    """Mean and standard deviation between worlds of a figure's mean over months."""
    worlds = dict.fromkeys(row.seed for row in rows)
    means = [mean(getattr(row, name) for row in rows if row.seed == seed) for seed in worlds]
    return mean(means), pstdev(means)


def table(rows: "Sequence[Row]") -> Table:
    """A line a policy."""
    made = Table(
        title="What is found with the same alert budget, by what the network learns from",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        caption="mean of the months, ± standard deviation between worlds; of ranking: "
        "recall had the whole budget gone to the highest scores",
    )
    made.add_column("policy", no_wrap=True)
    for heading in ("worlds", "recall", "later half", "of ranking", "precision"):
        made.add_column(heading, justify="right", no_wrap=True)
    for each in summary(rows):
        names = ("recall_at_budget", "later_recall", "recall_of_ranking", "precision")
        cells = ["{:.3f} ± {:.3f}".format(*each.figures[name]) for name in names]
        made.add_row(label(each.policy, each.reported_share), str(each.worlds), *cells)
    return made


def plot(rows: "Sequence[Row]", file: Path) -> None:
    """Recall at the budget by month, a panel for each share that is reported.

    Raises:
        InputError: the file cannot be written.
    """
    shares = sorted({row.reported_share for row in rows if row.reported_share is not None})
    panels: list[float | None] = [*reversed(shares)] or [None]
    figure = Figure(figsize=(4.6 * len(panels), 4), layout="constrained")
    drawn = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, share in zip(drawn, panels, strict=True):
        for name, colour in zip(DRAWN, COLOURS, strict=True):
            own = [r for r in rows if r.policy == name and r.reported_share in (share, None)]
            months = sorted({row.month for row in own})
            by_month = [[r.recall_at_budget for r in own if r.month == m] for m in months]
            middle = [mean(each) for each in by_month]
            axes.plot(months, middle, color=colour, label=name.replace("_", " "))
            axes.fill_between(
                months, [min(e) for e in by_month], [max(e) for e in by_month],
                color=colour, alpha=0.12, linewidth=0,
            )  # fmt: skip
        told = "" if share is None else f", {share:.0%} of frauds reported"
        axes.set(xlabel="month", title=f"recall at the budget{told}", ylim=(0, 1))
        axes.grid(alpha=0.3)
    drawn[0].legend(frameon=False)
    try:
        figure.savefig(file, dpi=120)
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    sys.exit(main())
