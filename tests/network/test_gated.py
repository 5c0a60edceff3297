"""The network between a window and its usual self, against the network on windows so mixed."""

import numpy as np
import pytest

from fraudnet.network.gated import Gated, usual_window
from tests.network.examples import (
    PIECES,
    SMALL,
    SPECIFICATION,
    WITHOUT_CATEGORIES,
    Array,
    Inputs,
    history,
    random_network,
    window,
)

CONFIGS = {"plain": SMALL, "amounts_within": PIECES}
INDEX = {"amount": 0, "category": 2, "channel": 3, "distance": 4}


def mixed(one: Inputs, other: Inputs, gates: Array) -> Inputs:
    """The raw window whose fields are as they are where their gate is 1."""
    fields = {name: gates[:, INDEX.get(name, 5)] for name in one}
    fields |= dict.fromkeys(("day", "second", "valid"), gates[:, 1])
    return {name: np.where(fields[name] == 1, one[name], other[name]) for name in one}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("length", [1, 5, 40])
def test_gates_that_are_open_or_shut_are_windows(config: object, length: int) -> None:
    network = random_network(CONFIGS["plain"] if config is SMALL else CONFIGS["amounts_within"])
    gated = Gated(network)
    assert gated.fields == ("amount", "time", "category", "channel", "distance", "reputation")
    rng = np.random.default_rng(length)
    seen = window(history(rng, length), network.receptive_field)
    usual = usual_window(seen, SPECIFICATION)
    gates = rng.integers(0, 2, (8, gated.length, 6)).astype(np.float32)
    gates[..., 1] = 1  # what is usual of time is no window's: hours are a mean
    gates[0], gates[1, :, [0, 2, 3, 4, 5]] = 1, 0
    if config is not SMALL:  # the amount within a category has no gate of its own
        gates[..., 2], gates[..., 3] = gates[..., 0], gates[..., 0]
    found = gated(gates, gated.ends(seen)).numpy()
    windows = [mixed(seen, usual, each) for each in gates]
    expected = network.logit({n: np.stack([w[n] for w in windows]) for n in seen}).numpy()
    np.testing.assert_allclose(found, expected[:, 0, 0], rtol=1e-3, atol=1e-3)


def test_an_amount_read_piece_by_piece_is_gated_as_the_amount() -> None:
    network = random_network(PIECES, specification=WITHOUT_CATEGORIES)
    gated = Gated(network)
    assert gated.fields == ("amount", "time", "reputation")
    rng = np.random.default_rng(2)
    seen = window(history(rng, 30, WITHOUT_CATEGORIES), network.receptive_field)
    usual = usual_window(seen, WITHOUT_CATEGORIES)
    gates = np.ones((8, gated.length, 3), np.float32)
    gates[..., [0, 2]] = rng.integers(0, 2, (8, gated.length, 2))
    found = gated(gates, gated.ends(seen)).numpy()
    index = {"amount": 0, "day": 1, "second": 1, "valid": 1}
    windows = [
        {n: np.where(g[:, index.get(n, 2)] == 1, seen[n], usual[n]) for n in seen} for g in gates
    ]
    expected = network.logit({n: np.stack([w[n] for w in windows]) for n in seen}).numpy()
    np.testing.assert_allclose(found, expected[:, 0, 0], rtol=1e-3, atol=1e-3)


def test_usual_is_the_median_of_the_others_or_unknown() -> None:
    seen = window(history(np.random.default_rng(3), 6), 9)
    usual = usual_window(seen, SPECIFICATION)
    others = seen["amount"][3:8]
    np.testing.assert_array_equal(usual["amount"], [0] * 3 + [np.float32(np.median(others))] * 6)
    np.testing.assert_array_equal(usual["category"], np.zeros(9))
    np.testing.assert_array_equal(usual["counterparty_count_7d"], [0] * 3 + [-1] * 6)
    np.testing.assert_array_equal(usual["second"], seen["second"])
    assert {name: values.dtype for name, values in usual.items()} == {
        name: values.dtype for name, values in seen.items()
    }


def test_time_at_0_is_the_usual_gap() -> None:
    """Of a window of equal gaps at one hour of one weekday, time changes nothing."""
    network = random_network(SMALL)
    gated = Gated(network)
    seen = window(history(np.random.default_rng(4), 40), network.receptive_field)
    seen["day"] = (20_000 + 7 * np.arange(gated.length)).astype(np.int32)
    seen["second"] = np.full(gated.length, 3_600, np.int32)
    gates = np.ones((2, gated.length, 6), np.float32)
    gates[1, :, 1] = 0
    one, other = gated(gates, gated.ends(seen)).numpy()
    assert one == pytest.approx(other, abs=1e-4)
    late = seen | {"second": np.where(np.arange(gated.length) == gated.length - 1, 50_000, 3_600)}
    late["second"] = late["second"].astype(np.int32)
    one, other = gated(gates, gated.ends(late)).numpy()
    assert one != pytest.approx(other, abs=1e-3)
    expected = network.logit({n: v[None] for n, v in seen.items()}).numpy()[0, 0, 0]
    assert other == pytest.approx(expected, abs=1e-3)


def test_another_length_is_refused() -> None:
    gated = Gated(random_network(SMALL))
    with pytest.raises(ValueError, match="has 12 positions; expected 29"):
        gated.ends(window(history(np.random.default_rng(5), 6), 12))
