"""Experiments: what ships is whole, overrides have types, and mistakes name the nearest key."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from fraudnet.errors import InputError
from fraudnet.training.experiment import Experiment, load_experiment, shipped_experiments

SHIPPED = ("handbook", "simulated", "sparkov")


def value_of(experiment: Experiment, key: str) -> object:
    found: Any = experiment
    for part in key.split("."):
        found = getattr(found, part)
    return found


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        is_section = isinstance(value, dict)
        found |= leaves(value, f"{prefix}{key}.") if is_section else {f"{prefix}{key}": value}
    return found


def test_three_experiments_are_shipped() -> None:
    assert tuple(shipped_experiments()) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_experiment_holds_what_its_file_says(name: str) -> None:
    file = resources.files("fraudnet.training").joinpath("experiments", f"{name}.toml")
    said = leaves(tomllib.loads(file.read_text("utf-8")))
    if said.get("features.reputation") == "none":  # TOML has no null
        said["features.reputation"] = None
    experiment = load_experiment(name)
    columns = [{"column": c.column} for c in experiment.features.categorical]
    assert columns == said.pop("features.categorical", [])
    assert {key: value_of(experiment, key) for key in said} == said


@pytest.mark.parametrize("name", SHIPPED)
def test_an_experiment_comes_back_whole_from_its_own_json(name: str) -> None:
    experiment = load_experiment(name)
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.epochs=3", "training.epochs", 3),
        ("training.learning_rate=1e-2", "training.learning_rate", 0.01),
        ("alerts.per_day=12", "alerts.per_day", 12.0),
        ("network.dilations=[1, 3]", "network.dilations", (1, 3)),
        ("features.numeric=['distance']", "features.numeric", ("distance",)),
        ("features.reputation.windows_days=[2]", "features.reputation.windows_days", (2,)),
        ("features.reputation.refresh=transaction", "features.reputation.refresh", "transaction"),
        ("battery.device=own phone.toml", "battery.device", "own phone.toml"),
        ('data.recipe="handbook"', "data.recipe", "handbook"),
        ("data.recipe = sparkov", "data.recipe", "sparkov"),
        ("split.training_days=28", "split.training_days", 28.0),
    ],
)
def test_an_override_has_the_type_of_its_key(override: str, key: str, value: object) -> None:
    found = value_of(load_experiment("simulated", [override]), key)
    assert found == value
    assert type(found) is type(value)


def test_an_override_leaves_the_other_keys_as_they_were() -> None:
    before, after = load_experiment("handbook"), load_experiment("handbook", ["alerts.per_day=9"])
    assert after == before.model_copy(
        update={"alerts": before.alerts.model_copy(update={"per_day": 9.0})}
    )
    assert after != before


def test_the_last_override_wins() -> None:
    given = ["training.epochs=3", "training.seed=5", "training.epochs=4"]
    training = load_experiment("simulated", given).training
    assert (training.epochs, training.seed) == (4, 5)


def test_an_override_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nepochs = 3\nseed = 5\n")
    training = load_experiment(str(path), ["training.epochs=4"]).training
    assert (training.epochs, training.seed) == (4, 5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("simulatd", "there is no experiment 'simulatd'; did you mean 'simulated'? (shipped: "),
        (
            "x",
            "there is no experiment 'x' (shipped: handbook, simulated, sparkov; or give the path",
        ),
        ("none.toml", "none.toml: no such file"),
    ],
)
def test_an_unknown_experiment_is_refused_with_those_there_are(name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        load_experiment(name)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainig.epochs=3", "unknown key 'trainig'; did you mean 'training'?"),
        ("training.epoch=3", "unknown key 'training.epoch'; did you mean 'epochs'?"),
        ("network.dilation=[1]", "unknown key 'network.dilation'; did you mean 'dilations'?"),
        (
            "features.reputation.window_days=[1]",
            "unknown key 'features.reputation.window_days'; did you mean 'windows_days'?",
        ),
        ("training.epochs=many", "key 'training.epochs': Input should be a valid integer"),
        ("training.epochs=2.5", "key 'training.epochs': Input should be a valid integer"),
        ("training.epochs=0", "key 'training.epochs': Input should be greater than or equal to 1"),
        (f"training.seed={2**32}", "key 'training.seed': Input should be less than 4294967296"),
        ("alerts.per_day=nan", "key 'alerts.per_day': Input should be"),
        ("network.squeeze_window=5", "key 'network.squeeze_window': Value error, must be a power"),
        ("data.recipe=sparkof", "there is no recipe 'sparkof'; did you mean 'sparkov'?"),
        ("data.recipe.name=x", "--set data.recipe.name=x: 'recipe' is not a section"),
        ("epochs", "--set epochs: expected section.key=value, as training.epochs=20"),
        ("training.=3", "--set training.=3: expected section.key=value"),
        ("=3", "--set =3: expected section.key=value"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(override: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        load_experiment("simulated", [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[alerts]\nper_dai = 3\n")
    with pytest.raises(InputError) as caught:
        load_experiment(str(path))
    said = f"{path}: unknown key 'alerts.per_dai'; did you mean 'per_day'?"
    assert str(caught.value) == said


RECIPE = """
label_delay_days = 3.5
transaction_id = "id"
timestamp = "at"
account_id = "who"
amount = "much"
"""


def test_the_label_delay_is_that_of_the_recipe(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(RECIPE)
    for recipe, days in (("canonical", 7.0), ("sparkov", 0.0), (own, 3.5)):
        experiment = load_experiment("simulated", [f"data.recipe={recipe}", "split.test_days=5"])
        assert (experiment.split.label_delay_days, experiment.split.test_days) == (days, 5.0)


def test_a_label_delay_that_is_given_stays(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[data]\nrecipe = "sparkov"\n[split]\nlabel_delay_days = 4\n')
    assert load_experiment(str(path)).split.label_delay_days == 4
    given = ["data.recipe=sparkov", "split.label_delay_days=7"]
    assert load_experiment("simulated", given).split.label_delay_days == 7


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('evaluation.group_columns=["account_id"]', "'account_id' makes no groups"),
        ('evaluation.kind_column="is_fraud"', "'is_fraud' makes no groups"),
        ('evaluation.group_columns=["band", "band"]', "'band' is named twice"),
        ('evaluation.group_columns=["fraud_kind"]', "'fraud_kind' is named twice"),
        ('evaluation.group_columns=["category"]', "'category' is a feature"),
        ("evaluation.resamples=3", "greater than or equal to 20"),
    ],
)
def test_columns_of_the_evaluation_are_groups_and_no_features(setting: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_experiment("simulated", [setting])
