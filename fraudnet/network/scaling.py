"""Compound scaling: one number makes a network deeper, wider and longer-sighted together.

Tan and Le 2019, "EfficientNet", section 3.3, in one dimension. The depth is multiplied by a^phi,
the width by b^phi, the receptive field by c^phi. Multiply-accumulates grow with depth, with the
square of width and, there being one dimension and not two, with the length itself, so that
a b^2 c = 2 doubles them with each step of phi.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

from fraudnet.errors import InputError
from fraudnet.network.features import LAGS
from fraudnet.network.network import NetworkConfig
from fraudnet.transactions.recipe import nearest

CHANNELS = 8
"""Widths are multiples of it: two vectors of a phone's SIMD unit, four floats each."""

SCALED = ("width", "dilations", "squeeze_window", "normal_window", "head")
"""Keys that scaling sets; all others stay as they are given."""


@dataclass(frozen=True)
class Coefficients:
    """What a step of phi multiplies: depth by a, width by b, receptive field by c, each at least 1.

    Raises:
        ValueError: one of them is below 1.
    """

    depth: float
    width: float
    length: float

    def __post_init__(self) -> None:
        if min(self.depth, self.width, self.length) < 1:
            raise ValueError(f"coefficients must be at least 1, got {self}")

    @property
    def growth(self) -> float:
        """The product a b^2 c: what a step multiplies multiply-accumulates by, before rounding."""
        return self.depth * self.width**2 * self.length


COEFFICIENTS = Coefficients(depth=1.2, width=1.2, length=1.15)
SIZES = {"nano": -5.0, "micro": -2.0, "small": 0.0, "base": 2.0, "large": 5.0}
"""The family by phi; `small` is the network that is built where nothing is said."""


def scaled(base: NetworkConfig, phi: float, coefficients: Coefficients) -> NetworkConfig:
    """The network that is `phi` steps larger than `base`; smaller, if phi is negative.

    Depth is the number of blocks, rounded to the nearest and at least 1; the dilations of `base` go
    round and round. Widths (between blocks, and of the head) are `divisible`. Lengths come in
    powers of two: the account's normal grows by c^phi, the squeeze, of which there are a^phi as
    many in a row, by (c/a)^phi; each is rounded down or up to a power of two, whichever of these
    pairs brings the receptive field nearest to c^phi times that of `base`, by their ratio.

    Args:
        base: the network of phi = 0.
        phi: steps, of either sign.
        coefficients: of a step.
    """
    depth = max(1, math.floor(len(base.dilations) * coefficients.depth**phi + 0.5))
    wider, longer = coefficients.width**phi, coefficients.length**phi
    cycle = base.dilations
    resized = base.model_copy(
        update={
            "width": divisible(base.width * wider),
            "head": divisible(base.head * wider),
            "dilations": tuple(cycle[number % len(cycle)] for number in range(depth)),
        }
    )
    normal = _neighbours(base.normal_window * longer)
    squeeze = _neighbours(base.squeeze_window * longer / coefficients.depth**phi)
    # Of equals the first is taken: the one that knows more of the account.
    candidates = [
        resized.model_copy(update={"normal_window": n, "squeeze_window": s})
        for n, s in product(reversed(normal), squeeze)
    ]
    wanted = math.log(receptive_field(base) * longer)
    return min(candidates, key=lambda c: abs(math.log(receptive_field(c)) - wanted))


def divisible(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and never below 90 % of what is asked for.

    `_make_divisible` of the MobileNets' reference implementation
    (tensorflow/models, research/slim/nets/mobilenet/conv_blocks.py).
    """
    rounded = max(CHANNELS, int(channels + CHANNELS / 2) // CHANNELS * CHANNELS)
    return rounded if rounded >= 0.9 * channels else rounded + CHANNELS


def receptive_field(config: NetworkConfig) -> int:
    """Positions that one score depends on, its own included.

    R = 1 + W + sum over blocks of ((k - 1) d + S - 1): W is the account's normal and one, or the
    longest lag of the features if that is longer, S the squeeze's window.
    """
    features = max(config.normal_window + 1, *LAGS)
    blocks = sum(
        (config.kernel_size - 1) * dilation + config.squeeze_window - 1
        for dilation in config.dilations
    )
    return 1 + features + blocks


def with_size(network: dict[str, Any], place: str) -> dict[str, Any]:
    """The keys of a network whose `size` is resolved: the numbers that it stands for instead.

    Args:
        network: keys and values as read; without `size` they are returned as they are. What a size
            leaves alone may stand beside it.
        place: where they come from, for the error.

    Raises:
        InputError: there is no such size, or a key that it sets is given too.
    """
    if "size" not in network:
        return network
    others = {key: value for key, value in network.items() if key != "size"}
    size = str(network["size"])
    if size not in SIZES:
        raise InputError(
            f"{place}: key 'network.size': expected one of {', '.join(SIZES)}, got {size!r}"
            f"{nearest(size, SIZES)}"
        )
    if both := [key for key in SCALED if key in others]:
        raise InputError(
            f"{place}: network.size = {size!r} sets {both[0]!r}, which is given too; leave out one"
        )
    found = scaled(NetworkConfig(), SIZES[size], COEFFICIENTS)
    return others | {key: getattr(found, key) for key in SCALED}


def _neighbours(length: float) -> list[int]:
    """The powers of two, 2 or more, below and above a length; one alone if it is one itself."""
    exponent = max(1.0, round(math.log2(length), 9))
    return sorted({2 ** math.floor(exponent), 2 ** math.ceil(exponent)})
