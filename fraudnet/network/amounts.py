"""What an amount says: forty is dear for a ticket, cheap for a flight, and a limit is a limit."""

from typing import Any

import keras
from keras import ops

REACH = 4.0
"""Standard deviations of the log amount that the pieces cover; beyond, the last one's end holds."""


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
        pieces: pieces between -REACH and REACH.
        channels: functions.

    Input: standardised log amount [B, L, 1], and category [B, L], or None where there are none.
    Output shape: [B, L, channels].
    """

    def __init__(self, categories: int, pieces: int, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pieces = pieces
        self.nodes = keras.layers.Embedding(categories * (pieces + 1), channels, name="nodes")

    def build(self, *_shapes: Any) -> None:
        """Create the [categories x nodes, channels] values at the nodes."""
        self.nodes.build(())

    def call(self, amount: Any, category: Any = None) -> Any:
        """See the class."""
        position = (ops.clip(amount, -REACH, REACH) + REACH) * (self.pieces / (2 * REACH))
        left = ops.minimum(ops.floor(position), self.pieces - 1.0)
        share = position - left
        node = ops.cast(left[..., 0], "int32")
        if category is not None:
            node = node + category * (self.pieces + 1)
        return self.nodes(node) * (1.0 - share) + self.nodes(node + 1) * share
