"""`fraudnet feed`: what a device is given."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fraudnet.transactions.place import Source, parse_source

if TYPE_CHECKING:
    from fraudnet.training.experiment import Experiment
    from fraudnet.windows.feed import Feed

_EPILOG = """\
DIR/history.jsonl holds each account's last transactions before those days, with the reputation of
their counterparties as known at their time; DIR/DATE.jsonl a day's transactions,
DIR/DATE.reputation the counts as known when that day begins; DIR/DATE.increment turns the day
before's counts into these (fraudnet reputation update). No label is written.

exit status: 0 done, 2 wrong input

example:
  fraudnet feed --artifact fraud.tflite --data data/sample_transactions.csv.gz --output feed"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet feed`."""
    parser.description = "Write the last days of a file as a device meets them."
    parser.epilog = _EPILOG
    parser.add_argument("--artifact", type=Path, required=True, metavar="FILE", help="the .tflite")
    parser.add_argument(
        "--data",
        type=parse_source,
        required=True,
        metavar="SOURCE",
        help="transactions, labelled or not",
    )
    parser.add_argument(
        "--days", type=int, default=1, metavar="N", help="how many days (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="directory")


def run(arguments: argparse.Namespace) -> int:
    """Write a feed.

    Raises:
        InputError: the data, the artifact or the directory cannot be used.
        ArtifactError: the artifact cannot be used.
    """
    from fraudnet.configuration import parse_section
    from fraudnet.device.artifact import read_documents
    from fraudnet.training.experiment import Experiment

    contract = read_documents(arguments.artifact)["contract.json"]
    experiment = parse_section(Experiment, contract["experiment"], str(arguments.artifact))
    feed = feed_of(
        arguments.data, experiment, contract["window_length"], arguments.days, arguments.output
    )
    print(f"{feed.history}: history, to be given with --history once")
    for day in feed.days:
        print(f"{day.transactions}: scored with --reputation {day.reputation}")
        if day.increment:
            print(f"{day.increment}: or the day before's, updated with this")
    return 0


def feed_of(
    data: Source, experiment: "Experiment", window_length: int, days: int, directory: Path
) -> "Feed":
    """Read a file as the experiment says and write its last days.

    Raises:
        InputError: the file or the directory cannot be used.
    """
    from fraudnet.training.prepare import read_data
    from fraudnet.windows.feed import FeedSource, write_feed
    from fraudnet.windows.histories import build_histories

    read = read_data(data, experiment)
    histories = build_histories(read.table, experiment.features, experiment.split.label_delay_days)
    source = FeedSource(read.table, histories, tuple(read.recipe.report))
    return write_feed(source, window_length, days, directory)
