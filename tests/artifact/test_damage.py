"""Damaged artifacts: refused in one line, or harmless; never a crash, never another decision."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fraudnet.device import ArtifactError
from fraudnet.device.artifact import open_artifact
from fraudnet.device.tail import split
from tests.artifact.hostile import MODEL, SEALED, VERSION_1, resealed
from tests.artifact.runtimes import ROOT, need

# Opens every damaged copy; a line for each, flushed, so that a crash is seen where it happens.
PROGRAM = """
import json, pathlib, sys
import numpy as np
from fraudnet.device import ArtifactError
from fraudnet.device.artifact import open_artifact, read_documents

path, copy = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
content, vectors = path.read_bytes(), read_documents(path)["vectors.json"]

def decisions(artifact):
    contract, found = artifact.contract, []
    for vector in vectors:
        window = {i.name: np.array([vector["inputs"][i.name]], i.dtype) for i in contract.inputs}
        answer = artifact.network.run(window)
        found.append([answer, answer["fraud_probability"] >= contract.threshold])
    return [found, str(contract)]

original = decisions(open_artifact(path))
for damage in json.load(sys.stdin):
    damaged = bytearray(content)
    if "cut" in damage:
        del damaged[damage["cut"] :]
    else:
        damaged[damage["byte"]] ^= 1 << damage["bit"]
    copy.unlink(missing_ok=True)  # to write over a file waits for the disk
    copy.write_bytes(damaged)
    try:
        found = "same" if decisions(open_artifact(copy)) == original else "other"
    except ArtifactError as error:
        found = "refused" if str(error).startswith(f"{copy}: ") else "unnamed"
    print(json.dumps([damage, found]), flush=True)
"""
Damage = dict[str, int]


def outcomes(
    artifact: Path, folder: Path, damages: list[Damage], runtime: str = "ai_edge_litert"
) -> set[str]:
    need(runtime)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(artifact), str(folder / "damaged.tflite")],
        input=json.dumps(damages), cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"FRAUDNET_TFLITE_RUNTIME": runtime}, timeout=240,
    )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (damages[len(told)], done.stderr[-2000:])
    assert [damage for damage, _ in told] == damages
    bad = [(damage, found) for damage, found in told if found not in ("refused", "same")]
    assert bad == []
    return {found for _, found in told}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "sealed.tflite"
    path.write_bytes(SEALED)
    return path


def framing(path: Path) -> list[int]:
    """Places of the headers, the directory and the end of the tail."""
    with zipfile.ZipFile(path) as tail:
        entries, directory = tail.infolist(), tail.start_dir
        places = set(range(directory, path.stat().st_size - len(tail.comment)))
    for entry in entries:
        places |= set(range(entry.header_offset, entry.header_offset + 30 + len(entry.filename)))
    return sorted(places)


def check_every_bit(content: bytes, places: Iterable[int], mend: Callable[[bytes], bytes]) -> None:
    """No flipped bit gets past the framing, so no runtime ever sees it."""
    for place in places:
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            with pytest.raises(ArtifactError):
                split(mend(bytes(damaged)))


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_flipped_bits_and_cuts_anywhere(
    sealed: Path, tmp_path: Path, runtime: str, count: int
) -> None:
    rng = np.random.default_rng(count)
    damages: list[Damage] = []
    for at, bit in zip(
        rng.integers(0, len(SEALED), count), rng.integers(0, 16, count), strict=True
    ):
        damages.append({"byte": int(at), "bit": int(bit)} if bit < 8 else {"cut": int(at)})
    assert outcomes(sealed, tmp_path, damages, runtime) == {"refused"}


def test_files_that_are_cut_at_the_seams(sealed: Path, tmp_path: Path) -> None:
    start, size = len(MODEL), len(SEALED)
    lengths = {0, 1, 4, 7, 8, 100, start - 1, start, start + 1, start + 30}
    lengths |= {size - back for back in (*range(1, 24), *range(60, 90))}
    damages = [{"cut": length} for length in sorted(lengths)]
    assert outcomes(sealed, tmp_path, damages) == {"refused"}


def test_every_bit_of_the_tail(sealed: Path) -> None:
    check_every_bit(SEALED, framing(sealed), bytes)
    check_every_bit(SEALED, range(len(SEALED) - 64, len(SEALED)), bytes)


def test_every_bit_of_the_framing_under_a_digest_that_fits(sealed: Path) -> None:
    check_every_bit(SEALED, framing(sealed), resealed)


def test_every_bit_of_the_first_bytes_of_the_flatbuffer(sealed: Path, tmp_path: Path) -> None:
    damages = [{"byte": at, "bit": bit} for at in range(64) for bit in range(8)]
    assert outcomes(sealed, tmp_path, damages) == {"refused"}


def test_of_version_1_all_but_how_the_documents_are_compressed(tmp_path: Path) -> None:
    """It has no digest of the whole: a bit may flip where the same documents are still read."""
    check_every_bit(VERSION_1.read_bytes(), framing(VERSION_1), bytes)
    rng = np.random.default_rng(1)
    places = rng.integers(len(MODEL), VERSION_1.stat().st_size, 100)
    outcomes(VERSION_1, tmp_path, [{"byte": int(at), "bit": int(at) % 8} for at in places])


def test_a_runtime_that_runs_out_of_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise MemoryError("std::bad_alloc")

    runtime = SimpleNamespace(__name__="some_runtime.interpreter", Interpreter=fails)
    monkeypatch.setattr("fraudnet.device.runtime._import_runtime", lambda: runtime)
    with pytest.raises(ArtifactError, match=r"some_runtime cannot load .* \(std::bad_alloc\)"):
        open_artifact(VERSION_1)
