"""From a source of transactions to histories and periods, as an experiment says."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from fraudnet.errors import InputError
from fraudnet.training.experiment import Experiment
from fraudnet.training.slice_columns import SliceColumns, Sliced
from fraudnet.transactions.fingerprint import Fingerprint, fingerprint
from fraudnet.transactions.labels import LabelReport, Labels
from fraudnet.transactions.place import Source, place_of
from fraudnet.transactions.reading import Reading, ReadOptions, Transactions, read_transactions
from fraudnet.transactions.recipe import Recipe, load_recipe
from fraudnet.transactions.report import QualityReport
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.on_disk import Spool
from fraudnet.windows.periods import Period, Split, split_by_time
from fraudnet.windows.vocabularies import with_vocabularies

_TMPDIR = "set TMPDIR to a folder with room, about 200 bytes a transaction"


@dataclass(frozen=True)
class Prepared:
    """A data set, ready to be learnt from.

    Attributes:
        source: where it came from.
        report: how it was read.
        fingerprint: of its transactions in canonical columns.
        experiment: with the vocabularies of the training period filled in.
        split: its periods.
        histories: of all its transactions.
        slices: columns by name that the evaluation alone reads, in the order of the source.
        labels: what became of labels from elsewhere; None where there are none.
        folder: that the histories are mapped from; None where they are in memory.
    """

    source: Source
    report: QualityReport
    fingerprint: str
    experiment: Experiment
    split: Split
    histories: Histories
    slices: dict[str, Sliced]
    labels: LabelReport | None = None
    folder: TemporaryDirectory[str] | None = None

    def line(self, quarantine: Path | None = None) -> str:
        """What was read in one line, and what became of the labels in another."""
        lines = [self.report.line(quarantine), *([self.labels.line()] if self.labels else [])]
        return "\n".join(lines)


def read_data(source: Source, experiment: Experiment) -> Transactions:
    """Read a source with the experiment's recipe and whatever columns its features name.

    Raises:
        InputError: the source or the experiment cannot be used.
    """
    return read_transactions(source, _recipe(experiment), _options(experiment))


def prepare(source: Source, experiment: Experiment, quarantine: Path | None = None) -> Prepared:
    """Read, check, divide by time and sort into histories; on disk if there is a memory limit.

    Vocabularies that the experiment leaves empty are taken from the training period alone.

    Args:
        source: the transactions.
        experiment: recipe, features and split.
        quarantine: file for the rows that cannot be used.

    Raises:
        InputError: the source or the experiment cannot be used.
    """
    if experiment.data.memory_limit_mb is not None:
        return _prepare_on_disk(source, experiment, quarantine, experiment.data.memory_limit_mb)
    labels = _labels(experiment)
    options = _options(experiment, quarantine, require_labels=labels is None)
    read = read_transactions(source, _evaluated(experiment), options)
    slices = _slice_columns(experiment)
    table = slices.take(read.table if labels is None else labels.put_on(read.table))
    timestamps = table["timestamp"]
    split = split_by_time(timestamps.cast(pa.int64()).to_numpy(), experiment.split)
    training = table.filter(
        pc.and_(
            pc.greater_equal(timestamps, pa.scalar(split.training.begin, timestamps.type)),
            pc.less(timestamps, pa.scalar(split.training.end, timestamps.type)),
        )
    )
    features = with_vocabularies(experiment.features, [training], split.training.end)
    return Prepared(
        source=source,
        report=read.report,
        fingerprint=fingerprint(table),
        experiment=experiment.model_copy(update={"features": features}),
        split=split,
        histories=build_histories(table, features, experiment.split.label_delay_days),
        slices=slices.done(),
        labels=None if labels is None else labels.report(),
    )


def _prepare_on_disk(
    source: Source, experiment: Experiment, quarantine: Path | None, memory_limit_mb: int
) -> Prepared:
    try:
        folder = TemporaryDirectory(prefix="fraudnet-windows-")
    except OSError as error:
        raise InputError(f"no folder for the windows can be made ({error}); {_TMPDIR}") from None
    try:
        return _prepare_in(folder, source, experiment, quarantine, memory_limit_mb)
    except OSError as error:
        folder.cleanup()
        raise InputError(f"{folder.name}: cannot hold the windows ({error}); {_TMPDIR}") from None
    except BaseException:
        folder.cleanup()
        raise


def _prepare_in(
    folder: TemporaryDirectory[str],
    source: Source,
    experiment: Experiment,
    quarantine: Path | None,
    memory_limit_mb: int,
) -> Prepared:
    labels = _labels(experiment)
    options = _options(experiment, quarantine, require_labels=labels is None)
    reading = Reading(source, _evaluated(experiment), options)
    slices = _slice_columns(experiment)
    spool = Spool(Path(folder.name), experiment.features, experiment.split.label_delay_days)
    whole = Fingerprint()
    labelled = reading if labels is None else map(labels.put_on, reading)
    pieces = map(slices.take, labelled)
    for piece in tqdm(pieces, desc="reading", unit=" pieces", disable=None, leave=False):
        spool.add(piece)
        whole.add(piece)
    spool.close()
    report = reading.report()  # what cannot be used is refused before more work goes into it
    span = np.array([spool.first_us, spool.last_us])
    split = split_by_time(span, experiment.split)
    training = spool.within(split.training)
    features = with_vocabularies(experiment.features, training, split.training.end)
    histories = spool.histories(features, memory_limit_mb << 20)
    return Prepared(
        source=source,
        report=report,
        fingerprint=whole.text(),
        experiment=experiment.model_copy(update={"features": features}),
        split=split,
        histories=histories,
        slices=slices.done(),
        labels=None if labels is None else labels.report(),
        folder=folder,
    )


def _labels(experiment: Experiment) -> Labels | None:
    return None if experiment.data.labels is None else Labels(Path(experiment.data.labels))


def _recipe(experiment: Experiment) -> Recipe:
    features = experiment.features
    categorical = [column.column for column in features.categorical]
    return load_recipe(experiment.data.recipe).with_features(categorical, features.numeric)


def _evaluated(experiment: Experiment) -> Recipe:
    """The recipe that also reads what the evaluation alone looks at."""
    evaluation = experiment.evaluation
    kind = [] if evaluation.kind_column is None else [evaluation.kind_column]
    return _recipe(experiment).with_report(evaluation.group_columns, optional=kind)


def _slice_columns(experiment: Experiment) -> SliceColumns:
    return SliceColumns(experiment.evaluation.columns, _recipe(experiment).source_columns)


def _options(
    experiment: Experiment, quarantine: Path | None = None, *, require_labels: bool = False
) -> ReadOptions:
    share = experiment.data.max_bad_share
    return ReadOptions(quarantine, share, require_labels=require_labels)


def known_of(prepared: Prepared, period: Period) -> KnownRows:
    """Labelled rows whose label is known when what follows the period begins."""
    delay = timedelta(days=prepared.experiment.split.label_delay_days)
    return known_rows(prepared.histories, period, known_by=period.end + delay)


def told_before_training(prepared: Prepared) -> str:
    """What there is to learn from, and what the recipe declares and the network does not read."""
    counts = []
    for what, period in (
        ("to learn from", prepared.split.training), ("to calibrate on", prepared.split.validation)
    ):  # fmt: skip
        is_fraud = known_of(prepared, period).is_fraud
        frauds = int((is_fraud == 1).sum())
        counts.append(f"{what}: {len(is_fraud):,} labelled, {frauds:,} of them frauds ({period})")
    features, recipe = prepared.experiment.features, _recipe(prepared.experiment)
    read = {*(column.column for column in features.categorical), *features.numeric}
    declared = [*(["category"] if recipe.category else []), *recipe.categorical, *recipe.numeric]
    unread = [name for name in declared if name not in (*read, *prepared.report.absent)]
    if unread:
        counts.append(
            f"not read by the network: {', '.join(unread)}; name under features.categorical or "
            "features.numeric of the experiment what it is to read"
        )
    return "\n".join(counts)


def refuse_one_class(prepared: Prepared) -> None:
    """Nothing can be learnt from one class: known before hours of training, not after.

    Raises:
        InputError: of the known labels of the training or the validation period all are alike.
    """
    for name in ("training", "validation"):
        period = getattr(prepared.split, name)
        if len(np.unique(known_of(prepared, period).is_fraud)) < 2:
            all_there_is = name == "training" and prepared.experiment.split.training_days is None
            raise InputError(
                f"{place_of(prepared.source)}: the {name} period {period} holds no fraud or no "
                "genuine transaction whose label is known: "
                + ("bring more data" if all_there_is else f"lengthen split.{name}_days")
            )
