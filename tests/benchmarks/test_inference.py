"""One decision from a raw history: the same features and windows as elsewhere, every contestant."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks import inference
from benchmarks.inference_contestants import (
    CONTESTANTS,
    History,
    contract_of,
    features_of,
    inputs_of,
)
from benchmarks.speed_data import load_fold
from fraudnet.device.window import Window
from fraudnet.windows.chunks import windows_of


def test_features_are_of_the_newest_and_of_the_days_before_it() -> None:
    now = datetime(2025, 3, 8, 3, tzinfo=UTC)  # a Saturday, at night
    moments = [now - timedelta(days=d) for d in (31, 29, 6.5, 0.5, 0)]
    history = History(
        timestamp_us=[int(m.timestamp() * 1e6) for m in moments],
        amount=[100.0, 8.0, 4.0, 2.0, 6.0],
        reputation=[{}] * 4 + [{"count_1d": 3, "fraud_1d": 1}],
        packed=[],
    )
    assert features_of(history) == [6.0, 1.0, 1.0, 2.0, 4.0, 3.0, 4.0, 4.0, 5.0, 3.0, 1.0]


def test_a_history_fills_the_window_that_the_server_gathers() -> None:
    fold = load_fold(None, 28, 1)
    histories, length = fold.histories, 20
    window = Window(contract_of(histories.specification, length))
    rows = np.random.default_rng(0).choice(len(histories), 30, replace=False)
    expected = windows_of(histories, rows, length).gather(np.arange(len(rows)))
    for place, row in enumerate(rows):
        found = inputs_of(inference.history_of(histories, int(row), window), window)
        for name, values in found.items():
            np.testing.assert_array_equal(values[0], expected[name][place], err_msg=name)


@pytest.mark.slow
def test_every_contestant_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(inference, "SEQUENCE_ROWS", 2_000)
    path = tmp_path / "inference.json"
    assert inference.main(["--rounds", "1", "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert list(report["latency_us"]) == list(CONTESTANTS)
    for latency in report["latency_us"].values():
        assert 0 < latency["p50"] <= latency["p99"]
    assert report["times_ours"]["ai_edge_litert"] == {"p50": 1.0, "p99": 1.0}
    assert report["score_sequence_transactions_per_second"] > 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in CONTESTANTS)
