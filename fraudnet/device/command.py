"""`fraudnet score`: one decision a transaction, on standard output as JSON lines."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from fraudnet.device.errors import DeviceInputError, TransactionError
from fraudnet.device.keys import add_key_arguments, read_keys
from fraudnet.device.quarantine import Quarantine
from fraudnet.device.reading import STANDARD_INPUT, Row, read_rows, shown_name
from fraudnet.device.runtime import quiet_runtime
from fraudnet.device.scorer import KEEP, KEEP_CASES_DAYS, Options, Scorer
from fraudnet.device.shadow import FOLLOW_EVERY
from fraudnet.device.transactions import Transaction

EPILOG = """\
Decisions of transactions that were scored before come from the store and count as repeated, so
after an interruption just run the same command again. Bad rows go to the quarantine file, each with
its line and reason. Exit status: 0 done, 2 nothing could be used, 141 the reader of the decisions
went away.

example:
  fraudnet score --artifact fraud.tflite --store cases.sqlite transactions.csv > decisions.jsonl
"""
HISTORY_BATCH = 10_000


@dataclass
class Summary:
    """Rows of the input: rows = scored + repeated + quarantined."""

    rows: int = 0
    scored: int = 0
    repeated: int = 0
    flagged: int = 0  # among those scored
    unfamiliar: int = 0  # among those scored, flagged or not
    quarantined: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `fraudnet score`."""
    parser.description = (
        "Score transactions one by one, each against the history that the store keeps of its "
        "account, and print a decision for each as a JSON line."
    )
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_scorer_arguments(parser)
    parser.add_argument(
        "--history", type=Path, metavar="FILE",
        help="earlier transactions, to be stored without scoring before the input is read",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(
        "input", type=Path, nargs="?", default=STANDARD_INPUT, metavar="INPUT",
        help=".jsonl or .csv, or these with .gz (default: JSON lines on standard input)",
    )  # fmt: skip


def add_scorer_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what a command opens the scorer with."""
    parser.add_argument(
        "--artifact", type=Path, required=True, metavar="FILE", help="the .tflite to score with"
    )
    parser.add_argument(
        "--store", type=Path, required=True, metavar="FILE",
        help="SQLite file of transactions and cases; made if it is not there",
    )  # fmt: skip
    parser.add_argument(
        "--reputation", type=Path, metavar="FILE", help="snapshot of counterparty counts"
    )
    parser.add_argument(
        "--quarantine", type=Path, metavar="FILE",
        help="where bad rows are appended (default: STORE.quarantine.jsonl)",
    )  # fmt: skip
    parser.add_argument(
        "--public-key", type=Path, metavar="FILE",
        help="refuse an artifact that is not signed with this key (PEM)",
    )  # fmt: skip
    parser.add_argument(
        "--keep", type=int, default=KEEP, metavar="N",
        help="transactions that the store keeps of each account, at least what a window reads; "
        f"0: all (default: {KEEP:,})",
    )  # fmt: skip
    parser.add_argument(
        "--keep-cases-days", type=int, default=KEEP_CASES_DAYS, metavar="N",
        help="days that the store keeps a case after it was opened; 0: for ever "
        f"(default: {KEEP_CASES_DAYS})",
    )  # fmt: skip
    parser.add_argument(
        "--shadow", type=Path, metavar="FILE",
        help="a .tflite that decides beside and changes nothing: `fraudnet device shadow` says how "
        "it compares",
    )  # fmt: skip
    add_key_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Scores the input; returns the exit status."""
    summary = Summary()
    path = arguments.quarantine or Path(f"{arguments.store}.quarantine.jsonl")
    try:
        with open_scorer(arguments) as scorer, Quarantine(path) as quarantine:
            if arguments.history:
                _add_history(scorer, arguments.history, quarantine)
            try:
                _score(scorer, arguments.input, quarantine, summary)
            finally:
                if summary.rows > summary.quarantined:
                    _report(summary, scorer, quarantine, arguments.json)
    except DeviceInputError as error:
        print(f"fraudnet score: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("fraudnet score: out of memory; what was decided is stored", file=sys.stderr)
        return 2
    return 0


def open_scorer(arguments: argparse.Namespace) -> Scorer:
    """The scorer that the options ask for.

    A snapshot or a shadow that fails later is not used, and scoring goes on: but at the start a
    path that leads nowhere is a slip.

    Raises:
        DeviceInputError: it cannot be opened, or a file that is named is not there.
    """
    for option in ("reputation", "shadow"):
        path = getattr(arguments, option)
        if path is not None and not path.is_file():
            raise DeviceInputError(
                f"{path}: no such file; give --{option} a file, or leave it away"
            )
    if arguments.keep < 0:
        raise DeviceInputError(f"--keep {arguments.keep}: expected 0 (all) or more")
    keys = read_keys(arguments)
    options = Options(
        keep=arguments.keep or None,
        keep_cases_days=arguments.keep_cases_days or None,
        account_key=keys.account_key,
        encryption_key=keys.encryption_key,
        shadow=arguments.shadow,
    )
    with quiet_runtime():
        return Scorer(
            arguments.artifact,
            arguments.store,
            arguments.reputation,
            arguments.public_key,
            options,
        )


def _score(scorer: Scorer, source: Path, quarantine: Quarantine, summary: Summary) -> None:
    for row in read_rows(source, scorer.contract.columns):
        summary.rows += 1
        try:
            decision = scorer.score(row.transaction())
        except TransactionError as error:
            quarantine.add(source, row, error)
            summary.quarantined += 1
            continue
        summary.repeated += decision.repeated
        summary.scored += not decision.repeated
        summary.flagged += decision.flagged and not decision.repeated
        summary.unfamiliar += decision.familiar is False and not decision.repeated
        # At once: a decision is wanted while the payment waits.
        print(decision.line(), flush=True)
        if summary.rows % FOLLOW_EVERY == 0:
            scorer.follow_shadow(FOLLOW_EVERY)
    _refuse_useless(source, summary.rows, summary.quarantined, quarantine)


def _add_history(scorer: Scorer, source: Path, quarantine: Quarantine) -> None:
    rows = added = quarantined = 0
    for batch in _batches(read_rows(source, scorer.contract.columns)):
        good = [row for row in batch if isinstance(row.parsed, Transaction)]
        for row in batch:
            if isinstance(row.parsed, TransactionError):
                quarantine.add(source, row, row.parsed)
        new, refused = _add_batch(scorer, good)
        for row, error in refused:
            quarantine.add(source, row, error)
        rows += len(batch)
        added += new
        quarantined += len(batch) - len(good) + len(refused)
    _refuse_useless(source, rows, quarantined, quarantine)
    print(
        f"history: {rows} rows in: {added} added, {rows - added - quarantined} stored before, "
        f"{quarantined} quarantined",
        file=sys.stderr,
    )


def _add_batch(scorer: Scorer, rows: list[Row]) -> tuple[int, list[tuple[Row, TransactionError]]]:
    """Adds rows in one commit; where one cannot be used, the two halves apart, down to that row."""
    try:
        return scorer.add_history(row.transaction() for row in rows), []
    except TransactionError as error:
        if len(rows) == 1:
            return 0, [(rows[0], error)]
    middle = len(rows) // 2
    added, refused = _add_batch(scorer, rows[:middle])
    more_added, more_refused = _add_batch(scorer, rows[middle:])
    return added + more_added, refused + more_refused


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, HISTORY_BATCH)):
        yield batch


def _refuse_useless(source: Path, rows: int, quarantined: int, quarantine: Quarantine) -> None:
    name = shown_name(source)
    if rows == 0:
        raise DeviceInputError(f"{name}: no transactions; expected at least one row")
    if rows == quarantined:
        raise DeviceInputError(
            f"{name}: none of {rows} rows can be used; {quarantine.first_reason} "
            f"(all are in {quarantine.path})"
        )


def _report(summary: Summary, scorer: Scorer, quarantine: Quarantine, as_json: bool) -> None:
    for notice in scorer.notices():
        print(f"notice: {notice}", file=sys.stderr)
    if as_json:
        print(json.dumps(asdict(summary)), file=sys.stderr)
        return
    where = f" in {quarantine.path}" if summary.quarantined else ""
    print(
        f"{summary.rows} rows in: {summary.scored} scored ({summary.flagged} flagged, "
        f"{summary.unfamiliar} unfamiliar), "
        f"{summary.repeated} repeated, {summary.quarantined} quarantined{where}",
        file=sys.stderr,
    )
