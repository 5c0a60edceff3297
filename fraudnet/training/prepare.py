"""From a file of transactions to histories and periods, as an experiment says."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.training.experiment import Experiment
from fraudnet.transactions.place import Source
from fraudnet.transactions.reading import ReadOptions, Transactions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.transactions.report import QualityReport, fingerprint
from fraudnet.windows.histories import Histories, build_histories, with_vocabularies
from fraudnet.windows.periods import Split, split_by_time


@dataclass(frozen=True)
class Prepared:
    """A data set, ready to be learnt from.

    Attributes:
        source: where it came from.
        table: its transactions in canonical columns.
        report: how it was read.
        fingerprint: of the table.
        experiment: with the vocabularies of the training period filled in.
        split: its periods.
        histories: of all its transactions.
    """

    source: Source
    table: pa.Table
    report: QualityReport
    fingerprint: str
    experiment: Experiment
    split: Split
    histories: Histories


def read_data(
    source: Source,
    experiment: Experiment,
    quarantine: Path | None = None,
    *,
    require_labels: bool = False,
) -> Transactions:
    """Read a file with the experiment's recipe and whatever columns its features name.

    Raises:
        InputError: the file or the experiment cannot be used.
    """
    features = experiment.features
    recipe = load_recipe(experiment.data.recipe).with_features(
        [c.column for c in features.categorical], features.numeric
    )
    share = experiment.data.max_bad_share
    return read_transactions(source, recipe, ReadOptions(quarantine, share, None, require_labels))


def prepare(source: Source, experiment: Experiment, quarantine: Path | None = None) -> Prepared:
    """Read, check, divide by time and sort into histories.

    Vocabularies that the experiment leaves empty are taken from the training period alone.

    Args:
        source: the transactions.
        experiment: recipe, features and split.
        quarantine: file for the rows that cannot be used.

    Raises:
        InputError: the file or the experiment cannot be used.
    """
    read = read_data(source, experiment, quarantine, require_labels=True)
    timestamps = read.table["timestamp"]
    split = split_by_time(timestamps.cast(pa.int64()).to_numpy(), experiment.split)
    training = read.table.filter(
        pc.and_(
            pc.greater_equal(timestamps, pa.scalar(split.training.begin, timestamps.type)),
            pc.less(timestamps, pa.scalar(split.training.end, timestamps.type)),
        )
    )
    features = with_vocabularies(experiment.features, [training])
    return Prepared(
        source=source,
        table=read.table,
        report=read.report,
        fingerprint=fingerprint(read.table),
        experiment=experiment.model_copy(update={"features": features}),
        split=split,
        histories=build_histories(read.table, features, experiment.split.label_delay_days),
    )
