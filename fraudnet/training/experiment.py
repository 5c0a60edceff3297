"""An experiment: everything that decides what a training makes, in one TOML file."""

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from fraudnet.configuration import Section, parse_section, read_toml
from fraudnet.errors import InputError
from fraudnet.evaluation.thresholds import AlertConfig
from fraudnet.network.network import NetworkConfig
from fraudnet.network.scaling import with_size
from fraudnet.training.calibration import CalibrationConfig
from fraudnet.training.fitting import TrainingConfig
from fraudnet.training.sentinel import SentinelConfig
from fraudnet.transactions.recipe import load_recipe, nearest
from fraudnet.windows.periods import SplitConfig
from fraudnet.windows.specification import NEVER_FEATURES, FeatureSpecification


class DataConfig(Section):
    """How transactions are read."""

    recipe: str = Field(
        default="canonical", description="a shipped recipe's name, or the path of a .toml recipe"
    )
    max_bad_share: float = Field(
        default=0.05, ge=0, le=1, description="share of bad rows from which a file is refused"
    )
    labels: str | None = Field(
        default=None,
        description="file of labels by transaction, such as `fraudnet review export` writes, in "
        "place of the source's own",
    )
    memory_limit_mb: int | None = Field(
        default=None,
        ge=64,
        description="windows are made on disk (in TMPDIR), in at most about this much memory; "
        "none: all in memory",
    )


class BatteryConfig(Section):
    """What scoring may cost a phone."""

    device: str = Field(default="pixel-8", description="a profile's name, or a .toml profile")
    inferences_per_day: float = Field(default=5000.0, gt=0, description="transactions a day")
    max_percent_per_day: float = Field(
        default=5.0,
        gt=0,
        le=100,
        description="share of the battery that a day may take, in per cent",
    )


class BudgetConfig(Section):
    """What an artifact may take and must reach, besides the battery; one not given is not held."""

    p99_latency_ms: float | None = Field(
        default=None, gt=0, description="99th percentile of one inference, warm, on one thread"
    )
    file_bytes: int | None = Field(default=None, gt=0, description="of the .tflite, at most")
    peak_memory_bytes: int | None = Field(
        default=None, gt=0, description="model and activations alive at once, at most"
    )
    average_precision: float | None = Field(
        default=None, gt=0, le=1, description="of the test period, else validation, at least"
    )
    decision_agreement: float | None = Field(
        default=None, gt=0, le=1, description="share of windows decided as by Keras, at least"
    )


class EvaluationConfig(Section):
    """What the report of an evaluation looks at; training reads none of it."""

    kind_column: str | None = Field(
        default=None, description="column that says which kind a fraud is; data may lack it"
    )
    group_columns: tuple[str, ...] = Field(
        default=(), description="columns whose groups are compared for fairness; never a feature"
    )
    resamples: int = Field(
        default=200, ge=20, le=10_000, description="of the accounts, for 95 % intervals"
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it names."""
        return (*self.group_columns, *([self.kind_column] if self.kind_column else []))

    @model_validator(mode="after")
    def _no_names(self) -> Self:
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise ValueError(f"column {twice[0]!r} is named twice; leave one out")
        for name in self.columns:
            if name in NEVER_FEATURES:
                raise ValueError(f"{name!r} makes no groups; name a column of few values")
        return self


class Experiment(Section):
    """The whole configuration."""

    data: DataConfig = DataConfig()
    features: FeatureSpecification = FeatureSpecification()
    split: SplitConfig = SplitConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    sentinel: SentinelConfig = SentinelConfig()
    alerts: AlertConfig = AlertConfig()
    battery: BatteryConfig = BatteryConfig()
    budgets: BudgetConfig = BudgetConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _groups_are_no_features(self) -> Self:
        for name in self.evaluation.columns:
            if name in (*(c.column for c in self.features.categorical), *self.features.numeric):
                raise ValueError(
                    f"{name!r} is a feature, so evaluation cannot name it; leave one of the two out"
                )
        return self

    @model_validator(mode="after")
    def _the_sentinels_layer_is_there(self) -> Self:
        layers = ["stem", *(f"block{i}" for i in range(len(self.network.dilations))), "head"]
        if self.sentinel.layer not in ("auto", *layers):
            raise ValueError(
                f"sentinel.layer {self.sentinel.layer!r} is not in the network; expected auto or "
                f"one of {', '.join(layers)}"
            )
        return self


def load_experiment(name_or_path: str, overrides: Sequence[str] = ()) -> Experiment:
    """A shipped experiment by its name, or one of your own by the path of its TOML file.

    Args:
        name_or_path: such as "simulated" or "mine.toml".
        overrides: "section.key=value" each, the value as TOML writes it (text without quotes too).

    `network.size` (nano, micro, small, base, large) stands for the keys that it sets, so that the
    experiment holds their numbers; one of those beside it is refused.

    Raises:
        InputError: there is no such experiment, or a key is unknown or not as expected.
    """
    values, place = _values(name_or_path)
    for override in overrides:
        _override(values, override)
    if isinstance(network := values.get("network"), dict):
        values["network"] = with_size(network, place)
    experiment = parse_section(Experiment, values, place)
    if "label_delay_days" in experiment.split.model_fields_set:
        return experiment
    delay = load_recipe(experiment.data.recipe).label_delay_days
    split = experiment.split.model_copy(update={"label_delay_days": delay})
    return experiment.model_copy(update={"split": split})


def evaluated_otherwise(experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """The same experiment, but for what its network is evaluated on.

    Args:
        experiment: that a network was trained by.
        overrides: as of `load_experiment`, of `evaluation` and of `split.test_days` alone.

    Raises:
        InputError: a key is another or unknown, or its value not as expected.
    """
    values = experiment.model_dump(mode="json")
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not key.startswith("evaluation.") and key != "split.test_days":
            raise InputError(
                f"--set {override}: the network was trained with its {key}; an evaluation can "
                "change keys of evaluation, and split.test_days"
            )
        _override(values, override)
    return parse_section(Experiment, values, "fraudnet evaluate")


def shipped_experiments() -> list[str]:
    """Names of the experiments that come with the package."""
    files = resources.files(__package__).joinpath("experiments").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def _values(name_or_path: str) -> tuple[dict[str, Any], str]:
    if name_or_path.endswith(".toml"):
        return read_toml(Path(name_or_path)), name_or_path
    known = shipped_experiments()
    if name_or_path not in known:
        raise InputError(
            f"there is no experiment {name_or_path!r}{nearest(name_or_path, known)} "
            f"(shipped: {', '.join(known)}; or give the path of a .toml file)"
        )
    file = resources.files(__package__).joinpath("experiments", f"{name_or_path}.toml")
    return tomllib.loads(file.read_text("utf-8")), f"experiment {name_or_path}"


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    path = key.strip().split(".")
    if not separator or not all(path):
        raise InputError(f"--set {override}: expected section.key=value, as training.epochs=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    section = values
    for part in path[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise InputError(f"--set {override}: {part!r} is not a section")
    section[path[-1]] = value
