"""What the network reads of a transaction: the one source of each input's name, type and order."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fraudnet.configuration import Section

NEVER_FEATURES = frozenset(
    {"transaction_id", "timestamp", "account_id", "counterparty_id", "is_fraud", "label_time"}
)
"""Labels give the answer away; the others are names, or are read already."""

Days = Annotated[int, Field(ge=1, le=3650)]


Statistic = Literal[
    "count",
    "fraud",
    "genuine_recency",
    "fraud_recency",
    "onset_recency",
    "run_recency",
    "run_fraud",
]
COUNTS: tuple[Statistic, ...] = ("count", "fraud")
EPISODE: tuple[Statistic, ...] = (
    "genuine_recency",
    "fraud_recency",
    "onset_recency",
    "run_recency",
    "run_fraud",
)
"""Of the last days: the latest known genuine transaction, the latest and the first known fraud, the
first of the frauds since that genuine one, each as hours until the days will have passed over it
(0: none), and the number of the frauds since."""


class CategoricalColumn(Section):
    """A column of strings that the network reads as an index into a vocabulary."""

    column: str = Field(description="name of the column")
    vocabulary: tuple[str, ...] = Field(
        default=(), description="known values; empty = taken from the training rows"
    )
    max_size: int = Field(default=64, ge=1, description="most values it may hold, frequent first")

    @field_validator("vocabulary")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("values must differ")
        return value


class Reputation(Section):
    """Counts of a counterparty's transactions and known frauds, as known at the time."""

    key: str = Field(
        default="counterparty_id",
        description="column whose past is counted: counterparty_id, category, or a further one",
    )
    windows_days: tuple[Days, ...] = Field(
        default=(1, 7, 30), description="lengths of the windows that are counted, in days"
    )
    episode_days: Annotated[int, Field(ge=1, le=2000)] | Literal["none"] = Field(
        default=35,
        description="how far back known frauds are dated, in days, so that the network sees when "
        'a compromise began and whether it has ended; "none": they are counted only',
    )
    refresh: Literal["day", "transaction"] = Field(
        default="day",
        description="counts as of midnight UTC, as a daily snapshot has them, or of the moment",
    )
    max_age_days: float = Field(
        default=2.0,
        gt=0,
        le=3650,
        description="age from which a device's snapshot is not used, in days",
    )

    @field_validator("windows_days")
    @classmethod
    def _increasing(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("windows must increase and differ")
        return value

    @property
    def prefix(self) -> str:
        """How the names of the network's inputs begin."""
        return self.key.removesuffix("_id")

    @property
    def statistics(self) -> tuple[tuple["Statistic", int], ...]:
        """What is known of a counterparty, each with its days, in the order of the columns."""
        counts: list[tuple[Statistic, int]] = [
            (what, days) for days in self.windows_days for what in COUNTS
        ]
        if self.episode_days != "none":
            counts += [(what, self.episode_days) for what in EPISODE]
        return tuple(counts)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the statistics, in the order of a snapshot's columns."""
        return tuple(f"{what}_{days}d" for what, days in self.statistics)


class FeatureSpecification(Section):
    """The declared list of what the network reads per transaction."""

    categorical: tuple[CategoricalColumn, ...] = Field(
        default=(), description="columns of strings, beside amount and time"
    )
    numeric: tuple[str, ...] = Field(
        default=(), description="columns of numbers, beside the amount; missing reads as 0"
    )
    reputation: Reputation | None = Field(
        default_factory=Reputation,
        description='counterparty counts; "none" = the network reads none',
    )

    @field_validator("reputation", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return None if value == "none" else value  # TOML has no null

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name in (*(c.column for c in self.categorical), *self.numeric):
            if name in NEVER_FEATURES:
                raise ValueError(f"{name!r} cannot be a feature; leave it out")
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
                raise ValueError(
                    f"{name!r} cannot name an input; give the column a name of letters, digits "
                    "and _ in the recipe"
                )
        if self.reputation is not None:
            keys = ["counterparty_id", *(c.column for c in self.categorical)]
            if self.reputation.key not in keys:
                raise ValueError(
                    f"reputation.key {self.reputation.key!r} is not read by the network; expected "
                    f"one of {', '.join(keys)}, or declare it under categorical"
                )
        names = [i.name for i in self.inputs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"input {twice[0]!r} is declared twice; rename or leave out one column"
            )
        return self

    @property
    def inputs(self) -> tuple["Input", ...]:
        """The network's inputs in order, one [1, T] tensor each."""
        found = [
            Input(name="amount", dtype="float32", kind="amount"),
            Input(name="day", dtype="int32", kind="day"),
            Input(name="second", dtype="int32", kind="second"),
            Input(name="valid", dtype="float32", kind="valid"),
        ]
        found += [
            Input(
                name=c.column,
                dtype="int32",
                kind="categorical",
                column=c.column,
                vocabulary=c.vocabulary,
            )
            for c in self.categorical
        ]
        found += [
            Input(name=name, dtype="float32", kind="numeric", column=name) for name in self.numeric
        ]
        if self.reputation is not None:
            found += [
                Input(
                    name=f"{self.reputation.prefix}_{statistic}_{days}d",
                    dtype="float32",
                    kind="reputation",
                    statistic=statistic,
                    days=days,
                )
                for statistic, days in self.reputation.statistics
            ]
        return tuple(found)


class Input(Section):
    """One input of the network: a row of T values, one a transaction, newest last."""

    name: str
    dtype: Literal["float32", "int32"]
    kind: Literal["amount", "day", "second", "valid", "categorical", "numeric", "reputation"]
    column: str | None = None
    vocabulary: tuple[str, ...] | None = None
    statistic: Statistic | None = None
    days: int | None = None
