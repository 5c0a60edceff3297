"""Many rows at once are scored as each row's own window."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudnet.training.scoring import RowScorer, predict_rows
from fraudnet.windows.chunks import windows_of
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")

Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def asked(world: World) -> Mask:
    """Every account's first rows and some others."""
    histories = world.prepared.histories
    chosen: Mask = np.random.default_rng(0).random(len(histories)) < 0.04
    for begin in histories.offsets[:-1]:
        chosen[begin : begin + 2] = True
    return chosen


def test_rows_are_scored_as_their_windows_are(world: World, asked: Mask) -> None:
    network, histories = world.trained.network, world.prepared.histories
    windows = windows_of(histories, np.flatnonzero(asked), network.receptive_field)
    alone = network.scores(windows.gather(np.arange(len(windows))))
    found = predict_rows(network.scores, network.receptive_field, histories, asked)
    probability, distance = (found[name] for name in ("fraud_probability", "ood_distance"))
    assert probability.shape == distance.shape == (asked.sum(), 1)
    assert probability == pytest.approx(alone["fraud_probability"].numpy()[:, 0], abs=1e-5)
    assert distance == pytest.approx(alone["ood_distance"].numpy()[:, 0], rel=1e-3)
    assert probability.std() > 0.01


def test_the_length_of_a_pass_does_not_matter(world: World, asked: Mask) -> None:
    network, histories = world.trained.network, world.prepared.histories
    found = predict_rows(network.logit, network.receptive_field, histories, asked, chunk_length=7)
    assert found.keys() == {"logit"}
    assert found["logit"][:, 0] == pytest.approx(world.answers["logit"][asked], abs=1e-4)


def test_a_scorer_goes_over_to_other_rows(world: World, asked: Mask) -> None:
    network, histories = world.trained.network, world.prepared.histories
    first = RowScorer(network.logit, network.receptive_field, histories, asked)
    others = first.over(histories, ~asked)
    for scorer, rows in ((others, ~asked), (first, asked)):
        expected = world.answers["logit"][rows]
        assert scorer()["logit"][:, 0] == pytest.approx(expected, abs=1e-4)


def test_the_answers_of_no_rows_are_none(world: World) -> None:
    network, histories = world.trained.network, world.prepared.histories
    none = np.zeros(len(histories), bool)
    for model, widths in (
        (network.scores, {"fraud_probability": 1, "ood_distance": 1}),
        (network.fingerprint, {"fingerprint": network.distance.mean.shape[0]}),
    ):
        found = predict_rows(model, network.receptive_field, histories, none)
        assert {name: values.shape for name, values in found.items()} == {
            name: (0, width) for name, width in widths.items()
        }
