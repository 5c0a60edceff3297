"""Signatures: only the whole file, only by the key, and a key is never lost or shown."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from fraudnet.cli import main
from fraudnet.device.errors import ArtifactError, DeviceInputError
from fraudnet.device.scorer import Scorer
from fraudnet.device.signature import signature_path
from tests.artifact.runtimes import in_a_process
from tests.training.world import World

pytestmark = pytest.mark.xdist_group("trained")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    assert main(["artifact", "keygen", str(path)]) == 0
    return path


@pytest.fixture
def artifact(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "fraud.tflite"
    path.write_bytes(world.artifact.read_bytes())
    return path


def public(key: Path) -> Path:
    return key.with_name(key.name + ".pub")


def sign(artifact: Path, key: Path) -> Path:
    assert main(["artifact", "sign", str(artifact), "--key", str(key)]) == 0
    return signature_path(artifact)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["artifact", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_was_signed_is_accepted(
    artifact: Path,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FRAUDNET_TFLITE_RUNTIME", "ai_edge_litert")  # the other is not for here
    signature = sign(artifact, key)
    assert signature == tmp_path / "fraud.tflite.sig"
    loaded = serialization.load_pem_public_key(public(key).read_bytes())
    loaded.verify(signature.read_bytes(), artifact.read_bytes())  # type: ignore[union-attr, call-arg]
    assert main(["artifact", "verify", str(artifact), "--public-key", str(public(key))]) == 0
    assert f"signed with the key of {public(key)}" in capsys.readouterr().out
    Scorer(artifact, tmp_path / "cases.sqlite", public_key=public(key)).close()


def test_what_is_not_signed_or_changed_is_refused(
    artifact: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = ("verify", artifact, "--public-key", public(key))
    assert f"fraudnet artifact: {artifact}: is not signed" in refused(capsys, *verify)
    signature = sign(artifact, key)
    whole = signature.read_bytes()
    signature.write_bytes(whole[:-1])
    assert "has 63 bytes, expected 64" in refused(capsys, *verify)
    signature.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert "is not what was signed with the key" in refused(capsys, *verify)
    signature.write_bytes(whole)
    content = artifact.read_bytes()
    artifact.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "is not what was signed with the key" in refused(capsys, *verify)
    with pytest.raises(ArtifactError, match="is not what was signed"):
        Scorer(artifact, tmp_path / "cases.sqlite", public_key=public(key))
    other = tmp_path / "other.key"
    main(["artifact", "keygen", str(other)])
    artifact.write_bytes(content)
    assert "or signed with another" in refused(capsys, *verify[:3], public(other))


def test_keys_are_their_owner_s_and_are_never_overwritten(
    key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "a key is never overwritten" in refused(capsys, "keygen", key)
    assert key.read_bytes() == before
    assert before not in public(key).read_bytes()


def test_keys_of_other_kinds_are_refused(
    artifact: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(artifact, key)
    elliptic = generate_private_key(SECP256R1())
    (tmp_path / "ec.pub").write_bytes(
        elliptic.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    verify = ("verify", artifact, "--public-key")
    assert "no Ed25519 key" in refused(capsys, *verify, tmp_path / "ec.pub")
    assert "no public key in PEM" in refused(capsys, *verify, key)
    assert "No such file" in refused(capsys, *verify, tmp_path / "none.pub")
    assert "no private key in PEM" in refused(capsys, "sign", artifact, "--key", public(key))
    assert "sign needs --key" in refused(capsys, "sign", artifact)
    assert "diff takes 2 FILE, 1 are given" in refused(capsys, "diff", artifact)


def test_without_cryptography_only_signatures_are_not_checked(
    artifact: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(artifact, key)
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    Scorer(artifact, tmp_path / "cases.sqlite").close()
    with pytest.raises(DeviceInputError, match=r"pip install 'fraudnet\[signed\]'"):
        Scorer(artifact, tmp_path / "cases.sqlite", public_key=public(key))


def test_score_refuses_what_is_not_signed(artifact: Path, key: Path, tmp_path: Path) -> None:
    program = "import sys; from fraudnet.cli import main; sys.exit(main(sys.argv[1:]) - 2)"
    done = in_a_process(
        "-c", program, "score", "--artifact", artifact, "--store", tmp_path / "cases.sqlite",
        "--public-key", public(key), tmp_path / "none.csv",
    )  # fmt: skip
    assert "fraud.tflite: is not signed" in done.stderr
