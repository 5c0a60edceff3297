"""The network one transaction at a time: a flat state holds all that its layers look back on.

A window of R transactions is computed anew for every score, though all but the newest were there
before. Each layer that looks back over s positions needs of the past only the s - 1 before: what it
read then is kept instead of computed again (the queues of Paine et al. 2016, "Fast Wavenet
Generation Algorithm", section 2). The layers are the network's own, so that the answers are.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from fraudnet.network.layers import newest
from fraudnet.network.network import Network


@dataclass(frozen=True)
class Kept:
    """What a layer read at the positions before the newest: so many, of so many channels."""

    positions: int
    channels: int

    @property
    def numbers(self) -> int:
        """In the state."""
        return self.positions * self.channels


class Step:
    """A transaction and the state before it, to the scores and the state after it.

    Zeros are the state before an account's first transaction: padding is zero everywhere, too.

    Args:
        network: whose layers are used.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        config = network.config
        expanded = config.width * config.expansion
        squeezed = config.squeeze_window - 1
        self._kept = {
            "inputs": Kept(network.features.span - 1, len(network.specification.inputs)),
            "valid": Kept(squeezed, 1),
        }
        for number, dilation in enumerate(config.dilations):
            taps = (config.kernel_size - 1) * dilation
            self._kept[f"block{number}_depthwise"] = Kept(taps, expanded)
            self._kept[f"block{number}_squeeze"] = Kept(squeezed, expanded)

    @property
    def length(self) -> int:
        """Numbers in a state."""
        return sum(kept.numbers for kept in self._kept.values())

    def __call__(self, transaction: Any, state: Any) -> tuple[dict[str, Any], Any]:
        """Raw inputs [1, I] and state [1, S], to outputs [1, 1, 1] by name and the state after.

        The inputs are those of the specification, in its order, as float32, which holds days,
        seconds and places in a vocabulary exactly.
        """
        network, layer = self._network, self._network.scores.get_layer
        memory = _Memory(state, self._kept)
        past = memory.grown("inputs", transaction[:, None])
        entries = enumerate(network.specification.inputs)
        window = {i.name: ops.cast(past[..., n], i.dtype) for n, i in entries}
        x, valid = network.features(window)
        hidden = {"features": x}
        hidden["stem"] = x = layer("stem")(x)
        lately_valid = memory.grown("valid", valid)
        part = layer("part_of_valid")(lately_valid)
        for number in range(len(network.config.dilations)):
            name, shortcut = f"block{number}", x
            x = layer(f"{name}_expand")(x)
            x = layer(f"{name}_depthwise")(memory.grown(f"{name}_depthwise", x * valid))
            x = memory.grown(f"{name}_squeeze", ops.relu(x))
            x = layer(f"{name}_squeeze")(x, lately_valid, part)
            hidden[name] = x = shortcut + layer(f"{name}_project")(x)
        hidden["head"] = x = layer("head")(x)
        outputs = {
            "fraud_probability": network.calibration(layer("logit")(x)),
            "ood_distance": network.distance(hidden[network.sentinel_layer]),
        }
        return outputs, memory.flat()


class _Memory:
    """The parts of a state, and what they become."""

    def __init__(self, state: Any, kept: dict[str, Kept]) -> None:
        self._parts: dict[str, Any] = {}
        self._after: dict[str, Any] = {}
        begin = 0
        for name, each in kept.items():
            part = state[:, begin : begin + each.numbers]
            self._parts[name] = ops.reshape(part, (1, each.positions, each.channels))
            begin += each.numbers

    def grown(self, name: str, x: Any) -> Any:
        """What was read before and x, [1, 1, C], which is kept in place of the oldest."""
        whole = ops.concatenate([self._parts[name], x], axis=1)
        self._after[name] = ops.reshape(newest(whole, 1), (1, -1))
        return whole

    def flat(self) -> Any:
        """The state after, [1, S]."""
        return ops.concatenate([self._after[name] for name in self._parts], axis=1)
