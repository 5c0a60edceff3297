"""Attention and nearest windows against the same by hand."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from fraudnet.network.network import Network
from fraudnet.review.explanations.attention import attention
from fraudnet.review.explanations.familiar import nearest_windows
from fraudnet.training.trained import Trained
from tests.network.examples import SMALL, Array, batch, history, random_network, stacked, window

NETWORK = random_network(SMALL)
EARLIER = 20
SEQUENCE = window(history(np.random.default_rng(6), 40), NETWORK.receptive_field + EARLIER)


def naive_gates(network: Network, features: Array) -> list[Array]:
    """Of each block at every position, in float64, from the description of the layers."""
    w = {each.path: each.numpy().astype(np.float64) for each in network.logit.weights}

    def pointwise(name: str, x: Array) -> Array:
        found: Array = x @ w[f"{name}/kernel"] + w[f"{name}/bias"]
        return found

    x, found = np.maximum(pointwise("stem", features), 0), []
    for number, dilation in enumerate(network.config.dilations):
        name = f"block{number}"
        expanded = np.maximum(pointwise(f"{name}_expand", x), 0)
        kernel, filtered = w[f"{name}_depthwise/kernel"], np.zeros_like(expanded)
        for t in range(len(x)):
            for i in range(len(kernel)):
                source = t - (len(kernel) - 1 - i) * dilation
                if source >= 0:
                    filtered[t] += kernel[i] * expanded[source]
        filtered = np.maximum(filtered + w[f"{name}_depthwise/bias"], 0)
        squeezed = np.array(
            [
                filtered[max(0, t - network.config.squeeze_window + 1) : t + 1].mean(axis=0)
                for t in range(len(x))
            ]
        )
        part = f"{name}_squeeze/{name}_squeeze"
        reduced = np.maximum(pointwise(f"{part}_reduce", squeezed), 0)
        gate = 1 / (1 + np.exp(-pointwise(f"{part}_excite", reduced)))
        found.append(gate)
        x = x + pointwise(f"{name}_project", filtered * gate)
    return found


def test_attention_is_what_is_computed_by_hand() -> None:
    features, valid = NETWORK.features({n: v[None] for n, v in SEQUENCE.items()})
    real = valid.numpy()[0, :, 0] > 0
    expected = naive_gates(NETWORK, features.numpy()[0][real].astype(np.float64))
    found = attention(NETWORK, SEQUENCE)
    assert len(found) == sum(gate.shape[1] for gate in expected)
    by_block = found.sort_values(["block", "channel"])
    gates = np.concatenate(expected, axis=1)
    usual = gates[-1 - EARLIER : -1]
    np.testing.assert_allclose(by_block["gate"], gates[-1], atol=1e-4)
    np.testing.assert_allclose(by_block["usual"], usual.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(by_block["deviation"], usual.std(axis=0), atol=1e-4)
    assert found["departure"].abs().is_monotonic_decreasing


def test_a_window_alone_has_no_usual() -> None:
    alone = {name: values[EARLIER:] for name, values in SEQUENCE.items()}
    found = attention(NETWORK, alone)
    assert found["usual"].isna().all()
    whole = attention(NETWORK, SEQUENCE).set_index(["block", "channel"])["gate"]
    mine = found.set_index(["block", "channel"])["gate"]
    np.testing.assert_allclose(mine.sort_index(), whole.sort_index(), atol=1e-5)
    with pytest.raises(ValueError, match="expected at least 29"):
        attention(NETWORK, {name: values[1:] for name, values in alone.items()})


def test_nearest_windows_are_those_of_a_search_one_by_one() -> None:
    windows = batch(3, [5, 20, 40, 60, 60, 60], NETWORK.receptive_field)
    limit = 0.6
    trained = cast(
        Trained,
        SimpleNamespace(
            network=NETWORK,
            windows=windows,
            facts=SimpleNamespace(threshold=SimpleNamespace(probability=limit)),
        ),
    )
    layer = NETWORK.distance
    inverse = np.diag(layer.precision.numpy()).astype(np.float64)
    directions = layer.directions.numpy().astype(np.float64)
    inverse += directions @ np.diag(layer.excess.numpy()) @ directions.T
    newest = NETWORK.fingerprint({n: v[None] for n, v in SEQUENCE.items()}).numpy()[0, -1]

    def away(inputs: dict[str, Array]) -> tuple[float, float]:
        there = {name: values[None] for name, values in inputs.items()}
        x = NETWORK.fingerprint(there).numpy()[0, -1].astype(np.float64) - newest
        probability = NETWORK.scores(there)["fraud_probability"].numpy()[0, -1, 0]
        return float(np.sqrt(x @ inverse @ x)), float(probability)

    length = NETWORK.receptive_field
    mine = {
        back: away({n: v[len(v) - length - back : len(v) - back] for n, v in SEQUENCE.items()})
        for back in range(1, EARLIER + 1)
    }
    theirs = {i: away({n: v[i] for n, v in windows.items()}) for i in range(6)}
    found = nearest_windows(trained, SEQUENCE, count=3)
    for source, each in (("account", mine), ("sample", theirs)):
        expected = sorted((d, i) for i, (d, p) in each.items() if p < limit)[:3]
        rows = found[found["source"] == source]
        assert expected
        assert rows["index"].tolist() == [i for _, i in expected]
        np.testing.assert_allclose(rows["distance"], [d for d, _ in expected], rtol=1e-3)
        assert (rows["fraud_probability"] < limit).all()


def test_what_differs_is_named_first() -> None:
    changed = {name: values.copy() for name, values in SEQUENCE.items()}
    changed["amount"][-1] = 1e7
    one = {name: values[-NETWORK.receptive_field :] for name, values in SEQUENCE.items()}
    trained = cast(
        Trained,
        SimpleNamespace(
            network=NETWORK,
            windows=stacked([one]),
            facts=SimpleNamespace(threshold=SimpleNamespace(probability=1.1)),
        ),
    )
    found = nearest_windows(trained, changed)
    (differs,) = found.loc[found["source"] == "sample", "differs"]
    assert differs[0] == "amount"
    assert set(differs) == {
        "amount", "time", "category", "channel", "distance", "reputation",
    }  # fmt: skip
