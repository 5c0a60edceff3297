"""`fraudnet bench`: how long an artifact takes on this machine.

Like the scorer it needs numpy and a TFLite runtime alone; --plot needs matplotlib besides.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudnet.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from fraudnet.latency.bench import Bench
    from fraudnet.latency.scoring import Workload
    from fraudnet.latency.stream import Stream

_DESCRIPTION = """\
Time an artifact on this machine, in every TFLite runtime that is installed (TensorFlow's own
among them), each in a process of its own: single inferences on its test vectors, and whole scoring
with a store: history looked up, window, inference, one commit. Warm is after 50 or more; cold has
the processor's caches emptied before each. Where a commit takes long it is the store's disk: see
--folder.

With --rate, transactions then arrive as a Poisson process, whether or not the last was answered: a
response is timed from when its transaction was to arrive, so waiting counts. --budget-ms holds the
99th percentile of those responses to a budget."""

_EPILOG = """\
exit status: 0 done, 1 the budget is exceeded, 2 wrong input

example:
  fraudnet bench fraud.tflite --threads 1 2 --rate 50 --budget-ms 20 --plot latency.png"""

LEAST_ARRIVALS = 100
MOST_STREAM_S = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet bench`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument("artifact", type=Path, metavar="FILE", help="the .tflite")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1], metavar="N",
        help="threads that a runtime may use, each measured (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--repetitions", type=int, default=2000, metavar="N",
        help="timed warm; p99.9 needs 1,000 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--cold", type=int, default=200, metavar="N",
        help="timed with empty caches; 0: none (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, metavar="DIR",
        help="where the store is while it is measured (default: the artifact's)",
    )  # fmt: skip
    parser.add_argument(
        "--transactions", type=Path, metavar="FILE",
        help="score these, as `fraudnet score` takes them (default: made-up ones of 20 accounts "
        "whose histories fill the window)",
    )  # fmt: skip
    parser.add_argument(
        "--history", type=Path, metavar="FILE", help="stored before --transactions are scored"
    )
    parser.add_argument(
        "--reputation", type=Path, metavar="FILE", help="snapshot of counterparty counts"
    )
    parser.add_argument(
        "--rate", type=float, metavar="N", help="arrivals a second of a live stream, on average"
    )
    parser.add_argument(
        "--arrivals", type=int, default=1000, metavar="N",
        help="of the stream (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--budget-ms", type=float, metavar="X",
        help="exit with status 1 if the stream's p99 of response exceeds X milliseconds",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="histograms of the times")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print.

    Raises:
        InputError: an option is not as expected, or the picture cannot be written.
        DeviceInputError: the artifact or the transactions cannot be used.
        CheckFailed: the stream exceeds its budget; everything is printed before.
    """
    from fraudnet.latency.bench import Extent, as_dictionary, bench
    from fraudnet.latency.scoring import Workload

    _check(arguments)
    workload = Workload(
        artifact=str(arguments.artifact),
        folder=str(arguments.folder or arguments.artifact.parent),
        seed=arguments.seed,
        history=arguments.history and str(arguments.history),
        transactions=arguments.transactions and str(arguments.transactions),
        reputation=arguments.reputation and str(arguments.reputation),
    )
    extent = Extent(tuple(arguments.threads), arguments.repetitions, arguments.cold)
    found = bench(workload, extent, _tell)
    streams = _streams(arguments, found, workload) if arguments.rate else []
    if arguments.plot:
        _plot(arguments.plot, found)
    if arguments.json:
        print(json.dumps(as_dictionary(found, workload) | {"stream": streams or None}, indent=2))
    else:
        _print(found, streams, workload)
    missed = [row for row in streams if row["passed"] is False]
    if missed:
        worst = max(missed, key=lambda row: row["p99_us"])
        raise CheckFailed(
            f"{arguments.artifact}: at {arguments.rate:g} arrivals a second in {worst['version']} "
            f"the p99 of response is {worst['p99_us'] / 1e3:.3g} ms, the budget "
            f"{arguments.budget_ms:g} ms"
        )
    return 0


def _tell(case: str) -> None:
    if sys.stderr.isatty():
        print(f"timing {case}", file=sys.stderr)


def _check(arguments: argparse.Namespace) -> None:
    processors = 1024
    for value, least, most, name in (
        (min(arguments.threads), 1, processors, "--threads"),
        (max(arguments.threads), 1, processors, "--threads"),
        (arguments.repetitions, 1, 10**7, "--repetitions"),
        (arguments.cold, 0, 10**6, "--cold"),
        (arguments.arrivals, LEAST_ARRIVALS, 10**7, "--arrivals"),
        (arguments.seed, 0, 2**32 - 1, "--seed"),
    ):
        if not least <= value <= most:
            raise InputError(f"{name} {value}: expected a number from {least:,} to {most:,}")
    if arguments.history and not arguments.transactions:
        raise InputError("--history is of use with --transactions FILE alone; give that too")
    if arguments.rate is None:
        if arguments.budget_ms is not None:
            raise InputError("--budget-ms is of the stream; give its --rate too")
        return
    # Written so that NaN fails.
    for value, name in ((arguments.rate, "--rate"), (arguments.budget_ms, "--budget-ms")):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} {value:g}: expected a number above 0")
    if (seconds := arguments.arrivals / arguments.rate) > MOST_STREAM_S:
        raise InputError(
            f"{arguments.arrivals} arrivals at {arguments.rate:g} a second take {seconds:,.0f} s, "
            f"expected at most {MOST_STREAM_S}; give fewer --arrivals or a higher --rate"
        )


def _streams(
    arguments: argparse.Namespace, found: "Bench", workload: "Workload"
) -> list[dict[str, Any]]:
    """One a runtime that scores, on the first number of threads."""
    from fraudnet.latency.answering import NotLoaded
    from fraudnet.latency.scoring import time_stream

    threads, rows = arguments.threads[0], []
    found.samples["responses of the stream"] = {}
    for runtime, version in dict.fromkeys((r["runtime"], r["version"]) for r in found.scoring):
        try:
            stream = time_stream(
                workload, runtime,
                rate_per_s=arguments.rate, arrivals=arguments.arrivals, threads=threads,
            )  # fmt: skip
        except NotLoaded as reason:
            found.not_run[version] = f"the stream: {reason}"
            continue
        found.samples["responses of the stream"][version] = stream.response_us
        name = {"runtime": runtime, "version": version, "threads": threads}
        rows.append(name | stream_row(stream, arguments.rate, arguments.budget_ms))
    return rows


def stream_row(stream: "Stream", rate_per_s: float, budget_ms: float | None) -> dict[str, Any]:
    """What is said of a stream; percentiles are of the responses."""
    from fraudnet.latency.percentiles import percentiles

    found = percentiles(stream.response_us)
    over = None if budget_ms is None else float((stream.response_us > budget_ms * 1e3).mean())
    return {
        "rate_per_s": rate_per_s,
        **found,
        "service_p50_us": percentiles(stream.service_us)["p50_us"],
        "longest_queue": stream.longest_queue,
        "utilisation": stream.utilisation,
        "budget_ms": budget_ms,
        "share_over_budget": over,
        "passed": None if budget_ms is None else bool(found["p99_us"] <= budget_ms * 1e3),
    }


def _plot(path: Path, found: "Bench") -> None:
    from fraudnet.latency.histogram import write_histograms

    write_histograms(path, {title: each for title, each in found.samples.items() if each})


def _print(found: "Bench", streams: list[dict[str, Any]], workload: "Workload") -> None:
    columns = ("p50", "p90", "p99", "p99.9")
    for title, rows in (
        ("Single inferences, microseconds", found.single),
        (f"Whole scoring, store in {workload.folder}, microseconds", found.scoring),
    ):
        print(title)
        lines = [["runtime", "threads", "caches", *columns]]
        lines += [
            [row["version"], str(row["threads"]), "warm" if row["warm"] else "cold", *_times(row)]
            for row in rows
        ]
        _print_lines(lines)
    if streams:
        rate = streams[0]["rate_per_s"]
        print(f"Responses at {rate:g} arrivals a second, waiting included, microseconds")
        lines = [["runtime", "busy", "longest queue", *columns]]
        lines += [
            [row["version"], f"{row['utilisation']:.1%}", str(row["longest_queue"]), *_times(row)]
            for row in streams
        ]
        _print_lines(lines)
    for version, reason in found.not_run.items():
        print(f"{version}: not measured: {reason}")


def _times(row: dict[str, Any]) -> list[str]:
    from fraudnet.latency.percentiles import PERCENTILES

    return ["too few" if row[name] is None else f"{row[name]:,.0f}" for name in PERCENTILES]


def _print_lines(lines: list[list[str]]) -> None:
    """A table without rich, which a device has not."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *others = (
            f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(["", first, *others]))
    print()
