"""`fraudnet main`: the whole way, from transactions to reviewed cases, as the commands go it."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudnet.training.command import add_experiment_arguments
from fraudnet.transactions.command import add_simulation_arguments
from fraudnet.transactions.place import parse_source, place_of

if TYPE_CHECKING:
    from fraudnet.training.experiment import Experiment
    from fraudnet.windows.feed import Feed

_EPILOG = """\
Makes in DIR: the transactions (unless --data names some), model/ (the trained network),
fraud.tflite (the artifact), feed/ (what the device is given), decisions.jsonl, cases.sqlite
(the device's store), reviews.sqlite (the team's database of its cases) and,
where fraudnet[review] is installed, review.html. A case store of an earlier call is kept beside.

exit status: 0 done, 1 a gate or check failed, 2 wrong input

example:
  fraudnet main --accounts 300 --days 60 --epochs 3 --output build/small"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet main`."""
    parser.description = (
        "Simulate (or read) transactions, train, evaluate, export, estimate the energy, score the "
        "last days as a device would, and show the cases."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "--data",
        type=parse_source,
        metavar="SOURCE",
        help="labelled transactions (default: simulated ones)",
    )
    add_simulation_arguments(parser)
    add_experiment_arguments(parser)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of simulation and training"
    )
    parser.add_argument(
        "--score-days", type=int, default=2, metavar="N",
        help="last days that the device scores (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("build/demo"), metavar="DIR",
        help="directory for all that is made (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Go the whole way.

    Raises:
        InputError: the data or an option cannot be used.
        CheckFailed: the artifact differs from Keras, or exceeds the energy budget.
        DeviceInputError: the device cannot score.
    """
    if not arguments.json:
        print(_summary_text(_go(arguments)))
        return 0
    with redirect_stdout(sys.stderr):
        summary = _go(arguments)
    print(json.dumps(summary))
    return 0


def _go(arguments: argparse.Namespace) -> dict[str, Any]:
    """All steps; returns what they made and measured."""
    from fraudnet.artifact.command import export_and_log, print_exported
    from fraudnet.training.command import (
        REGISTERED,
        experiment_of,
        print_figures,
        quarantine_in,
    )
    from fraudnet.training.prepare import prepare
    from fraudnet.training.reporting import CARD, PAGE, ReportFiles
    from fraudnet.training.thresholds import print_threshold
    from fraudnet.training.tracking import store_hint, tracked_run
    from fraudnet.training.train import evaluate, train
    from fraudnet.training.trained import save_trained

    output: Path = arguments.output
    artifact = output / "fraud.tflite"
    experiment = experiment_of(arguments)
    quarantine = quarantine_in(output)
    with tracked_run("main"):
        data = arguments.data or _simulated(arguments, output / "transactions.parquet")
        with _step("read, check and window"):
            prepared = prepare(data, experiment, quarantine)
            print(prepared.line(quarantine))
        with _step("train"):
            trained = train(prepared)
            print_threshold(trained.facts.threshold)
        with _step("evaluate"):
            files = ReportFiles(output / "model" / PAGE, output / "model" / CARD)
            trained = evaluate(prepared, trained, files, registered=REGISTERED)
            save_trained(trained, output / "model")
            print_figures(trained.facts.metrics["test"], "test", as_json=False)
        with _step("export"):
            print_exported(export_and_log(trained, artifact), as_json=False)
    _estimate(experiment, artifact)
    with _step("feed the device"):
        from fraudnet.artifact.feed_command import feed_of

        window_length, days = trained.facts.receptive_field, arguments.score_days
        feed = feed_of(data, prepared.experiment, window_length, days, output / "feed")
    _score(feed, output)
    return {
        "transactions": place_of(data),
        "model": str(output / "model"),
        "report": str(files.page),
        "artifact": str(artifact),
        "decisions": str(output / "decisions.jsonl"),
        "cases": str(output / "cases.sqlite"),
        "review": _review(output),
        "runs": store_hint(),
        "metrics": trained.facts.metrics,
    }


def _summary_text(summary: dict[str, Any]) -> str:
    made = ("transactions", "model", "report", "artifact", "decisions", "cases", "review")
    lines = ["", "Made:", *(f"  {name}: {summary[name]}" for name in made if summary[name])]
    lines.append(f"Look at the runs: {summary['runs']}")
    if summary["review"]:
        lines.append(f"Look at the cases: open {summary['review']} in a browser")
    lines.append("Decide: jupyter lab notebooks/review_flagged_cases.ipynb")
    return "\n".join(lines)


def _simulated(arguments: argparse.Namespace, path: Path) -> Path:
    from fraudnet.transactions.command import simulate_to

    with _step("simulate"):
        rows, frauds = simulate_to(path, arguments)
        print(f"{path}: {rows:,} transactions, {frauds:,} of them frauds")
    return path


def _estimate(experiment: "Experiment", artifact: Path) -> None:
    from fraudnet.energy import command

    battery = experiment.battery
    with _step("energy"):
        _call(
            command.add_arguments, command.run, artifact, "--device", battery.device,
            "--inferences-per-day", battery.inferences_per_day,
            "--max-battery-percent", battery.max_percent_per_day,
        )  # fmt: skip


def _score(feed: "Feed", output: Path) -> None:
    from fraudnet.device import command

    store = output / "cases.sqlite"
    _keep_aside(store)
    common = ["--artifact", output / "fraud.tflite", "--store", store]
    with (
        _step("score on the device"),
        (output / "decisions.jsonl").open("w", encoding="utf-8") as decisions,
        redirect_stdout(decisions),
    ):
        for number, day in enumerate(feed.days):
            history = ["--history", feed.history] if number == 0 else []
            reputation = ["--reputation", day.reputation] if day.reputation else []
            _call(
                command.add_arguments, command.run, *common, *history, *reputation,
                day.transactions,
            )  # fmt: skip


def _keep_aside(store: Path) -> None:
    """An earlier call's file may hold verdicts, so it is renamed, not removed."""
    if not store.exists():
        return
    kept = store.with_name(f"{store.stem}-before-{time.strftime('%Y%m%dT%H%M%S')}.sqlite")
    for ending in ("", "-wal", "-shm"):
        part = Path(f"{store}{ending}")
        if part.exists():
            part.rename(f"{kept}{ending}")
    print(f"{kept}: that of the call before")


def _review(output: Path) -> str | None:
    if find_spec("nbclient") is None:
        print("no review page: it needs pip install 'fraudnet[review]'", file=sys.stderr)
        return None
    from fraudnet.review import cases_command, command

    page, database = output / "review.html", output / "reviews.sqlite"
    _keep_aside(database)
    with _step("review"):
        _call(
            cases_command.add_arguments, cases_command.run,
            "import", output / "cases.sqlite", "--into", database,
        )  # fmt: skip
        _call(
            command.add_arguments, command.run, "--store", database, "--html", page,
            "--artifact", output / "fraud.tflite",
        )  # fmt: skip
    return str(page)


def _call(
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run_command: Callable[[argparse.Namespace], int],
    *arguments: object,
) -> None:
    """Run another command as the command line would."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    status = run_command(parser.parse_args([str(argument) for argument in arguments]))
    if status:
        raise SystemExit(status)


@contextmanager
def _step(name: str) -> Iterator[None]:
    print(f"\n== {name} ==", file=sys.stderr, flush=True)
    begin = time.monotonic()
    yield
    print(f"-- {name}: {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)
