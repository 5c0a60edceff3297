"""The vocabularies of categorical columns, from training rows alone."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.windows.labels import refuse_later_rows
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification


def with_vocabularies(
    specification: FeatureSpecification, training_rows: Iterable[pa.Table], before: datetime
) -> FeatureSpecification:
    """Fill in the vocabularies that are left empty, most frequent value first, ties by name.

    Args:
        specification: as declared.
        training_rows: tables of the rows of the training period, nothing else.
        before: the period's end.

    Raises:
        LeakError: a row lies at or after that end.
    """
    empty = [column for column in specification.categorical if not column.vocabulary]
    counts: dict[str, Counter[str]] = {column.column: Counter() for column in empty}
    for table in training_rows:
        refuse_later_rows(table, before, "vocabularies")
        for name, counter in counts.items():
            values = pc.drop_null(table[name].cast(pa.string()))
            for value in pc.value_counts(values).to_pylist():
                counter[value["values"]] += value["counts"]

    def filled(column: CategoricalColumn) -> CategoricalColumn:
        if column.vocabulary:
            return column
        ranked = sorted(counts[column.column].items(), key=lambda item: (-item[1], item[0]))
        known = tuple(value for value, _ in ranked[: column.max_size])
        return column.model_copy(update={"vocabulary": known})

    return specification.model_copy(
        update={"categorical": tuple(filled(c) for c in specification.categorical)}
    )
