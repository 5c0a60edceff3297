"""Snapshots of reputation: counts at a transaction's time, or unknown and said so."""

import json
import struct
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.device import Scorer
from fraudnet.device.contract import ReputationTerms
from fraudnet.device.reputation import Snapshot, SnapshotError, read_counts
from tests.device.conftest import contract, vectors, with_tail, write_snapshot
from tests.device.test_scorer import START_US, transaction

DAY_US = 86_400_000_000
TERMS = ReputationTerms(("count_7d", "fraud_7d"), 2)
COUNTS = {f"merchant {i}": (i, i // 3) for i in range(500)}


@settings(deadline=None, max_examples=50)
@given(
    counts=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    ),
    asked=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_same_as_a_dictionary(counts: dict[str, tuple[int, int]], asked: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        snapshot = Snapshot(write_snapshot(Path(folder) / "snapshot", counts, 0), TERMS)
    for name in (asked, *counts):
        count, fraud = counts.get(name, (0, 0))
        assert snapshot.counts(name, 1) == {"count_7d": count, "fraud_7d": fraud}


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    columns = ("count_1d", "fraud_7d", "count_7d")
    path = write_snapshot(tmp_path / "snapshot", {"m": (1, 2, 3)}, 0, columns)
    assert Snapshot(path, TERMS).counts("m", 0) == {"count_7d": 3, "fraud_7d": 2}


@pytest.mark.parametrize(
    ("age_us", "is_known"),
    [(-1, False), (0, True), (2 * DAY_US, True), (2 * DAY_US + 1, False)],
)
def test_serves_from_its_moment_to_its_age(tmp_path: Path, age_us: int, is_known: bool) -> None:
    snapshot = Snapshot(write_snapshot(tmp_path / "snapshot", COUNTS, START_US), TERMS)
    assert bool(snapshot.counts("merchant 9", START_US + age_us)) == is_known
    assert snapshot.counts(None, START_US) == {}


def test_damaged_or_missing(tmp_path: Path) -> None:
    good = write_snapshot(tmp_path / "good", COUNTS, 0).read_bytes()
    size = struct.unpack("<I", good[8:12])[0]
    header = json.loads(good[16 : 16 + size])
    flipped = bytearray(good)
    flipped[-40] ^= 1

    def with_header(**changes: object) -> bytes:
        changed = json.dumps(header | changes).encode()
        checked = changed + b"\0" * (-(16 + len(changed)) % 8) + good[-(12 * len(COUNTS)) :]
        return b"FNREP002" + struct.pack("<II", len(changed), zlib.crc32(checked)) + checked

    path = tmp_path / "snapshot"
    for content, reason in [
        (b"", "damaged"),
        (b"FNREP001" + good[8:], "no reputation snapshot of this version"),
        (good[:-1], "checksum"),
        (good[: 16 + size // 2], "damaged"),
        (bytes(flipped), "checksum"),
        (with_header(key="account_id"), "keyed by account_id"),
        (with_header(columns=["count_7d", "fraud_30d"]), "no column fraud_7d"),
        (with_header(rows=499), "size does not fit 499 rows"),
        (with_header(columns=7), "damaged"),
        (with_header(as_of_us=10**30), "damaged"),
    ]:
        path.write_bytes(content)
        with pytest.raises(SnapshotError, match=reason) as caught:
            Snapshot(path, TERMS)
        assert str(path) in str(caught.value)
    assert with_header() == good
    with pytest.raises(SnapshotError, match="No such file"):
        Snapshot(tmp_path / "none", TERMS)


def test_without_a_usable_one_scoring_goes_on_and_says_so(artifact: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"FNREP002 and then nonsense")
    fresh = write_snapshot(tmp_path / "fresh", {"m0": (50, 9)}, START_US)
    stale = write_snapshot(tmp_path / "stale", {"m0": (50, 9)}, START_US - 3 * DAY_US)
    answers: list[float] = []
    notices: list[list[str]] = []
    for i, path in enumerate([None, damaged, stale, fresh]):
        with Scorer(artifact, tmp_path / f"store{i}", path) as scorer:
            answers.append(scorer.score(transaction(0)).probability)
            notices.append(scorer.notices())
    assert answers[0] == answers[1] == answers[2] < answers[3]
    unknown = "1 scored with the counterparty's reputation unknown"
    assert notices[0] == [unknown]
    assert notices[1][0].startswith(f"the reputation snapshot is not used: {damaged}: damaged")
    assert notices[1][1] == unknown
    serves = "serves from 2024-10-01T00:00:00.000000 to 2024-10-03T00:00:00.000000 UTC"
    assert notices[2] == [f"{unknown}; the snapshot {serves}"]
    assert notices[3] == []


def test_counts_are_looked_up_once(artifact: Path, tmp_path: Path) -> None:
    """History keeps the counts of its time when another snapshot says otherwise."""
    before = write_snapshot(tmp_path / "before", {"m0": (1, 0)}, START_US)
    after = write_snapshot(tmp_path / "after", {"m0": (60000, 900)}, START_US)
    answers = []
    for i, second in enumerate([before, after]):
        with Scorer(artifact, tmp_path / f"store{i}", before) as scorer:
            scorer.add_history([transaction(0)])
            scorer.score(transaction(1))
            scorer.add_history([transaction(2)])
        with Scorer(artifact, tmp_path / f"store{i}", second) as scorer:
            answers.append(scorer.score(transaction(2)).probability)
            answers.append(scorer.score(transaction(3, counterparty_id="m1")).probability)
    assert answers[:2] == answers[2:]


def test_counts_may_be_of_a_category(model: bytes, tmp_path: Path) -> None:
    document = contract()
    document["reputation"]["key"] = "category"
    artifact = tmp_path / "fraud.tflite"
    artifact.write_bytes(with_tail(model, {"contract.json": document, "vectors.json": vectors()}))
    of_counterparties = write_snapshot(tmp_path / "other", {"fuel": (50, 9)}, START_US)
    of_categories = tmp_path / "snapshot"
    counts = np.array([[50, 9]], np.uint16)
    held = replace(read_counts(of_counterparties), key="category", counts=counts)
    of_categories.write_bytes(held.content())
    answers, notices = [], []
    for i, path in enumerate([of_counterparties, of_categories]):
        with Scorer(artifact, tmp_path / f"store{i}", path) as scorer:
            answers.append(scorer.score(transaction(0)).probability)
            notices.append(scorer.notices())
            none = transaction(1, columns={"category": None, "distance": 1.5})
            scorer.score(none)
            assert "unknown" in scorer.notices()[-1]
    assert answers[0] < answers[1]
    assert "keyed by counterparty_id, expected category" in notices[0][0]
    assert notices[1] == []
