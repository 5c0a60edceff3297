"""Files made to do harm: each command refuses them in one line, in time and in little memory."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudnet.device.tail import seal
from tests.artifact.hostile import (
    CONTRACT,
    MODEL,
    SEALED,
    TAIL,
    VECTORS,
    bomb,
    changed,
    directory,
    patched,
    resealed,
    with_input,
    with_texts,
    with_vector,
    without_numbers,
    zipped,
)
from tests.artifact.runtimes import ROOT

C, V = json.dumps(CONTRACT), json.dumps(VECTORS)
FRAMING = "its zip tail is damaged: it is not 'contract.json' and 'vectors.json' alone"
GIB = 1 << 30

# What is in the file, and a part of why it is refused.
VERSION_2 = {"format_version": 2, "tolerance": 0.1}

FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a TFLite file"),
    "no tail": (MODEL, "no contract at its end"),
    "model differs from its digest": (
        seal(MODEL[:-1] + bytes([MODEL[-1] ^ 1]), [C, V]), "the model differs from its sha256",
    ),
    "no digest of the model": (changed({"model_sha256": None}), "the model differs from its"),
    "garbage between model and tail": (resealed(MODEL + b"more" + TAIL), "the model differs from"),
    "data after the end": (SEALED + b"more", "no contract at its end"),
    "zeros after the end": (SEALED + bytes(64), "no contract at its end"),
    "an artifact after it": (resealed(SEALED + SEALED), "the model differs from its sha256"),
    "another digest": (SEALED[:-1] + b"?", "it differs from the sha256 at its end"),
    "digest in capitals": (SEALED[:-64] + SEALED[-64:].upper(), "it differs from the sha256"),
    "another comment": (
        zipped(("contract.json", C.encode()), ("vectors.json", V.encode()), comment=b"hello"),
        "no contract at its end",
    ),
    "version 2 without a digest": (
        zipped(
            ("contract.json", json.dumps(CONTRACT | VERSION_2).encode()),
            ("vectors.json", V.encode()), comment=b"",
        ), "no sha256 at its end",
    ),
    "one member": (zipped(("contract.json", C.encode())), FRAMING),
    "three members": (
        zipped(("contract.json", b"{}"), ("vectors.json", b"[]"), ("more.json", b"{}")), FRAMING,
    ),
    "a member twice": (
        zipped(("contract.json", C.encode()), ("contract.json", V.encode())), FRAMING,
    ),
    "members in another order": (
        zipped(("vectors.json", V.encode()), ("contract.json", C.encode())), FRAMING,
    ),
    "a path as a name": (
        zipped(("../contract.json", C.encode()), ("vectors.json", V.encode())), FRAMING,
    ),
    "extra field": (
        zipped(("contract.json", C.encode()), ("vectors.json", V.encode()), extra=b"\1\0\0\0"),
        FRAMING,
    ),
    "encrypted": (patched(directory(0) + 8, b"\1"), FRAMING),
    "stored": (patched(directory(1) + 10, b"\0"), FRAMING),
    "dated": (patched(directory(1) + 12, b"\1"), FRAMING),
    "entry that points elsewhere": (patched(directory(1) + 42, b"\0\0\0\0"), FRAMING),
    "4 GB packed": (patched(directory(0) + 20, b"\xff" * 4), "declares 4,294,967,295 bytes of con"),
    "4 GB unpacked": (patched(directory(1) + 24, b"\xff" * 4), "declares 4,294,967,295 bytes of v"),
    "bomb": (bomb(), "it does not inflate to 4,194,304 bytes"),
    "no deflate stream": (patched(len(MODEL) - len(SEALED) + 43, b"\xff"), "contract.json is dam"),
    "no JSON": (with_texts(vectors="[1, 2"), "vectors.json is damaged"),
    "no UTF-8": (
        zipped(("contract.json", b"\xff\xfe{}"), ("vectors.json", V.encode())), "contract.json is ",
    ),
    "half a surrogate pair": (
        with_texts(C[:-1] + r', "note": "\ud800"}'), "contract.json is damaged ('utf-8' codec",
    ),
    "key twice": (with_texts(C[:-1] + ', "window_length": 29}'), "'window_length' is there twice"),
    "NaN in the contract": (with_texts(C[:-1] + ', "note": NaN}'), "NaN is no number of JSON"),
    "infinite by its exponent": (with_texts(C[:-1] + ', "n": 1e999}'), "1e999 is too large"),
    "integer of 5,000 digits": (with_texts(C[:-1] + ', "n": ' + "9" * 5_000 + "}"), "is too large"),
    "nested 100,000 deep": (with_texts(vectors="[" * 100_000 + "]" * 100_000), "vectors.json is d"),
    "nested 33 deep": (with_texts(vectors="[" * 33 + "]" * 33), "nested more than 32 deep"),
    "contract is a list": (with_texts("[]"), "not of format"),
    "window of 10**9": (changed({"window_length": 10**9}), "window_length is 1000000000"),
    "window of none": (changed({"window_length": 0}), "window_length is 0"),
    "1,001 inputs": (
        changed({"inputs": [CONTRACT["inputs"][0] | {"name": f"i{i}"} for i in range(1_001)]}),
        "has 1,001 inputs",
    ),
    "input twice": (changed({"inputs": CONTRACT["inputs"] * 2}), "two inputs of one name"),
    "output twice": (changed({"outputs": CONTRACT["outputs"] * 2}), "two outputs of one name"),
    "shape of 10**9": (with_input(0, shape=[10**9, 29]), "has shape [1000000000, 29]"),
    "shape of floats": (with_input(0, shape=[1.0, 29.0]), "has shape [1.0, 29.0]"),
    "shape of another length": (with_input(0, shape=[1, 28]), "has shape [1, 28]"),
    "type unknown": (with_input(0, dtype="O"), "is 'O', expected float32 or int32"),
    "type of another": (with_input(0, dtype="int32"), "input 'amount' is ((1, 29), 'int32')"),
    "vocabulary of lists": (with_input(4, vocabulary=[["a"], {}]), "vocabulary is not of strings"),
    "vocabulary of numbers": (with_input(4, vocabulary=[1, 2]), "vocabulary is not of strings"),
    "word twice": (with_input(4, vocabulary=["a", "a"]), "vocabulary is not of strings"),
    "lines in the version": (changed({"format_version": "\n\n\x1b[2J"}), "format version"),
    "vectors are a number": (changed(vectors=1), "no test vector"),
    "no vector": (changed(vectors=[]), "no test vector"),
    "vectors of lists": (changed(vectors=[[]]), "vectors.json[0] does not fit"),
    "NaN in a vector": (
        with_texts(vectors=V.replace('"ood_distance": ', '"ood_distance": NaN, "n": ', 1)),
        "NaN is no number of JSON",
    ),
    "word in a vector": (with_vector(amount=["nan"] * 29), "expected a list of numbers"),
    "integer too large in a vector": (with_vector(day=[2**40] * 29), "too large for int32"),
    "number too large in a vector": (with_vector(amount=[1e300] * 29), "too large for float32"),
    "vector too short": (with_vector(amount=[1.0] * 28), "vectors.json[0] does not fit"),
    "vector nested": (with_vector(amount=[[1.0] * 29]), "expected a list of numbers"),
    "weights are NaN": (without_numbers(), "self-check failed: test vector 0 gives"),
}  # fmt: skip


def sparse(size: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


def unreadable(path: Path) -> None:
    path.write_bytes(SEALED)
    path.chmod(0)


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "directory": (Path.mkdir, "not a regular file"),
    "pipe": (os.mkfifo, "not a regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "absent": (lambda _: None, "No such file or directory"),
    "link to itself": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "sparse, 5 GB": (sparse(5 * GIB), "5,368,709,120 bytes, more than the 67,108,864"),
    "sparse, within the limit": (sparse(60 << 20), "not a TFLite file"),
    "unreadable": (unreadable, "Permission denied"),
}

# Each file by each command; a line for each, flushed, so that a crash is seen where it happens.
PROGRAM = """
import io, json, pathlib, sys
from contextlib import redirect_stderr, redirect_stdout
from fraudnet.cli import main

folder = pathlib.Path(sys.argv[1])
none, store = folder / "none.jsonl", folder / "store.sqlite"
none.touch()
for path in json.load(sys.stdin):
    for command, *words in (
        ["verify", "artifact", "verify", path],
        ["inspect", "artifact", "inspect", path],
        ["score", "score", "--artifact", path, "--store", str(store), str(none)],
    ):
        said = io.StringIO()
        with redirect_stderr(said), redirect_stdout(said):
            try:
                status = main(words)
            except Exception as error:
                status = repr(error)
        # Not getrusage, which remembers the process that this one was forked from.
        status_of = pathlib.Path("/proc/self/status").read_text()
        most_kb = int(status_of.split("VmHWM:")[1].split()[0])
        print(json.dumps([path, command, status, said.getvalue(), most_kb]), flush=True)
"""
Told = dict[str, dict[str, tuple[int, str]]]


def tell(paths: list[Path], folder: Path) -> Told:
    """Exit status and output by file and command; none takes long, or much memory."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], input=json.dumps([*map(str, paths)]),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
    found: Told = {}
    for path, command, status, said, most_kb in lines:
        assert most_kb < 400_000, (path, command)
        found.setdefault(Path(path).stem, {})[command] = (status, said)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def files(folder: Path) -> Told:
    paths = [folder / f"{i}.tflite" for i in range(len(FILES))]
    for path, (content, _) in zip(paths, FILES.values(), strict=True):
        path.write_bytes(content)
    return tell(paths, folder)


@pytest.fixture(scope="module")
def places(folder: Path) -> Told:
    paths = [folder / f"place{i}.tflite" for i in range(len(PLACES))]
    for path, (make, _) in zip(paths, PLACES.values(), strict=True):
        make(path)
    return tell(paths, folder)


def check_refused(told: dict[str, tuple[int, str]], path: Path, reason: str) -> None:
    for command, name in (("verify", "artifact"), ("score", "score")):
        status, said = told[command]
        assert said.startswith(f"fraudnet {name}: {path}: "), said
        assert reason in said
        assert said.endswith("\n")
        assert said[:-1].isprintable()
        assert len(said) < 1500
        assert status == 2
    # It runs no vectors.
    assert told["inspect"][0] in (0, 2), told["inspect"]


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused(files: Told, folder: Path, name: str) -> None:
    i = list(FILES).index(name)
    check_refused(files[str(i)], folder / f"{i}.tflite", FILES[name][1])


@pytest.mark.parametrize("name", PLACES)
def test_a_hostile_place_is_refused(places: Told, folder: Path, name: str) -> None:
    if name == "unreadable" and os.geteuid() == 0:
        pytest.skip("root reads what it likes")
    i = list(PLACES).index(name)
    check_refused(places[f"place{i}"], folder / f"place{i}.tflite", PLACES[name][1])


def test_the_files_are_refused_for_what_is_wrong_with_them(folder: Path) -> None:
    """What they were made of is a good artifact, however it is packed."""
    good = zipped(("contract.json", C.encode()), ("vectors.json", V.encode()))
    paths = [folder / "good.tflite", folder / "zipped.tflite"]
    for path, content in zip(paths, (SEALED, good), strict=True):
        path.write_bytes(content)
    told = tell(paths, folder)
    for path in paths:
        status, said = told[path.stem]["verify"]
        assert status == 0, said
        assert "answers all 15 test vectors" in said


def test_the_page_on_the_format_reads_it_without_our_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "artifact.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "fraud.tflite").write_bytes(SEALED)
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(program, found)
    assert (found["contract"], found["vectors"], found["model"]) == (CONTRACT, VECTORS, MODEL)
