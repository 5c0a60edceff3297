"""From raw inputs to features, inside the graph: the only implementation there is."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from fraudnet.network.amounts import AmountWithin, ends_of_pieces, place
from fraudnet.network.layers import newest, windowed_sum
from fraudnet.windows.specification import COUNTS, FeatureSpecification

DAY_SECONDS = 86_400.0
LAGS = (1, 4, 16)
"""The account's pace: the time since the 1st, 4th and 16th transaction before."""

SMALLEST_DEVIATION = 0.1
"""Added to a variance, so that an account of equal amounts does not make the next one infinite."""

MOST_DEVIATIONS = 8.0
"""What is further out counts as this far: a variance is a difference of squares, and large ones
would cancel differently in each runtime."""

AMOUNT, TIME, REPUTATION = "amount", "time", "reputation"
"""Fields of a transaction, beside its further columns."""

Own = tuple[tuple[str, ...], Any]
"""The fields that features of a transaction alone are of, and the features."""


class Readings(NamedTuple):
    """What each transaction of a window is, before it is held against the others.

    Attributes:
        amount: standardised logarithm, [B, L, 1].
        valid: [B, L, 1].
        gaps: standardised log(1 + seconds) since the transaction `LAGS` before, [B, L - lag, 1].
        clock: hour and weekday on their circles, [B, L - 1, 4], and the weekend, [B, L - 1, 1].
        numeric: standardised columns of numbers, [B, L - span + 1, N]; none where there are none.
        own: categories, reputation and amounts read in pieces, [B, L - span + 1, C] each.
    """

    amount: Any
    valid: Any
    gaps: list[Any]
    clock: list[Any]
    numeric: list[Any]
    own: list[Own]


@keras.saving.register_keras_serializable("fraudnet")
class TransactionFeatures(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Features of each transaction, the account's own normal among them.

    Amounts and gaps are logarithms, standardised by the training rows. The account's normal is the
    mean and deviation of amount, gap and hour over the valid positions among the `normal_window`
    before the newest: how far it departs from them is what tells most of a taken-over account.

    Args:
        specification: what is read of a transaction.
        normal_window: positions, a power of two.
        embedding: channels a categorical column, and of amounts read in pieces.
        amount_pieces: pieces of what each category's amounts say (`AmountWithin`), or all amounts
            where there are no categories; 0: not read.
        smooth_amounts: learn those as `AmountWithin` does if `smooth`.

    Input: a dictionary of the specification's inputs, [B, L] each.
    Output: features [B, L - span + 1, F], and valid [B, L - span + 1, 1].
    """

    def __init__(
        self,
        specification: FeatureSpecification,
        normal_window: int,
        embedding: int,
        amount_pieces: int = 0,
        smooth_amounts: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.specification = specification
        self.normal_window = normal_window
        self.amount_pieces = amount_pieces
        # One for the gap to the predecessor of the oldest of the window, one for the newest itself.
        self.span = max(normal_window + 2, max(LAGS) + 1)
        self.embeddings = {
            c.column: keras.layers.Embedding(
                len(c.vocabulary) + 1, embedding, name=f"{c.column}_embedding"
            )
            for c in specification.categorical
        }
        sizes = {c.column: len(c.vocabulary) + 1 for c in specification.categorical} or {AMOUNT: 1}
        self.amounts_within = {
            name: AmountWithin(
                size, amount_pieces, embedding, smooth_amounts, name=f"{name}_amount"
            )
            for name, size in sizes.items()
            if amount_pieces
        }

    def build(self, _input_shape: Any) -> None:
        """Create the constants of the standardisation: amount, gap, then the numeric columns."""
        size = 2 + len(self.specification.numeric)
        self.mean = self.add_weight(
            name="mean", shape=(size,), initializer="zeros", trainable=False
        )
        self.deviation = self.add_weight(
            name="deviation", shape=(size,), initializer="ones", trainable=False
        )
        for embedding in self.embeddings.values():
            embedding.build(())
        for within in self.amounts_within.values():
            within.build(())
        if self.amounts_within:
            self.amount_ends = self.add_weight(
                name="amount_ends", shape=(self.amount_pieces + 1,), trainable=False
            )
            self.standardise(np.zeros(size), np.ones(size))

    def call(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """See the class."""
        return self.combined(self.readings(inputs))

    def readings(self, inputs: dict[str, Any]) -> "Readings":
        """What each transaction is, before it is held against the others."""
        # Every lag needs a predecessor, so the oldest position serves as one only.
        dropped = self.span - 1
        read = self._read(inputs)
        amount, valid = signed_log(read[..., :1]), read[..., 1:2]
        amount = (amount - self.mean[0]) / self.deviation[0]
        amount = ops.clip(amount, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        gaps = [self.gap(read[..., 2:4], valid, lag) for lag in LAGS]
        clock = _clock(newest(read[..., 3:7], 1))
        numeric, own = self._further(inputs, newest(read[..., 7:], dropped), dropped)
        if self.amounts_within:
            where = place(newest(read[..., :1], dropped), self.amount_ends)
            for name, within in self.amounts_within.items():
                if name in self.embeddings:
                    own.append(((AMOUNT, name), within(*where, newest(inputs[name], dropped))))
                else:
                    own.append(((AMOUNT,), within(*where)))
        return Readings(amount, valid, gaps, clock, numeric, own)

    def combined(self, readings: "Readings") -> tuple[Any, Any]:
        """The features, and valid, of what each transaction is."""
        dropped = self.span - 1
        amount, valid, (gap, *pace) = readings.amount, readings.valid, readings.gaps
        habit = ops.concatenate([newest(amount, 1), gap, *readings.clock], axis=-1)
        normal, known = self._normal(habit, newest(valid, 1))
        now, normal = newest(habit, dropped - 1), newest(normal, dropped - self.normal_window - 1)
        known = newest(known, dropped - self.normal_window - 1)
        features = [now, *self._departure(now, normal, known), ops.log(1.0 + known)]
        features += [newest(p, dropped - lag) for p, lag in zip(pace, LAGS[1:], strict=True)]
        features += [*readings.numeric, *(each for _, each in readings.own)]
        valid = newest(valid, dropped)
        return ops.concatenate(features, axis=-1) * valid, valid

    def _read(self, inputs: dict[str, Any]) -> Any:
        """All but the categories, as channels.

        Amount, valid, day, second twice, weekday twice, numeric columns, reputation. Stacked once,
        since a runtime copies a stack number by number; and stacked rather than reshaped, since a
        reshape would fix the length of an exported graph. Float32 holds days and seconds exactly.
        """
        day = ops.cast(inputs["day"], "float32")
        second = ops.cast(inputs["second"], "float32")
        # 1970-01-01 was a Thursday; Monday is 0.
        weekday = ops.cast(ops.mod(inputs["day"] + 3, 7), "float32")
        calendar = [day, second, second, weekday, weekday]
        further = [inputs[name] for name in self.specification.numeric]
        further += [inputs[i.name] for i in self.specification.inputs if i.kind == "reputation"]
        return ops.stack([inputs["amount"], inputs["valid"], *calendar, *further], axis=-1)

    def gap(self, time: Any, valid: Any, lag: int) -> Any:
        """Standardised log(1 + seconds) since the `lag`th before, 0 where there is none.

        From [B, L, 2] days and seconds and [B, L, 1] to [B, L - lag, 1].
        """
        passed = time[:, lag:] - time[:, :-lag]
        seconds = passed[..., :1] * DAY_SECONDS + passed[..., 1:]
        # Padding comes first: whoever has a valid predecessor is valid.
        known = valid[:, :-lag]
        log_gap = ops.log(1.0 + ops.maximum(seconds * known, 0.0))
        return (log_gap - self.mean[1]) / self.deviation[1] * known

    def _normal(self, habit: Any, valid: Any) -> tuple[Any, Any]:
        """Of the window before each position.

        From [B, L, channels] and [B, L, 1] to means [B, L - normal_window, channels + 2] and counts
        [B, L - normal_window, 1]. Not as the sum with the newest less the newest: that rounds, and
        the variance of two amounts is a small difference of squares.
        """
        both = ops.concatenate([habit, ops.square(habit[..., :2]), valid], axis=-1) * valid
        sums = windowed_sum(both[:, :-1], self.normal_window)
        known = sums[..., -1:]
        return sums[..., :-1] / ops.maximum(known, 1.0), known

    def _departure(self, now: Any, normal: Any, known: Any) -> list[Any]:
        channels = now.shape[-1]
        mean = normal[..., :2]
        variance = ops.maximum(normal[..., channels:] - ops.square(mean), 0.0)
        deviation = ops.sqrt(variance + SMALLEST_DEVIATION)
        some = ops.minimum(known, 1.0)
        departure = (now[..., :2] - mean) / deviation
        departure = ops.clip(departure, -MOST_DEVIATIONS, MOST_DEVIATIONS) * some
        same_hour = ops.sum(now[..., 2:4] * normal[..., 2:4], axis=-1, keepdims=True)
        return [normal[..., :channels], ops.log(deviation), departure, same_hour]

    def _further(
        self, inputs: dict[str, Any], further: Any, dropped: int
    ) -> "tuple[list[Any], list[Own]]":
        standardised, numeric = [], len(self.specification.numeric)
        if numeric:
            logs = signed_log(further[..., :numeric])
            standardised.append((logs - self.mean[2:]) / self.deviation[2:])
        found: list[Own] = [
            ((name,), embedding(newest(inputs[name], dropped)))
            for name, embedding in self.embeddings.items()
        ]
        if self.specification.reputation is not None:
            risks = _reputation(self.specification, further[..., numeric:])
            found += [((REPUTATION,), each) for each in risks]
        return standardised, found

    def fit(self, columns: dict[str, npt.NDArray[Any]], log_gaps: npt.NDArray[np.float64]) -> None:
        """Set the standardisation from training rows.

        Args:
            columns: raw inputs of the training rows, [N] each.
            log_gaps: [M] log(1 + seconds) between successive transactions of an account.
        """
        logs = [signed_log_numpy(columns["amount"]), log_gaps]
        logs += [signed_log_numpy(columns[name]) for name in self.specification.numeric]
        self.standardise(
            np.array([v.mean() for v in logs]), np.array([max(v.std(), 1e-3) for v in logs])
        )

    def standardise(
        self, mean: npt.NDArray[np.float64], deviation: npt.NDArray[np.float64]
    ) -> None:
        """Set mean and deviation of amount, gap and numeric columns, [2 + N] logarithms each."""
        self.mean.assign(mean)
        self.deviation.assign(deviation)
        if self.amounts_within:
            self.amount_ends.assign(ends_of_pieces(self.amount_pieces, mean[0], deviation[0]))


def signed_log(x: Any) -> Any:
    """sign(x) log(1 + |x|): amounts span decades, and refunds are negative."""
    return ops.sign(x) * ops.log(1.0 + ops.abs(x))


def signed_log_numpy(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """`signed_log`, to fit its standardisation outside the graph."""
    wide = x.astype(np.float64)
    logs: npt.NDArray[np.float64] = np.sign(wide) * np.log1p(np.abs(wide))
    return logs


def _clock(clock: Any) -> list[Any]:
    """Hour of the day and day of the week as points on circles, and whether it is a weekend.

    Of second, second, weekday and weekday, [B, L, 4].
    """
    turns = ops.array([1.0 / DAY_SECONDS, 1.0 / DAY_SECONDS, 1.0 / 7.0, 1.0 / 7.0])
    # A quarter ahead of the sine is the cosine.
    circles = ops.sin((clock * turns + ops.array([0.0, 0.25, 0.0, 0.25])) * (2.0 * math.pi))
    return [circles, ops.clip(clock[..., 3:] - 4.0, 0.0, 1.0)]


def _reputation(specification: FeatureSpecification, raw: Any) -> list[Any]:
    """Risk of the counterparty: as counts, as a share and as smoothed log-odds; -1 is unknown.

    And when its known frauds began and ended: whether there are any, and how long ago that was.
    """
    entries = [i for i in specification.inputs if i.kind == "reputation"]
    known = ops.clip(raw[..., :1] + 1.0, 0.0, 1.0)
    statistics = ops.maximum(raw, 0.0)
    windows = sum(i.statistic in COUNTS for i in entries)
    total, fraud = statistics[..., 0:windows:2], statistics[..., 1:windows:2]
    genuine = ops.maximum(total - fraud, 0.0)
    odds = ops.log(fraud + 0.5) - ops.log(genuine + 5.0)
    share = fraud / ops.maximum(total, 1.0)
    found = [known, ops.log(1.0 + total) * 0.5, ops.log(1.0 + fraud), share, odds * known]
    if windows < len(entries):
        found += _episode(statistics[..., windows:], float(entries[-1].days or 0))
    return found


def _episode(statistics: Any, days: float) -> list[Any]:
    """Of four recencies in hours, and the length of the run of frauds that goes on."""
    # No source says more hours than there are; one that did would make a logarithm infinite.
    recency, run = ops.minimum(statistics[..., :-1], 24.0 * days), statistics[..., -1:]
    there = ops.minimum(recency, 1.0)
    age_days = days - recency / 24.0
    return [there, recency / (24.0 * days), ops.log(1.0 + age_days) * there, ops.log(1.0 + run)]
