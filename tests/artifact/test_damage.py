"""Damaged artifacts: refused in one line, or harmless; never a crash, never another decision."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fraudnet.device import ArtifactError
from fraudnet.device.artifact import open_artifact
from tests.artifact.runtimes import ROOT, need
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")

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
    if "cut" in damage:
        damaged = content[: damage["cut"]]
    else:
        damaged = bytearray(content)
        damaged[damage["byte"]] ^= 1 << damage["bit"]
    copy.write_bytes(damaged)
    try:
        found = "same" if decisions(open_artifact(copy)) == original else "other"
    except ArtifactError as error:
        found = "refused" if str(error).startswith(f"{copy}: ") else "unnamed"
    print(json.dumps([damage, found]), flush=True)
"""
Damage = dict[str, int]


def outcomes(
    world: World, folder: Path, damages: list[Damage], runtime: str = "ai_edge_litert"
) -> list[str]:
    need(runtime)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(world.artifact), str(folder / "damaged.tflite")],
        input=json.dumps(damages), cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"FRAUDNET_TFLITE_RUNTIME": runtime},
    )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (damages[len(told)], done.stderr[-2000:])
    assert [damage for damage, _ in told] == damages
    bad = [(damage, found) for damage, found in told if found not in ("refused", "same")]
    assert bad == []
    return [found for _, found in told]


@pytest.mark.parametrize("runtime", ["ai_edge_litert", "tflite_runtime"])
def test_two_hundred_flipped_bits(world: World, tmp_path: Path, runtime: str) -> None:
    rng = np.random.default_rng(1)
    size = world.artifact.stat().st_size
    damages = [
        {"byte": int(byte), "bit": int(bit)}
        for byte, bit in zip(rng.integers(0, size, 200), rng.integers(0, 8, 200), strict=True)
    ]
    assert outcomes(world, tmp_path, damages, runtime).count("refused") > 180


def test_files_that_are_cut_short(world: World, tmp_path: Path) -> None:
    content = world.artifact.read_bytes()
    with zipfile.ZipFile(world.artifact) as tail:
        start = tail.getinfo("contract.json").header_offset
    size = len(content)
    lengths = {0, 1, 4, 7, 8, 100, start - 1, start, start + 1, start + 30, size - 100}
    lengths |= {size - back for back in range(1, 24)} | set(range(1000, size, 1999))
    found = outcomes(world, tmp_path, [{"cut": length} for length in sorted(lengths)])
    assert set(found) == {"refused"}


def test_every_bit_of_the_headers_of_the_tail(world: World, tmp_path: Path) -> None:
    content = world.artifact.read_bytes()
    with zipfile.ZipFile(world.artifact) as tail:
        entries = tail.infolist()
        places = set(range(tail.start_dir, len(content)))
    for entry in entries:
        places |= set(range(entry.header_offset, entry.header_offset + 30 + len(entry.filename)))
    damages = [{"byte": at, "bit": bit} for at in sorted(places) for bit in range(8)]
    found = outcomes(world, tmp_path, damages)
    assert len(found) > 1500
    assert found.count("refused") > len(found) / 2


def test_every_bit_of_the_first_bytes_of_the_flatbuffer(world: World, tmp_path: Path) -> None:
    damages = [{"byte": at, "bit": bit} for at in range(64) for bit in range(8)]
    assert set(outcomes(world, tmp_path, damages)) == {"refused"}


def test_a_runtime_that_runs_out_of_memory_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise MemoryError("std::bad_alloc")

    runtime = SimpleNamespace(__name__="some_runtime.interpreter", Interpreter=fails)
    monkeypatch.setattr("fraudnet.device.runtime._import_runtime", lambda: runtime)
    with pytest.raises(ArtifactError, match=r"some_runtime cannot load .* \(std::bad_alloc\)"):
        open_artifact(world.artifact)
