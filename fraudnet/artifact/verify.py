"""Is the flatbuffer the same function as the Keras network? On real windows and on odd ones."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from fraudnet.artifact.convert import SIGNATURE
from fraudnet.device.contract import DISTANCE, PROBABILITY
from fraudnet.device.runtime import Network as Runtime
from fraudnet.errors import CheckFailed
from fraudnet.network.network import Network
from fraudnet.training.trained import Windows
from fraudnet.windows.specification import Input

PROBABILITY_TOLERANCE = 1e-5
DISTANCE_TOLERANCE = 1e-3
"""Relative: a distance has no scale of its own."""

BATCH = 256


@dataclass(frozen=True)
class Parity:
    """How far the flatbuffer is from Keras; relative for the distance."""

    windows: int
    worst_probability_difference: float
    worst_distance_difference: float
    different_decisions: int

    def figures(self) -> dict[str, float]:
        """By name."""
        return {name: float(value) for name, value in asdict(self).items()}


def keras_answers(network: Network, windows: Windows) -> dict[str, npt.NDArray[np.float32]]:
    """What Keras answers, [W] by output."""
    answers = network.scores.predict(windows, batch_size=BATCH, verbose=0)
    return {name: values.reshape(-1) for name, values in answers.items()}


def check_parity(
    model: bytes, windows: Windows, expected: dict[str, npt.NDArray[np.float32]], threshold: float
) -> Parity:
    """Compare the flatbuffer with Keras on every window.

    Args:
        model: the flatbuffer.
        windows: raw windows, [W, R] by input.
        expected: Keras's answers, [W] by output.
        threshold: of the decision.

    Raises:
        CheckFailed: an answer is further off than the tolerance, or is not finite.
    """
    runtime = Runtime(model, SIGNATURE)
    count = len(windows["valid"])
    found = {name: np.empty(count, np.float32) for name in (PROBABILITY, DISTANCE)}
    for i in range(count):
        answer = runtime.run({name: values[i : i + 1] for name, values in windows.items()})
        for name, value in answer.items():
            found[name][i] = value
    with np.errstate(invalid="ignore"):  # an infinite answer is refused below
        probability = np.abs(found[PROBABILITY] - expected[PROBABILITY])
        distance = np.abs(found[DISTANCE] - expected[DISTANCE])
        distance /= np.maximum(expected[DISTANCE], 1.0)
    decisions = (found[PROBABILITY] >= threshold) != (expected[PROBABILITY] >= threshold)
    parity = Parity(count, float(probability.max()), float(distance.max()), int(decisions.sum()))
    # Written so that NaN fails.
    if (
        not (probability <= PROBABILITY_TOLERANCE).all()
        or not (distance <= DISTANCE_TOLERANCE).all()
    ):
        excess = np.maximum(probability / PROBABILITY_TOLERANCE, distance / DISTANCE_TOLERANCE)
        worst = int(np.argmax(np.nan_to_num(excess, nan=np.inf)))
        raise CheckFailed(
            f"the artifact differs from Keras on {count} windows: probability by up to "
            f"{parity.worst_probability_difference:.2g} (allowed {PROBABILITY_TOLERANCE:g}), "
            f"distance by up to {parity.worst_distance_difference:.2g} "
            f"(allowed {DISTANCE_TOLERANCE:g}), worst in window {worst}; it was not written"
        )
    return parity


def with_edge_cases(windows: Windows, inputs: tuple[Input, ...]) -> Windows:
    """The windows and, made of the last of them, the ones that break things.

    One transaction and padding; amounts of 0, 1e9 and -1e9; the year 2100; unknown categories and
    reputations; all transactions in one second.
    """
    last = {name: values[-1:].copy() for name, values in windows.items()}
    cases = []

    def case(**changed: npt.NDArray[np.generic]) -> None:
        cases.append(last | changed)

    alone = np.zeros_like(last["valid"])
    alone[:, -1] = 1.0
    keep = {n: np.where(alone > 0, v, v.dtype.type(0)) for n, v in last.items() if n != "valid"}
    cases.append(keep | {"valid": alone})
    for amount in (0.0, 1e9, -1e9):
        case(amount=np.full_like(last["amount"], amount))
    case(day=np.where(last["valid"] == 1.0, 47_482, 0).astype(np.int32))
    case(day=np.full_like(last["day"], 20_000), second=np.zeros_like(last["second"]))
    unknown = {"categorical": 0, "reputation": -1}
    case(
        **{i.name: np.full_like(last[i.name], unknown[i.kind]) for i in inputs if i.kind in unknown}
    )
    return {n: np.concatenate([v, *(c[n] for c in cases)]) for n, v in windows.items()}
