"""Drift against plain numpy; quantiles that a contract may tell."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.device.contract import parse_contract
from fraudnet.device.errors import ArtifactError
from fraudnet.device.serve.drift import Drift
from fraudnet.device.serve.lines import Splitter
from fraudnet.device.serve.metrics import Histogram, Metrics
from tests.device.conftest import contract

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)


def quantiles(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[float, float]:
    return {share: float(np.quantile(values, share)) for share in SHARES}


@pytest.mark.parametrize("shift", [0.0, 0.5, 30.0])
def test_the_index_is_that_of_a_histogram_of_the_last_values(shift: float) -> None:
    rng = np.random.default_rng(3)
    told = quantiles(rng.gamma(2.0, size=50_000))
    drift = Drift(told, recent=2_000)
    values = rng.gamma(2.0, size=5_000) + shift
    for value in values:
        drift.note(float(value))
    below = [(values[-2_000:] <= edge).sum() for edge in told.values()]
    o = (np.diff([0, *below, 2_000]) + 0.5) / (2_000 + 0.5 * 8)
    e = np.diff([0.0, *SHARES, 1.0])
    expected = sum(float((a - b) * np.log(a / b)) for a, b in zip(o, e, strict=True))
    assert len(drift) == 2_000
    assert drift.stability_index() == pytest.approx(expected, rel=1e-9)
    assert {0.0: expected < 0.02, 0.5: 0.1 < expected < 5, 30.0: expected > 5}[shift]


def test_no_drift_is_found_in_values_that_are_equal() -> None:
    """Those of an isotonic calibration are, over wide stretches."""
    values = np.maximum(np.random.default_rng(4).normal(size=20_000), 0.6)  # 73 % of them
    told = quantiles(values)
    drift = Drift(told)
    assert drift.edges == (told[0.75], told[0.9], told[0.99], told[0.999])
    assert np.isnan(drift.stability_index())
    for value in values[:10_000]:
        drift.note(float(value))
    assert drift.stability_index() < 0.01


def test_a_histogram_is_that_of_numpy() -> None:
    values = np.random.default_rng(5).exponential(size=500).round(1)  # some on the very bounds
    bounds = (0.1, 0.5, 1.0, 2.0)
    histogram = Histogram(bounds)
    for value in values:
        histogram.note(float(value))
    lines = [line.rsplit(" ", 1)[1] for line in histogram.samples("x")]
    assert [int(count) for count in lines[:5]] == [
        *(int((values <= bound).sum()) for bound in bounds), 500
    ]  # fmt: skip
    assert float(lines[5]) == pytest.approx(values.sum())
    assert lines[6] == "500"


def test_a_contract_without_quantiles_measures_no_drift(tmp_path: Path) -> None:
    told = {"ood_quantiles": {"0.5": 1.0, "0.9": 2.0}}
    texts = [
        Metrics(parse_contract(contract() | more), "0" * 64, tmp_path / "store").text(0, 1, False)
        for more in ({}, told)
    ]
    found = [re.findall(r"^fraudnet_drift\{.*$", text, re.MULTILINE) for text in texts]
    assert found == [[], ['fraudnet_drift{of="distance"} nan']]


@pytest.mark.parametrize(
    "told",
    [
        {"half": 1.0}, {"0": 1.0}, {"1": 1.0}, {"nan": 1.0}, {"0.5": 2.0, "0.9": 1.0},
        {"0.5": "1"}, {"0.5": float("nan")}, [0.5], None,
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["score_quantiles", "ood_quantiles"])
def test_quantiles_that_are_none_are_refused(key: str, told: object) -> None:
    with pytest.raises(ArtifactError, match=f"contract.json: {key}.* (is|expected)"):
        parse_contract(contract() | {key: told})


@given(st.lists(st.text("ab\n", min_size=1, max_size=30)))
def test_lines_are_the_same_however_they_arrive(chunks: list[str]) -> None:
    splitter = Splitter(most=5)
    found = [line for chunk in (*chunks, "") for line in splitter.lines(chunk.encode())]
    expected = [line[:6].encode() for line in "".join(chunks).split("\n")]
    assert [line for line in found if line] == [line for line in expected if line]
