"""How wrong the tiers are on rows that they were not fitted to."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fraudnet.energy.measurements import Measurement
from fraudnet.energy.tiers import Predicted, Tier, TierFit, fit_tier, usable


@dataclass(frozen=True)
class HeldOut:
    """A row beside what was predicted of it from others."""

    row: Measurement
    predicted: Predicted

    @property
    def ratio(self) -> float:
        """The larger over the smaller of predicted and measured energy."""
        return math.exp(abs(math.log(self.predicted.energy_uj / self.row.energy_uj)))

    @property
    def covered(self) -> bool:
        """Whether the interval holds what was measured."""
        return self.predicted.low_uj <= self.row.energy_uj <= self.predicted.high_uj


@dataclass(frozen=True)
class Errors:
    """Ratios of predicted and measured energies, and the share of intervals that hold."""

    rows: int
    median_ratio: float
    p90_ratio: float
    worst_ratio: float
    coverage: float


def errors_of(held_out: Sequence[HeldOut]) -> Errors | None:
    """Summary; None where nothing was predicted."""
    if not held_out:
        return None
    ratios = [one.ratio for one in held_out]
    return Errors(
        rows=len(ratios),
        median_ratio=float(np.median(ratios)),
        p90_ratio=float(np.quantile(ratios, 0.9)),
        worst_ratio=max(ratios),
        coverage=sum(one.covered for one in held_out) / len(ratios),
    )


def leave_one_model_out(measurements: Sequence[Measurement], tier: Tier) -> list[HeldOut]:
    """Each model predicted as if no system had ever run it.

    Fitted on the other models, predicted from the rows of the other models; of the row's own
    system there is at least one.

    Raises:
        InputError: the tier cannot be fitted without one of the models.
    """

    def other(one: Measurement, row: Measurement) -> bool:
        return one.model != row.model

    return _folds(measurements, tier, lambda row: row.model, other)


def leave_one_system_out(measurements: Sequence[Measurement], tier: Tier) -> list[HeldOut]:
    """Each system predicted by a fit that never saw it.

    A row is predicted from the other systems and from its own system's other models, at least one.

    Raises:
        InputError: the tier cannot be fitted without one of the systems.
    """
    return _folds(measurements, tier, lambda row: row.system, lambda one, row: one is not row)


def leave_all_of_a_system_out(measurements: Sequence[Measurement], tier: Tier) -> list[HeldOut]:
    """As `leave_one_system_out`, but nothing at all is known of the row's system.

    Raises:
        InputError: the tier cannot be fitted without one of the systems.
    """

    def other(one: Measurement, row: Measurement) -> bool:
        return one.system != row.system

    return _folds(measurements, tier, lambda row: row.system, other, own_system=False)


def predict_test(
    training: Sequence[Measurement], test: Sequence[Measurement], tier: Tier
) -> list[HeldOut]:
    """Rows of a test table by a fit on the training table.

    A row is predicted from the training rows and from its own system's other rows in the test
    table; rows of a system with no other row in either are left out.

    Raises:
        InputError: the tier cannot be fitted to the training table.
    """
    fitted = fit_tier(training, tier)
    own = usable(test, tier)
    held_out = []
    for row in askable(test, tier):
        beside = [one for one in own if one.system == row.system and one is not row]
        held_out += _predict(fitted, (*fitted.known, *beside), row)
    return held_out


def askable(measurements: Sequence[Measurement], tier: Tier) -> list[Measurement]:
    """Rows that a tier can predict: as `usable`, and those measured in too few windows too."""
    whole = usable(measurements, tier)
    return [
        row
        for row in measurements
        if any(row is one for one in whole)
        or (
            not row.complete
            and (row.latency_us is not None if tier == "measured" else row.accelerator is None)
        )
    ]


def _folds(
    measurements: Sequence[Measurement],
    tier: Tier,
    fold_of: Callable[[Measurement], str],
    is_known: Callable[[Measurement, Measurement], bool],
    *,
    own_system: bool = True,
) -> list[HeldOut]:
    asked = askable(measurements, tier)
    held_out = []
    for fold in dict.fromkeys(map(fold_of, asked)):
        fitted = fit_tier([row for row in measurements if fold_of(row) != fold], tier)
        for row in asked:
            if fold_of(row) == fold:
                known = [one for one in usable(measurements, tier) if is_known(one, row)]
                held_out += _predict(fitted, known, row, own_system=own_system)
    return held_out


def _predict(
    fitted: TierFit,
    known: Iterable[Measurement],
    row: Measurement,
    *,
    own_system: bool = True,
) -> list[HeldOut]:
    """One prediction, or none where no other model of the row's system is known and it must be."""
    # A result that is published twice would predict itself.
    known = [one for one in known if not one.is_copy_of(row)]
    if own_system and not any(one.system == row.system for one in known):
        return []
    return [HeldOut(row, fitted.predict(known, row))]


def as_dictionary(errors: Errors | None) -> dict[str, Any] | None:
    """Plain values; None: nothing was predicted."""
    return None if errors is None else vars(errors).copy()
