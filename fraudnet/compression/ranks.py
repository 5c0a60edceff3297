"""Which rank each layer is given: from retained energy, or within a budget where it hurts least."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fraudnet.compression.spectra import Spectrum
from fraudnet.errors import InputError

Ranks = dict[str, int]
"""By layer; a layer that is not named stays whole."""

Damage = Mapping[str, Mapping[int, float]]
"""By layer and rank, what the rank costs in quality; a rank that is not there may not be chosen."""


STEPS = 20_000
"""Of a budget, at most: 42 layers, each rounded up, lose less than two thousandths of it."""


def macs_of(spectra: Mapping[str, Spectrum], ranks: Ranks) -> int:
    """Multiply-accumulates of the 1x1 layers in a window, with these ranks."""
    return sum(
        each.cost.macs(ranks[name]) if name in ranks else each.cost.whole_macs
        for name, each in spectra.items()
    )


def least_share(spectra: Mapping[str, Spectrum]) -> float:
    """The share of the 1x1 layers' multiply-accumulates that rank 1 takes, where it saves any."""
    lowest = {name: 1 for name, each in spectra.items() if each.cost.highest_rank}
    return macs_of(spectra, lowest) / macs_of(spectra, {})


def by_energy(spectra: Mapping[str, Spectrum], share: float) -> Ranks:
    """The lowest ranks that retain a share of every layer's energy.

    A layer whose factors would cost as much as the whole, or more, stays whole.

    Args:
        spectra: of all layers.
        share: 0..1.
    """
    found = {}
    for name, each in spectra.items():
        fitting = range(1, each.cost.highest_rank + 1)
        enough = (rank for rank in fitting if each.retained(rank) >= share)
        if rank := next(enough, None):
            found[name] = rank
    return found


def lost_energy(spectra: Mapping[str, Spectrum]) -> dict[str, dict[int, float]]:
    """The share of its energy that each layer loses at every rank that saves something."""
    return {
        name: {rank: 1 - each.retained(rank) for rank in range(1, each.cost.highest_rank + 1)}
        for name, each in spectra.items()
        if each.cost.highest_rank
    }


def within_budget(spectra: Mapping[str, Spectrum], damage: Damage, share: float) -> Ranks:
    """The ranks of the least total damage that keep the 1x1 layers within a share of their MACs.

    A choice of one option a layer: the multiple-choice knapsack problem, by dynamic programming
    over the budget (Kellerer et al. 2004, "Knapsack Problems", section 11.5). To the optimum where
    the budget is at most `STEPS` multiply-accumulates; a larger one is counted in so many steps,
    each layer rounded up.

    Args:
        spectra: of all layers.
        damage: of each layer at each rank; whole, a layer has none.
        share: of the multiply-accumulates in a window that all layers take when they are whole.

    Raises:
        InputError: the lowest ranks take more.
    """
    whole = macs_of(spectra, {})
    step = max(1, int(share * whole) // STEPS)
    budget = int(share * whole) // step
    least = np.zeros(budget + 1)  # damage of the layers so far, within each budget
    choices = []
    for name, each in spectra.items():
        options = [_Option(None, _steps(each.cost.whole_macs, step), 0.0)]
        options += [
            _Option(rank, _steps(each.cost.macs(rank), step), hurt)
            for rank, hurt in damage.get(name, {}).items()
        ]
        totals = np.full((len(options), budget + 1), np.inf)
        for total, option in zip(totals, options, strict=True):
            if option.steps <= budget:
                total[option.steps :] = least[: budget + 1 - option.steps] + option.damage
        choices.append((name, options, totals.argmin(axis=0)))
        least = totals.min(axis=0)
    if np.isinf(least[budget]):
        raise InputError(
            f"the 1x1 layers cannot take {share:g} of their multiply-accumulates; with rank 1 "
            f"everywhere they take {least_share(spectra):.3f}: give a greater share"
        )
    found = {}
    for name, options, best in reversed(choices):
        option = options[best[budget]]
        budget -= option.steps
        if option.rank is not None:
            found[name] = option.rank
    return {name: found[name] for name in spectra if name in found}


class _Option(NamedTuple):
    """A rank of a layer (None: whole), the steps of the budget it takes, and what it damages."""

    rank: int | None
    steps: int
    damage: float


def _steps(macs: int, step: int) -> int:
    return -(-macs // step)


def ranks_to_try(spectrum: Spectrum, shares: Sequence[float]) -> list[int]:
    """Ranks at about these shares of the highest one that saves something, ascending."""
    highest = spectrum.cost.highest_rank
    return sorted({max(1, round(share * highest)) for share in shares}) if highest else []


def interpolated(measured: Mapping[int, float], ranks: Sequence[int]) -> dict[int, float]:
    """Damage at ranks from that at others: never negative, and less the higher the rank.

    By measurement, a layer may seem to do better without some of its directions.

    Args:
        measured: by rank, at least one.
        ranks: within those.
    """
    known = sorted(measured)
    falling = np.maximum.accumulate([max(measured[rank], 0.0) for rank in reversed(known)])[::-1]
    return dict(zip(ranks, np.interp(ranks, known, falling).tolist(), strict=True))
