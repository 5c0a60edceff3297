"""What each layer of a network costs, by the formulas of the papers: parameters, MACs, sight back.

Multiply-accumulates (MACs) are those of convolutions and matrix products, as the papers count them;
the arithmetic of features, gates, means and activations is element-wise and has none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from fraudnet.network.features import TransactionFeatures
from fraudnet.network.layers import (
    Calibration,
    CausalDepthwise,
    CausalSqueezeExcitation,
    Conv1x1,
    LowRankConv1x1,
    MahalanobisDistance,
    Pointwise,
)
from fraudnet.network.network import Network


@dataclass(frozen=True)
class LayerCost:
    """One layer, in a window as long as the network's receptive field.

    The network is unpadded: each layer hands on as many positions as the later ones look back over,
    so the first layers work on most of the window and the last on one position.

    Attributes:
        name: as Keras has it.
        positions: of its output.
        channels: of its output.
        parameters: trained and fitted ones.
        receptive_field: positions of the input that one of its output depends on.
        macs_per_position: multiply-accumulates for one position of its output, and so for one more
            transaction of a sequence.
        standard_macs_per_position: the same if a standard convolution stood in its place; equal
            where nothing is replaced, 0 where the convolution before does this layer's work too.
        is_trained: whether the logit depends on it; what is fitted afterwards does not train.
    """

    name: str
    positions: int
    channels: int
    parameters: int
    receptive_field: int
    macs_per_position: int
    standard_macs_per_position: int
    is_trained: bool

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a window, that is, of one score on a device."""
        return self.positions * self.macs_per_position

    @property
    def standard_macs(self) -> int:
        """Those of a window with standard convolutions."""
        return self.positions * self.standard_macs_per_position


@dataclass(frozen=True)
class Description:
    """All layers, in the order of computation."""

    layers: tuple[LayerCost, ...]

    @property
    def receptive_field(self) -> int:
        """Positions that one score depends on."""
        return max(layer.receptive_field for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Of what makes the logit: features to last layer."""
        return sum(layer.parameters for layer in self.layers if layer.is_trained)

    @property
    def fitted_parameters(self) -> int:
        """Of what is fitted on top of it: calibration and distance."""
        return sum(layer.parameters for layer in self.layers if not layer.is_trained)

    @property
    def macs(self) -> int:
        """Of one score on a device, from the whole window."""
        return sum(layer.macs for layer in self.layers)

    @property
    def macs_per_position(self) -> int:
        """Of one more transaction in a sequence."""
        return sum(layer.macs_per_position for layer in self.layers)

    @property
    def standard_macs(self) -> int:
        """Of one score, every filter and its projection being one standard convolution."""
        return sum(layer.standard_macs for layer in self.layers)

    @property
    def standard_macs_per_position(self) -> int:
        """Of one more transaction, likewise."""
        return sum(layer.standard_macs_per_position for layer in self.layers)

    @property
    def filters(self) -> dict[str, tuple[LayerCost, LayerCost]]:
        """Each depthwise filter with the projection after it, by the filter's name."""
        projections = (x for x in self.layers if x.macs and not x.standard_macs)
        depthwise = (x for x in self.layers if x.standard_macs > x.macs)
        return {
            x.name: (x, projection) for x, projection in zip(depthwise, projections, strict=True)
        }


def describe(network: Network) -> Description:
    """What the layers of a network cost.

    A depthwise filter from M channels and the projection to N after it replace one standard
    convolution from M to N: k M + M N multiply-accumulates a position instead of k M N, a share of
    1/N + 1/k (Howard et al. 2017, "MobileNets", section 3.1, in one dimension: k for D_K^2).

    Raises:
        ValueError: a layer has weights and no formula here.
    """
    layers = [layer for layer in network.scores.layers if layer.weights]
    trained = {layer.name for layer in network.logit.layers}
    rows: list[LayerCost] = []
    receptive_field = 1
    replaced: keras.layers.Layer | None = None
    for number, layer in enumerate(layers):
        receptive_field += _span(layer) - 1
        output = layer.output[0] if isinstance(layer.output, list | tuple) else layer.output
        macs = standard = _macs(layer)
        if layer is replaced:
            standard = 0
        elif isinstance(layer, CausalDepthwise):
            replaced = _projection(layers[number + 1 :])
            standard = layer.kernel_size * layer.kernel.shape[-1] * replaced.units
        rows.append(
            LayerCost(
                name=layer.name,
                positions=network.receptive_field - receptive_field + 1,
                channels=output.shape[-1],
                parameters=layer.count_params(),
                receptive_field=receptive_field,
                macs_per_position=macs,
                standard_macs_per_position=standard,
                is_trained=layer.name in trained,
            )
        )
    return Description(tuple(rows))


def _span(layer: keras.layers.Layer) -> int:
    """Positions that one of the layer's output depends on."""
    if isinstance(layer, CausalSqueezeExcitation):
        return layer.window
    return layer.span if isinstance(layer, TransactionFeatures | CausalDepthwise) else 1


def _macs(layer: keras.layers.Layer) -> int:
    """Multiply-accumulates for one position of the layer's output, biases not among them."""
    match layer:
        case Conv1x1() | LowRankConv1x1():
            return _product(layer)
        case CausalDepthwise():
            return int(layer.kernel_size * layer.kernel.shape[-1])
        case CausalSqueezeExcitation():
            return _product(layer.reduce) + _product(layer.excite)
        case MahalanobisDistance():
            return int(math.prod(layer.directions.shape)) if layer.rank != 0 else 0
        case TransactionFeatures() | Calibration():
            return 0
    raise ValueError(f"no formula for the multiply-accumulates of {layer.name}")


def _product(layer: Pointwise) -> int:
    """Of the kernel, or of both: r (M + N) instead of M N for a rank of r."""
    factors = (layer.down, layer.up) if isinstance(layer, LowRankConv1x1) else (layer,)
    return sum(int(np.prod(factor.kernel.shape)) for factor in factors)


def _projection(after: Sequence[keras.layers.Layer]) -> Pointwise:
    return next(layer for layer in after if isinstance(layer, Pointwise))
