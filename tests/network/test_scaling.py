"""Compound scaling: the formula, what rounding does to it, and a family that grows in all ways."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.network.describe import describe
from fraudnet.network.network import NetworkConfig, build_network
from fraudnet.network.scaling import (
    COEFFICIENTS,
    SCALED,
    SIZES,
    Coefficients,
    divisible,
    receptive_field,
    scaled,
    with_size,
)
from tests.network.examples import SMALL, SPECIFICATION

BASE = NetworkConfig()
COEFFICIENT = st.floats(1.0, 1.5)


def make_divisible(v: float, divisor: int = 8) -> int:
    """As in tensorflow/models, research/slim/nets/mobilenet/conv_blocks.py."""
    new_v = max(divisor, int(v + divisor / 2) // divisor * divisor)
    if new_v < 0.9 * v:
        new_v += divisor
    return int(new_v)


@given(st.floats(1, 5000))
def test_widths_are_divisible_and_not_much_below(channels: float) -> None:
    found = divisible(channels)
    assert found == make_divisible(channels)
    assert found % 8 == 0
    assert found >= 0.9 * channels
    assert found - channels <= 7.2 or found == 8


@pytest.mark.parametrize(("asked", "given"), [(18.5, 24), (17.7, 16), (32, 32), (1, 8), (44, 48)])
def test_widths_by_hand(asked: float, given: int) -> None:
    assert divisible(asked) == given


def test_no_step_is_the_base() -> None:
    assert scaled(BASE, 0, COEFFICIENTS) == BASE


@given(st.floats(-6, 6), COEFFICIENT, COEFFICIENT, COEFFICIENT)
def test_what_is_not_scaled_stays(phi: float, a: float, b: float, c: float) -> None:
    base = NetworkConfig(expansion=3, kernel_size=4, dropout=0.3, embedding=5, squeeze_reduction=2)
    found = scaled(base, phi, Coefficients(a, b, c))
    kept = set(NetworkConfig.model_fields) - set(SCALED)
    assert found.model_dump(include=kept) == base.model_dump(include=kept)
    assert NetworkConfig.model_validate(found.model_dump()) == found


@given(st.floats(-6, 6), COEFFICIENT, COEFFICIENT, COEFFICIENT)
def test_sizes_are_the_formula_s_but_for_rounding(phi: float, a: float, b: float, c: float) -> None:
    found = scaled(BASE, phi, Coefficients(a, b, c))
    assert abs(len(found.dilations) - 4 * a**phi) <= 0.5 or len(found.dilations) == 1
    assert found.width == divisible(BASE.width * b**phi)
    assert found.head == divisible(BASE.head * b**phi)
    assert found.dilations == (BASE.dilations * len(found.dilations))[: len(found.dilations)]
    for window, exact in (
        (found.normal_window, 64 * c**phi),
        (found.squeeze_window, 16 * (c / a) ** phi),
    ):
        assert math.log2(window).is_integer()
        assert window == 2 or exact / 2 < window < exact * 2 or math.isclose(window, exact)


@given(st.floats(-4, 4), st.floats(1.0, 1.3), st.floats(1.0, 1.3), st.floats(1.0, 1.3))
def test_no_neighbouring_windows_come_nearer_to_the_length(
    phi: float, a: float, b: float, c: float
) -> None:
    found = scaled(BASE, phi, Coefficients(a, b, c))
    wanted = 156 * c**phi

    def off(config: NetworkConfig) -> float:
        ratio = float(receptive_field(config) / wanted)
        return max(ratio, 1 / ratio)

    def powers(exact: float) -> set[int]:
        lower = 2 ** math.floor(round(math.log2(max(exact, 2)), 9))
        return {lower, lower * 2} if lower < exact and not math.isclose(lower, exact) else {lower}

    for normal in powers(64 * c**phi):
        for squeeze in powers(16 * (c / a) ** phi):
            other = {"normal_window": normal, "squeeze_window": squeeze}
            assert off(found) <= off(found.model_copy(update=other)) * (1 + 1e-9)


@pytest.mark.parametrize("config", [BASE, SMALL, NetworkConfig(normal_window=2, dilations=(7,))])
def test_receptive_field_is_that_of_the_built_network(config: NetworkConfig) -> None:
    assert receptive_field(config) == build_network(config, SPECIFICATION).receptive_field


def test_coefficients_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Coefficients(1.1, 0.9, 1.1)


def test_shipped_coefficients_double_the_work_at_each_step() -> None:
    assert COEFFICIENTS.growth == pytest.approx(2, rel=0.02)


def test_the_family_grows_in_every_way() -> None:
    assert list(SIZES) == ["nano", "micro", "small", "base", "large"]
    configs = [scaled(BASE, phi, COEFFICIENTS) for phi in SIZES.values()]
    found = [describe(build_network(config, SPECIFICATION)) for config in configs]
    for smaller, larger in pairwise(found):
        assert smaller.parameters < larger.parameters
        assert smaller.macs < larger.macs
        assert smaller.macs_per_position < larger.macs_per_position
        assert smaller.receptive_field < larger.receptive_field
    for less, more in pairwise(configs):
        assert len(less.dilations) < len(more.dilations)
        assert less.width < more.width
    assert found[0].parameters < 8_000
    assert configs[2] == BASE
    assert configs[-1].width >= 2 * BASE.width


def test_a_size_is_its_numbers() -> None:
    found = NetworkConfig(**with_size({"size": "nano", "dropout": 0.2}, "mine.toml"))
    nano = scaled(BASE, SIZES["nano"], COEFFICIENTS)
    assert found == nano.model_copy(update={"dropout": 0.2})
    assert with_size({"width": 48}, "mine.toml") == {"width": 48}


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"size": "nan"}, "got 'nan'; did you mean 'nano'"),
        ({"size": 3}, "one of nano, micro, small, base, large, got '3'"),
        ({"size": ["nano"]}, "got \"\\['nano'\\]\""),
        ({"size": "nano", "width": 48}, "network.size = 'nano' sets 'width', which is given too"),
        ({"size": "base", "dilations": [1]}, "sets 'dilations'"),
    ],
)
def test_a_size_that_cannot_be(network: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=f"^mine.toml: .*{said}"):
        with_size(network, "mine.toml")
