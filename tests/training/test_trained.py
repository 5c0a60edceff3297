"""A trained network on disk: it comes back as it was, and damage is said in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudnet.errors import InputError
from fraudnet.training.trained import Facts, load_facts, load_trained, save_trained
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")

FILES = ("network.weights.h5", "trained.json", "windows.npz")


@pytest.fixture
def model(world: World, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    copied = tmp_path / "model"
    shutil.copytree(world.model, copied)
    return copied


def without_digests(facts: Facts) -> Facts:
    return facts.model_copy(update={"sha256": {}})


def refusal(directory: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_trained(directory)
    message = str(caught.value)
    assert message.startswith(str(directory))
    assert "\n" not in message
    return message


def test_saved_and_loaded_it_is_the_same(world: World, tmp_path: Path) -> None:
    save_trained(world.trained, tmp_path / "new" / "model")
    again = load_trained(tmp_path / "new" / "model")
    assert without_digests(again.facts) == without_digests(world.trained.facts)
    assert again.windows.keys() == world.trained.windows.keys()
    for name, values in world.trained.windows.items():
        assert again.windows[name].dtype == values.dtype
        assert np.array_equal(again.windows[name], values)
    windows = {name: values[:200] for name, values in again.windows.items()}
    before, after = world.trained.network.scores(windows), again.network.scores(windows)
    for name in ("fraud_probability", "ood_distance"):
        assert np.array_equal(before[name].numpy(), after[name].numpy())


def test_the_facts_can_be_read_alone(world: World) -> None:
    assert load_facts(world.model) == world.trained.facts


def test_it_is_written_over_an_older_one(world: World, model: Path) -> None:
    facts = world.trained.facts.model_copy(update={"mlflow_run_id": "another"})
    save_trained(type(world.trained)(world.trained.network, facts, world.trained.windows), model)
    assert load_facts(model).mlflow_run_id == "another"


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_said(model: Path, missing: str) -> None:
    (model / missing).unlink()
    said = "no trained network there" if missing == "trained.json" else "damaged"
    assert said in refusal(model)


def test_a_directory_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "none", tmp_path, tmp_path / "file"):
        assert "give the directory that `fraudnet train --output` wrote" in refusal(directory)


@pytest.mark.parametrize("name", ["network.weights.h5", "windows.npz"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_file_that_is_cut_short_is_said(model: Path, name: str, kept: float) -> None:
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[: int(kept * len(content))])
    assert f"damaged ({name} is not the one" in refusal(model)


@pytest.mark.parametrize("name", ["network.weights.h5", "windows.npz"])
def test_a_file_of_which_a_bit_is_flipped_is_said(model: Path, name: str) -> None:
    content = bytearray((model / name).read_bytes())
    for at in np.random.default_rng(0).integers(0, len(content), 5):
        content[at] ^= 4
        (model / name).write_bytes(content)
        content[at] ^= 4
        assert f"damaged ({name} is not the one" in refusal(model)


def test_files_of_another_training_are_said(world: World, model: Path, tmp_path: Path) -> None:
    other = type(world.trained)(
        world.trained.network, world.trained.facts, {"valid": world.trained.windows["valid"]}
    )
    save_trained(other, tmp_path / "other")
    shutil.copy(tmp_path / "other" / "windows.npz", model)
    assert "windows.npz is not the one that was saved with trained.json" in refusal(model)


def _without(*path: str) -> Callable[[dict[str, Any]], object]:
    def edit(facts: dict[str, Any]) -> None:
        inner = facts
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_without("threshold", "probability"), "key 'threshold.probability': Field required"),
        (_without("receptive_field"), "key 'receptive_field': Field required"),
        (lambda facts: facts.update(colour=1), "unknown key 'colour'"),
        (lambda facts: facts.update(receptive_field="x"), "key 'receptive_field'"),
        (lambda facts: facts.pop("sha256"), "damaged (network.weights.h5 is not the one"),
        (lambda facts: facts["experiment"]["network"].update(width=12), "damaged"),
        (
            lambda facts: facts["experiment"]["network"].update(dilations=[1, 2, 4]),
            "trained by another version of fraudnet",
        ),
    ],
)
def test_facts_of_something_else_are_said(
    model: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    facts = json.loads((model / "trained.json").read_text())
    edit(facts)
    (model / "trained.json").write_text(json.dumps(facts))
    assert said in refusal(model)


@pytest.mark.parametrize("text", ["", "{", "[]", '"facts"', "\x00"])
def test_facts_that_are_no_json_object_are_said(model: Path, text: str) -> None:
    (model / "trained.json").write_text(text)
    assert "make it again" in refusal(model)


def test_facts_that_are_no_text_are_said(model: Path) -> None:
    (model / "trained.json").write_bytes(b"\xff\xfe" * 40)
    assert "damaged" in refusal(model)


def test_a_save_that_breaks_off_leaves_no_network(
    world: World, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", fails)
        with pytest.raises(InputError, match="cannot be written: No space left on device"):
            save_trained(world.trained, model)
    assert "no trained network there" in refusal(model)


def test_a_directory_that_cannot_be_made_is_said(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_trained(world.trained, tmp_path / "file" / "model")
