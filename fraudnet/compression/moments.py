"""What the 1x1 layers of a network read on known rows: mean and covariance of their channels.

Frauds, all together, weigh as much as genuine rows do. If each row weighed the same, the directions
in which frauds differ would be lost first, for hardly any row moves in them.
"""

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fraudnet.network.describe import describe
from fraudnet.network.layers import newest
from fraudnet.network.network import Network
from fraudnet.windows.chunks import chunks_over
from fraudnet.windows.labels import KnownRows

Doubles = npt.NDArray[np.float64]

CHUNK_LENGTH = 64
BATCH_CHUNKS = 64


@dataclass(frozen=True)
class Moments:
    """First two moments of what a layer reads.

    Attributes:
        mean: [C].
        covariance: [C, C], about the mean.
    """

    mean: Doubles
    covariance: Doubles


def input_moments(network: Network, known: KnownRows) -> dict[str, Moments]:
    """Moments of the inputs of every 1x1 layer, by the layer's name.

    Of each known row the position that is its own counts, once: not padding, and not the context
    that stands before it in several chunks.

    Args:
        network: that is run.
        known: W rows, frauds and genuine ones among them.
    """
    chunks = chunks_over(known.histories, known.rows, network.receptive_field, CHUNK_LENGTH)
    step = _compiled(_inputs(network))
    sums: dict[str, Doubles] = {}
    for chosen in chunks.batches(BATCH_CHUNKS):
        filled = np.resize(chosen, BATCH_CHUNKS)
        rows = chunks.rows(filled)
        counted = (rows >= 0) & known.rows[rows]
        counted[len(chosen) :] = False
        is_fraud = known.histories.is_fraud[rows] == 1
        of_class = np.stack([counted & is_fraud, counted & ~is_fraud]).astype(np.float32)
        inputs = {name: tf.constant(values) for name, values in chunks.gather(filled).items()}
        for name, products in step(inputs, tf.constant(of_class[..., None])).items():
            sums[name] = sums.get(name, 0.0) + products.numpy().astype(np.float64)
    return {name: _moments(total) for name, total in sums.items()}


def _inputs(network: Network) -> keras.Model:
    """Raw inputs to what each 1x1 layer reads for the scored positions, [B, L - R + 1, C]."""
    positions = {layer.name: layer.positions for layer in describe(network).layers}
    read = {}
    for name, layer in network.pointwise.items():
        owner, _, part = name.rpartition("_")
        if part in ("reduce", "excite"):
            squeeze = network.scores.get_layer(owner)
            x = squeeze.squeezed(*squeeze.input)
            x = squeeze.reduce(x) if part == "excite" else x
        else:
            owner, x = name, layer.input
        read[name] = newest(x, positions[owner] - 1)
    return keras.Model(network.scores.input, read)


def _compiled(inputs_of: keras.Model) -> tf.types.experimental.GenericFunction:
    def step(inputs: dict[str, tf.Tensor], of_class: tf.Tensor) -> dict[str, tf.Tensor]:
        """[2, C + 1, C + 1] sums of products of the channels and a channel of ones, by class."""
        found = {}
        for name, x in inputs_of(inputs).items():
            extended = tf.concat([x, tf.ones_like(x[..., :1])], axis=-1)
            found[name] = tf.stack(
                [
                    tf.einsum("blc,bld->cd", extended * each, extended)
                    for each in tf.unstack(of_class)
                ]
            )
        return found

    return tf.function(step, jit_compile=True)


def _moments(products: Doubles) -> Moments:
    """Of the sums of a layer, by class."""
    both = (products / products[:, -1:, -1:]).mean(axis=0)
    second, mean = both[:-1, :-1], both[:-1, -1]
    return Moments(mean, second - np.outer(mean, mean))
