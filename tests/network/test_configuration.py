"""Which configurations make a network, and what is said of those that do not."""

import numpy as np
import pytest

from fraudnet.configuration import parse_section
from fraudnet.errors import InputError
from fraudnet.network.network import NetworkConfig
from tests.network.examples import Scores, batch, random_network


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"squeeze_window": 12}, "key 'squeeze_window': .*must be a power of two, got 12"),
        ({"normal_window": 100}, "key 'normal_window': .*must be a power of two, got 100"),
        ({"normal_window": 1}, "key 'normal_window': .*greater than or equal to 2, got 1"),
        ({"squeeze_window": 0}, "key 'squeeze_window': .*greater than or equal to 2, got 0"),
        ({"dilations": []}, r"key 'dilations': .*at least one block.*, got \[\]"),
        ({"dilations": [1, 0]}, r"key 'dilations': .*dilations from 1, got \[1, 0\]"),
        ({"dilations": [1, "two"]}, r"key 'dilations\.1': .*integer.*, got 'two'"),
        ({"kernel_size": 1}, "key 'kernel_size': .*got 1"),
        ({"width": 2}, "key 'width': .*got 2"),
        ({"dropout": 1.0}, "key 'dropout': .*less than 1, got 1.0"),
        ({"dropout": float("nan")}, "key 'dropout': .*got nan"),
        ({"dilation": [1]}, "unknown key 'dilation'; did you mean 'dilations'?"),
        (
            {"width": 8, "expansion": 2, "squeeze_reduction": 17},
            r"key 'squeeze_reduction': .*at most width x expansion \(16\), got 17",
        ),
        (
            {"dilations": [1, 2], "ranks": {"block1_expnd": 3}},
            "key 'ranks': .*no 1x1 layer 'block1_expnd'; did you mean 'block1_expand'?",
        ),
        (
            {"dilations": [1, 2], "ranks": {"block2_expand": 3}},
            "key 'ranks': .*no 1x1 layer 'block2_expand'",
        ),
        ({"ranks": {"logit": 1}}, "key 'ranks': .*no 1x1 layer 'logit'"),
        ({"ranks": {"stem": 0}}, "key 'ranks': .*rank of stem must be at least 1"),
        ({"ranks": {"stem": 1.5}}, r"key 'ranks\.stem': .*integer.*, got 1.5"),
    ],
)
def test_configuration_that_fits_no_network(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^network.toml: {message}"):
        parse_section(NetworkConfig, values, "network.toml")


def test_configuration_at_its_limits_builds() -> None:
    values = {"width": 4, "expansion": 1, "kernel_size": 2, "dilations": [1], "head": 4}
    values |= {"squeeze_window": 2, "normal_window": 2, "embedding": 1, "squeeze_reduction": 4}
    network = random_network(parse_section(NetworkConfig, values, "network.toml"))
    for found in Scores(network.scores)(batch(11, [1, 20], network.receptive_field)):
        assert np.isfinite(found).all()
