"""The days at the end of a training period that early stopping watches."""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from fraudnet.errors import InputError
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import Period


@dataclass(frozen=True)
class Watched:
    """The end of a training period that is watched, and the rows before that are learnt from.

    Attributes:
        learnt: rows whose labels had arrived when the watched days began.
        watched: rows of those days.
    """

    learnt: KnownRows
    watched: KnownRows


def divide(known: KnownRows, watched_days: float) -> Watched:
    """Set the last days of known rows apart, as they would have been seen when those days began.

    Raises:
        InputError: one of the two parts lacks frauds or genuine transactions.
    """
    period = known.period
    begin = period.end - timedelta(days=watched_days)
    learnt = Period(period.begin, begin - (known.known_by - period.end))
    before = known_rows(known.histories, learnt, begin)
    parts = Watched(
        replace(before, rows=before.rows & known.rows),
        replace(
            known,
            rows=known.rows & Period(begin, period.end).contains(known.histories.timestamp_us),
        ),
    )
    refuse_one_class(parts.learnt, f"the training period less training.stopping_days ({learnt})")
    refuse_one_class(parts.watched, f"training.stopping_days ({watched_days:g} days)")
    return parts


def refuse_one_class(known: KnownRows, what: str) -> None:
    """Refuse rows of one class.

    Raises:
        InputError: no row is a fraud, or none is genuine.
    """
    if len(np.unique(known.is_fraud)) < 2:
        raise InputError(
            f"{what} holds no fraud or no genuine transaction; a classifier needs "
            "both: lengthen the period, or check the labels"
        )
