"""Which transactions are worth a verdict: those flagged, and some that the model learns from.

Where only flagged transactions are looked at, a model is told of nothing but what it suspects
already, and its misses look like none. A declared share of the alert budget therefore goes to
others.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from fraudnet.errors import InputError

Reason = Literal["flagged", "uncertain", "unfamiliar", "random"]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

UNIFORM = 0.5  # of the random draw: no transaction weighs more than twice what it would uniformly
LEAST = 1e-9  # probability, that the log-odds are finite


@dataclass(frozen=True)
class Shares:
    """Shares of the alert budget that go to learning; flagged transactions get the rest.

    Attributes:
        uncertain: nearest the threshold without being flagged (Lewis and Gale 1994, "A Sequential
            Algorithm for Training Text Classifiers").
        unfamiliar: of the largest distance from what the network was trained on.
        random: drawn by chance, so that what they say holds for all.

    Raises:
        InputError: one is negative, or they are more than the whole.
    """

    uncertain: float = 0.0
    unfamiliar: float = 0.0
    random: float = 0.0

    def __post_init__(self) -> None:
        for name, share in vars(self).items():
            if not 0 <= share <= 1:
                raise InputError(f"share {name} is {share}; it must be between 0 and 1")
        if sum(vars(self).values()) > 1 + 1e-9:
            raise InputError(f"the shares {vars(self)} are more than the whole alert budget")

    def counts(self, budget: int) -> dict[Reason, int]:
        """How many transactions each share of a budget is, to the nearest one.

        Raises:
            InputError: a share that is not 0 would come to none.
        """
        counts: dict[Reason, int] = {
            "uncertain": round(self.uncertain * budget),
            "unfamiliar": round(self.unfamiliar * budget),
            "random": round(self.random * budget),
        }
        for name, count in counts.items():
            if not count and vars(self)[name]:
                raise InputError(
                    f"share {name} of {vars(self)[name]} comes to none of a budget of {budget}; "
                    "raise it, or choose for more days at once"
                )
        return {"flagged": max(0, budget - sum(counts.values())), **counts}


@dataclass(frozen=True)
class Chosen:
    """The transactions to look at, n of N.

    Attributes:
        rows: [n] positions among the N.
        reason: [n] why.
        inclusion_probability: [n] with which each was to be chosen; 1 but for `random`.
    """

    rows: Ints
    reason: npt.NDArray[np.str_]
    inclusion_probability: Floats


def choose(
    probability: Floats,
    distance: Floats,
    threshold: float,
    budget: int,
    shares: Shares,
    seed: int,
) -> Chosen:
    """Choose what of N scored transactions is looked at.

    The likeliest of the flagged, up to their part of the budget; of what is left the uncertain,
    then the unfamiliar, then the random. What of the budget the flagged leave unused stays unused.

    The random ones are drawn without replacement, each transaction i of M with probability
    n / 2 (1 / M + sqrt(p_i) / sum sqrt(p)): half of it uniformly, so that no weight is large where
    the model errs (Hesterberg 1995, "Weighted Average Importance Sampling and Defensive Mixture
    Distributions"), half as it is best for the number of frauds where the model is right, by the
    standard deviation of the label where frauds are rare (Isaki and Fuller 1982, "Survey Design
    Under the Regression Superpopulation Model").

    Args:
        probability: [N] of fraud.
        distance: [N] from the familiar.
        threshold: probability from which on a transaction is flagged.
        budget: how many are looked at, at most.
        shares: of the budget.
        seed: of the draw.

    Raises:
        InputError: a share comes to none, or a value is no number in its range.
    """
    probability = _numbers(probability, "probability", 0, 1)
    distance = _numbers(distance, "distance", 0, np.inf)
    counts = shares.counts(budget)
    left = np.ones(len(probability), bool)
    orders: dict[Reason, Floats] = {
        "flagged": np.where(probability >= threshold, -probability, np.inf),
        "uncertain": np.abs(_log_odds(probability) - _log_odds(threshold)),
        "unfamiliar": -distance,
    }
    picks: dict[Reason, Ints] = {}
    for name, order in orders.items():
        rows = np.flatnonzero(left & (order < np.inf))
        picks[name] = rows[np.argsort(order[rows], kind="stable")[: counts[name]]]
        left[picks[name]] = False
    rest = np.flatnonzero(left)
    included = _included(np.sqrt(probability[rest]), counts["random"])
    drawn = systematic(included, np.random.default_rng(seed))
    certain = sum(len(rows) for rows in picks.values())
    picks["random"] = rest[drawn]
    return Chosen(
        rows=np.concatenate([*picks.values()]),
        reason=np.repeat([*picks], [len(rows) for rows in picks.values()]),
        inclusion_probability=np.concatenate([np.ones(certain), included[drawn]]),
    )


def with_fixed_sum(size: Floats, count: int) -> Floats:
    """Probabilities in proportion to sizes [M], at most 1 each, that add up to `count`.

    What would exceed 1 is 1, and the others share what is left (Tille 2006, "Sampling Algorithms",
    section 2.10).
    """
    if count >= len(size):
        return np.ones(len(size))
    probabilities: Floats = size * (count / size.sum())
    while (over := probabilities > 1).any():
        probabilities[over] = 1
        rest = probabilities < 1
        probabilities[rest] *= (count - int((~rest).sum())) / probabilities[rest].sum()
    return probabilities


def systematic(probabilities: Floats, rng: np.random.Generator) -> Ints:
    """A sample of fixed size in which each of M is with exactly its probability.

    Madow 1949, "On the Theory of Systematic Sampling, II", in random order.

    Args:
        probabilities: [M] that add up to a whole number.
        rng: source of chance.
    """
    order = rng.permutation(len(probabilities))
    passed = np.cumsum(probabilities[order])
    if len(passed):
        passed[-1] = round(passed[-1])  # the sum's rounding would lose or add one
    steps = np.ceil(passed - rng.random())
    drawn: Ints = np.sort(order[np.diff(steps, prepend=0.0) > 0])
    return drawn


def _included(size: Floats, count: int) -> Floats:
    even = np.full(len(size), 1.0 / max(1, len(size)))
    total = float(size.sum())
    return with_fixed_sum(UNIFORM * even + (1 - UNIFORM) * (size / total if total else even), count)


def _log_odds(probability: Floats | float) -> Floats:
    odds: Floats = logit(np.clip(probability, LEAST, 1 - LEAST))
    return odds


def _numbers(values: Floats, name: str, low: float, high: float) -> npt.NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    bad = ~((numbers >= low) & (numbers <= high))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{name} of scored transaction {row} is {numbers[row]}; expected {low:g} to {high:g}"
        )
    return numbers
