"""Scores of many transactions at once, by the network that is trained."""

from copy import copy
from functools import lru_cache
from typing import Any, Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fraudnet.evaluation.metrics import Scored
from fraudnet.network.network import Network
from fraudnet.windows.chunks import Chunks, chunks_over
from fraudnet.windows.histories import Histories

BATCH_CHUNKS = 64


class RowScorer:
    """What a model of the network answers at the wanted rows, by a step that is compiled once.

    Args:
        model: `logit`, `scores` or `fingerprint` of a network.
        receptive_field: of that network.
        histories: N rows.
        wanted: [N] rows to score.
        chunk_length: positions scored in one pass.
    """

    def __init__(
        self,
        model: keras.Model,
        receptive_field: int,
        histories: Histories,
        wanted: npt.NDArray[np.bool_],
        chunk_length: int = 64,
    ) -> None:
        self._model, self._wanted = model, wanted
        self._chunks = chunks_over(histories, wanted, receptive_field, chunk_length)
        self._step = _compiled(model)

    def over(self, histories: Histories, wanted: npt.NDArray[np.bool_]) -> Self:
        """The same for other rows, without compiling anew."""
        other = copy(self)
        other._wanted = wanted
        other._chunks = chunks_over(
            histories, wanted, self._chunks.context + 1, self._chunks.length
        )
        return other

    def __call__(self) -> dict[str, npt.NDArray[np.float32]]:
        """Output name to [W, C] answers by the present weights, in the order of the wanted rows."""
        chunks, wanted = self._chunks, self._wanted
        rank = np.cumsum(wanted) - 1
        count = int(wanted.sum())
        answers = {
            name: np.empty((count, output.shape[-1]), np.float32)
            for name, output in _named(self._model, self._model.output).items()
        }
        for chosen in chunks.batches(BATCH_CHUNKS):
            outputs = self._step(_tensors(chunks, np.resize(chosen, BATCH_CHUNKS)))
            rows = chunks.rows(chosen)
            asked = (rows >= 0) & wanted[rows]
            for name, values in _named(self._model, outputs).items():
                answers[name][rank[rows[asked]]] = values.numpy()[: len(chosen)][asked]
        return answers


def predict_rows(
    model: keras.Model,
    receptive_field: int,
    histories: Histories,
    wanted: npt.NDArray[np.bool_],
    chunk_length: int = 64,
) -> dict[str, npt.NDArray[np.float32]]:
    """The answers of a `RowScorer` that is used once."""
    return RowScorer(model, receptive_field, histories, wanted, chunk_length)()


def logits_of(
    network: Network, histories: Histories, wanted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Logits of the wanted rows, [W]."""
    answers = predict_rows(network.logit, network.receptive_field, histories, wanted)
    return answers["logit"][:, 0]


def score(
    network: Network, histories: Histories, wanted: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.float32]]:
    """`fraud_probability` and `ood_distance` of the wanted rows, [W] each."""
    answers = predict_rows(network.scores, network.receptive_field, histories, wanted)
    return {name: values[:, 0] for name, values in answers.items()}


def scored_of(
    histories: Histories, rows: npt.NDArray[np.bool_], score: npt.NDArray[np.float32]
) -> Scored:
    """The chosen rows with their scores, in the order of the histories."""
    return Scored(
        score=score,
        is_fraud=histories.is_fraud[rows],
        timestamp_us=histories.timestamp_us[rows],
        account=histories.account[rows],
        amount=histories.amount[rows],
    )


@lru_cache(maxsize=4)
def _compiled(model: keras.Model) -> tf.types.experimental.GenericFunction:
    """One for each model, of whatever weights: its compilation takes longer than its use."""
    return tf.function(model, jit_compile=True)


def _named(model: keras.Model, outputs: Any) -> dict[str, Any]:  # noqa: ANN401  (of Keras)
    return outputs if isinstance(outputs, dict) else {model.name: outputs}


def _tensors(chunks: Chunks, chosen: npt.NDArray[np.int64]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in chunks.gather(chosen).items()}
