"""What each rank keeps of a 1x1 layer: of its kernel, or of what it answers on known rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fraudnet.compression.moments import Doubles, Moments
from fraudnet.network.describe import describe
from fraudnet.network.layers import Conv1x1
from fraudnet.network.network import Network


@dataclass(frozen=True)
class Cost:
    """What a 1x1 layer costs in a window, that is, in one score on a device.

    Attributes:
        positions: that it works on.
        received: its input's channels.
        given: its output's channels.
    """

    positions: int
    received: int
    given: int

    @property
    def whole_macs(self) -> int:
        """Multiply-accumulates of the whole kernel."""
        return self.positions * self.received * self.given

    def macs(self, rank: int) -> int:
        """Multiply-accumulates of two factors of a rank."""
        return self.positions * rank * (self.received + self.given)

    @property
    def highest_rank(self) -> int:
        """The highest rank whose two factors cost less than the whole; 0 if there is none."""
        return (self.received * self.given - 1) // (self.received + self.given)


@dataclass(frozen=True)
class Factors:
    """A kernel as the product of two.

    Attributes:
        down: [C, r].
        up: [r, filters].
        bias: [filters] of the second.
    """

    down: Doubles
    up: Doubles
    bias: Doubles

    @property
    def rank(self) -> int:
        """Channels between the two."""
        return self.down.shape[1]


@dataclass(frozen=True)
class Spectrum:
    """A layer along the directions of its output in which it does most, the first doing most.

    Attributes:
        cost: of the layer.
        kernel: [C, filters].
        bias: [filters].
        mean: [C] of its input; zeros where nothing is known of it.
        energy: [K] squared singular values, K being the lesser of C and filters, descending: what
            the kernel, or the answer's variance, loses with each direction that is left out.
        directions: [K, filters] right singular vectors.
    """

    cost: Cost
    kernel: Doubles
    bias: Doubles
    mean: Doubles
    energy: Doubles
    directions: Doubles

    def retained(self, rank: int) -> float:
        """Share of the energy that a rank keeps, 0..1."""
        total = float(self.energy.sum())
        return float(self.energy[:rank].sum()) / total if total else 1.0

    def factors(self, rank: int) -> Factors:
        """The best two factors of a rank.

        The kernel W is projected on to the first r directions V, W V V' (Eckart and Young 1936).
        Each column of W V shares its length with the row of V' that it meets, so that both train
        alike (spectral initialisation: Khodak et al. 2021, "Initialization and Regularization of
        Factorized Neural Layers", section 3.1). What is left out answers the input's mean as a
        constant, which goes to the bias.
        """
        chosen = self.directions[:rank]
        down = self.kernel @ chosen.T
        length = np.sqrt(np.linalg.norm(down, axis=0))
        length[length == 0] = 1.0
        left_out = self.kernel - down @ chosen
        return Factors(down / length, length[:, None] * chosen, self.bias + self.mean @ left_out)


def spectra(network: Network, moments: Mapping[str, Moments] | None = None) -> dict[str, Spectrum]:
    """The spectrum of every 1x1 layer, by its name.

    Args:
        network: none of its layers is of two factors yet.
        moments: of the layers' inputs, for the spectra of their answers; None: of their kernels.
    """
    positions = {layer.name: layer.positions for layer in describe(network).layers}
    found = {}
    for name, layer in network.pointwise.items():
        known = None if moments is None else moments[name]
        owner = name.removesuffix("_reduce").removesuffix("_excite")
        found[name] = spectrum(layer, positions[owner], known)
    return found


def spectrum(layer: Conv1x1, positions: int, moments: Moments | None) -> Spectrum:
    """The spectrum of a layer.

    Plain: the singular values of the kernel W, so that a rank loses least of W itself. Whitened:
    those of C^(1/2) W, C being the covariance of the input x, so that a rank loses least of the
    answer, E |W'(x - m) - W_r'(x - m)|^2: the directions are the principal ones of the answers
    (Zhang et al. 2016, "Accelerating Very Deep Convolutional Networks", section 3.1; with the input
    whitened instead, Wang et al. 2024, "SVD-LLM", section 3.1, and Chen et al. 2021, "DRONE").

    There is no batch normalisation to fold into the kernel first: the network has none.

    Args:
        layer: that is whole.
        positions: of its output in a window.
        moments: of its input, for the whitened spectrum; None for the plain one.
    """
    kernel, bias = (weight.astype(np.float64) for weight in layer.get_weights())
    received, given = kernel.shape
    weighed = kernel if moments is None else _square_root(moments.covariance) @ kernel
    _, singular, directions = np.linalg.svd(weighed, full_matrices=False)
    return Spectrum(
        cost=Cost(positions, received, given),
        kernel=kernel,
        bias=bias,
        mean=np.zeros(received) if moments is None else moments.mean,
        energy=singular**2,
        directions=directions,
    )


def _square_root(covariance: Doubles) -> Doubles:
    """The symmetric one; a channel that never varies makes it singular, which does no harm."""
    values, vectors = np.linalg.eigh(covariance)
    root: Doubles = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root
