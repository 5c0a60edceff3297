"""The check program in C: the vectors from the file alone, with nothing of this package."""

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fraudnet.device.artifact import open_artifact
from fraudnet.device.contract import Input
from fraudnet.device.signature import signature_path
from fraudnet.device.tail import CONTRACT, VECTORS, seal, split
from tests.training.world import World

SOURCE = Path(__file__).parents[2] / "examples" / "on_a_phone"
LIBRARIES = ("jansson", "zlib", "libcrypto")


def missing() -> str | None:
    """What of the toolchain is not here."""
    for program in ("make", "cc", "pkg-config"):
        if not shutil.which(program):
            return program
    for library in LIBRARIES:
        if subprocess.run(["pkg-config", "--exists", library], check=False).returncode:
            return f"the headers of {library}"
    return None if (runtime() / "libLiteRt.so").exists() else "libLiteRt.so"


def runtime() -> Path:
    found = find_spec("ai_edge_litert")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if lacking := missing():
        pytest.skip(f"the check program cannot be built: {lacking} is not installed")
    build = tmp_path_factory.mktemp("build")
    told = [f"LITERT={runtime()}", f"BUILD={build}", str(build / "check")]
    done = subprocess.run(
        ["make", "-C", SOURCE, *told], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return build / "check"


def check(program: Path, *arguments: Path) -> tuple[int, list[str], str]:
    """Its exit status, its lines, and why it refused the file."""
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    refused = [line for line in done.stderr.splitlines() if line.startswith("refused: ")]
    return done.returncode, done.stdout.splitlines(), "".join(refused)


def changed(artifact: Path, to: Path, name: str, change: Any) -> Path:  # noqa: ANN401
    """The artifact with one document changed in place, and its digests made anew."""
    model, documents, _ = split(artifact.read_bytes())
    change(documents[name])
    to.write_bytes(seal(model, [json.dumps(documents[key]) for key in (CONTRACT, VECTORS)]))
    return to


def test_every_vector_is_reproduced_by_the_window_and_by_the_step(
    program: Path, world: World
) -> None:
    _, documents, _ = split(world.artifact.read_bytes())
    status, lines, refused = check(program, world.artifact)
    assert (status, refused) == (0, "")
    assert len(lines) == len(documents[VECTORS])
    assert "step" in documents[CONTRACT]
    for line, vector in zip(lines, documents[VECTORS], strict=True):
        words = line.split()
        expected = [vector["outputs"][key] for key in ("fraud_probability", "ood_distance")]
        for kind in ("window", "step"):
            at = words.index(kind)
            assert words[at + 3] == "ok"
            found = [float(word) for word in words[at + 1 : at + 3]]
            near = documents[CONTRACT]["tolerance"]
            assert found == pytest.approx(expected, rel=near, abs=near + 1e-6)


def test_a_full_window_and_its_transactions_one_by_one_answer_alike(
    program: Path, world: World, tmp_path: Path
) -> None:
    artifact = open_artifact(world.artifact)
    length = artifact.contract.window_length
    moment = np.sort(np.random.default_rng(3).integers(0, 30 * 86_400, length))
    table = world.table.slice(0, length)

    def values(entry: Input) -> list[float]:
        numbers = {
            "amount": table["amount"].to_numpy(),
            "day": 20_000 + moment // 86_400,
            "second": moment % 86_400,
            "categorical": np.arange(length) % (len(entry.vocabulary) + 1),
            "reputation": np.arange(length) % 5 - 1,
        }
        found: list[float] = np.asarray(numbers.get(entry.kind, np.ones(length))).tolist()
        return found

    def change(vectors: list[Any]) -> None:
        inputs = {entry.name: values(entry) for entry in artifact.contract.inputs}
        arrays = {
            entry.name: np.array([inputs[entry.name]], entry.dtype)
            for entry in artifact.contract.inputs
        }
        vectors[:] = [{"inputs": inputs, "outputs": artifact.network.run(arrays)}]

    file = changed(world.artifact, tmp_path / "fraud.tflite", VECTORS, change)
    status, lines, refused = check(program, file)
    assert (status, refused) == (0, "")
    assert lines[0].count(" ok") == 2


@pytest.mark.parametrize("output", ["fraud_probability", "ood_distance"])
def test_a_vector_that_was_changed_is_a_miss(
    program: Path, world: World, tmp_path: Path, output: str
) -> None:
    def change(vectors: list[Any]) -> None:
        vectors[1]["outputs"][output] += 0.01 * max(1, vectors[1]["outputs"][output])

    file = changed(world.artifact, tmp_path / "fraud.tflite", VECTORS, change)
    status, lines, refused = check(program, file)
    assert (status, refused) == (1, "")
    assert ["MISS" in line for line in lines] == [i == 1 for i in range(len(lines))]
    assert lines[1].count("MISS") == 2  # of the window, and of the step


def test_an_input_that_was_changed_is_a_miss(program: Path, world: World, tmp_path: Path) -> None:
    def change(vectors: list[Any]) -> None:
        vectors[0]["inputs"]["amount"][-1] += 1000.0

    file = changed(world.artifact, tmp_path / "fraud.tflite", VECTORS, change)
    status, lines, _ = check(program, file)
    assert status == 1
    assert lines[0].count("MISS") == 2


def test_a_flipped_bit_and_another_model_are_refused(
    program: Path, world: World, tmp_path: Path
) -> None:
    content = bytearray(world.artifact.read_bytes())
    content[len(content) // 2] ^= 1
    (flipped := tmp_path / "flipped.tflite").write_bytes(content)
    assert check(program, flipped) == (
        1,
        [],
        "refused: it differs from the digest at its end",
    )

    def change(contract: dict[str, Any]) -> None:
        contract["model_sha256"] = "0" * 64

    file = changed(world.artifact, tmp_path / "fraud.tflite", CONTRACT, change)
    assert check(program, file) == (1, [], "refused: the model is another one")


def test_a_contract_that_the_model_does_not_keep_is_refused(
    program: Path, world: World, tmp_path: Path
) -> None:
    def change(contract: dict[str, Any]) -> None:
        contract["step"]["length"] += 1

    file = changed(world.artifact, tmp_path / "fraud.tflite", CONTRACT, change)
    status, lines, refused = check(program, file)
    assert (status, lines) == (1, [])
    assert "refused: state is not float32" in refused


def test_what_is_not_signed_with_the_key_is_refused(
    program: Path, world: World, tmp_path: Path
) -> None:
    file, key = tmp_path / "fraud.tflite", tmp_path / "public.pem"
    shutil.copy(world.artifact, file)
    private = Ed25519PrivateKey.generate()
    key.write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    signature_path(file).write_bytes(private.sign(file.read_bytes()))
    assert check(program, file, key)[0] == 0
    signature_path(file).write_bytes(private.sign(b"another file"))
    assert check(program, file, key) == (1, [], "refused: it is not signed with this key")
