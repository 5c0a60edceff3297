import json
import os
import struct
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.device.contract import ReputationTerms
from fraudnet.device.errors import DeviceInputError
from fraudnet.device.increment import apply_increment
from fraudnet.device.reputation import Snapshot, SnapshotError, framed, read_counts, unframed
from fraudnet.windows.snapshot import write_increment, write_snapshot
from fraudnet.windows.specification import Reputation
from tests.windows.tables import DAY_US

SPECIFICATION = Reputation(episode_days="none", windows_days=(1, 30))
COLUMNS = ("count_1d", "fraud_1d", "count_30d", "fraud_30d")
TERMS = ReputationTerms(COLUMNS, 2.0)
AS_OF_US = 1_728_000_000_000_000
NAMES = st.text(st.characters(exclude_categories=["Cs"]))
COUNTED = st.dictionaries(
    NAMES, st.tuples(*[st.integers(0, 2**17) | st.integers(65_533, 65_537)] * 4), max_size=30
)
Counted = dict[str, tuple[int, int, int, int]]


def write(path: Path, counted: Counted, as_of_us: int = AS_OF_US) -> Path:
    counts = np.array(list(counted.values()), np.float32).reshape(-1, 4)
    write_snapshot(path, SPECIFICATION, list(counted), counts, as_of_us)
    return path


def in_a_folder(counted: Counted) -> tuple[Snapshot, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "snapshot", counted)
        return Snapshot(path, TERMS), path.read_bytes()


@settings(deadline=None)
@given(COUNTED, NAMES, st.integers(-2 * DAY_US, 4 * DAY_US))
def test_a_device_reads_the_counts_that_were_written(
    counted: Counted, never_seen: str, age_us: int
) -> None:
    snapshot, _ = in_a_folder(counted)
    for name in (never_seen, *counted):
        held = [min(count, 65_535) for count in counted.get(name, (0, 0, 0, 0))]
        fresh = 0 <= age_us <= 2 * DAY_US
        expected = dict(zip(COLUMNS, held, strict=True)) if fresh else {}
        assert snapshot.counts(name, AS_OF_US + age_us) == expected
    assert snapshot.counts(None, AS_OF_US) == {}


@settings(deadline=None, max_examples=40)
@given(COUNTED, st.randoms(use_true_random=False))
def test_the_same_counts_give_the_same_bytes_in_whatever_order(
    counted: Counted, random: Random
) -> None:
    names = list(counted)
    random.shuffle(names)
    shuffled = {name: counted[name] for name in names}
    assert in_a_folder(counted)[1] == in_a_folder(counted)[1] == in_a_folder(shuffled)[1]


@pytest.mark.parametrize("windows", [(1,), (1, 7, 30), (2, 3, 5, 7, 11, 13)])
def test_the_header_says_what_the_file_holds(tmp_path: Path, windows: tuple[int, ...]) -> None:
    specification = Reputation(episode_days="none", windows_days=windows)
    counts = np.zeros((3, 2 * len(windows)), np.float32)
    write_snapshot(tmp_path / "snapshot", specification, ["a", "b", "c"], counts, 17)
    content = (tmp_path / "snapshot").read_bytes()
    size, checksum = struct.unpack("<II", content[8:16])
    header = json.loads(content[16 : 16 + size])
    assert content[:8] == b"FNREP002"
    assert checksum == zlib.crc32(content[16:])
    assert (header["key"], header["as_of_us"], header["rows"]) == ("counterparty_id", 17, 3)
    assert header["columns"] == [f"{what}_{w}d" for w in windows for what in ("count", "fraud")]
    assert len(content) == -(-(16 + size) // 8) * 8 + 3 * (8 + 4 * len(windows))


def test_one_that_is_written_again_replaces_the_other(tmp_path: Path) -> None:
    path = write(tmp_path / "new" / "folder" / "snapshot", {"m": (1, 0, 2, 0)})
    mapped = Snapshot(path, TERMS)
    write(path, {"m": (3, 1, 4, 1), "n": (1, 1, 1, 1)}, AS_OF_US + 1)
    assert mapped.counts("m", AS_OF_US)["count_30d"] == 2
    assert Snapshot(path, TERMS).counts("m", AS_OF_US + 1)["count_30d"] == 4
    assert list(path.parent.iterdir()) == [path]


def test_it_may_be_read_by_whoever_may_read_new_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    path = write(tmp_path / "snapshot", {})
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = write(tmp_path / "snapshot", {"m": (1, 0, 2, 0)})
    before = path.read_bytes()

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(broken, fails)
        with pytest.raises(OSError, match="No space left"):
            write(path, {"m": (9, 9, 9, 9)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@settings(deadline=None, max_examples=60)
@given(COUNTED, COUNTED, st.data())
def test_an_increment_makes_the_later_snapshot_byte_by_byte(
    before: Counted, added: Counted, data: st.DataObject
) -> None:
    kept = data.draw(st.sets(st.sampled_from(sorted(before))) if before else st.just(set()))
    after = {name: before[name] for name in kept} | added
    with tempfile.TemporaryDirectory() as folder:
        old, new, made = (Path(folder) / name for name in ("old", "new", "made"))
        write(old, before)
        write(new, after, AS_OF_US + DAY_US)
        increment = Path(folder) / "increment"
        write_increment(old, new, increment)
        apply_increment(old, increment, made)
        assert made.read_bytes() == new.read_bytes()
        changed = sum(
            before.get(name) is None or np.clip(before[name], 0, 65_535).tolist() != held
            for name, held in ((n, np.clip(c, 0, 65_535).tolist()) for n, c in after.items())
        )
        assert unframed(b"FNINC001", increment, "increment")[0]["changed"] == changed
        apply_increment(old, increment, old)  # in place
        assert old.read_bytes() == new.read_bytes()


def test_what_an_increment_cannot_be_applied_to_is_left_as_it_is(tmp_path: Path) -> None:
    days = [
        write(tmp_path / f"day {n}", {"a": (n, 0, n, 0), "b": (7, 7, 7, n)}, AS_OF_US + n * DAY_US)
        for n in range(3)
    ]
    increment = tmp_path / "increment"
    write_increment(days[0], days[1], increment)
    good, first, other = increment.read_bytes(), days[0].read_bytes(), days[2].read_bytes()
    apply_increment(days[0], increment, tmp_path / "made")
    with pytest.raises(DeviceInputError, match=r"increment: cannot be applied .* another snapshot"):
        apply_increment(days[2], increment, days[2])
    with pytest.raises(DeviceInputError, match="no reputation increment of this version"):
        apply_increment(days[0], days[1], days[0])
    with pytest.raises(DeviceInputError, match="none: No such file"):
        apply_increment(days[0], tmp_path / "none", days[0])
    for at in range(len(good)):
        damaged = bytearray(good)
        damaged[at] ^= 1
        increment.write_bytes(bytes(damaged))
        with pytest.raises(DeviceInputError, match="increment: cannot be applied to"):
            apply_increment(days[0], increment, tmp_path / "again")
    for cut in range(len(good)):
        increment.write_bytes(good[:cut])
        with pytest.raises(DeviceInputError, match="fetch the whole snapshot"):
            apply_increment(days[0], increment, days[0])
    assert (days[0].read_bytes(), days[2].read_bytes()) == (first, other)


def test_an_increment_follows_a_link_and_replaces_files_alone(tmp_path: Path) -> None:
    first, second = (
        write(tmp_path / f"day {n}", {"a": (n, 0, n, 0)}, AS_OF_US + n * DAY_US) for n in range(2)
    )
    increment = tmp_path / "increment"
    write_increment(first, second, increment)
    behind, link, pipe = (tmp_path / name for name in ("behind", "link", "pipe"))
    behind.write_bytes(b"")
    link.symlink_to(behind)
    os.mkfifo(pipe)
    apply_increment(first, increment, link)
    assert link.is_symlink()
    assert behind.read_bytes() == second.read_bytes()
    for target in (pipe, Path(os.devnull), tmp_path):
        with pytest.raises(DeviceInputError, match=f"{target}: is no regular file"):
            apply_increment(first, increment, target)
    assert pipe.is_fifo()


def test_an_increment_is_made_of_two_days_of_one_kind(tmp_path: Path) -> None:
    first, same = (write(tmp_path / name, {"a": (1, 0, 1, 0)}) for name in ("first", "same"))
    with pytest.raises(ValueError, match="not later than the base"):
        write_increment(first, same, tmp_path / "increment")
    other = tmp_path / "other"
    write_snapshot(
        other,
        Reputation(episode_days="none", windows_days=(1,)),
        [],
        np.zeros((0, 2), np.float32),
        2**50,
    )
    with pytest.raises(ValueError, match="the snapshots are of counterparty_id"):
        write_increment(first, other, tmp_path / "increment")


def test_hashes_that_do_not_increase_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "snapshot", {"a": (1, 0, 1, 0), "b": (2, 0, 2, 0)})
    held = read_counts(path)
    path.write_bytes(replace(held, hashes=held.hashes[::-1].copy()).content())
    with pytest.raises(SnapshotError, match="hashes do not increase"):
        Snapshot(path, TERMS)


@pytest.mark.parametrize("as_of_us", [0, AS_OF_US, 10**40, 1.5, "17"])
def test_an_increment_to_no_later_moment_is_refused(tmp_path: Path, as_of_us: object) -> None:
    days = [write(tmp_path / f"{n}", {"a": (n, 0, n, 0)}, AS_OF_US + n) for n in range(2)]
    increment = tmp_path / "increment"
    write_increment(days[0], days[1], increment)
    header, body = unframed(b"FNINC001", increment, "increment")
    increment.write_bytes(framed(b"FNINC001", header | {"as_of_us": as_of_us}, body.tobytes()))
    with pytest.raises(DeviceInputError, match="no later than the snapshot"):
        apply_increment(days[0], increment, tmp_path / "made")


@pytest.mark.parametrize(
    "wrong",
    [{"rows": 1.5}, {"rows": "1"}, {"as_of_us": 10**30}, {"as_of_us": -1}, {"key": 5},
     {"columns": ["x"] * 4}, {"columns": 4}],
)  # fmt: skip
def test_a_header_of_other_types_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = write(tmp_path / "snapshot", {"a": (1, 0, 1, 0)})
    header, body = unframed(b"FNREP002", path, "snapshot")
    path.write_bytes(framed(b"FNREP002", header | wrong, body.tobytes()))
    with pytest.raises(SnapshotError, match="damaged"):
        Snapshot(path, TERMS)


def test_a_header_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    deep = b"[" * 100_000
    front = len(deep).to_bytes(4, "little") + zlib.crc32(deep).to_bytes(4, "little")
    (tmp_path / "snapshot").write_bytes(b"FNREP002" + front + deep)
    with pytest.raises(SnapshotError, match="no JSON object"):
        Snapshot(tmp_path / "snapshot", TERMS)
