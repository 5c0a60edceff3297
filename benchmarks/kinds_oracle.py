"""An oracle for the simulator: what could be known of a transaction at the moment it is scored.

It knows the generator: every rule and constant, the true habits of each account, the true prices
and places of each counterparty. It sees what everybody sees: the transactions up to and including
the one it scores, and labels when they arrive. It knows no fraud's flag before its label arrives,
not which transactions belong together, not who is on a trip, and not which counterparties were
broken into: of those it keeps probabilities, by Bayes' rule. What it approximates: at most one run
is under way on an account at a time; a trip is not cut short by another; a payment at a
counterparty comes at that counterparty's mean rate where the odds of a break-in are counted.
"""

import numpy as np
import numpy.typing as npt

from benchmarks.kinds_breaches import LEAST, breach_probabilities
from benchmarks.kinds_rules import Floats, Seen, World
from benchmarks.kinds_runs import run_probabilities


def oracle_log_odds(
    world: World, seen: Seen, label_delay_days: int, asked: npt.NDArray[np.bool_]
) -> Floats:
    """Log of the odds of fraud at the moment of each transaction that is asked for, [W].

    Args:
        world: what is known beforehand.
        seen: all its transactions.
        label_delay_days: whole days until a label is known; the labels are looked at at midnight.
        asked: [N] the W transactions.
    """
    run = run_probabilities(world, seen)
    breach = breach_probabilities(world, seen, run, label_delay_days, asked)
    run = run[asked]
    fraud, genuine = run + (1 - run) * breach, (1 - run) * (1 - breach)
    odds: Floats = np.log(np.maximum(fraud, LEAST)) - np.log(np.maximum(genuine, LEAST))
    return odds
