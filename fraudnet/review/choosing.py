"""Transactions that no device flagged, chosen for the model to learn from, enter the queue."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import text

from fraudnet.errors import InputError
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore, Scored
from fraudnet.review.importing import Imported, add_flags
from fraudnet.review.learning import Shares, choose
from fraudnet.review.leases import clock_us
from fraudnet.review.sampled import Reviewed, SampledFigures, sampled_figures

_REVIEWED = text("""
SELECT CASE verdict WHEN 'confirmed_fraud' THEN 1 WHEN 'false_positive' THEN 0 ELSE -1 END,
       inclusion_probability, reason
FROM flags LEFT JOIN verdicts_in_force USING (case_id)
WHERE timestamp_us >= :begin_us AND timestamp_us < :end_us
""")


@dataclass(frozen=True)
class Span:
    """Time [begin, end), UTC."""

    begin: datetime
    end: datetime

    @property
    def us(self) -> tuple[int, int]:
        """Begin and end in microseconds since 1970-01-01."""
        begin, end = (
            round(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000
            for moment in (self.begin, self.end)
        )
        return begin, end

    def __str__(self) -> str:
        return f"{self.begin:%Y-%m-%d} to {self.end:%Y-%m-%d}"


@dataclass(frozen=True)
class ForLearning:
    """What was chosen.

    Attributes:
        scored: transactions of the time that the devices scored.
        flagged: of them; they enter by being imported.
        reasons: how many were chosen for each reason.
        imported: what became of the chosen.
    """

    scored: int
    flagged: int
    reasons: dict[str, int]
    imported: Imported


def choose_for_learning(
    database: CaseDatabase,
    stores: Sequence[DeviceStore],
    span: Span,
    budget: int,
    shares: Shares,
    seed: int = 0,
    now_us: int | None = None,
) -> ForLearning:
    """Put a declared share of the alert budget of a time into the queue, of what was not flagged.

    The same stores, time, shares and seed choose the same, which are then in the queue once.

    Args:
        database: open.
        stores: of all devices that the budget is for: each is chosen among all they scored.
        span: the time; each time is chosen for once.
        budget: transactions that are looked at of that time, flagged ones among them.
        shares: of the budget.
        seed: of the draw.
        now_us: the moment, microseconds since 1970-01-01 UTC; the clock's if None.

    Raises:
        InputError: nothing was scored in that time, a share comes to none, two stores hold
            the same of one device, or a store or the database cannot be used.
    """
    moment_us = clock_us(now_us)
    found = [(store, each) for store in stores for each in store.scored(*span.us)]
    _refuse_repeated(found)
    unflagged = [(store, each) for store, each in found if not each.flagged]
    if not unflagged:
        raise InputError(
            f"{', '.join(str(store.path) for store in stores)}: no scored transaction of {span} "
            "that was not flagged; choose for another time"
        )
    values = [(each.fraud_probability, each.ood_distance, each.threshold) for _, each in unflagged]
    probability, distance, threshold = np.array(values, np.float64).T
    chosen = choose(probability, distance, threshold, budget, shares, seed)
    imported = Imported(0, 0, [], 0)
    for store in stores:
        own = [at for at, row in enumerate(chosen.rows) if unflagged[row][0] is store]
        ids = [unflagged[chosen.rows[at]][1].transaction_id for at in own]
        flags = [
            replace(
                flag,
                reason=str(chosen.reason[at]),
                inclusion_probability=float(chosen.inclusion_probability[at]),
            )
            for at, flag in zip(own, store.unflagged(ids, moment_us), strict=True)
        ]
        added = add_flags(database, store.device_id, flags, store.account_key, moment_us)
        imported = Imported(
            imported.flags + added.flags,
            imported.known + added.known,
            imported.conflicting + added.conflicting,
            imported.forgotten + added.forgotten,
            imported.other_scores + added.other_scores,
        )
    reasons = Counter(str(reason) for reason in chosen.reason)
    return ForLearning(len(found), len(found) - len(unflagged), dict(reasons), imported)


def figures_of_queue(database: CaseDatabase, span: Span) -> SampledFigures:
    """Recall and precision of the devices' flags and prevalence of fraud, by the verdicts in force.

    Over all that the devices scored in that time, flagged or not, corrected for how transactions
    entered the queue; confirmed fraud is fraud, a false positive none, and any other verdict says
    nothing. Which flags have a verdict should not depend on what they are: where only the likeliest
    are looked at, the precision is too high.

    Args:
        database: with all flags of that time, and some chosen at random.
        span: the time of the transactions.

    Raises:
        InputError: nothing is there of that time, none was chosen at random, or none of a kind has
            a verdict.
    """
    begin_us, end_us = span.us
    with database.read() as connection:
        found = connection.execute(_REVIEWED, {"begin_us": begin_us, "end_us": end_us}).all()
    if not found:
        raise InputError(f"{database.place}: holds no case of {span}")
    is_fraud, probability, reason = zip(*found, strict=True)
    return sampled_figures(
        Reviewed(
            np.array(is_fraud, np.int8),
            np.array(probability, np.float64),
            np.array(reason) == "flagged",
        )
    )


def _refuse_repeated(found: Sequence[tuple[DeviceStore, Scored]]) -> None:
    """What a device scored once must not count twice, each with half of its probability."""
    first: dict[tuple[str, str], Path] = {}
    for store, each in found:
        scored = (store.device_id, each.transaction_id)
        if scored in first:
            raise InputError(
                f"{store.path}: holds what {first[scored]} holds, of the same device; give one "
                "store of each device"
            )
        first[scored] = store.path
