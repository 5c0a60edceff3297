"""What each squeeze-and-excitation block attended to, beside the account's usual."""

import keras
import numpy as np
import pandas as pd

from fraudnet.network.gated import Window
from fraudnet.network.network import Network


def attention(network: Network, sequence: Window) -> pd.DataFrame:
    """Gates of every block and channel at the newest transaction and at those before.

    A gate is what its channel is scaled by, 0..1 (Hu et al. 2018, "Squeeze-and-Excitation
    Networks", section 3.2). The usual is that of the account's earlier transactions in the
    sequence, as many as are whole positions of the network: L - R of L.

    Args:
        network: trained.
        sequence: raw inputs by name, [L] each, L at least the receptive field R, newest last,
            padding first.

    Returns:
        Rows block, channel, gate, usual (mean), deviation (standard, of the usual), departure
        (gate less usual, in deviations); without earlier transactions the last three are NaN. The
        farthest from the usual is first.

    Raises:
        ValueError: the sequence is shorter than the receptive field.
    """
    length, needed = len(sequence["valid"]), network.receptive_field
    if length < needed:
        raise ValueError(f"the sequence has {length} positions; expected at least {needed}")
    inputs = {name: values[None] for name, values in sequence.items()}
    count = length - needed + 1
    known = sequence["valid"][-count:-1] > 0
    parts = []
    for number in range(len(network.config.dilations)):
        layer = network.logit.get_layer(f"block{number}_squeeze")
        read = keras.Model(network.logit.input, layer.input)(inputs)
        gates = keras.ops.convert_to_numpy(layer.gate(*read))[0, -count:].astype(np.float64)
        earlier = gates[:-1][known]
        parts.append(
            pd.DataFrame(
                {
                    "block": number,
                    "channel": np.arange(gates.shape[1]),
                    "gate": gates[-1],
                    "usual": earlier.mean(axis=0) if len(earlier) else np.nan,
                    "deviation": earlier.std(axis=0) if len(earlier) else np.nan,
                }
            )
        )
    found = pd.concat(parts, ignore_index=True)
    # A channel that never moved would be infinitely far at the first stir.
    found["departure"] = (found["gate"] - found["usual"]) / found["deviation"].clip(lower=LEAST)
    order = found["departure"].abs().sort_values(ascending=False, kind="stable").index
    return found.loc[order].reset_index(drop=True)


LEAST = 0.01
"""Deviation of a gate that counts as the least."""
