"""What an amount says: forty is dear for a ticket, cheap for a flight, and a limit is a limit."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

REACH = 4.0
"""Standard deviations of the log amount that the pieces cover; beyond, the last one's end holds."""

LARGEST_LOG = 85.0
"""No amount in float32 has a larger logarithm by much."""


def ends_of_pieces(pieces: int, mean: float, deviation: float) -> npt.NDArray[np.float64]:
    """The amounts at which pieces begin and end, ascending: [pieces + 1].

    Evenly spaced in the signed logarithm, from -REACH to REACH deviations about its mean.
    """
    logs = np.clip(
        mean + np.linspace(-REACH, REACH, pieces + 1) * deviation, -LARGEST_LOG, LARGEST_LOG
    )
    amounts: npt.NDArray[np.float64] = np.sign(logs) * np.expm1(np.abs(logs))
    return amounts


def place(amount: Any, ends: Any) -> tuple[Any, Any]:
    """The piece that each amount lies in, int32 [B, L], and the share of it below, [B, L, 1].

    By comparing and subtracting the amounts themselves, which every runtime does alike: the last
    bit of a logarithm is worth 4e-6 of a piece, and a piece can be steep.

    Args:
        amount: as it is, [B, L, 1].
        ends: `ends_of_pieces`, [pieces + 1].
    """
    piece = ops.sum(ops.cast(amount >= ends[1:-1], "int32"), axis=-1, keepdims=True)
    begin, end = ops.take(ends, piece), ops.take(ends, piece + 1)
    # An axis that was added to the share would fix the length of an exported graph.
    return piece[..., 0], ops.clip((amount - begin) / (end - begin), 0.0, 1.0)


@keras.saving.register_keras_serializable("fraudnet")
class AmountWithin(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Piecewise-linear functions of the amount, a set of them for each category.

    A narrow layer over a smooth amount cannot say "between 9 and 11 in this category", or "above
    220", but after long training; looked up between the two nearest nodes it is learnt directly
    (Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning", section
    3.2, here with a table a category instead of one). Continuous in the amount, so that rounding
    moves nothing.

    Args:
        categories: indices, 0 (unknown) included; 1 where there are no categories.
        pieces: of an amount.
        channels: functions.
        smooth: learn how far the functions rise from each end of a piece to the next, about their
            mean, in place of their values: a fraud then speaks of its neighbourhood too, so few of
            them teach it, and a sharp limit takes longer.

    Input: `place` of the amount, and category [B, L], or None where there are none.
    Output shape: [B, L, channels].
    """

    def __init__(
        self, categories: int, pieces: int, channels: int, smooth: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.categories, self.pieces, self.smooth = categories, pieces, smooth
        self.nodes = keras.layers.Embedding(
            categories * (pieces + 1),
            channels,
            embeddings_initializer="zeros" if smooth else "uniform",
            name="nodes",
        )

    def build(self, *_shapes: Any) -> None:
        """Create the [categories x nodes, channels] values at the ends of the pieces, or rises."""
        self.nodes.build(())

    def call(self, piece: Any, share: Any, category: Any = None) -> Any:
        """See the class."""
        if category is not None:
            piece = piece + category * (self.pieces + 1)
        values = self.values()
        below, above = ops.take(values, piece, axis=0), ops.take(values, piece + 1, axis=0)
        return below * (1.0 - share) + above * share

    def values(self) -> Any:
        """The functions at the ends of the pieces, [categories x nodes, channels]."""
        learnt = self.nodes.embeddings
        if not self.smooth:
            return learnt
        sums = ops.cumsum(ops.reshape(learnt, (self.categories, self.pieces + 1, -1)), axis=1)
        return ops.reshape(sums - ops.mean(sums, axis=1, keepdims=True), learnt.shape)
