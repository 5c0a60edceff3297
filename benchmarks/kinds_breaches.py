"""The oracle's view of each counterparty: whether it may have been broken into, and when."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import poisson

from benchmarks.kinds_rules import Floats, Ints, Seen, World
from fraudnet.transactions.simulated_fraud import (
    COMPROMISED_DAYS,
    COMPROMISED_FRAUD,
    COMPROMISED_SHARE,
)

NEGLIGIBLE = 1e-9  # chance of a break-in that is not looked at further
LEAST = 1e-300  # that a logarithm is taken of
FEWEST = 15  # frauds at a counterparty that is broken into
FRAUD_SHARES = 3  # nodes of the quadrature over a breach's share of frauds


@dataclass(frozen=True)
class _Breaches:
    """All ways in which a counterparty may be broken into, [H] each.

    Attributes:
        start: first day.
        end: the day after the last.
        share: index of the fraud share.
        weight: chance of the three, of a counterparty that is broken into at random.
    """

    start: Ints
    end: Ints
    share: Ints
    weight: Floats


def breach_probabilities(
    world: World, seen: Seen, run: Floats, label_delay_days: int, asked: npt.NDArray[np.bool_]
) -> Floats:
    """[W] that a genuine transaction was turned into a fraud because of where it was made.

    Args:
        world: what is known beforehand.
        seen: the N transactions.
        run: [N] chance of each to be a fraud anyway.
        label_delay_days: whole days until a label is known.
        asked: [N] the W transactions.
    """
    nodes, node_weights = np.polynomial.legendre.leggauss(FRAUD_SHARES)  # type: ignore[no-untyped-call]
    low, high = COMPROMISED_FRAUD
    shares = low + (high - low) * (nodes + 1) / 2
    ways = _ways(world.config.days, node_weights / 2)
    prior = _prior(world, seen, ways, shares)
    evidence = _evidence(seen, np.clip(run, 1e-9, 1 - 1e-9), shares, world.config.days, len(prior))
    shop, day = seen.counterparty[asked], seen.day[asked]
    days = np.unique(day)
    found = np.zeros((len(prior), world.config.days))
    for one in np.unique(shop[prior.sum(axis=1)[shop] > NEGLIGIBLE]):
        today = _by_day(evidence[one], ways, prior[one], shares, days, days - label_delay_days)
        found[one, days] = today
    chance: Floats = found[shop, day]
    return chance


def _ways(days: int, share_weights: Floats) -> _Breaches:
    parts = []
    shortest, longest = COMPROMISED_DAYS
    for duration in range(shortest, longest + 1):
        first = np.arange(-(longest // 2) - 1, days)
        # It starts on the floor of a uniform number from -duration/2 to days - duration/2.
        inside = np.minimum(first + 1, days - duration / 2) - np.maximum(first, -duration / 2)
        chance = np.clip(inside, 0, 1) / days / (longest - shortest + 1)
        parts.append((first, first + duration, chance))
    start, end, chance = (np.concatenate(column) for column in zip(*parts, strict=True))
    possible = chance > 0
    count, shares = int(possible.sum()), len(share_weights)
    return _Breaches(
        np.repeat(start[possible], shares),
        np.repeat(end[possible], shares),
        np.tile(np.arange(shares), count),
        (chance[possible][:, None] * share_weights).ravel(),
    )


def _prior(world: World, seen: Seen, ways: _Breaches, shares: Floats) -> Floats:
    """[C, H] chance that the counterparty is broken into in this way.

    Those with enough frauds and not too many are taken at random until there are enough of all.
    """
    days, wanted = world.config.days, COMPROMISED_SHARE * world.frauds
    shops = len(world.people.counterparties.place)
    rate = np.bincount(seen.counterparty, minlength=shops) / days
    span = np.minimum(ways.end, days) - np.maximum(ways.start, 0)
    expected = span * shares[ways.share]
    most = int(min(wanted, max(40, wanted / 12)))
    grid = np.linspace(0, rate.max(initial=0.0) * expected.max(), 20_000)
    likely = poisson.cdf(most, grid) - poisson.cdf(FEWEST - 1, grid)
    frauds = grid * (poisson.cdf(most - 1, grid) - poisson.cdf(FEWEST - 2, grid))
    frauds_of_all = sum(
        float(ways.weight @ np.interp(one * expected, grid, frauds)) for one in rate
    )
    taken = min(1.0, wanted / max(frauds_of_all, 1e-9))
    return np.stack([taken * ways.weight * np.interp(r * expected, grid, likely) for r in rate])


def _evidence(seen: Seen, run: Floats, shares: Floats, days: int, shops: int) -> Floats:
    """[C, shares, days + 1] log likelihood ratio of the labels before each day: broken into or not.

    A genuine label has the chance (1 - share) (1 - run) against 1 - run, a fraud's the chance
    share + (1 - share) run against run.
    """
    found = np.zeros((shops, len(shares), days + 1))
    for i, share in enumerate(shares):
        fraud = np.log(share + (1 - share) * run) - np.log(run)
        ratio = np.where(seen.is_fraud == 1, fraud, np.log(1 - share))
        np.add.at(found[:, i], (seen.counterparty, seen.day + 1), ratio)
    total: Floats = found.cumsum(axis=2)
    return total


def _by_day(
    evidence: Floats, ways: _Breaches, prior: Floats, shares: Floats, days: Ints, labelled: Ints
) -> list[float]:
    """Chance that a genuine transaction of each day is turned into a fraud, of one counterparty.

    Args:
        evidence: [shares, all days + 1].
        ways: in which it may be broken into.
        prior: [H] of each.
        shares: of a breach's payments that are frauds.
        days: that are asked for.
        labelled: of each of them the first day whose labels are not known.
    """
    found = []
    log_prior = np.log(np.maximum(prior, LEAST))
    safe = np.log1p(-min(float(prior.sum()), 1 - NEGLIGIBLE))
    for today, known in zip(days, np.maximum(labelled, 0), strict=True):
        start, end = np.clip(ways.start, 0, known), np.clip(ways.end, 0, known)
        weight = log_prior + evidence[ways.share, end] - evidence[ways.share, start]
        top = max(safe, float(weight.max()))
        weight = np.exp(weight - top)
        active = (ways.start <= today) & (today < ways.end)
        turned = float((weight * shares[ways.share])[active].sum())
        found.append(turned / float(weight.sum() + np.exp(safe - top)))
    return found
