"""Periods of time: which rows may be fitted on, validated on, tested on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fraudnet.configuration import Section
from fraudnet.errors import InputError
from fraudnet.windows.histories import Histories


class SplitConfig(Section):
    """How the span of a data set is divided, newest last."""

    label_delay_days: float = Field(
        default=7.0,
        ge=0,
        le=3650,
        description="days until a label is known; nothing is learnt from them",
    )
    training_days: float | None = Field(
        default=None, ge=1, le=3650, description="days to learn from at most, the last; none: all"
    )
    validation_days: float = Field(
        default=7.0, gt=0, le=3650, description="days for calibration and threshold"
    )
    test_days: float = Field(
        default=7.0, gt=0, le=3650, description="days for the final figures, the last"
    )
    without_compromised: bool = Field(
        default=False,
        description="leave out of a test day the accounts with a fraud that was known before it",
    )


@dataclass(frozen=True)
class Period:
    """A half-open span of time [begin, end), UTC."""

    begin: datetime
    end: datetime

    def contains(self, timestamp_us: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """[N] which of the moments (microseconds since 1970) lie in the period."""
        return (timestamp_us >= microseconds(self.begin)) & (timestamp_us < microseconds(self.end))

    @property
    def days(self) -> float:
        """Length in days."""
        return (self.end - self.begin) / timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.begin:%Y-%m-%d %H:%M} .. {self.end:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Split:
    """Training, validation and test periods, a label delay between each and the next."""

    training: Period
    validation: Period
    test: Period


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _midnight_before(timestamp_us: int) -> datetime:
    moment = datetime.fromtimestamp(timestamp_us // 1_000_000, UTC)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def split_by_time(timestamp_us: npt.NDArray[np.int64], config: SplitConfig) -> Split:
    """Divide a span: training, delay, validation, delay, test; whole days counted from its end.

    A model trained up to a day and used from the next sees no label of the last `label_delay_days`
    before it, so as many days before the validation and test periods are used for nothing.

    Raises:
        InputError: the span is too short to leave a day for training.
    """
    first = begin = _midnight_before(int(timestamp_us.min()))
    end = _midnight_before(int(timestamp_us.max())) + timedelta(days=1)
    delay = timedelta(days=config.label_delay_days)
    test = Period(end - timedelta(days=config.test_days), end)
    validation_end = test.begin - delay
    validation = Period(validation_end - timedelta(days=config.validation_days), validation_end)
    training_end = validation.begin - delay
    if config.training_days is not None:
        begin = max(begin, training_end - timedelta(days=config.training_days))
    training = Period(begin, training_end)
    if training.days < 1:
        needed = 1 + 2 * config.label_delay_days + config.validation_days + config.test_days
        delay_days = "split.label_delay_days, " if config.label_delay_days else ""
        raise InputError(
            f"the data span {(end - first).days} days, the split needs {needed:g}: shorten "
            f"{delay_days}split.validation_days or split.test_days, or bring more data"
        )
    return Split(training, validation, test)


def labelled_rows(histories: Histories, period: Period) -> npt.NDArray[np.bool_]:
    """[N] the rows of a period that carry a label, whenever it arrived: for figures, not fits."""
    rows: npt.NDArray[np.bool_] = period.contains(histories.timestamp_us)
    return rows & (histories.is_fraud >= 0)
