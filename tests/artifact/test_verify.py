"""Parity with Keras: what is a little off, or no number, is never written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudnet.artifact import export as export_module
from fraudnet.artifact.export import converted, export
from fraudnet.artifact.signatures import WINDOW
from fraudnet.artifact.verify import (
    TOLERANCES,
    Parity,
    check_parity,
    keras_answers,
    varied,
    with_edge_cases,
    worst_windows,
)
from fraudnet.errors import CheckFailed, InputError
from fraudnet.latency.answering import Answers as Found
from fraudnet.latency.answering import answers_of
from fraudnet.training.trained import Windows
from fraudnet.windows.specification import FeatureSpecification
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")

Answers = dict[str, NDArray[np.float32]]
SOME = 40
TIME = ("day", "second")


@pytest.fixture(scope="module")
def windows(world: World) -> Windows:
    return {name: values[:SOME] for name, values in world.trained.windows.items()}


@pytest.fixture(scope="module")
def found(world: World, windows: Windows) -> Found:
    """What the artifact answers; an interpreter reads it as it is."""
    return answers_of("ai_edge_litert", world.artifact.read_bytes(), WINDOW, windows)


def parity_of(found: Found, expected: Answers, threshold: float = 0.5) -> Parity:
    return check_parity(found, expected, threshold, TOLERANCES["float32"])


@pytest.fixture
def expected(world: World, windows: Windows) -> Answers:
    return keras_answers(world.trained.network, windows)


def test_the_answers_of_keras_are_those_of_the_model(
    world: World, windows: Windows, expected: Answers
) -> None:
    direct = world.trained.network.scores(windows)
    for name, values in expected.items():
        assert values.shape == (SOME,)
        assert values == pytest.approx(direct[name].numpy()[:, 0, 0], rel=1e-3)


def test_equal_answers_pass(found: Found, expected: Answers) -> None:
    threshold = float(np.median(expected["fraud_probability"]) + 1e-4)
    parity = parity_of(found, expected, threshold)
    assert parity.windows == SOME
    assert 0 <= parity.worst_probability_difference < 1e-6
    assert 0 <= parity.worst_distance_difference < 1e-4
    assert parity.figures()["different_decisions"] == parity.different_decisions == 0


@pytest.mark.parametrize("off", [1e-4, -1e-4, 0.5])
def test_a_probability_that_is_off_fails(found: Found, expected: Answers, off: float) -> None:
    expected["fraud_probability"][17] += off
    with pytest.raises(CheckFailed, match="worst in window 17; it was not written"):
        parity_of(found, expected)


@pytest.mark.parametrize("factor", [1.01, 0.99, 0.0])
def test_a_distance_that_is_off_fails(found: Found, expected: Answers, factor: float) -> None:
    expected["ood_distance"][5] *= factor
    with pytest.raises(CheckFailed, match="worst in window 5; it was not written"):
        parity_of(found, expected)


@pytest.mark.parametrize("name", ["fraud_probability", "ood_distance"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_number_fails(found: Found, expected: Answers, name: str, value: float) -> None:
    expected[name][3] = value
    with pytest.raises(CheckFailed, match="worst in window 3; it was not written"):
        parity_of(found, expected)


def test_nothing_but_nan_fails(found: Found, expected: Answers) -> None:
    for values in expected.values():
        values[:] = np.nan
    with pytest.raises(CheckFailed, match="worst in window 0; it was not written"):
        parity_of(found, expected)


def test_the_same_probabilities_on_the_other_side_of_the_threshold_fail(
    found: Found, expected: Answers
) -> None:
    expected["fraud_probability"][:] = found.outputs["fraud_probability"]
    several = np.argsort(expected["fraud_probability"])[-3:]
    expected["fraud_probability"][several] -= 1e-3
    allowed = TOLERANCES["float16"]
    threshold = float(found.outputs["fraud_probability"][several].min())
    with pytest.raises(CheckFailed, match=r"otherwise than Keras on [123] of 40 windows"):
        check_parity(found, expected, threshold, allowed)


def test_worst_windows_come_first(found: Found, expected: Answers) -> None:
    expected["fraud_probability"][17] += 1e-3
    expected["ood_distance"][5] = np.nan
    assert worst_windows(found, expected, TOLERANCES["float32"])[:2].tolist() == [5, 17]


def test_varied_windows_are_later_parts_of_real_ones(world: World, windows: Windows) -> None:
    inputs = world.trained.network.specification.inputs
    made = varied(windows, inputs, 3 * SOME, seed=1)
    for name, values in made.items():
        assert len(values) == 3 * SOME
        assert values.dtype == windows[name].dtype
        np.testing.assert_array_equal(values[:SOME], windows[name])
    reputation = [i.name for i in inputs if i.kind == "reputation"]
    for at in range(SOME, 3 * SOME):
        kept = made["valid"][at] > 0
        assert kept[-1]
        assert (np.diff(kept.astype(int)) >= 0).all()
        assert not any(values[at][~kept].any() for values in made.values())
        # Day and second say which window it is part of; amounts are scaled as one.
        origins = [
            i
            for i in range(SOME)
            if all(
                np.array_equal(made[n][at][kept], windows[n][i][kept]) for n in ("day", "second")
            )
        ]
        ratios = [made["amount"][at][kept] / windows["amount"][i][kept] for i in origins]
        assert any(np.ptp(r) < 1e-4 * r.mean() and 0.09 < r.mean() < 11 for r in ratios)
        unknown = {bool((made[name][at][kept] == -1).all()) for name in reputation}
        assert unknown == {True} or any(
            np.array_equal(made[name][at][kept], windows[name][i][kept])
            for i in origins
            for name in reputation
        )
    scaled = (made["amount"][SOME:].max(axis=1) > windows["amount"].max() * 1.01).sum()
    assert scaled > 0


def test_the_worst_window_is_named_by_what_is_allowed(found: Found, expected: Answers) -> None:
    expected["ood_distance"][5] *= 1.0005
    expected["fraud_probability"][17] += 1e-4
    with pytest.raises(CheckFailed, match="worst in window 17"):
        parity_of(found, expected)


def test_decisions_that_differ_are_counted(found: Found, expected: Answers) -> None:
    ranked = np.sort(expected["fraud_probability"])
    at = int(np.argmax(np.diff(ranked)))
    threshold = float(ranked[at] + 4e-6)
    expected["fraud_probability"][expected["fraud_probability"] == ranked[at]] += 8e-6
    any_decision = replace(TOLERANCES["float32"], different_decisions=1.0)
    parity = check_parity(found, expected, threshold, any_decision)
    assert parity.different_decisions == 1
    assert parity.worst_probability_difference == pytest.approx(8e-6, rel=0.2)


def test_nothing_is_written_when_the_answers_differ(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nudged(network: object, windows: Windows) -> Answers:
        found = keras_answers(network, windows)  # type: ignore[arg-type]
        found["fraud_probability"][-1] += 1e-4
        return found

    monkeypatch.setattr(export_module, "keras_answers", nudged)
    (tmp_path / "kept.tflite").write_bytes(b"an older one")
    for path in (tmp_path / "new" / "fraud.tflite", tmp_path / "kept.tflite"):
        with pytest.raises(CheckFailed, match="it was not written"):
            export(converted(world.trained), path, lambda _: {})
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        ("kept.tflite", b"an older one")
    ]


def test_a_place_that_cannot_be_written_to_is_said(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "fraud.tflite"
    with pytest.raises(InputError, match=f"^{path}: cannot be written: "):
        export(converted(world.trained), path, lambda _: {})


def test_seven_odd_windows_follow_the_others(world: World) -> None:
    inputs = world.trained.network.specification.inputs
    # A last window without padding shows what is changed.
    full = world.trained.windows["valid"].all(axis=1)
    given = {name: values[full] for name, values in world.trained.windows.items()}
    count = len(given["valid"])
    found = with_edge_cases(given, inputs)
    assert {name: values.dtype for name, values in found.items()} == {
        name: values.dtype for name, values in given.items()
    }
    assert {len(values) for values in found.values()} == {count + 7}
    for name, values in given.items():
        assert np.array_equal(found[name][:count], values)
    last = {name: values[-1] for name, values in given.items()}
    alone, zero, much, refund, later, second, unknown = (
        {name: values[count + at] for name, values in found.items()} for at in range(7)
    )

    def changed(window: Windows) -> set[str]:
        return {name for name in last if not np.array_equal(window[name], last[name])}

    for name, values in alone.items():
        assert not values[:-1].any()
        assert values[-1] == last[name][-1]
    for window, amount in ((zero, 0.0), (much, 1e9), (refund, -1e9)):
        assert changed(window) == {"amount"}
        assert set(window["amount"]) == {amount}
    assert changed(later) == {"day"}
    assert np.array(later["day"][-1], "datetime64[D]") == np.datetime64("2100-01-01")
    assert changed(second) == {"day", "second"}
    assert len(set(second["day"])) == len(set(second["second"])) == 1
    reputation = {name for name in last if name.startswith("counterparty_")}
    assert changed(unknown) == reputation | {"category"}
    assert set(unknown["category"]) == {0}
    assert {float(value) for name in reputation for value in unknown[name]} == {-1.0}


def test_odd_windows_are_made_for_a_network_that_reads_no_category_or_reputation() -> None:
    specification = FeatureSpecification(reputation=None)
    windows = {i.name: np.ones((3, 5), i.dtype) for i in specification.inputs}
    found = with_edge_cases(windows, specification.inputs)
    assert {values.shape for values in found.values()} == {(10, 5)}
