"""What the network says of one window, and of many that follow one another."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.artifact import Artifact
from fraudnet.device.contract import DISTANCE, PROBABILITY
from fraudnet.device.errors import TransactionError
from fraudnet.device.runtime import Network
from fraudnet.device.store import Score
from fraudnet.device.window import Window

RUNS = (256, 128, 64, 32)  # transactions that one call answers, largest first
# The two signatures round differently, by some 1e-6: whoever is as near a threshold as this is
# asked for by its own window.
NEAR = 1e-4


class Answer(NamedTuple):
    """Of one transaction."""

    probability: float
    distance: float


class Answers:
    """An artifact's network.

    Args:
        artifact: opened.
        window: of the same artifact.
    """

    def __init__(self, artifact: Artifact, window: Window) -> None:
        self._artifact = artifact
        self._window = window
        self._sequences: dict[int, Network | None] = {}

    def of(self, transaction_id: str, inputs: Mapping[str, NDArray[np.generic]]) -> Answer:
        """The answer to one window.

        Raises:
            TransactionError: it is not finite.
        """
        answer = self._artifact.network.run(inputs)
        probability, distance = answer[PROBABILITY], answer[DISTANCE]
        if not math.isfinite(probability + distance):
            raise not_finite(transaction_id, Answer(probability, distance))
        return Answer(probability, distance)

    def of_sequence(self, matrix: NDArray[np.int32]) -> list[Answer]:
        """The answers to n transactions of one account; not finite where the network's are not.

        Equal to those of their windows but for rounding, and on the same side of the thresholds.

        Args:
            matrix: [inputs, length - 1 + n], packed columns; the first n windows' context first.
        """
        context = self._window.length - 1
        count = matrix.shape[1] - context
        found = np.empty((count, 2))
        done = 0
        while done < count:
            size = min((run for run in RUNS if run >= count - done), default=RUNS[0])
            network = self._sequence(size)
            if network is None:
                break
            part = matrix[:, done : done + context + size]
            if part.shape[1] < context + size:  # what follows changes no answer before it
                wider = np.zeros((len(part), context + size), np.int32)
                wider[:, : part.shape[1]] = part
                part = wider
            inputs = self._window.inputs(np.ascontiguousarray(part), 0, context + size)
            answers = network.run_sequence(inputs)
            taken = min(size, count - done)
            found[done : done + taken, 0] = answers[PROBABILITY][:taken]
            found[done : done + taken, 1] = answers[DISTANCE][:taken]
            done += taken
        contract = self._artifact.contract
        near = np.abs(found[:, 0] - contract.threshold) <= NEAR
        if contract.distance_threshold is not None:
            limit = contract.distance_threshold
            near |= np.abs(found[:, 1] - limit) <= NEAR * max(1.0, abs(limit))
        near[done:] = True
        for i in np.flatnonzero(near):
            found[i] = self.of_matrix(matrix[:, i : i + context + 1])
        return [Answer(*pair) for pair in found.tolist()]

    def of_matrix(self, matrix: NDArray[np.int32]) -> Answer:
        """The answer to one window, [inputs, length] of packed columns; it may be not finite."""
        inputs = self._window.inputs(np.ascontiguousarray(matrix), 0, self._window.length)
        answer = self._artifact.network.run(inputs)
        return Answer(answer[PROBABILITY], answer[DISTANCE])

    def judge(self, answer: Answer, reputation_as_of_us: int | None) -> Score:
        """The decision that follows from an answer."""
        contract = self._artifact.contract
        limit = contract.distance_threshold
        return Score(  # by position: a catch-up makes millions
            answer.probability,
            answer.distance,
            contract.threshold,
            answer.probability >= contract.threshold,
            self._artifact.sha256,
            None if limit is None else answer.distance <= limit,
            reputation_as_of_us,
        )

    def _sequence(self, size: int) -> Network | None:
        if size not in self._sequences:
            self._sequences[size] = self._artifact.sequence_network(size)
        return self._sequences[size]


def not_finite(transaction_id: str, answer: Answer) -> TransactionError:
    """The error that an answer is none."""
    return TransactionError(
        f"transaction {transaction_id!r}: the network answers {answer.probability}, "
        f"{answer.distance}; expected finite numbers; look for an extreme amount in its window"
    )
