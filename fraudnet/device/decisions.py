"""What the scorer answers: decisions, their reasons, and what it holds of an account."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from fraudnet.device.store import Score
from fraudnet.device.transactions import Transaction

HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Reason:
    """What raised a probability: one field of one transaction of the window."""

    transaction_id: str
    field: str  # amount, time, reputation, a further column; transaction: that it is there
    probability_without: float  # had the field been as is usual in this window, or unknown
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one transaction."""

    transaction_id: str
    account_id: str
    probability: float  # of fraud, calibrated
    ood_distance: float
    flagged: bool  # probability >= threshold
    threshold: float
    familiar: bool | None  # of the like that the network was made on; None: not judged
    case: str  # genuine or fraud, as flagged, with _unfamiliar where it is not familiar
    reputation_age_h: (
        float | None
    )  # of the counts that were read, at its time; None: of no snapshot
    reasons: tuple[Reason, ...] | None  # of a flag, at most three; None: deferred to `explain`
    revises: tuple[str, ...]  # late: later transactions that would now be decided otherwise
    # Of this call; everything above is as stored.
    repeated: bool  # answered before: the stored decision
    latency_us: int  # commit included

    @classmethod
    def about(
        cls,
        transaction_id: str,
        account_id: str,
        timestamp_us: int,
        score: Score,
        *,
        repeated: bool,
        latency_us: int,
    ) -> Self:
        """The decision that a stored score stands for."""
        as_of_us = score.reputation_as_of_us
        age_h = None if as_of_us is None else (timestamp_us - as_of_us) / HOUR_US
        reasons: tuple[Reason, ...] | None = None
        if not score.flagged:
            reasons = ()
        elif score.reasons is not None:
            reasons = tuple(Reason(**fields) for fields in json.loads(score.reasons))
        return cls(
            transaction_id=transaction_id,
            account_id=account_id,
            probability=score.fraud_probability,
            ood_distance=score.ood_distance,
            flagged=score.flagged,
            threshold=score.threshold,
            familiar=score.familiar,
            case=_case(score),
            reputation_age_h=age_h,
            reasons=reasons,
            revises=tuple(json.loads(score.revises)) if score.revises else (),
            repeated=repeated,
            latency_us=latency_us,
        )

    def line(self) -> str:
        """Returns the decision as one line of JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Held:
    """A transaction that the store holds."""

    transaction: Transaction
    reputation: Mapping[str, int]  # counts as known at its time; {}: unknown
    decision: Decision | None  # None: history only

    def line(self) -> str:
        """Returns all of it as one line of JSON."""
        return json.dumps(asdict(self))


def _case(score: Score) -> str:
    case = "fraud" if score.flagged else "genuine"
    return f"{case}_unfamiliar" if score.familiar is False else case
