"""Whole decisions on the device: the same features as counted by hand, every contestant timed."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks import device
from benchmarks.device_contestants import features
from benchmarks.device_world import SPAN_US, make_tree_store, transactions
from fraudnet.device.contract import ReputationTerms
from fraudnet.device.reputation import Snapshot
from tests.device.conftest import write_snapshot

DAY_US = 86_400_000_000


def test_a_transaction_is_the_same_however_it_is_asked_for() -> None:
    whole = list(transactions(0, 1_700, 1_000, 7))
    assert whole[300:1_234] == list(transactions(300, 934, 1_000, 7))
    moments = [each.timestamp_us for each in whole]
    assert moments == sorted(moments)
    assert moments[1_000] - moments[0] == SPAN_US
    assert {each.account_id for each in whole} == {f"a{i}" for i in range(7)}


def test_features_from_sql_are_those_counted_by_hand(tmp_path: Path) -> None:
    stored = list(transactions(0, 900, 900, 3))
    snapshot = Snapshot(
        write_snapshot(tmp_path / "snapshot", {"m1": (3, 1)}, stored[0].timestamp_us),
        ReputationTerms(("count_7d", "fraud_7d"), 10_000),
    )
    with closing(sqlite3.connect(make_tree_store(tmp_path, 3, 900))) as connection:
        for asked in transactions(900, 40, 900, 3):
            expected = [asked.amount]
            weekday = (asked.timestamp_us // DAY_US + 3) % 7
            expected += [float(weekday >= 5), float(asked.timestamp_us % DAY_US < DAY_US / 4)]
            for days in (1, 7, 30):
                amounts = [
                    each.amount
                    for each in stored
                    if each.account_id == asked.account_id
                    and asked.timestamp_us - days * DAY_US < each.timestamp_us
                ] + [asked.amount]
                expected += [len(amounts), float(np.mean(amounts))]
            expected += snapshot.counts(asked.counterparty_id, asked.timestamp_us).values()
            assert features(connection, snapshot, asked) == pytest.approx(expected)


@pytest.mark.slow
def test_every_contestant_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "device.json"
    words = ["--accounts", "3", "20", "--stored", "3000", "--decisions", "100"]
    assert device.main([*words, "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    told = [(e["accounts"], e["durable_commits"], e["contestant"]) for e in report["latency_ms"]]
    names = [*device.RUNTIMES, device.TREES]
    assert told == [
        (n, durable, name) for n in (3, 20) for durable in (True, False) for name in names
    ]
    for each in report["latency_ms"]:
        assert 0 < each["p50"] <= each["p99"] <= each["p99_9"]
        assert each["flagged"] == (0 if each["contestant"] == device.TREES else 2)
    for each in report["catch_up"]:
        assert each["transactions"] == 3_000
        assert each["compared_with_one_by_one"] == 3_000
        assert each["other_decisions"] == 0
        assert 0 <= each["largest_difference"] < 1e-5
        assert 0 < each["flagged"] < 3_000
    shown = capsys.readouterr().out
    assert "catch-up, tflite_runtime" in shown


@pytest.mark.parametrize("words", [["--accounts", "0"], ["--json", "/no/folder/x.json"]])
def test_wrong_words_end_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert device.main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
