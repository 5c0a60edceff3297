"""From which probability on a transaction is flagged: by alert budget, by cost, by precision."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fraudnet.configuration import Section
from fraudnet.errors import InputError
from fraudnet.evaluation.metrics import Floats, Scored

Policy = Literal["alert_budget", "cost", "precision"]
Cuts = npt.NDArray[np.float64]


class AlertConfig(Section):
    """What is flagged, and what that costs and saves."""

    policy: Policy = Field(
        default="alert_budget",
        description="alert_budget: as many as per_day allows; cost: where most money is saved; "
        "precision: as many as keep to a share of frauds among them",
    )
    per_day: float = Field(
        default=30.0,
        gt=0,
        description="alert budget: flagged transactions a day; sets the threshold",
    )
    accounts_per_day: int = Field(
        default=100, ge=1, le=10**9, description="k of card precision@k: accounts looked at a day"
    )
    review_cost: float = Field(
        default=0.0, ge=0, description="of a flagged transaction, in the amounts' currency"
    )
    customer_cost: float = Field(
        default=0.0, ge=0, description="of a genuine transaction that is flagged, besides"
    )
    loss_given_fraud: float = Field(
        default=1.0, ge=0, le=1, description="share of a fraud's amount that is lost if not flagged"
    )
    recovered: float = Field(
        default=1.0, ge=0, le=1, description="share of that loss which an alert saves"
    )
    precision: float | None = Field(
        default=None, gt=0, lt=1, description="wanted share of frauds among flagged transactions"
    )
    precision_alerts: int = Field(
        default=20,
        ge=1,
        description="labelled alerts that a precision must at least be measured on, so that it is "
        "not that of one lucky alert",
    )

    @model_validator(mode="after")
    def _policy_has_its_terms(self) -> Self:
        if self.policy not in self.policies:
            needed = {
                "cost": "review_cost or customer_cost: where alerts cost nothing, all are flagged",
                "precision": "precision, such as 0.5",
            }
            raise ValueError(f"policy {self.policy} needs {needed[self.policy]}")
        return self

    @property
    def policies(self) -> dict[Policy, dict[str, float]]:
        """The policies whose terms are given, with these."""
        found: dict[Policy, dict[str, float]] = {"alert_budget": {"per_day": self.per_day}}
        if self.review_cost or self.customer_cost:
            names = ("review_cost", "customer_cost", "loss_given_fraud", "recovered")
            found["cost"] = {name: getattr(self, name) for name in names}
        if self.precision is not None:
            found["precision"] = {"precision": self.precision}
        return found


class Choice(Section):
    """A threshold, how it was chosen, and what follows from it on the validation period."""

    probability: float = Field(description="from which on a transaction is flagged")
    chosen_by: Policy
    terms: dict[str, float] = Field(description="of the policy, as configured")
    alerts_per_day: float = Field(description="flagged, those without a label too")
    precision: float | None = Field(description="frauds among labelled alerts; null: there is none")
    recall: float = Field(description="share of frauds that are flagged")
    money_recall: float = Field(description="share of the frauds' money that is flagged")
    money_saved_per_day: float = Field(
        description="flagged frauds' amount x loss_given_fraud x recovered, less review_cost x "
        "labelled alerts and customer_cost x flagged genuine"
    )
    customers_bothered_per_day: float = Field(
        description="accounts with a flagged genuine transaction, counted on each day anew"
    )


class Threshold(Choice):
    """The chosen threshold, and what the other policies would have chosen."""

    period: str
    alternatives: tuple[Choice, ...] = ()
    unreached: str | None = Field(
        default=None, description="why the wanted precision has no threshold, if it is not reached"
    )


@dataclass(frozen=True)
class Decided:
    """Transactions of a period to choose a threshold on.

    Attributes:
        scored: all of them; `is_fraud` is -1 where the label is not known.
        weight: [N] how many transactions each stands for, 1 unless they are a sample.
        days: length of the period.
    """

    scored: Scored
    weight: Floats
    days: float


def choose_threshold(decided: Decided, alerts: AlertConfig, period: str) -> Threshold:
    """The threshold of the configured policy, and those of the others whose terms are given.

    Raises:
        InputError: the wanted precision is not reached.
    """
    curve = _Curve(decided, alerts)
    choices, unreached = {}, None
    for policy in alerts.policies:
        try:
            choices[policy] = curve.choice(policy)
        except InputError as error:
            if policy == alerts.policy:
                raise
            unreached = str(error)
    chosen = choices.pop(alerts.policy)
    return Threshold(
        **chosen.model_dump(),
        period=period,
        alternatives=tuple(choices.values()),
        unreached=unreached,
    )


@dataclass(frozen=True)
class Consequences:
    """What follows from flagging the c highest distinct scores, c = 0 .. C, [C + 1] each.

    Attributes:
        probability: the threshold.
        alerts_per_day: flagged, those without a label too.
        money_saved_per_day: as `Choice` has it.
    """

    probability: Cuts
    alerts_per_day: Cuts
    money_saved_per_day: Cuts


def consequences(decided: Decided, alerts: AlertConfig) -> Consequences:
    """What follows from every threshold that makes a difference."""
    return _Curve(decided, alerts).consequences()


class _Curve:
    """What follows from flagging the c highest distinct scores, c = 0 .. C, as arrays [C + 1]."""

    def __init__(self, decided: Decided, alerts: AlertConfig) -> None:
        scored, weight = decided.scored, np.asarray(decided.weight, np.float64)
        self._alerts, self._decided = alerts, decided
        values, rank = np.unique(scored.score, return_inverse=True)
        self._values, self._rank = values[::-1], len(values) - 1 - rank
        fraud, genuine = scored.is_fraud == 1, scored.is_fraud == 0
        self._flagged = self._cumulated(weight)
        self._frauds = self._cumulated(weight * fraud)
        self._genuine = self._cumulated(weight * genuine)
        self._labelled = self._cumulated(fraud | genuine)
        self._money = self._cumulated(weight * fraud * np.abs(scored.amount))

    def choice(self, policy: Policy) -> Choice:
        """The policy's choice.

        Raises:
            InputError: the wanted precision is not reached.
        """
        cut = {"alert_budget": self._budget, "cost": self._cost, "precision": self._precise}
        at = cut[policy]()
        frauds, genuine, days = self._frauds[at], self._genuine[at], self._decided.days
        money, whole = self._money[at], self._money[-1]
        return Choice(
            probability=float(_between(self._values)[at]),
            chosen_by=policy,
            terms=self._alerts.policies[policy],
            alerts_per_day=self._flagged[at] / days,
            precision=frauds / (frauds + genuine) if frauds + genuine else None,
            recall=frauds / self._frauds[-1] if self._frauds[-1] else 0.0,
            money_recall=money / whole if whole else 0.0,
            money_saved_per_day=self._saved[at] / days,
            customers_bothered_per_day=self._bothered(at) / days,
        )

    def consequences(self) -> Consequences:
        """Of every cut."""
        return Consequences(
            _between(self._values),
            self._flagged / self._decided.days,
            self._saved / self._decided.days,
        )

    @property
    def _saved(self) -> Cuts:
        """Money saved, an amount for each fraud of its own.

        Elkan 2001, "The Foundations of Cost-Sensitive Learning", section 2, and Bahnsen et al.
        2014, "Example-Dependent Cost-Sensitive Logistic Regression for Credit Scoring", section 2:
        costs less those of flagging nothing.
        """
        alerts = self._alerts
        saved: Cuts = self._money * alerts.loss_given_fraud * alerts.recovered
        saved -= alerts.review_cost * (self._frauds + self._genuine)
        return saved - alerts.customer_cost * self._genuine

    def _budget(self) -> int:
        # Weights that are no whole numbers add up with an error of rounding.
        budget = self._alerts.per_day * self._decided.days
        return _last(self._flagged <= budget * (1 + 1e-12))

    def _cost(self) -> int:
        return int(np.argmax(self._saved))

    def _precise(self) -> int:
        wanted, least = self._alerts.precision, self._alerts.precision_alerts
        precision = self._frauds / np.maximum(self._frauds + self._genuine, 1e-300)
        enough = self._labelled >= least
        if not (reached := enough & (precision >= wanted)).any():
            raise InputError(
                f"alerts.precision {wanted} is not reached on the validation period: the highest "
                f"on {least} labelled alerts or more (alerts.precision_alerts) is "
                f"{precision[enough].max(initial=0):.4g}; lower it, or lengthen "
                "split.validation_days"
            )
        return _last(reached)

    def _bothered(self, at: int) -> float:
        """Accounts with a flagged genuine transaction, summed over the days."""
        scored = self._decided.scored
        wrong = (self._rank < at) & (scored.is_fraud == 0)
        pairs = np.stack([scored.day[wrong], scored.account[wrong]])
        _, first = np.unique(pairs, axis=1, return_index=True)
        return float(self._decided.weight[wrong][first].sum())

    def _cumulated(self, values: npt.NDArray[Any]) -> Cuts:
        each = np.bincount(self._rank, values, minlength=len(self._values))
        return np.concatenate([[0.0], np.cumsum(each)])


def _last(allowed: npt.NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(allowed)[-1])


def _between(falling: Floats) -> Cuts:
    """Thresholds that flag the c highest of these scores, distinct and falling, c = 0 .. C.

    They lie half-way between two, so that another runtime's rounding flips no decision; 1 stands
    above the highest and 0 below the lowest.
    """
    # In the scores' own precision, in which the two may be neighbours.
    last_in = np.concatenate([np.ones(1, falling.dtype), falling])
    first_out = np.concatenate([falling, np.zeros(1, falling.dtype)])
    middle = first_out + (last_in - first_out) / 2
    last_in[0] = max(last_in[0], np.nextafter(first_out[0], np.inf, dtype=falling.dtype))
    return np.where((first_out < middle) & (middle <= last_in), middle, last_in).astype(np.float64)
