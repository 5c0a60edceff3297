"""Spaces: what may be varied, over which values; and the experiment that comes out as TOML."""

import tomllib
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.search.experiment_file import write_experiment
from fraudnet.search.space import load_space, parse_space, with_values
from fraudnet.training.experiment import Experiment, load_experiment, shipped_experiments

OWN = """
[training.learning_rate]
low = 1e-3
high = 1e-2
log = true
[network.width]
low = 16
high = 48
step = 8
[network.dilations]
choices = [[1, 2], [1, 2, 4]]
[network.dropout]
low = 0
high = 0.5
"""


def own() -> dict[str, Any]:
    return tomllib.loads(OWN)


def test_values_are_of_the_space_and_make_an_experiment() -> None:
    space = parse_space(own(), "own")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = []
    for _ in range(40):
        trial = study.ask()
        values = space.sample(trial)
        found = with_values(Experiment(), values)
        assert 1e-3 <= found.training.learning_rate <= 1e-2
        assert found.network.width in (16, 24, 32, 40, 48)
        assert found.network.dilations in ((1, 2), (1, 2, 4))
        assert 0 <= found.network.dropout <= 0.5
        assert space.decoded(trial.params) == values
        assert space.values_in(found) == trial.params
        seen.append(found)
    assert {each.network.width for each in seen} == {16, 24, 32, 40, 48}
    assert len({each.network.dropout for each in seen}) == 40


def test_the_shipped_space_holds_the_shipped_experiments() -> None:
    space = load_space("default")
    for name in shipped_experiments():
        assert space.values_in(load_experiment(name)) is not None


@pytest.mark.parametrize(
    "change", ["network.width=36", "network.width=64", "network.dilations=[1]"]
)
def test_experiment_outside_the_space_is_told(change: str) -> None:
    base = ["network.dilations=[1, 2]"]
    assert parse_space(own(), "own").values_in(load_experiment("simulated", base)) is not None
    outside = load_experiment("simulated", [*base, change])
    assert parse_space(own(), "own").values_in(outside) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[network.widht]\nlow = 8\nhigh = 16", "unknown key 'network.widht'; did you mean 'net"),
        ("[training.seed]\nlow = 0\nhigh = 9", "training.seed is luck"),
        ("[split.validation_days]\nlow = 3\nhigh = 9", "[split] may not be varied"),
        ("[netwrok.width]\nlow = 8\nhigh = 16", "did you mean 'network'"),
        ("[network]\nwidth = 8", "must hold one table a key, as [network.KEY]"),
        ("network = 8", "must hold one table a key, as [network.KEY]"),
        ("[network.width]\nlow = 8", "expected low and high, or choices"),
        ("[network.width]\nlow = 16\nhigh = 8", "low (16) is above high (8)"),
        ("[network.width]\nlow = 8\nhigh = 16\nlag = true", "did you mean 'log'"),
        ("[network.width]\nlow = 8\nhigh = 16\nchoices = [8]", "choices go with no low"),
        ("[network.width]\nchoices = []", "choices"),
        ("[network.width]\nlow = 8.5\nhigh = 16", "takes whole numbers, got 8.5"),
        ("[network.width]\nlow = 2\nhigh = 16", "network.width: key 'network.width': Input should"),
        ("[network.dropout]\nlow = 0\nhigh = 1", "network.dropout"),
        ("[network.dropout]\nlow = 0\nhigh = 0.5\nlog = true", "with log, low must be above 0"),
        ("[network.dilations]\nlow = 1\nhigh = 2", "is no number; give choices"),
        ("[network.dilations]\nchoices = [[0]]", "dilations from 1"),
        ("", "names no key to vary"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        parse_space(tomllib.loads(text), "own.toml")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_space_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'default'"):
        load_space("defalt")
    with pytest.raises(InputError, match="no such file"):
        load_space(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", shipped_experiments())
def test_an_experiment_that_was_written_is_read_as_it_was(name: str, tmp_path: Path) -> None:
    given_ = load_experiment(name, ["network.dilations=[1, 3]", "training.learning_rate=1e-05"])
    write_experiment(given_, tmp_path / "own.toml", "A comment.")
    assert load_experiment(str(tmp_path / "own.toml")) == given_


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    vocabulary=st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True),
    rate=st.floats(1e-300, 1e300),
)
def test_any_text_and_number_comes_back(vocabulary: list[str], rate: float, tmp_path: Path) -> None:
    whole = Experiment().model_dump()
    whole["features"]["categorical"] = [{"column": "category", "vocabulary": vocabulary}]
    whole["training"]["learning_rate"] = rate
    try:
        given_ = Experiment.model_validate(whole)
    except ValueError:
        return
    write_experiment(given_, tmp_path / "own.toml", "A comment.")
    assert (
        Experiment.model_validate(tomllib.loads((tmp_path / "own.toml").read_text("utf-8")))
        == given_
    )
