"""The whole network: padding, extremes, weights that travel, seeds, and what its models share."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fraudnet.network.network import Network, NetworkConfig, build_network
from fraudnet.windows.specification import FeatureSpecification
from tests.network.examples import (
    SMALL,
    SPECIFICATION,
    Array,
    Floats,
    Inputs,
    Scores,
    batch,
    history,
    random_network,
    stacked,
    window,
)

LENGTHS = (1, 2, 3, 10, 30, 70)
HUGE = 3e38
INT32 = np.iinfo(np.int32)


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network(NetworkConfig())


@pytest.fixture(scope="module")
def scores(network: Network) -> Scores:
    return Scores(network.scores)


def garbage(kind: str, size: int, words: int, rng: np.random.Generator) -> Array:
    """What a position may hold without being refused outright."""
    if kind in ("day", "second"):
        return rng.choice([INT32.min, INT32.max, -1, 86_400, int(rng.integers(10**9))], size)
    if kind == "categorical":
        return rng.integers(0, words + 1, size)
    return rng.choice([-HUGE, HUGE, -1.0, 65_535.0, float(rng.normal())], size)


def with_garbage_in_padding(inputs: Inputs, only: str, seed: int) -> Inputs:
    rng = np.random.default_rng(seed)
    padding = inputs["valid"] == 0
    changed = {name: values.copy() for name, values in inputs.items()}
    for i in SPECIFICATION.inputs:
        if i.kind != "valid" and only in ("everything", i.kind):
            words = len(i.vocabulary or ())
            changed[i.name][padding] = garbage(i.kind, int(padding.sum()), words, rng)
    return changed


@pytest.mark.parametrize(
    "only",
    ["amount", "day", "second", "categorical", "numeric", "reputation", "everything"],
)
def test_what_stands_in_padding_changes_no_score(
    network: Network, scores: Scores, only: str
) -> None:
    inputs = batch(0, LENGTHS, network.receptive_field + 5)
    shown = inputs["valid"][:, -6:] > 0
    for seed in range(3):
        changed = with_garbage_in_padding(inputs, only, seed)
        assert any((changed[name] != values).any() for name, values in inputs.items())
        for values, found in zip(scores(inputs), scores(changed), strict=True):
            np.testing.assert_array_equal(values[shown], found[shown])


def gradients(inputs: Inputs) -> list[Floats]:
    """Of the summed logit at valid positions; dropout is off, so that two calls compare."""
    network = random_network(SMALL)
    positions = inputs["valid"][:, network.receptive_field - 1 :, None]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network.logit(inputs) * positions)
    found = tape.gradient(total, network.logit.trainable_variables)
    return [tf.convert_to_tensor(gradient).numpy() for gradient in found]


def test_what_stands_in_padding_teaches_nothing() -> None:
    inputs = batch(1, LENGTHS, 120)
    once, again = gradients(inputs), gradients(with_garbage_in_padding(inputs, "everything", 0))
    for one, other in zip(once, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_how_much_is_padding_teaches_nothing() -> None:
    few, many = gradients(batch(1, LENGTHS, 150)), gradients(batch(1, LENGTHS, 400))
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(one).max())
    assert max(np.abs(one).max() for one in few) > 1e-3


def with_newest(values: Array, newest: float) -> Array:
    return np.append(values[:-1], np.array(newest, values.dtype))


def every(inputs: Inputs, part: str, value: float) -> Inputs:
    return {name: np.full_like(values, value) for name, values in inputs.items() if part in name}


EXTREMES: dict[str, Callable[[Inputs], Inputs]] = {
    "amount 0": lambda c: every(c, "amount", 0),
    "amount 1e9": lambda c: {"amount": with_newest(c["amount"], 1e9)},
    "amount -1e9": lambda c: {"amount": with_newest(c["amount"], -1e9)},
    "amount 3e38": lambda c: {"amount": with_newest(c["amount"], HUGE)},
    "amounts 3e38 and -3e38": lambda c: {"amount": HUGE * np.sign(c["amount"])},
    "year 2100": lambda c: {"day": c["day"] + 28_000},
    "before 1970": lambda c: {"day": c["day"] - 30_000},
    "gap of 75 years": lambda c: {"day": c["day"] + 28_000 * (np.arange(40) > 38)},
    "gap of 75 years, then an ordinary one": (
        lambda c: {"day": c["day"] + 28_000 * (np.arange(40) > 37)}
    ),
    "one moment": lambda c: every(c, "day", 20_000) | every(c, "second", 0),
    "numbers 3e38": lambda c: every(c, "distance", HUGE),
    "largest counts": lambda c: every(c, "counterparty", 65_535),
    "nothing known": lambda c: every(c, "counterparty", -1),
    "more frauds than transactions": lambda c: every(c, "count_", 0) | every(c, "fraud_", 9),
    "first of an account": lambda c: {n: values[-1:] for n, values in c.items()},
    "first of an account, amount 3e38": (
        lambda c: {n: values[-1:] for n, values in c.items()} | {"amount": np.full(1, HUGE)}
    ),
}


def extreme(name: str, length: int) -> Inputs:
    """An account of 40 that is out of the ordinary, [1, length]."""
    columns = history(np.random.default_rng(5), 40)
    changed = columns | EXTREMES[name](columns)
    typed = {n: values.astype(columns[n].dtype) for n, values in changed.items()}
    return stacked([window(typed, length)])


def assert_finite(scores: Scores, inputs: Inputs) -> None:
    probability, distance = scores(inputs)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert (np.isfinite(distance) & (distance >= 0)).all()


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_stay_finite(network: Network, scores: Scores, name: str) -> None:
    assert_finite(scores, extreme(name, network.receptive_field))


@pytest.fixture(scope="module")
def fitted_on_equal_rows() -> Network:
    network = random_network(SMALL)
    alike = {n: np.full(10, 5.0, np.float32) for n in ("amount", "distance")}
    network.features.fit(alike, np.full(9, 3.0))
    return network


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_stay_finite_where_training_rows_were_all_alike(
    fitted_on_equal_rows: Network, name: str
) -> None:
    inputs = extreme(name, fitted_on_equal_rows.receptive_field)
    assert_finite(Scores(fitted_on_equal_rows.scores), inputs)


@pytest.fixture(scope="module")
def in_training() -> Network:
    return random_network(SMALL)


@pytest.mark.parametrize("name", EXTREMES)
def test_gradients_stay_finite(in_training: Network, name: str) -> None:
    inputs = extreme(name, in_training.receptive_field + 3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(in_training.logit(inputs, training=True) ** 2)
    for gradient in tape.gradient(loss, in_training.logit.trainable_weights):
        assert np.isfinite(tf.convert_to_tensor(gradient).numpy()).all()


def test_every_trained_weight_has_a_gradient() -> None:
    network = random_network(SMALL)
    inputs = batch(6, [5, 50, 90] * 10, network.receptive_field + 20)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network.logit(inputs, training=True) ** 2)
    weights = network.logit.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        assert np.abs(tf.convert_to_tensor(gradient).numpy()).max() > 0, weight.path


def test_the_models_share_their_weights(network: Network, scores: Scores) -> None:
    inputs = batch(7, LENGTHS, network.receptive_field + 3)
    logit, hidden = network.logit(inputs).numpy(), network.fingerprint(inputs).numpy()
    slope, intercept = network.calibration.get_weights()
    mean, precision, per_limit, reach, directions, excess = network.distance.get_weights()
    probability, distance = scores(inputs)
    expected = 1 / (1 + np.exp(-(slope * logit[..., 0] + intercept)))
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    expected = np.sqrt(
        (hidden - mean) ** 2 @ precision + ((hidden - mean) @ directions) ** 2 @ excess
    )
    beyond = np.maximum(np.abs(hidden - mean) * per_limit - 1, 0).sum(axis=-1)
    np.testing.assert_allclose(distance, expected + reach * beyond, rtol=1e-4)


def test_a_loss_is_weighted_by_its_weights_alone(in_training: Network) -> None:
    """Keras scales a loss by a mask, where one hangs on the logit."""
    inputs = batch(12, LENGTHS, in_training.receptive_field + 20)
    logit = in_training.logit(inputs)
    shown = inputs["valid"][:, -21:, None]
    label = np.random.default_rng(12).integers(0, 2, shown.shape)
    losses = np.logaddexp(0, np.where(label, -1, 1) * logit.numpy())
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    assert float(loss(label, logit, shown)) == pytest.approx((losses * shown).mean(), rel=1e-5)
    assert float(loss(label, logit)) == pytest.approx(losses.mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["distance", "features", "head", "logit", "relu", "input0"])
def test_a_column_may_be_named_as_a_layer(name: str) -> None:
    specification = FeatureSpecification(numeric=(name,), reputation=None)
    network = build_network(SMALL, specification)
    columns = history(np.random.default_rng(13), 20, specification)
    assert_finite(Scores(network.scores), stacked([window(columns, network.receptive_field)]))


def test_dropout_is_for_training_alone(network: Network) -> None:
    inputs = batch(8, [40], network.receptive_field)
    np.testing.assert_array_equal(network.logit(inputs), network.logit(inputs, training=False))


@pytest.mark.parametrize("config", [NetworkConfig(), SMALL], ids=["default", "small"])
def test_saved_weights_give_the_same_scores(config: NetworkConfig, tmp_path: Path) -> None:
    network = random_network(config, seed=1)
    inputs = batch(9, LENGTHS, network.receptive_field + 3)
    path = tmp_path / "network.weights.h5"
    network.scores.save_weights(path)
    keras.utils.set_random_seed(2)
    again = build_network(config, SPECIFICATION)
    assert np.abs(Scores(again.scores)(inputs)[0] - Scores(network.scores)(inputs)[0]).max() > 1e-2
    again.scores.load_weights(path)
    for weight, other in zip(network.scores.weights, again.scores.weights, strict=True):
        np.testing.assert_array_equal(weight, other, weight.path)
    for values, found in zip(
        Scores(network.scores)(inputs), Scores(again.scores)(inputs), strict=True
    ):
        np.testing.assert_array_equal(values, found)


def initial_weights(seed: int) -> list[Floats]:
    keras.utils.set_random_seed(seed)
    found: list[Floats] = build_network(SMALL, SPECIFICATION).scores.get_weights()
    return found


def test_seeds_repeat() -> None:
    first, again, other = initial_weights(1), initial_weights(1), initial_weights(2)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_a_specification_of_amount_and_time_alone() -> None:
    specification = FeatureSpecification(reputation=None)
    network = random_network(SMALL, specification=specification)
    columns = history(np.random.default_rng(10), 50, specification)
    assert set(network.scores.input) == {"amount", "day", "second", "valid"}
    assert_finite(Scores(network.scores), stacked([window(columns, network.receptive_field + 3)]))


def test_input_types_are_those_of_the_specification(network: Network) -> None:
    found = {name: tensor.dtype for name, tensor in network.scores.input.items()}
    assert found == {i.name: i.dtype for i in SPECIFICATION.inputs}
    assert list(found) == [i.name for i in SPECIFICATION.inputs]


def parameters(config: NetworkConfig, features: int) -> int:
    """Trained ones beside the embeddings, counted from the description of a block."""
    expanded = config.width * config.expansion
    reduced = expanded // config.squeeze_reduction
    block = (config.width + 1) * expanded
    block += (config.kernel_size + 1) * expanded
    block += (expanded + 1) * reduced + (reduced + 1) * expanded
    block += (expanded + 1) * config.width
    stem = (features + 1) * config.width
    head = (config.width + 1) * config.head + config.head + 1
    return stem + len(config.dilations) * block + head


@pytest.mark.parametrize("config", [NetworkConfig(), SMALL], ids=["default", "small"])
def test_parameters_by_hand(config: NetworkConfig) -> None:
    features = (7 + 7 + 2 + 2 + 1 + 1) + 2 + 1 + 2 * config.embedding + (1 + 4 * 2 + 4 * 3 + 1)
    embeddings = (4 + 3) * config.embedding
    trained = build_network(config, SPECIFICATION).logit.trainable_weights
    assert sum(int(np.prod(w.shape)) for w in trained) == parameters(config, features) + embeddings
