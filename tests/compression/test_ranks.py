"""Ranks against every choice there is."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.compression.ranks import (
    Ranks,
    by_energy,
    interpolated,
    least_share,
    lost_energy,
    macs_of,
    ranks_to_try,
    within_budget,
)
from fraudnet.compression.spectra import Spectrum, spectrum
from fraudnet.errors import InputError
from tests.compression.examples import layer

LAYERS = {"wide": (9, 12, 40), "square": (6, 6, 10), "narrow": (1, 8, 90), "tall": (12, 5, 3)}


@pytest.fixture
def spectra() -> dict[str, Spectrum]:
    """Four layers; one of them has nothing to save."""
    return {
        name: spectrum(layer(received, given, seed, decay=0.7), positions, None)
        for seed, (name, (received, given, positions)) in enumerate(LAYERS.items())
    }


def everything(spectra: Mapping[str, Spectrum]) -> Iterator[Ranks]:
    """Every choice of a rank that saves something, or none, for every layer."""
    options = [[None, *range(1, each.cost.highest_rank + 1)] for each in spectra.values()]
    for chosen in product(*options):
        yield {n: r for n, r in zip(spectra, chosen, strict=True) if r is not None}


def test_a_layer_whose_factors_cost_more_is_left_whole(spectra: dict[str, Spectrum]) -> None:
    assert spectra["narrow"].cost.highest_rank == 0
    assert "narrow" not in by_energy(spectra, 0.01)
    assert "narrow" not in lost_energy(spectra)
    assert "narrow" not in within_budget(spectra, lost_energy(spectra), 0.7)
    assert by_energy(spectra, 1.0) == {}  # full rank costs more than the whole


@pytest.mark.parametrize("share", [0.3, 0.8, 0.95, 0.99])
def test_energy_is_retained_by_the_lowest_rank(spectra: dict[str, Spectrum], share: float) -> None:
    ranks = by_energy(spectra, share)
    for name, each in spectra.items():
        values = np.sqrt(each.energy)
        enough = [
            r
            for r in range(1, len(values) + 1)
            if (values[:r] ** 2).sum() / (values**2).sum() >= share
        ]
        rank = enough[0]
        received, given, _ = LAYERS[name]
        assert ranks.get(name) == (rank if rank * (received + given) < received * given else None)


@pytest.mark.parametrize("share", [0.45, 0.5, 0.6, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_budget_is_spent_as_the_best_of_all_choices_spends_it(
    spectra: dict[str, Spectrum], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    damage = {
        name: {rank: hurt * rng.uniform(0.5, 2) for rank, hurt in by_rank.items()}
        for name, by_rank in lost_energy(spectra).items()
    }

    def total(ranks: Ranks) -> float:
        return sum(damage[name][rank] for name, rank in ranks.items())

    most = share * macs_of(spectra, {})
    best = min(total(r) for r in everything(spectra) if macs_of(spectra, r) <= most)
    found = within_budget(spectra, damage, share)
    assert macs_of(spectra, found) <= most
    assert total(found) == pytest.approx(best, rel=1e-4)


def test_macs_are_those_of_factors_and_whole_layers(spectra: dict[str, Spectrum]) -> None:
    whole = 40 * 9 * 12 + 10 * 36 + 90 * 8 + 3 * 60
    assert macs_of(spectra, {}) == whole
    found = macs_of(spectra, {"wide": 2, "tall": 1})
    assert found == whole - 40 * (108 - 2 * 21) - 3 * (60 - 17)


def test_a_budget_out_of_reach_is_refused(spectra: dict[str, Spectrum]) -> None:
    least = 40 * 21 + 10 * 12 + 90 * 8 + 3 * 17
    share = least / macs_of(spectra, {})
    assert least_share(spectra) == share
    assert macs_of(spectra, within_budget(spectra, lost_energy(spectra), share + 1e-6)) == least
    with pytest.raises(InputError, match=rf"take 0.1 of .* they take {share:.3f}: give a greater"):
        within_budget(spectra, lost_energy(spectra), 0.1)


def test_a_large_budget_is_kept_and_spent(spectra: dict[str, Spectrum]) -> None:
    """Counted in steps, it is not exceeded, and no single rank more would fit by much."""
    large = {
        name: replace(each, cost=replace(each.cost, positions=each.cost.positions * 1009))
        for name, each in spectra.items()
    }
    for share in (0.5, 0.7, 0.9):
        found = within_budget(large, lost_energy(large), share)
        most = share * macs_of(large, {})
        assert macs_of(large, found) <= most
        exact = within_budget(spectra, lost_energy(spectra), share + 1e-9)
        lost = [
            sum(1 - large[name].retained(rank) for name, rank in ranks.items())
            for ranks in (found, exact)
        ]
        assert lost[0] == pytest.approx(lost[1], rel=0.05, abs=1e-3)


def test_only_ranks_that_were_measured_are_chosen(spectra: dict[str, Spectrum]) -> None:
    damage = {"wide": {3: 1.0, 4: 0.5}, "tall": {2: 0.1}}
    assert within_budget(spectra, damage, 0.9) in ({"wide": 4}, {"wide": 4, "tall": 2})
    with pytest.raises(InputError, match=r"cannot take 0\.5"):
        within_budget(spectra, damage, 0.5)


def test_ranks_to_try_save_something_and_come_once(spectra: dict[str, Spectrum]) -> None:
    assert ranks_to_try(spectra["wide"], (0.125, 0.25, 0.5, 0.75, 1.0)) == [1, 2, 4, 5]
    assert ranks_to_try(spectra["square"], (0.125, 0.25, 0.5, 1.0)) == [1, 2]
    assert ranks_to_try(spectra["narrow"], (0.125, 1.0)) == []


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.integers(1, 40), st.floats(-1, 10, allow_nan=False), min_size=1, max_size=6)
)
def test_damage_between_measurements_falls_and_is_never_negative(
    measured: dict[int, float],
) -> None:
    every = range(min(measured), max(measured) + 1)
    found = interpolated(measured, every)
    assert list(found) == list(every)
    values = np.array(list(found.values()))
    assert (values >= 0).all()
    assert (np.diff(values) <= 1e-9).all()
    for rank, hurt in measured.items():
        assert found[rank] >= hurt - 1e-9  # never less than was measured


def test_damage_between_two_measurements_lies_on_a_line() -> None:
    assert interpolated({2: 6.0, 5: 0.0}, [2, 3, 4]) == pytest.approx({2: 6.0, 3: 4.0, 4: 2.0})
