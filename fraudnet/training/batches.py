"""Batches to learn from: inputs, labels and weights, gathered one ahead."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fraudnet.windows.chunks import Chunks
from fraudnet.windows.labels import KnownRows
from fraudnet.windows.reputation import UNKNOWN_COUNT


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        inputs: raw inputs by name, [B, context + length] each.
        label: [B, length, 1] 1 for fraud, or between 0 and 1 where a teacher says so.
        weight: [B, length, 1] 0 where nothing is learnt; their mean is 1.
        transactions: how many are learnt from.
    """

    inputs: dict[str, tf.Tensor]
    label: tf.Tensor
    weight: tf.Tensor
    transactions: int


@dataclass(frozen=True)
class Batches:
    """The batches of every epoch, all of one shape.

    Attributes:
        chunks: that cover the known rows.
        known: the rows that are learnt from.
        size: chunks a batch.
        seed: of order and hiding.
        fraud_weight: of a fraud in the loss, of a genuine transaction 1.
        unknown_reputation: share of chunks whose reputation is hidden.
        taught: [N] of the histories' rows, what is learnt instead of their labels; None: these.
    """

    chunks: Chunks
    known: KnownRows
    size: int
    seed: int
    fraud_weight: float
    unknown_reputation: float
    taught: npt.NDArray[np.float32] | None = None

    def epoch(self, number: int) -> Iterator[Batch]:
        """An epoch's batches in an order of its own, the next one gathered in the background."""
        batches = self._gathered(number)
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(next, batches, None)
            while (batch := coming.result()) is not None:
                coming = pool.submit(next, batches, None)
                yield batch

    def _gathered(self, number: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.seed, number))
        chunks, wanted = self.chunks, self.known.rows
        specification = chunks.histories.specification
        reputation = [i.name for i in specification.inputs if i.kind == "reputation"]
        for chosen in chunks.batches(self.size, seed=int(rng.integers(2**32))):
            filled = np.resize(chosen, self.size)
            rows = chunks.rows(filled)
            is_fraud = chunks.histories.is_fraud[rows] == 1
            label = is_fraud.astype(np.float32) if self.taught is None else self.taught[rows]
            weight = ((rows >= 0) & wanted[rows]) * np.where(is_fraud, self.fraud_weight, 1.0)
            # A short last batch is filled up with repeated chunks, which count for nothing.
            weight[len(chosen) :] = 0.0
            transactions = int((weight > 0).sum())
            # Every step is the mean over its transactions, however many positions are padding.
            weight = (weight / max(float(weight.mean()), 1e-6)).astype(np.float32)
            inputs = chunks.gather(filled)
            unknown = rng.random(self.size) < self.unknown_reputation
            for name in reputation:
                inputs[name][unknown] = UNKNOWN_COUNT
            yield Batch(
                {name: tf.constant(values) for name, values in inputs.items()},
                tf.constant(label[..., None]),
                tf.constant(weight[..., None]),
                transactions,
            )
