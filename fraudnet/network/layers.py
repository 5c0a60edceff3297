"""The layers that a causal network over transactions is made of.

Every layer that looks back in time is "unpadded": from L positions it returns the last L - (s - 1),
s being its span, so that no position is ever computed from a past that was cut off. A network of
such layers turns R + n positions into n + 1 outputs, R being its receptive field, and the window on
a device (n = 0) and the chunk in training (n = 255, say) are the same function by construction.
Accounts younger than that are padded in front with positions that are not `valid`; whatever mixes
positions ignores those.
"""

from typing import Any

import keras
from keras import ops

LARGEST = 3e38
"""Nearly the largest float32: stands for infinity, which converters do not keep."""


def newest(x: Any, dropped: int) -> Any:
    """The positions of [B, L, ...] that remain when the `dropped` oldest are cut off."""
    return x[:, dropped:] if dropped else x


def windowed_sum(x: Any, window: int) -> Any:
    """Sum over each position and the window - 1 before it: [B, L, C] to [B, L - window + 1, C].

    By doubling (the sum over 2n positions is the sum of two sums over n; Hillis and Steele 1986,
    "Data Parallel Algorithms", partial sums), which takes log2(window) additions and, unlike the
    difference of two cumulative sums, rounds alike wherever the window stands in the sequence.
    """
    span = 1
    while span < window:
        x = x[:, span:] + x[:, :-span]
        span *= 2
    return x


@keras.saving.register_keras_serializable("fraudnet")
class Conv1x1(keras.layers.Dense):  # type: ignore[misc]  # Keras has no types
    """1x1 convolution: mixes the channels of each position, alike at all of them.

    y[t] = W' x[t] + b (Lin et al. 2014, "Network In Network", section 3.1; the pointwise
    convolution of Howard et al. 2017, "MobileNets", section 3.1). Stem, head, expansion, and, with
    no activation after it, the linear bottleneck (Sandler et al. 2018, "MobileNetV2", section 3.2).

    The sum over a kernel of one position is a matrix product, and is computed as one: on a CPU
    several times faster than the general convolution of the same mathematics.

    Input shape: [B, L, C]. Output shape: [B, L, filters].
    """


@keras.saving.register_keras_serializable("fraudnet")
class LowRankConv1x1(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """1x1 convolution as two, through fewer channels than either end has.

    y[t] = B' A' x[t] + b: a kernel A B of rank r, at r (C + filters) multiply-accumulates instead
    of C filters (Denil et al. 2013, "Predicting Parameters in Deep Learning", section 2; as two
    layers in a row, Zhang et al. 2016, "Accelerating Very Deep Convolutional Networks", section
    3.1).

    Args:
        units: filters.
        rank: channels between the two, r.
        activation: after the second.

    Input shape: [B, L, C]. Output shape: [B, L, filters].
    """

    def __init__(self, units: int, rank: int, activation: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.rank = units, rank
        self.down = Conv1x1(rank, use_bias=False, name="down")
        self.up = Conv1x1(units, activation=activation, name="up")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the two kernels, [C, r] and [r, filters], and the bias of the second."""
        self.down.build(input_shape)
        self.up.build((*input_shape[:-1], self.rank))

    def call(self, x: Any) -> Any:
        """See the class."""
        return self.up(self.down(x))


Pointwise = Conv1x1 | LowRankConv1x1


def pointwise(
    units: int, rank: int | None, activation: str | None = None, **kwargs: Any
) -> Pointwise:
    """A 1x1 layer: whole where no rank is given, else of two factors."""
    if rank is None:
        return Conv1x1(units, activation=activation, **kwargs)
    return LowRankConv1x1(units, rank, activation, **kwargs)


@keras.saving.register_keras_serializable("fraudnet")
class CausalDepthwise(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Depthwise filter over time: each channel's weighted sum of a few earlier positions.

    y[t, c] = b[c] + sum over i of w[i, c] x[t - (k - 1 - i) d, c] (Howard et al. 2017,
    "MobileNets", section 3.1, in one dimension, causal and dilated as in van den Oord et al. 2016,
    "WaveNet", section 2.1), as k shifted multiply-adds, which a compiler fuses into one pass.

    Args:
        kernel_size: taps, k.
        dilation: distance between taps in positions, d.

    Input shape: [B, L, C]. Output shape: [B, L - (k - 1) d, C].
    """

    def __init__(self, kernel_size: int, dilation: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_size, self.dilation = kernel_size, dilation
        self.span = (kernel_size - 1) * dilation + 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the [k, C] filter and the [C] bias."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, input_shape[-1]),
            initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "truncated_normal"),
        )
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

    def call(self, x: Any) -> Any:
        """See the class."""
        total = self.bias
        for tap in range(self.kernel_size):
            begin = tap * self.dilation
            stop = begin - (self.span - 1)
            total = total + self.kernel[tap] * x[:, begin : stop or None]
        return total


@keras.saving.register_keras_serializable("fraudnet")
class CausalSqueezeExcitation(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Squeeze-and-excitation whose squeeze sees the recent past only.

    Channels are scaled by sigmoid(W2 relu(W1 s)), W1 and W2 being 1x1 layers, and s the mean over
    the last `window` valid positions (Hu et al. 2018, "Squeeze-and-Excitation Networks", section
    3, where s is the mean over the whole input; that would let the future in).

    Args:
        window: positions in the running mean, a power of two.
        reduced: channels between the two 1x1 layers.
        reduce_rank: of the first, if it is of two factors.
        excite_rank: of the second, likewise.

    Input shape: [B, L, C]; valid [B, L, 1]; and one part of the valid positions in each window
    (`PartOfValid`), [B, L - window + 1, 1]. Output shape: [B, L - window + 1, C].
    """

    def __init__(
        self,
        window: int,
        reduced: int,
        reduce_rank: int | None = None,
        excite_rank: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.window, self.reduced = window, reduced
        self.reduce_rank, self.excite_rank = reduce_rank, excite_rank

    def build(self, x_shape: tuple[int | None, ...], *_further: tuple[int | None, ...]) -> None:
        """Create the two 1x1 layers."""
        channels: Any = x_shape[-1]
        self.reduce = pointwise(self.reduced, self.reduce_rank, "relu", name=f"{self.name}_reduce")
        self.excite = pointwise(channels, self.excite_rank, name=f"{self.name}_excite")
        self.reduce.build(x_shape)
        self.excite.build((*x_shape[:-1], self.reduced))

    def squeezed(self, x: Any, valid: Any, part: Any) -> Any:
        """What the first 1x1 layer reads: the running mean, [B, L - window + 1, C]."""
        return windowed_sum(x * valid, self.window) * part

    def gate(self, x: Any, valid: Any, part: Any) -> Any:
        """What each channel is scaled by, 0..1: [B, L - window + 1, C]."""
        return ops.sigmoid(self.excite(self.reduce(self.squeezed(x, valid, part))))

    def call(self, x: Any, valid: Any, part: Any) -> Any:
        """See the class."""
        return newest(x, self.window - 1) * self.gate(x, valid, part)


@keras.saving.register_keras_serializable("fraudnet")
class PartOfValid(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """One part of the valid positions among the last `window`, 1 where there are none.

    The same for every squeeze of a network, so that it is computed once.

    Args:
        window: positions, a power of two.

    Input shape: [B, L, 1]. Output shape: [B, L - window + 1, 1].
    """

    def __init__(self, window: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def call(self, valid: Any) -> Any:
        """See the class."""
        return 1.0 / ops.maximum(windowed_sum(valid, self.window), 1.0)


@keras.saving.register_keras_serializable("fraudnet")
class Shortcut(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Adds a block's input to its output, position by position (He et al. 2016, section 3.1).

    A layer, because Keras takes a sum outside of one for that with a bias where the newest position
    is the only one, and that fixes the length of an exported graph.

    Args:
        dropped: positions that the block has dropped.

    Input shapes: [B, L, C] and [B, L - dropped, C]. Output shape: [B, L - dropped, C].
    """

    def __init__(self, dropped: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dropped = dropped

    def call(self, shortcut: Any, x: Any) -> Any:
        """See the class."""
        return newest(shortcut, self.dropped) + x


@keras.saving.register_keras_serializable("fraudnet")
class MahalanobisDistance(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Distance of activations from those of genuine training transactions.

    d(h)^2 = sum over c of precision_c x_c^2 + sum over i of excess_i (p_i' x)^2, x being h - m: the
    Mahalanobis distance (Lee et al. 2018, "A Simple Unified Framework for Detecting
    Out-of-Distribution Samples", section 2.1, one class) by an inverse covariance that is a
    diagonal plus a few directions. With as many directions as channels any covariance has that
    form; with fewer, one whose variance is the same across the directions that are left out
    (Tipping and Bishop 1999, "Probabilistic Principal Component Analysis", section 3.2); with none,
    one of channels apart.

    To d(h) is added reach times the sum over c of relu(|x_c| / limit_c - 1): how far channels are
    beyond all that they have been (Henzinger, Lukina and Schilling 2020, "Outside the Box:
    Abstraction-Based Monitoring of Neural Networks", section 4). A covariance of channels that are
    mostly quiet calls far what is only rare, and near what one channel alone has never said.

    Args:
        rank: directions p_i; None: as many as channels.

    Input shape: [B, L, C]. Output shape: [B, L, 1].
    """

    def __init__(self, rank: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank = rank

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create what is fitted, not trained.

        Mean, precision and per_limit, 1 / limit, [C]; reach [1]; directions [C, k], excess [k].
        """
        channels = input_shape[-1]
        rank = channels if self.rank is None else self.rank
        self.mean = self.add_weight(
            name="mean", shape=(channels,), initializer="zeros", trainable=False
        )
        self.precision = self.add_weight(
            name="precision", shape=(channels,), initializer="ones", trainable=False
        )
        self.per_limit = self.add_weight(
            name="per_limit", shape=(channels,), initializer="zeros", trainable=False
        )
        self.reach = self.add_weight(name="reach", shape=(1,), initializer="zeros", trainable=False)
        if rank:
            self.directions = self.add_weight(
                name="directions", shape=(channels, rank), initializer="zeros", trainable=False
            )
            self.excess = self.add_weight(
                name="excess", shape=(rank,), initializer="zeros", trainable=False
            )

    def call(self, x: Any) -> Any:
        """See the class."""
        apart = x - self.mean
        squared = ops.sum(self.precision * ops.square(apart), axis=-1, keepdims=True)
        if self.rank != 0:
            along = ops.square(ops.matmul(apart, self.directions))
            squared = squared + ops.sum(self.excess * along, axis=-1, keepdims=True)
        beyond = ops.relu(ops.abs(apart) * self.per_limit - 1.0)
        # A negative excess takes away what the precision gave, all but a rounding error.
        return ops.sqrt(ops.maximum(squared, 0.0)) + self.reach * ops.sum(
            beyond, axis=-1, keepdims=True
        )


@keras.saving.register_keras_serializable("fraudnet")
class Calibration(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Probability from a logit: sigmoid of an increasing piecewise-linear function of it.

    With no knots sigmoid(slope z + intercept) (Platt 1999, "Probabilistic Outputs for Support
    Vector Machines", section 2); with knots t_1 < ... < t_K a slope before the first, one between
    each two and one after the last: log-odds = intercept + slopes[0] min(z - t_1, 0)
    + sum over k of slopes[k] min(relu(z - t_k), t_(k+1) - t_k). As long as the slopes are positive
    every term rises with z, and a sum of such does so in floating point too.

    Args:
        knots: K, 0 or more.

    Input shape: [B, L, 1]. Output shape: [B, L, 1].
    """

    def __init__(self, knots: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.knot_count = knots

    def build(self, _input_shape: tuple[int | None, ...]) -> None:
        """Create slopes [K + 1], intercept and knots [K], which are fitted, not trained."""
        self.slopes = self.add_weight(
            name="slopes", shape=(self.knot_count + 1,), initializer="ones", trainable=False
        )
        self.intercept = self.add_weight(
            name="intercept", shape=(), initializer="zeros", trainable=False
        )
        if self.knot_count:
            self.knots = self.add_weight(
                name="knots", shape=(self.knot_count,), initializer="zeros", trainable=False
            )

    def lengths(self, x: Any) -> Any:
        """How far a logit reaches into each linear piece: [..., 1] to [..., K + 1]."""
        if not self.knot_count:
            return x
        begins = ops.concatenate([self.knots[:1], self.knots])
        widths = self.knots[1:] - self.knots[:-1]
        without_end, zero = ops.full((1,), LARGEST), ops.zeros((1,))
        lowest = ops.concatenate([-without_end, ops.zeros_like(self.knots)])
        highest = ops.concatenate([zero, widths, without_end])
        return ops.minimum(ops.maximum(x - begins, lowest), highest)

    def log_odds(self, x: Any) -> Any:
        """Of the probability."""
        # No matrix product: weights of such may be rounded to 8 bits when a network is compressed.
        total = ops.sum(self.slopes * self.lengths(x), axis=-1, keepdims=True)
        return total + self.intercept

    def call(self, x: Any) -> Any:
        """See the class."""
        return ops.sigmoid(self.log_odds(x))
