"""An artifact is replaced by a verified one or not at all, and the one before can come back."""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest

from fraudnet.artifact.signing import generate_key, sign
from fraudnet.device import ArtifactError, DeviceInputError, Scorer
from fraudnet.device.artifact import open_artifact
from fraudnet.device.device_command import add_arguments, run
from fraudnet.device.tail import read_regular
from fraudnet.device.update import previous_path, roll_back, update_artifact
from tests.device.conftest import contract, vectors, with_tail


def made(model: bytes, path: Path, threshold: float) -> Path:
    document = contract()
    document["threshold"]["probability"] = threshold
    path.write_bytes(with_tail(model, {"contract.json": document, "vectors.json": vectors()}))
    return path


@pytest.fixture
def releases(model: bytes, tmp_path: Path) -> list[Path]:
    (tmp_path / "releases").mkdir()
    return [made(model, tmp_path / "releases" / f"{i}.tflite", 0.1 * i) for i in (1, 2, 3)]


@pytest.fixture
def used(tmp_path: Path) -> Path:
    (tmp_path / "device").mkdir()
    return tmp_path / "device" / "fraud.tflite"


def threshold(path: Path, key: Path | None = None) -> float:
    return round(open_artifact(path, key).contract.threshold, 6)


def test_update_and_rollback(releases: list[Path], used: Path) -> None:
    first = update_artifact(releases[0], used)
    assert (first.changed, first.previous_sha256) == (True, None)
    second = update_artifact(releases[1], used)
    assert (second.changed, second.previous_sha256) == (True, first.sha256)
    assert not update_artifact(releases[1], used).changed  # as after a crash: nothing is lost
    assert (threshold(used), threshold(previous_path(used))) == (0.2, 0.1)
    assert roll_back(used).changed
    assert not roll_back(used).changed
    assert threshold(used) == 0.1
    update_artifact(releases[2], used)
    assert (threshold(used), threshold(previous_path(used))) == (0.3, 0.1)
    # What a rollback would bring back, given as an update: the present one is kept all the same.
    update_artifact(releases[0], used)
    assert (threshold(used), threshold(previous_path(used))) == (0.1, 0.3)
    assert sorted(file.name for file in used.parent.iterdir()) == [
        "fraud.tflite", "fraud.tflite.previous"
    ]  # fmt: skip


def test_what_cannot_be_verified_changes_nothing(releases: list[Path], used: Path) -> None:
    update_artifact(releases[0], used)
    before = used.read_bytes()
    key = used.parent / "release.key"
    public = generate_key(key)
    wrong = vectors()
    wrong[3]["outputs"]["fraud_probability"] += 0.01
    model = open_artifact(releases[1]).model
    lying = used.parent.parent / "lying.tflite"
    lying.write_bytes(with_tail(model, {"contract.json": contract(), "vectors.json": wrong}))
    cut = used.parent.parent / "cut.tflite"
    cut.write_bytes(releases[1].read_bytes()[:-100])
    for new, asked, reason in [
        (lying, None, "self-check failed: test vector 3"),
        (cut, None, "truncated"),
        (releases[1], public, "is not signed"),
        (used.parent / "none.tflite", None, "No such file"),
    ]:
        with pytest.raises(ArtifactError, match=reason) as caught:
            update_artifact(new, used, asked)
        assert str(new) in str(caught.value)
    sign(releases[1], key)
    releases[1].write_bytes(releases[2].read_bytes())
    with pytest.raises(ArtifactError, match="is not what was signed"):
        update_artifact(releases[1], used, public)
    assert used.read_bytes() == before
    with pytest.raises(ArtifactError, match="no update has kept an artifact"):
        roll_back(used)
    assert used.read_bytes() == before


def test_a_damaged_one_is_mended_and_not_kept(releases: list[Path], used: Path) -> None:
    update_artifact(releases[0], used)
    update_artifact(releases[1], used)
    used.write_bytes(used.read_bytes()[:-100])
    assert update_artifact(releases[2], used).previous_sha256 == open_artifact(releases[0]).sha256
    used.write_bytes(b"")
    roll_back(used)
    assert threshold(used) == 0.1


def test_signatures_follow(releases: list[Path], used: Path) -> None:
    key = used.parent.parent / "release.key"
    public = generate_key(key)
    for release in releases:
        sign(release, key)
    for release in releases:
        update_artifact(release, used, public)
    assert (
        used.with_name("fraud.tflite.sig").read_bytes() == Path(f"{releases[2]}.sig").read_bytes()
    )
    assert (threshold(used, public), threshold(previous_path(used), public)) == (0.3, 0.2)
    # The first release's went with it.
    assert len(list(used.parent.iterdir())) == 5
    roll_back(used, public)
    assert threshold(used, public) == 0.2
    assert (
        used.with_name("fraud.tflite.sig").read_bytes() == Path(f"{releases[1]}.sig").read_bytes()
    )
    other = generate_key(used.parent.parent / "other.key")
    with pytest.raises(ArtifactError, match="not what was signed"):
        roll_back(used, other)
    # An unsigned one takes away the signature beside, not the one that a rollback needs.
    Path(f"{releases[0]}.sig").unlink()
    update_artifact(releases[0], used)
    with pytest.raises(ArtifactError, match="is not signed"):
        open_artifact(used, public)
    roll_back(used, public)
    assert threshold(used, public) == 0.2


def test_a_link_stays_and_what_is_no_file_is_refused(releases: list[Path], used: Path) -> None:
    behind = used.parent / "behind.tflite"
    behind.write_bytes(releases[0].read_bytes())
    used.symlink_to(behind.name)
    update_artifact(releases[1], used)
    assert used.is_symlink()
    assert threshold(behind) == 0.2
    roll_back(used)
    assert threshold(behind) == 0.1
    with pytest.raises(DeviceInputError, match="not a regular file"):
        update_artifact(releases[1], Path(os.devnull))


def test_one_at_a_time(releases: list[Path], used: Path) -> None:
    holder = (
        "import sys, pathlib\n"
        "from fraudnet.device.update import _alone\n"
        "with _alone(pathlib.Path(sys.argv[1])):\n"
        "    print(flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, used], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DeviceInputError, match="another update or rollback is at work"):
            update_artifact(releases[0], used)
        process.kill()
    assert update_artifact(releases[0], used).changed  # the lock went with its holder


CRASHES = """
import os, signal, sys
from pathlib import Path
from fraudnet.device.artifact import open_artifact
from fraudnet.device.update import previous_path, roll_back, update_artifact
used, public, *releases = map(Path, sys.argv[1:])

def dying(function, counter):
    def call(*arguments, **named):
        counter[0] -= 1
        if counter[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call

def dies(action, steps):
    "Whether the action, in a process of its own, is killed at this step of its way."
    child = os.fork()
    if child == 0:
        counter = [steps]
        for name in ("fsync", "replace", "unlink", "open"):
            setattr(os, name, dying(getattr(os, name), counter))
        action()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, 9), status
    return status == 9

def sha256(path):
    return open_artifact(path, public).sha256

names = {sha256(release): i for i, release in enumerate(releases)}
update_artifact(releases[0], used, public)
update_artifact(releases[1], used, public)
seen = {"update": set(), "rollback": set()}
steps = 1
while True:
    cut = dies(lambda: update_artifact(releases[2], used, public), steps)
    now = names[sha256(used)]
    seen["update"].add(now)
    assert now in (1, 2) and names[sha256(previous_path(used))] in (0, 1)
    assert now == 1 or names[sha256(previous_path(used))] == 1
    update_artifact(releases[2], used, public)
    again = dies(lambda: roll_back(used, public), steps)
    now = names[sha256(used)]
    seen["rollback"].add(now)
    assert now in (1, 2) and names[sha256(previous_path(used))] == 1
    roll_back(used, public)
    assert names[sha256(used)] == 1
    if not cut and not again:
        break
    update_artifact(releases[0], used, public)
    update_artifact(releases[1], used, public)
    steps += 1
assert seen == {"update": {1, 2}, "rollback": {1, 2}}, seen
print(steps, sorted(file.name for file in used.parent.iterdir()))
"""


def test_killed_at_every_step(releases: list[Path], used: Path) -> None:
    key = used.parent.parent / "release.key"
    public = generate_key(key)
    for release in releases:
        sign(release, key)
    command = [sys.executable, "-c", CRASHES, *map(str, (used, public, *releases))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 12
    assert "partial" not in done.stdout


def test_killed_at_random_moments(releases: list[Path], used: Path) -> None:
    """A scorer that starts meanwhile always finds one, whole."""
    update_artifact(releases[0], used)
    update_artifact(releases[1], used)
    program = (
        "import sys, pathlib, itertools\n"
        "from fraudnet.device.update import roll_back, update_artifact\n"
        "used, *releases = map(pathlib.Path, sys.argv[1:])\n"
        "for release in itertools.cycle(releases):\n"
        "    update_artifact(release, used)\n"
        "    print(flush=True)\n"
        "    roll_back(used)\n"
    )
    rng = random.Random(4)
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", program, used, *releases],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            process.stdout.readline()
            until = time.monotonic() + 0.05 + 0.2 * rng.random()
            while time.monotonic() < until:
                assert threshold(used) in (0.1, 0.2, 0.3)
            process.kill()
        assert threshold(used) in (0.1, 0.2, 0.3)
        assert threshold(previous_path(used)) in (0.1, 0.2, 0.3)


def test_replaced_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a longer one, of which the length of the old one would be a part."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"longer")
    opens = Path.open

    def replaced_then_opened(path: Path, mode: str) -> IO[Any]:
        new.replace(path)
        return opens(path, mode)

    monkeypatch.setattr(Path, "open", replaced_then_opened)
    assert read_regular(old) == b"longer"


def test_the_command(releases: list[Path], used: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def device(*arguments: object) -> str:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        assert run(parser.parse_args([*map(str, arguments), "--artifact", str(used)])) == 0
        return capsys.readouterr().out

    assert "fraud.tflite: is now sha256 " in device("update", releases[0])
    assert "fraud.tflite: was already sha256 " in device("update", releases[0])
    found = json.loads(device("update", releases[1], "--json"))
    assert found == {
        "artifact": str(used), "sha256": open_artifact(releases[1]).sha256,
        "previous_sha256": open_artifact(releases[0]).sha256, "changed": True,
    }  # fmt: skip
    assert "fraud.tflite: is now sha256 " in device("rollback")
    with Scorer(used, used.parent / "store") as scorer:
        assert scorer.contract.threshold == pytest.approx(0.1)
