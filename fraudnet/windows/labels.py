"""What may be learnt from: rows of a period, with their labels as they were known at a moment."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudnet.errors import LeakError
from fraudnet.windows.histories import Histories
from fraudnet.windows.periods import Period, labelled_rows, microseconds

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class KnownRows:
    """Rows to fit something on; nothing is fitted on anything else.

    Attributes:
        histories: of all rows, since earlier ones are context; labels that were not known by
            `known_by` read as unlabelled, whoever asks.
        rows: [N] the labelled rows of the period.
        period: that the rows lie in; its end is the cut-off.
        known_by: when the labels were looked at.

    Raises:
        LeakError: a row lies outside the period, or a label had not arrived by `known_by`.
    """

    histories: Histories
    rows: Mask
    period: Period
    known_by: datetime

    def __post_init__(self) -> None:
        histories = self.histories
        outside = self.rows & ~self.period.contains(histories.timestamp_us)
        _refuse(outside, histories, f"lie outside the period {self.period}")
        late = (histories.is_fraud >= 0) & (histories.known_us > microseconds(self.known_by))
        _refuse(late, histories, f"have a label that arrived after {self.known_by:%Y-%m-%d %H:%M}")
        unlabelled = self.rows & (histories.is_fraud < 0)
        _refuse(unlabelled, histories, "have no label")

    @property
    def is_fraud(self) -> npt.NDArray[np.int8]:
        """Labels of the rows, 1 or 0 each."""
        return self.histories.is_fraud[self.rows]


def known_rows(histories: Histories, period: Period, known_by: datetime) -> KnownRows:
    """The rows of a period whose labels had arrived by a moment; all other labels are hidden.

    Args:
        histories: N rows.
        period: of the rows.
        known_by: when the labels are looked at.
    """
    arrived = histories.known_us <= microseconds(known_by)
    seen = replace(histories, is_fraud=np.where(arrived, histories.is_fraud, -1).astype(np.int8))
    return KnownRows(seen, labelled_rows(seen, period), period, known_by)


def refuse_later_rows(table: pa.Table, before: datetime, what: str) -> None:
    """Refuse a table that is to be fitted on where it holds a row past the cut-off.

    Args:
        table: with a `timestamp` or `timestamp_us`.
        before: the cut-off.
        what: is fitted, for the error.

    Raises:
        LeakError: a row happened at the cut-off or later.
    """
    name = "timestamp_us" if "timestamp_us" in table.column_names else "timestamp"
    moment = table[name]
    if pa.types.is_timestamp(moment.type):
        moment = moment.cast(pa.timestamp("us", moment.type.tz))
    late = moment.cast(pa.int64()).to_numpy() >= microseconds(before)
    if late.any():
        raise LeakError(
            f"{what}: {int(late.sum()):,} of {len(late):,} rows lie at or after the cut-off "
            f"{before:%Y-%m-%d %H:%M}"
        )


def _refuse(bad: Mask, histories: Histories, what: str) -> None:
    if bad.any():
        first = int(histories.source_row[np.flatnonzero(bad)[0]])
        raise LeakError(
            f"{int(bad.sum()):,} rows to fit on {what}; one of them is row {first} of the source"
        )
