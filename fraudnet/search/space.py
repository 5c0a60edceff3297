"""The space of a sweep: which keys of an experiment are varied, and over which values."""

import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from optuna.trial import Trial
from pydantic import Field, model_validator

from fraudnet.configuration import Section, parse_section, read_toml
from fraudnet.errors import InputError
from fraudnet.training.experiment import Experiment
from fraudnet.transactions.recipe import nearest

SEARCHABLE = ("network", "training")
"""Sections that may be varied: any other would change what is measured."""
SEED = "training.seed"
Value = bool | int | float | str | list[Any]


class Domain(Section):
    """The values of one key: a range, or a list of choices."""

    low: float | None = Field(default=None, description="least value")
    high: float | None = Field(default=None, description="greatest value")
    step: float | None = Field(default=None, gt=0, description="distance of the values from low on")
    log: bool = Field(default=False, description="draw the logarithm evenly; not with step")
    choices: tuple[Value, ...] | None = Field(
        default=None, min_length=1, description="the values, lists too"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "Domain":
        if self.choices is not None:
            if self.model_fields_set - {"choices"}:
                raise ValueError("choices go with no low, high, step or log")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices")
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is above high ({self.high:g})")
        if self.log and self.step is not None:
            raise ValueError("log and step do not go together")
        if self.log and self.low <= 0:
            raise ValueError("with log, low must be above 0")
        return self


class Space:
    """Domains by key, as "network.width".

    Args:
        domains: of which keys.
        place: where they come from, for errors.

    Raises:
        InputError: a key is not of the experiment or may not be varied, or a value does not fit it.
    """

    def __init__(self, domains: Mapping[str, Domain], place: str) -> None:
        self.domains = dict(domains)
        known = _keys()
        for key, domain in domains.items():
            if key not in known:
                raise InputError(f"{place}: unknown key {key!r}{nearest(key, known)}")
            if key == SEED:
                raise InputError(f"{place}: {key} is luck, not a setting; leave it out")
            for value in self._ends(key, domain):
                parse_section(Experiment, _nested({key: value}), f"{place}: {key}")
        self._whole = {key for key in domains if known[key] is int}

    def sample(self, trial: Trial) -> dict[str, Value]:
        """A value of every key, chosen by Optuna."""
        return {key: self._sample(trial, key, domain) for key, domain in self.domains.items()}

    def values_in(self, experiment: Experiment) -> dict[str, Any] | None:
        """The experiment's own values as Optuna names them, or None where one lies outside."""
        found = {}
        for key, domain in self.domains.items():
            section, _, name = key.partition(".")
            value = getattr(getattr(experiment, section), name)
            if not _holds(domain, value):
                return None
            found[key] = _encoded(value)
        return found

    def decoded(self, stored: Mapping[str, Any]) -> dict[str, Value]:
        """The values of a trial as Optuna stores them, as the experiment takes them."""
        return {
            key: stored[key] if domain.choices is None else _decoded(stored[key], domain.choices)
            for key, domain in self.domains.items()
        }

    def as_dictionary(self) -> dict[str, Any]:
        """The same for JSON; two spaces are equal if these are."""
        return {key: each.model_dump(exclude_unset=True) for key, each in self.domains.items()}

    def _sample(self, trial: Trial, key: str, domain: Domain) -> Value:
        if domain.choices is not None:
            encoded = [_encoded(choice) for choice in domain.choices]
            return _decoded(trial.suggest_categorical(key, encoded), domain.choices)
        low, high = domain.low or 0.0, domain.high or 0.0
        if key in self._whole:
            step = 1 if domain.step is None else int(domain.step)
            return trial.suggest_int(key, int(low), int(high), step=step, log=domain.log)
        return trial.suggest_float(key, low, high, step=domain.step, log=domain.log)

    @staticmethod
    def _ends(key: str, domain: Domain) -> list[Value]:
        if domain.choices is not None:
            return list(domain.choices)
        numbers = [n for n in (domain.low, domain.high, domain.step) if n is not None]
        if _keys()[key] is int:
            fractions = [n for n in numbers if n != int(n)]
            if fractions:
                raise InputError(f"{key} takes whole numbers, got {fractions[0]:g}")
            numbers = [int(n) for n in numbers]
        elif _keys()[key] is not float:
            raise InputError(f"{key} is no number; give choices")
        return list(numbers[:2])


def load_space(name_or_path: str) -> Space:
    """A shipped space by its name, or one of your own by the path of its TOML file.

    Raises:
        InputError: there is no such space, or a key or value of it does not fit the experiment.
    """
    if name_or_path.endswith(".toml"):
        values, place = read_toml(Path(name_or_path)), name_or_path
    else:
        folder = resources.files(__package__).joinpath("spaces")
        known = sorted(file.name.removesuffix(".toml") for file in folder.iterdir())
        if name_or_path not in known:
            raise InputError(
                f"there is no space {name_or_path!r}{nearest(name_or_path, known)} "
                f"(shipped: {', '.join(known)}; or give the path of a .toml file)"
            )
        text = folder.joinpath(f"{name_or_path}.toml").read_text("utf-8")
        values, place = tomllib.loads(text), f"space {name_or_path}"
    return parse_space(values, place)


def parse_space(values: Mapping[str, Any], place: str) -> Space:
    """A space from tables of tables, as TOML gives them.

    Raises:
        InputError: a key or value of it does not fit the experiment, or there is none.
    """
    domains = {}
    for section, keys in values.items():
        if section not in SEARCHABLE:
            expected = " or ".join(f"[{name}.KEY]" for name in SEARCHABLE)
            raise InputError(
                f"{place}: [{section}] may not be varied{nearest(section, SEARCHABLE)}; expected "
                f"tables {expected}, since all else changes what is measured"
            )
        if not isinstance(keys, dict) or not all(isinstance(v, dict) for v in keys.values()):
            raise InputError(f"{place}: [{section}] must hold one table a key, as [{section}.KEY]")
        for key, domain in keys.items():
            domains[f"{section}.{key}"] = parse_section(Domain, domain, f"{place}: {section}.{key}")
    if not domains:
        raise InputError(f"{place}: names no key to vary")
    return Space(domains, place)


def with_values(experiment: Experiment, values: Mapping[str, Value]) -> Experiment:
    """The experiment with other values of some keys.

    Raises:
        InputError: they do not fit each other.
    """
    whole = experiment.model_dump()
    for key, value in values.items():
        section, _, name = key.partition(".")
        whole[section][name] = value
    return parse_section(Experiment, whole, "a trial's values")


def _keys() -> dict[str, Any]:
    """The keys that may be varied, with their types (of those that may be None, the other)."""
    found = {}
    for section in SEARCHABLE:
        kind = Experiment.model_fields[section].annotation
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            continue
        for name, field in kind.model_fields.items():
            found[f"{section}.{name}"] = _without_none(field.annotation)
    return found


def _without_none(kind: Any) -> Any:  # noqa: ANN401  (an annotation)
    if get_origin(kind) in (Union, UnionType):
        (kind, *_) = (part for part in get_args(kind) if part is not type(None))
    return kind


def _nested(values: Mapping[str, Value]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        found.setdefault(section, {})[name] = value
    return found


def _holds(domain: Domain, value: Any) -> bool:  # noqa: ANN401  (of any key)
    if domain.choices is not None:
        return _encoded(value) in [_encoded(choice) for choice in domain.choices]
    if value is None or domain.low is None or domain.high is None:
        return False
    if not domain.low <= value <= domain.high:
        return False
    steps = (value - domain.low) / domain.step if domain.step else 0.0
    return bool(abs(steps - round(steps)) < 1e-9)


def _encoded(value: Any) -> Any:  # noqa: ANN401  (of any key)
    """Optuna stores no lists: they go as JSON."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def _decoded(value: Any, choices: tuple[Value, ...]) -> Value:  # noqa: ANN401
    return next(choice for choice in choices if _encoded(choice) == value)
