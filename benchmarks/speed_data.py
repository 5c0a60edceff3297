"""Transactions to train on and to measure by: a fold of the Handbook, or simulated ones."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudnet.errors import InputError
from fraudnet.transactions.reading import ReadOptions, read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.windows.histories import Histories, build_histories
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import Period
from fraudnet.windows.prequential import prequential_folds, rows_to_test
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification, Reputation
from fraudnet.windows.vocabularies import with_vocabularies

DAY = timedelta(days=1)
DELAY_DAYS = VALIDATION_DAYS = 7
# The day on which the Handbook's earliest fold begins: what is validated on lies before all tests.
VALIDATION_END = datetime(2018, 7, 25, tzinfo=UTC)


@dataclass(frozen=True)
class Fold:
    """What is learnt from, and what the learning is judged by.

    Attributes:
        histories: of all transactions.
        training: rows to fit on.
        validation: [N] rows to score.
        kind: [N] the kind of each fraud; "" of what is none, or where the file does not say.
    """

    histories: Histories
    training: KnownRows
    validation: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.str_]


def load_fold(
    data: Path | None, training_days: int, every: int, with_category: bool = False
) -> Fold:
    """Training days, a label delay of a week, a week of validation.

    Args:
        data: the Handbook's file; None: a simulated world, its last days.
        training_days: length of the training period.
        every: only every so many of the accounts is learnt from and scored.
        with_category: read the counterparty's category, where there is one.

    Raises:
        InputError: the file cannot be used, or does not hold the days.
    """
    place, table, end = _table(data)
    fold = prequential_folds(end, 1, training_days, DELAY_DAYS, VALIDATION_DAYS)[0]
    features = FeatureSpecification(reputation=Reputation(refresh="transaction"))
    if with_category and "category" in table.column_names and table["category"].null_count == 0:
        features = _with_category(features, table, fold.training)
    histories = build_histories(table, features, DELAY_DAYS)
    first, last = (
        datetime.fromtimestamp(int(moment) / 1e6, UTC)
        for moment in (histories.timestamp_us.min(), histories.timestamp_us.max())
    )
    if first >= fold.training.begin + DAY or last < fold.test.end - DAY:
        raise InputError(
            f"{place}: holds the days {first:%Y-%m-%d} to {last:%Y-%m-%d}, needed are "
            f"{fold.training.begin:%Y-%m-%d} to {fold.test.end - DAY:%Y-%m-%d}; give a file with "
            "those, or fewer training days"
        )
    chosen = histories.account % every == 0
    known = known_rows(histories, fold.training, known_by=fold.test.begin)
    training = replace(known, rows=known.rows & chosen)
    validation = rows_to_test(histories, fold.test) & chosen
    for name, labels in (
        ("learn from", training.is_fraud),
        ("validate on", histories.is_fraud[validation]),
    ):
        if len(np.unique(labels)) < 2:
            raise InputError(
                f"{place}: the transactions to {name} hold no fraud or no genuine one; use more of "
                "the accounts"
            )
    return Fold(histories, training, validation, kinds_of(table, histories))


def _with_category(
    features: FeatureSpecification, table: pa.Table, training: Period
) -> FeatureSpecification:
    moments = table["timestamp"].cast(pa.int64()).to_numpy()
    rows = table.filter(pa.array(training.contains(moments)))
    declared = {"categorical": (CategoricalColumn(column="category"),)}
    return with_vocabularies(features.model_copy(update=declared), [rows], training.end)


def kinds_of(table: pa.Table, histories: Histories) -> npt.NDArray[np.str_]:
    """[N] the kind of each fraud; "" of what is none, or where the table does not say."""
    kind = np.full(len(histories), "", dtype=object)
    if "fraud_kind" in table.column_names:
        fraud = histories.is_fraud == 1
        rows = pa.array(histories.source_row[fraud])
        kind[fraud] = table["fraud_kind"].take(rows).cast(pa.string()).fill_null("").to_pylist()
    return kind.astype(np.str_)


def _table(data: Path | None) -> tuple[str, pa.Table, datetime]:
    if data is None:
        config = SimulatorConfig()
        end = datetime.combine(config.start, datetime.min.time(), UTC)
        return "simulated", simulate(config), end + timedelta(days=config.days)
    read = read_transactions(data, load_recipe("handbook"), ReadOptions(require_labels=True))
    return str(data), read.table, VALIDATION_END
