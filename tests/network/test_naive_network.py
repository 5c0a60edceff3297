"""The whole network against its description: float64, one account, one position at a time."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudnet.network.network import Network, NetworkConfig
from tests.network.examples import SMALL, batch, random_network

Doubles = NDArray[np.float64]
SQUEEZE_WEIGHTS = ("reduce/kernel", "reduce/bias", "excite/kernel", "excite/bias")


class NaiveNetwork:
    """The blocks and the head from their description, one position at a time."""

    def __init__(self, network: Network) -> None:
        self.config = network.config
        self.weights = {w.path: w.numpy().astype(np.float64) for w in network.scores.weights}

    def pointwise(self, name: str, x: Doubles) -> Doubles:
        found: Doubles = x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]
        return found

    def block(self, number: int, x: list[Doubles]) -> list[Doubles]:
        """From all of an account's positions to all of them: before the first there is nothing."""
        name, taps = f"block{number}", self.config.kernel_size
        kernel = self.weights[f"{name}_depthwise/kernel"]
        expanded = [np.maximum(self.pointwise(f"{name}_expand", h), 0) for h in x]
        filtered = []
        for t in range(len(x)):
            total = self.weights[f"{name}_depthwise/bias"].copy()
            for i in range(taps):
                source = t - (taps - 1 - i) * self.config.dilations[number]
                total += kernel[i] * expanded[source] if source >= 0 else 0
            filtered.append(np.maximum(total, 0))
        return [x[t] + self.projected(name, filtered[: t + 1]) for t in range(len(x))]

    def projected(self, name: str, past: list[Doubles]) -> Doubles:
        w = {
            part: self.weights[f"{name}_squeeze/{name}_squeeze_{part}"] for part in SQUEEZE_WEIGHTS
        }
        squeezed = np.mean(past[-self.config.squeeze_window :], axis=0)
        reduced = np.maximum(squeezed @ w["reduce/kernel"] + w["reduce/bias"], 0)
        gate = 1 / (1 + np.exp(-(reduced @ w["excite/kernel"] + w["excite/bias"])))
        return self.pointwise(f"{name}_project", past[-1] * gate)

    def fingerprints(self, features: Doubles) -> list[Doubles]:
        x = [np.maximum(self.pointwise("stem", f), 0) for f in features]
        for number in range(len(self.config.dilations)):
            x = self.block(number, x)
        return x

    def logit(self, fingerprint: Doubles) -> float:
        head = np.maximum(self.pointwise("head", fingerprint), 0)
        return float((head @ self.weights["logit/kernel"] + self.weights["logit/bias"])[0])


@pytest.mark.parametrize("config", [NetworkConfig(), SMALL], ids=["default", "small"])
@pytest.mark.parametrize("length", [1, 2, 70])
def test_same_as_naive(config: NetworkConfig, length: int) -> None:
    """Features are the layer's own, which has a naive model of its own."""
    network = random_network(config)
    inputs = batch(14, [length], network.receptive_field + length)
    features, _ = network.features(inputs)
    naive = NaiveNetwork(network)
    expected = naive.fingerprints(features.numpy()[0, -length:].astype(np.float64))
    found = network.fingerprint(inputs).numpy()[0, -length:]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    logits = [naive.logit(x) for x in expected]
    found = network.logit(inputs).numpy()[0, -length:, 0]
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)
