"""Is the flatbuffer the same function as the Keras network? On real windows and on odd ones."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from fraudnet.artifact.quantise import Variant
from fraudnet.device.contract import DISTANCE, PROBABILITY
from fraudnet.errors import CheckFailed
from fraudnet.latency.answering import Answers, Windows
from fraudnet.network.network import Network
from fraudnet.windows.specification import Input

BATCH = 256
LEAST_WINDOWS = 10_000
WORST = 20


@dataclass(frozen=True)
class Tolerance:
    """How far a variant may be from Keras.

    Attributes:
        probability: of any window.
        distance: of any window, relative.
        different_decisions: share of all windows.
    """

    probability: float
    distance: float
    different_decisions: float


TOLERANCES: dict[Variant, Tolerance] = {
    "float32": Tolerance(1e-5, 1e-3, 0.0005),
    "float16": Tolerance(2e-3, 1e-2, 0.001),
    "int8_weights": Tolerance(0.25, 0.25, 0.005),
    "int8": Tolerance(0.5, 0.5, 0.005),
}
"""Of eight bits a single window says little: that decisions stay is what counts."""


@dataclass(frozen=True)
class Parity:
    """How far the flatbuffer is from Keras in one runtime; relative for the distance."""

    windows: int
    worst_probability_difference: float
    mean_probability_difference: float
    worst_distance_difference: float
    different_decisions: int
    latency_p50_us: float
    latency_p99_us: float

    def figures(self) -> dict[str, float]:
        """By name."""
        return {name: float(value) for name, value in asdict(self).items()}


def keras_answers(network: Network, windows: Windows) -> dict[str, npt.NDArray[np.float32]]:
    """What Keras answers, [W] by output."""
    answers = network.scores.predict(windows, batch_size=BATCH, verbose=0)
    return {name: values.reshape(-1) for name, values in answers.items()}


def check_parity(
    found: Answers,
    expected: dict[str, npt.NDArray[np.float32]],
    threshold: float,
    tolerance: Tolerance,
    peer: str = "Keras",
) -> Parity:
    """Compare what the flatbuffer answered with what Keras, or another signature, did.

    Args:
        found: the flatbuffer's answers in one runtime.
        expected: the peer's answers, [W] by output.
        threshold: of the decision.
        tolerance: what is allowed.
        peer: whose answers are expected, for the message.

    Raises:
        CheckFailed: an answer is further off than the tolerance, or is not finite, or decisions
            differ too often.
    """
    probability, distance = differences(found, expected)
    decisions = found.outputs[PROBABILITY] >= threshold
    different = decisions != (expected[PROBABILITY] >= threshold)
    p50, p99 = np.percentile(found.latency_us, [50, 99])
    parity = Parity(
        windows=len(different),
        worst_probability_difference=float(probability.max()),
        mean_probability_difference=float(probability.mean()),
        worst_distance_difference=float(distance.max()),
        different_decisions=int(different.sum()),
        latency_p50_us=float(p50),
        latency_p99_us=float(p99),
    )
    # Written so that NaN fails.
    within = (probability <= tolerance.probability) & (distance <= tolerance.distance)
    if not within.all():
        worst = worst_windows(found, expected, tolerance)[0]
        raise CheckFailed(
            f"the artifact differs from {peer} on {parity.windows} windows: probability by up to "
            f"{parity.worst_probability_difference:.2g} (allowed {tolerance.probability:g}), "
            f"distance by up to {parity.worst_distance_difference:.2g} "
            f"(allowed {tolerance.distance:g}), worst in window {worst}; it was not written"
        )
    if different.mean() > tolerance.different_decisions:
        raise CheckFailed(
            f"the artifact decides otherwise than {peer} on {parity.different_decisions} of "
            f"{parity.windows} windows (allowed {tolerance.different_decisions:.2%}); it was not "
            "written"
        )
    return parity


def differences(
    found: Answers, expected: dict[str, npt.NDArray[np.float32]]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Of probability and, relative, of distance, [W] each; NaN where there is no number."""
    with np.errstate(invalid="ignore"):  # an infinite answer is refused
        probability = np.abs(found.outputs[PROBABILITY] - expected[PROBABILITY])
        distance = np.abs(found.outputs[DISTANCE] - expected[DISTANCE])
        return probability, distance / np.maximum(expected[DISTANCE], 1.0)


def worst_windows(
    found: Answers, expected: dict[str, npt.NDArray[np.float32]], tolerance: Tolerance
) -> npt.NDArray[np.int64]:
    """The windows that use most of what is allowed, the worst first; at most `WORST`."""
    probability, distance = differences(found, expected)
    excess = np.maximum(probability / tolerance.probability, distance / tolerance.distance)
    ranked = np.argsort(-np.nan_to_num(excess, nan=np.inf), kind="stable")
    return ranked[:WORST]


def varied(windows: Windows, inputs: tuple[Input, ...], count: int, seed: int) -> Windows:
    """The windows and, made of them, as many more as make `count`.

    Each of those is cut to the latest of its transactions, from one to all; in a third of them all
    amounts are scaled by up to ten times or to a tenth, and in a third the reputation is unknown.
    """
    rng = np.random.default_rng(seed)
    have = len(windows["valid"])
    chosen = rng.integers(0, have, max(0, count - have))
    made = {name: values[chosen].copy() for name, values in windows.items()}
    length = made["valid"].shape[1]
    kept = np.ceil(rng.random(len(chosen)) * made["valid"].sum(axis=1))
    padded = np.arange(length) < (length - kept)[:, None]
    scaled, unknown = rng.random((2, len(chosen))) < 1 / 3
    scale = np.where(scaled, 10.0 ** rng.uniform(-1, 1, len(chosen)), 1.0)
    made["amount"] = (made["amount"] * scale[:, None]).astype(np.float32)
    for entry in inputs:
        if entry.kind == "reputation":
            made[entry.name][unknown] = -1
        made[entry.name][padded] = 0
    return {name: np.concatenate([values, made[name]]) for name, values in windows.items()}


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
