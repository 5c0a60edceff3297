"""Spectra and factors against numpy's singular values, regression, and what layers answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.compression.spectra import Cost, Factors, Spectrum, spectrum
from tests.compression.examples import Doubles, activations, layer, moments

SHAPES = [(6, 6), (5, 9), (9, 5), (1, 4), (4, 1)]


def kernel_of(made: object) -> Doubles:
    kernel: Doubles = np.asarray(made.get_weights()[0], np.float64)  # type: ignore[attr-defined]
    return kernel


def error(found: Spectrum, factors: Factors, x: Doubles) -> float:
    """Mean squared distance of the answers of the factors from those of the layer."""
    whole = x @ found.kernel + found.bias
    return float(((x @ factors.down @ factors.up + factors.bias - whole) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("shape", SHAPES)
def test_plain_energy_is_that_of_the_kernels_singular_values(shape: tuple[int, int]) -> None:
    made = layer(*shape)
    values = np.linalg.svd(kernel_of(made), compute_uv=False)
    found = spectrum(made, 7, None)
    np.testing.assert_allclose(found.energy, values**2, rtol=1e-10)
    for rank in range(1, min(shape) + 1):
        factors = found.factors(rank)
        assert (factors.down.shape, factors.up.shape) == ((shape[0], rank), (rank, shape[1]))
        # Eckart and Young 1936: no kernel of this rank is nearer, and so near is this one.
        lost = np.linalg.norm(kernel_of(made) - factors.down @ factors.up)
        assert lost == pytest.approx(np.sqrt((values[rank:] ** 2).sum()), abs=1e-7)
        np.testing.assert_array_equal(factors.bias, found.bias)
        assert found.retained(rank) == pytest.approx((values[:rank] ** 2).sum() / (values**2).sum())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("whiten", [False, True])
def test_full_rank_is_the_kernel(shape: tuple[int, int], whiten: bool) -> None:
    made = layer(*shape)
    x = np.random.default_rng(1).normal(2, 1, (50, shape[0]))
    found = spectrum(made, 7, moments(x) if whiten else None)
    factors = found.factors(min(shape))
    np.testing.assert_allclose(factors.down @ factors.up, kernel_of(made), atol=1e-6)
    assert error(found, factors, x) < 1e-10


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_whitened_factors_are_the_reduced_rank_regression(shape: tuple[int, int]) -> None:
    """Izenman 1975: regress the answers, and keep the principal directions of what is fitted."""
    made, x = layer(*shape), activations(400, shape[0], seed=3)
    found = spectrum(made, 7, moments(x))
    answers = x @ found.kernel + found.bias
    centred = answers - answers.mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    for rank in range(1, min(shape) + 1):
        best = centred @ directions[:rank].T @ directions[:rank] + answers.mean(axis=0)
        factors = found.factors(rank)
        scale = np.abs(answers).max()
        answer = x @ factors.down @ factors.up + factors.bias
        np.testing.assert_allclose(answer, best, atol=1e-6 * scale)
        tail = (values[rank:] ** 2).sum() / len(x)
        assert error(found, factors, x) == pytest.approx(tail, rel=1e-6, abs=1e-9 * scale**2)
        np.testing.assert_allclose(found.energy[rank:].sum(), tail, rtol=1e-6, atol=1e-9 * scale**2)


@settings(max_examples=60, deadline=None)
@given(
    received=st.integers(1, 12),
    answered=st.integers(1, 12),
    rank=st.integers(1, 12),
    seed=st.integers(0, 10_000),
    decay=st.sampled_from([1.0, 0.7, 0.2]),
)
def test_whitened_never_answers_worse_than_plain(
    received: int, answered: int, rank: int, seed: int, decay: float
) -> None:
    made, x = layer(received, answered, seed, decay), activations(60, received, seed)
    plain, whitened = spectrum(made, 1, None), spectrum(made, 1, moments(x))
    allowed = error(plain, plain.factors(rank), x)
    scale = ((x @ plain.kernel) ** 2).sum(axis=1).mean()
    assert error(whitened, whitened.factors(rank), x) <= allowed * (1 + 1e-7) + 1e-9 * scale


def test_both_factors_are_of_one_size() -> None:
    factors = spectrum(layer(8, 6), 1, None).factors(4)
    lengths = np.linalg.norm(factors.down, axis=0), np.linalg.norm(factors.up, axis=1)
    np.testing.assert_allclose(*lengths, rtol=1e-10)


def test_a_layer_that_answers_nothing_has_factors() -> None:
    made = layer(4, 3)
    made.set_weights([np.zeros((4, 3)), np.ones(3)])
    found = spectrum(made, 1, None)
    assert found.retained(1) == 1
    assert error(found, found.factors(1), activations(10, 4)) == 0


@pytest.mark.parametrize(("received", "answered"), [(2, 2), (3, 5), (96, 192), (40, 1), (7, 7)])
def test_the_highest_rank_is_the_last_that_saves(received: int, answered: int) -> None:
    cost = Cost(11, received, answered)
    assert cost.whole_macs == 11 * received * answered
    saving = [r for r in range(1, 200) if cost.macs(r) < cost.whole_macs]
    assert saving == list(range(1, cost.highest_rank + 1))
