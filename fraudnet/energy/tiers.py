"""The two tiers, fitted to measurements: active power, and energy over counted work.

Both predict a row from others with a 90 per cent interval. Its width is the predicted standard
deviation times the 90 per cent quantile of the errors, in standard deviations, that each row has
when the rest predict it (split conformal prediction, Lei et al., JASA 2018, section 2.2, with the
folds of leave-one-out).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fraudnet.energy.measurements import Measurement
from fraudnet.energy.pooled import Effect, Pooled, Rows, fit
from fraudnet.energy.work import work_of_model
from fraudnet.errors import InputError

Tier = Literal["measured", "counted"]
COVERAGE = 0.9

# Active power: the board's, at its supply and clock, with its software; a model draws a little
# more or less, and does so again on the same board. A model that uses a parameter once waits for
# memory; one that uses it many times keeps the arithmetic busy (Choi et al., A roofline model of
# energy, IPDPS 2013): some boards draw more then. To begin with a factor of 1.3 over MLPerf Tiny's.
_POWER_EFFECTS = (
    Effect(("board",), 0.8),
    Effect(("board", "supply", "clock"), 0.2),
    Effect(("system",), 0.1),
    Effect(("model",), 0.05),
    Effect(("board", "model"), 0.05),
    Effect((), 0.05, slope=True),
    Effect(("board",), 0.05, slope=True),
)
_POWER_NOISE = 0.03
# Energy over work: one factor a board, supply and system; runtimes, boards and systems differ in
# how well they do on each kind of operation; a model has something of its own.
_ENERGY_EFFECTS = (
    Effect(("board",), 0.5),
    Effect(("board", "supply"), 0.3),
    Effect(("system",), 0.3),
    Effect(("runtime",), 0.2, by_kind=True),
    Effect(("board",), 0.2, by_kind=True),
    Effect(("system",), 0.2, by_kind=True),
    Effect(("model",), 0.1),
)
_ENERGY_NOISE = 0.1
# Of a depthwise and a fully connected multiply-accumulate, a byte of activations and one of
# parameters, in multiply-accumulates of a convolution, before any measurement: a depthwise one
# counts 2 to 2.5 on published boards, the others are weak guesses.
_PRIOR_WEIGHTS = (2.25, 1.0, 0.5, 0.3)


@dataclass(frozen=True)
class Predicted:
    """An energy an inference in microjoules, and its 90 per cent interval."""

    energy_uj: float
    low_uj: float
    high_uj: float


@dataclass(frozen=True)
class TierFit:
    """A tier fitted to measurements."""

    tier: Tier
    pooled: Pooled
    known: tuple[Measurement, ...]
    quantile: float

    def predict(self, known: Sequence[Measurement], asked: Measurement) -> Predicted:
        """Energy of a row that was not measured; its own energy is not looked at.

        Args:
            known: measured rows to predict it from: those of the fit, or others.
            asked: the row; in the measured tier its latency says how long the power is drawn.
        """
        target, error = self.pooled.predict(rows_of(known, self.tier), rows_of([asked], self.tier))
        scale = 1.0 if self.tier == "counted" else _latency_us(asked) * 1e-3
        width = self.quantile * float(error[0])
        middle = float(target[0])
        return Predicted(
            energy_uj=scale * math.exp(middle),
            low_uj=scale * math.exp(middle - width),
            high_uj=scale * math.exp(middle + width),
        )


def usable(measurements: Sequence[Measurement], tier: Tier) -> list[Measurement]:
    """Rows that a tier can be fitted to: each result once, whole, measured as the tier needs.

    The counted tier takes no accelerators: what they cost does not follow from counts.
    """
    kept: list[Measurement] = []
    for row in measurements:
        suits = row.latency_us is not None if tier == "measured" else row.accelerator is None
        if row.complete and suits and not any(row.is_copy_of(other) for other in kept):
            kept.append(row)
    return kept


def fit_tier(measurements: Sequence[Measurement], tier: Tier) -> TierFit:
    """Fit a tier to the rows that it can use.

    Raises:
        InputError: there is none.
    """
    known = usable(measurements, tier)
    if not known:
        needs = "a latency" if tier == "measured" else "a processor without accelerator"
        raise InputError(f"no row serves the {tier} tier, which needs {needs}")
    rows = rows_of(known, tier)
    if tier == "measured":
        pooled = fit(rows, _POWER_EFFECTS, _POWER_NOISE, ())
    else:
        pooled = fit(rows, _ENERGY_EFFECTS, _ENERGY_NOISE, _PRIOR_WEIGHTS)
    errors = np.sort(np.abs(pooled.residuals(rows)))
    place = min(math.ceil((len(errors) + 1) * COVERAGE), len(errors))
    return TierFit(tier, pooled, tuple(known), float(errors[place - 1]))


def rows_of(measurements: Sequence[Measurement], tier: Tier) -> Rows:
    """The rows as numbers: power in mW against nothing, or energy in uJ against work."""
    labels = {
        "board": [row.board for row in measurements],
        "supply": [row.supply_mv for row in measurements],
        "clock": [row.clock for row in measurements],
        "system": [row.system for row in measurements],
        "runtime": [row.runtime_family for row in measurements],
        "model": [row.model for row in measurements],
    }
    work = np.array([work_of_model(row.count) for row in measurements], float)
    target = [row.energy_uj for row in measurements]
    if tier == "measured":
        target = [row.energy_uj / _latency_us(row) * 1e3 for row in measurements]
    macs = work[:, :3] * (1.0, *_PRIOR_WEIGHTS[:2])
    return Rows(
        labels={name: np.array(values) for name, values in labels.items()},
        target=np.array(target),
        work=work if tier == "counted" else None,
        shares=macs / np.maximum(macs.sum(axis=1, keepdims=True), 1),
        intensity=np.log(np.maximum(work[:, :3].sum(axis=1), 1) / np.maximum(work[:, 4], 1)),
    )


def _latency_us(row: Measurement) -> float:
    if row.latency_us is None:
        raise InputError(f"{row.system}, {row.model}: no latency; the measured tier needs one")
    return row.latency_us
