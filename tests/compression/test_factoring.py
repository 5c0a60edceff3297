"""Networks of factored layers: what they answer, on a device too, and what a fit changes."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from fraudnet.artifact.convert import convert
from fraudnet.compression.compress import spectra_of
from fraudnet.compression.factoring import approximated, factored, fine_tune
from fraudnet.compression.ranks import Ranks, by_energy
from fraudnet.compression.spectra import Spectrum
from fraudnet.network.describe import describe
from fraudnet.network.layers import Conv1x1, LowRankConv1x1
from fraudnet.network.network import Network
from fraudnet.training.fitting import TrainingConfig, fit_network
from fraudnet.training.scoring import predict_rows
from fraudnet.windows.chunks import chunks_over
from tests.artifact.runtimes import answers_of
from tests.compression.examples import known
from tests.network.examples import SMALL, batch, random_network
from tests.network.test_window_is_sequence import scores_by_row, window_scores

LENGTHS = range(1, 60)
KNOWN = known(40, seed=6)


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(SMALL, seed=1, calibration_knots=3)


@pytest.fixture(scope="module")
def both(network: Network) -> dict[str, dict[str, Spectrum]]:
    return spectra_of(network, KNOWN)


def full(spectra: dict[str, Spectrum]) -> Ranks:
    return {name: len(each.energy) for name, each in spectra.items()}


def assert_alike(one: Network, other: Network, tolerance: float = 1e-5) -> None:
    inputs = batch(3, LENGTHS, one.receptive_field + 5)
    np.testing.assert_allclose(
        one.logit(inputs), other.logit(inputs), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("kind", ["plain", "whitened"])
def test_full_rank_answers_as_the_whole(
    network: Network, both: dict[str, dict[str, Spectrum]], kind: str
) -> None:
    made = factored(network, both[kind], full(both[kind]))
    assert all(isinstance(layer, LowRankConv1x1) for layer in made.pointwise.values())
    assert made.receptive_field == network.receptive_field
    assert_alike(made, network)


def test_what_is_not_named_is_copied_whole(
    network: Network, both: dict[str, dict[str, Spectrum]]
) -> None:
    ranks = {"block0_expand": 2, "block1_squeeze_reduce": 1}
    made = factored(network, both["plain"], ranks)
    assert made.config == network.config.model_copy(update={"ranks": ranks, "dropout": 0.0})
    for name, layer in made.pointwise.items():
        assert isinstance(layer, LowRankConv1x1 if name in ranks else Conv1x1)
    other = [weight for weight in made.scores.weights if "/down/" not in weight.path]
    own = {weight.path: weight.numpy() for weight in network.scores.weights}
    assert sum(
        weight.path in own and (weight.numpy() == own[weight.path]).all() for weight in other
    )
    saved = describe(network).parameters - describe(made).parameters
    assert saved == (8 * 16 - 2 * 24) + (16 * 4 - 20)


def test_approximated_answers_as_the_factored_and_is_put_back(
    network: Network, both: dict[str, dict[str, Spectrum]]
) -> None:
    ranks = by_energy(both["whitened"], 0.9)
    assert ranks
    before = [weight.numpy() for weight in network.scores.weights]
    made = factored(network, both["whitened"], ranks)
    inputs = batch(3, LENGTHS, network.receptive_field)
    with approximated(network, both["whitened"], ranks):
        assert_alike(network, made)
        inside = network.logit(inputs).numpy()
    for weight, own in zip(network.scores.weights, before, strict=True):
        np.testing.assert_array_equal(weight, own)
    assert np.abs(network.logit(inputs).numpy() - inside).max() > 1e-3


def test_kernels_are_put_back_after_an_error(
    network: Network, both: dict[str, dict[str, Spectrum]]
) -> None:
    before = network.pointwise["stem"].get_weights()
    with pytest.raises(KeyboardInterrupt), approximated(network, both["plain"], {"stem": 1}):
        raise KeyboardInterrupt
    for weight, own in zip(network.pointwise["stem"].get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, own)


def test_a_factored_networks_window_is_its_sequence(
    network: Network, both: dict[str, dict[str, Spectrum]]
) -> None:
    made = factored(network, both["whitened"], by_energy(both["whitened"], 0.9))
    histories = KNOWN.histories
    everything = np.ones(len(histories), bool)
    chunks = chunks_over(histories, everything, made.receptive_field, 23)
    found = scores_by_row(made, chunks, len(histories), batch=20)
    accounts = [
        {name: values[begin:end] for name, values in histories.columns.items()}
        | {"valid": np.ones(end - begin, np.float32)}
        for begin, end in zip(histories.offsets[:-1], histories.offsets[1:], strict=True)
    ]
    for values, alone in zip(found, window_scores(made, accounts), strict=True):
        np.testing.assert_allclose(values, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_a_factored_network_is_answered_as_by_keras(
    network: Network, both: dict[str, dict[str, Spectrum]], runtime: str, tmp_path: Path
) -> None:
    made = factored(network, both["whitened"], by_energy(both["whitened"], 0.9))
    windows = batch(5, LENGTHS, made.receptive_field)
    expected = {name: v.numpy()[:, 0, 0] for name, v in made.scores(windows).items()}
    (tmp_path / "model.tflite").write_bytes(convert(made))
    found = answers_of(runtime, tmp_path / "model.tflite", windows)
    assert found["fraud_probability"] == pytest.approx(expected["fraud_probability"], abs=1e-5)
    assert found["ood_distance"] == pytest.approx(expected["ood_distance"], rel=1e-4)
    assert expected["fraud_probability"].std() > 0.1


@pytest.mark.slow
def test_a_fit_goes_on_from_the_factors_towards_the_whole_network() -> None:
    training = TrainingConfig(
        epochs=1,
        stopping_days=5,
        batch_chunks=8,
        chunk_length=32,
        learning_rate=0.03,
        weight_averaging=0.0,
    )
    network = random_network(SMALL)
    fit_network(network, KNOWN, training.model_copy(update={"stopping_days": 0}))
    spectra = spectra_of(network, KNOWN)["whitened"]
    made = factored(network, spectra, {"stem": 3, "block0_expand": 2})
    before = [weight.numpy() for weight in made.pointwise["stem"].weights]
    losses: list[float] = []

    class Told:
        def begin(self, epochs: int, transactions: int, first: int) -> None:
            assert (epochs, transactions, first) == (6, KNOWN.rows.sum(), 0)

        def step(self, transactions: int) -> None:
            pass

        def epoch(self, number: int, loss: float, average_precision: float | None) -> None:  # noqa: ARG002
            losses.append(loss)

        def end(self) -> None:
            pass

    apart = _apart(made, network)
    fine_tune(made, network, KNOWN, training, 6, [Told()])
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert _apart(made, network) < 0.9 * apart
    changed = [
        np.abs(w - b).max() for w, b in zip(made.pointwise["stem"].weights, before, strict=True)
    ]
    assert min(changed) > 1e-4
    assert tf.reduce_all(
        [tf.reduce_all(tf.math.is_finite(w)) for w in made.logit.trainable_weights]
    )


def _apart(made: Network, whole: Network) -> float:
    """Mean difference of two networks' probabilities of the known rows."""
    one, other = (
        expit(predict_rows(each.logit, each.receptive_field, KNOWN.histories, KNOWN.rows)["logit"])
        for each in (made, whole)
    )
    return float(np.abs(one - other).mean())
