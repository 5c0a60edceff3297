"""Drift against plain numpy; quantiles that a contract may tell."""

import json
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.device.contract import parse_contract
from fraudnet.device.errors import ArtifactError
from fraudnet.device.quarantine import Quarantine
from fraudnet.device.scorer import Scorer
from fraudnet.device.serve.drift import Drift
from fraudnet.device.serve.lines import Splitter
from fraudnet.device.serve.metrics import OUTCOMES, Histogram, Metrics
from fraudnet.device.serve.service import Service, Terms
from tests.device.conftest import contract
from tests.device.test_command import STREAM, as_lines

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
    assert found == [[], ['fraudnet_drift{of="distance"} NaN']]


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


def test_whatever_is_sent_is_answered_once_and_counted_once(artifact: Path, tmp_path: Path) -> None:
    """Lines with parts of others put in, some of them transactions all the same."""
    rng, lines = np.random.default_rng(6), as_lines(STREAM).encode().splitlines()
    sent = list(lines)
    for _ in range(300):
        line, other = (lines[i] for i in rng.integers(len(lines), size=2))
        place, start = rng.integers(len(line)), rng.integers(len(other))
        sent.append(line[:place] + other[start : start + rng.integers(9)] + line[place + 1 :])
        sent.append(rng.bytes(20).replace(b"\n", b""))
    with Quarantine(tmp_path / "quarantine") as quarantine:
        store = tmp_path / "store"
        service = Service(
            lambda: Scorer(artifact, store), store, quarantine, Terms(60.0, "block", 4)
        )
        kinds: Counter[str] = Counter()
        for number, line in enumerate(sent):
            request = service.read(line, number, Path("test"))
            service.enqueue(request)
            answer = service.wait(request)
            kinds[answer.kind] += 1
            told = json.loads(answer.line)
            assert ("probability" in told) == (answer.kind == "decision")
        text = service.metrics_text()
        service.close()
    counted = dict(re.findall(r"^fraudnet_(.*) (\d+)$", text, re.MULTILINE))
    assert kinds.keys() == {"decision", "conflict", "error"}
    refused = kinds["conflict"] + kinds["error"]
    outcomes = {name: int(counted[f'transactions_total{{outcome="{name}"}}']) for name in OUTCOMES}
    assert int(counted['answers_total{kind="decision"}']) == kinds["decision"]
    assert int(counted['answers_total{kind="error"}']) == outcomes["refused"] == refused
    assert outcomes["scored"] + outcomes["repeated"] == kinds["decision"]
    assert sum(outcomes.values()) == len(sent) == int(counted["latency_seconds_count"])
    assert len((tmp_path / "quarantine").read_text().splitlines()) == refused
    with closing(sqlite3.connect(store)) as connection:
        (stored,) = connection.execute("SELECT COUNT(*) FROM transactions").fetchone()
    assert stored == outcomes["scored"] > len(lines)


def test_who_sends_nonsense_for_ever_fills_no_disk(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fraudnet.device.serve.service.MOST_QUARANTINED", 500)
    with Quarantine(tmp_path / "quarantine") as quarantine:
        store = tmp_path / "store"
        service = Service(
            lambda: Scorer(artifact, store), store, quarantine, Terms(60.0, "block", 4)
        )
        for number in range(100):
            service.read(b"no", number, Path("test"))
        assert 'outcome="refused"} 100\n' in service.metrics_text()
        service.close()
    assert (tmp_path / "quarantine").stat().st_size < 700
