"""The score of a window on a device is the score of that position in a whole sequence."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from fraudnet.network.network import Network, NetworkConfig
from fraudnet.windows.chunks import Chunks, chunks_over, windows_of
from fraudnet.windows.histories import Histories
from tests.network.examples import (
    LOW_RANK,
    PIECES,
    SMALL,
    SPECIFICATION,
    Floats,
    Inputs,
    Scores,
    history,
    random_network,
    stacked,
    window,
)

Ints = NDArray[np.int64]


def random_lengths(count: int, receptive_field: int, seed: int) -> Ints:
    """1 to 400, many short, and every length at which something might be off by one."""
    rng = np.random.default_rng(seed)
    longest = rng.choice([8, 100, 400], count, p=[0.6, 0.3, 0.1])
    lengths: Ints = rng.integers(1, longest + 1)
    lengths[:6] = receptive_field - 1, receptive_field, receptive_field + 1, 1, 400, 2
    return lengths


def joined(histories: list[Inputs]) -> Histories:
    lengths = np.array([len(h["amount"]) for h in histories], np.int64)
    columns = {name: np.concatenate([h[name] for h in histories]) for name in histories[0]}
    time = 86_400 * columns["day"].astype(np.int64) + columns["second"].astype(np.int64)
    del columns["valid"]
    rows = np.arange(lengths.sum())
    return Histories(
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        account=np.repeat(np.arange(len(lengths)), lengths),
        source_row=rows,
        timestamp_us=1_000_000 * time,
        known_us=1_000_000 * time,
        is_fraud=np.zeros(len(rows), np.int8),
        amount=columns["amount"].astype(np.float64),
        counterparty=np.zeros(len(rows), np.int64),
        columns=columns,
        specification=SPECIFICATION,
    )


def scores_by_row(network: Network, chunks: Chunks, rows: int, batch: int) -> tuple[Floats, Floats]:
    """[rows] probability and distance; every row is scored once."""
    scores = Scores(tf.function(network.scores, reduce_retracing=True))
    found = np.full((2, rows), np.nan, np.float32)
    for chosen in chunks.batches(batch):
        row = chunks.rows(chosen)
        shown = row >= 0
        assert np.isnan(found[:, row[shown]]).all()
        for values, scored in zip(found, scores(chunks.gather(chosen)), strict=True):
            values[row[shown]] = scored[shown]
    assert not np.isnan(found).any()
    return found[0], found[1]


def window_scores(
    network: Network, histories: list[Inputs], batch: int = 500
) -> tuple[Floats, Floats]:
    """[rows] from the window of each transaction alone, made with nothing of `fraudnet.windows`."""
    scores = Scores(tf.function(network.scores, reduce_retracing=True))
    length = network.receptive_field
    windows = [
        window({name: values[: t + 1] for name, values in columns.items()}, length)
        for columns in histories
        for t in range(len(columns["amount"]))
    ]
    begins = range(0, len(windows), batch)
    found = [scores(stacked(windows[begin : begin + batch])) for begin in begins]
    probability, distance = (np.concatenate(values)[:, 0] for values in zip(*found, strict=True))
    return probability, distance


@pytest.mark.parametrize(
    ("config", "count", "length"),
    [
        pytest.param(NetworkConfig(), 1000, 128, id="default"),
        pytest.param(SMALL, 100, 1, id="chunks of one"),
        pytest.param(SMALL, 100, 37, id="chunks that end anywhere"),
        pytest.param(SMALL, 100, 400, id="whole sequences"),
        pytest.param(LOW_RANK, 100, 37, id="layers of two factors"),
        pytest.param(PIECES, 100, 37, id="amounts within categories"),
    ],
)
def test_window_is_sequence(config: NetworkConfig, count: int, length: int) -> None:
    network = random_network(config, seed=count)
    rng = np.random.default_rng(length)
    lengths = random_lengths(count, network.receptive_field, seed=length)
    accounts = [history(rng, n) for n in lengths]
    histories = joined(accounts)
    chunks = chunks_over(histories, np.ones(len(histories), bool), network.receptive_field, length)
    probability, distance = scores_by_row(network, chunks, len(histories), batch=50)
    alone_probability, alone_distance = window_scores(network, accounts)
    assert len(probability) == len(alone_probability) == lengths.sum()
    np.testing.assert_allclose(probability, alone_probability, rtol=0, atol=1e-5)
    np.testing.assert_allclose(distance, alone_distance, rtol=1e-4)
    assert probability.std() > 0.1
    assert distance.std() > 0.1


def test_windows_of_are_those_of_a_device() -> None:
    network = random_network(SMALL)
    rng = np.random.default_rng(3)
    accounts = [history(rng, n) for n in random_lengths(20, network.receptive_field, seed=3)]
    histories = joined(accounts)
    rows = np.arange(len(histories))
    found = scores_by_row(
        network, windows_of(histories, rows, network.receptive_field), len(rows), batch=500
    )
    for values, alone in zip(found, window_scores(network, accounts), strict=True):
        np.testing.assert_allclose(values, alone, rtol=1e-6)


def test_scores_do_not_depend_on_how_much_padding_stands_in_front() -> None:
    network = random_network(SMALL)
    columns = history(np.random.default_rng(4), 30)
    reach = network.receptive_field
    once = Scores(network.scores)(stacked([window(columns, reach + 29)]))
    more = Scores(network.scores)(stacked([window(columns, reach + 200)]))
    for values, further in zip(once, more, strict=True):
        np.testing.assert_allclose(values[:, -30:], further[:, -30:], rtol=1e-5)
