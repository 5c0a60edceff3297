"""Detached signatures: an artifact that is signed with a key is by whoever holds that key.

Ed25519 (RFC 8032) over all bytes of the artifact, 64 bytes, in a file beside it. Only this module
needs the package cryptography, and only where a key is configured.
"""

import hashlib
from pathlib import Path
from types import ModuleType

from fraudnet.device.errors import ArtifactError, DeviceInputError
from fraudnet.device.tail import read_regular

SUFFIX = ".sig"
SIGNATURE_BYTES = 64


def signature_path(artifact: Path) -> Path:
    """Where an artifact's signature is: `fraud.tflite.sig` beside `fraud.tflite`."""
    return artifact.with_name(artifact.name + SUFFIX)


def kept_signature_path(artifact: Path, content: bytes) -> Path:
    """Where an update keeps a signature under the digest of what it signs.

    Two files cannot be replaced at once. With this one beside them, whichever of two artifacts is
    in place at a crash has its signature.
    """
    return artifact.with_name(hashlib.sha256(content).hexdigest()[:16] + SUFFIX)


def check_signed(artifact: Path, content: bytes, public_key: Path) -> Path:
    """Check who an artifact is by, by the signature beside it or the one that an update kept.

    Returns:
        The one of the two that holds.

    Raises:
        ArtifactError, DeviceInputError: as `check_signature`.
    """
    beside, kept = signature_path(artifact), kept_signature_path(artifact, content)
    try:
        check_signature(content, beside, public_key)
    except ArtifactError:
        if not kept.exists():
            raise
        check_signature(content, kept, public_key)
        return kept
    return beside


def check_signature(content: bytes, signature: Path, public_key: Path) -> None:
    """Check who an artifact is by.

    Args:
        content: the whole artifact, of which nothing need have been read yet.
        signature: the file beside it.
        public_key: PEM of an Ed25519 public key.

    Raises:
        ArtifactError: it is not signed, or not with that key, or was changed since.
        DeviceInputError: the key cannot be used, or cryptography is not installed.
    """
    from_pem, invalid, ed25519 = _cryptography()
    try:
        key = from_pem.load_pem_public_key(public_key.read_bytes())
    except OSError as error:
        raise DeviceInputError(f"{public_key}: {error.strerror}; give the public key") from error
    except (ValueError, TypeError) as error:
        raise DeviceInputError(f"{public_key}: no public key in PEM") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise DeviceInputError(
            f"{public_key}: no Ed25519 key; make one by `fraudnet artifact keygen`"
        )
    try:
        signed = read_regular(signature)
    except OSError as error:
        raise ArtifactError(
            f"is not signed ({signature}: {error.strerror}), and a public key is configured; sign "
            "it with `fraudnet artifact sign`"
        ) from error
    if len(signed) != SIGNATURE_BYTES:
        raise ArtifactError(
            f"{signature} has {len(signed)} bytes, expected {SIGNATURE_BYTES}; sign it again"
        )
    try:
        key.verify(signed, content)
    except invalid.InvalidSignature:
        raise ArtifactError(
            f"is not what was signed with the key of {public_key}: it was changed, or signed with "
            "another; fetch artifact and signature again"
        ) from None


def _cryptography() -> tuple[ModuleType, ModuleType, ModuleType]:
    try:
        from cryptography import exceptions
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise DeviceInputError(
            "checking a signature needs the package cryptography; pip install 'fraudnet[signed]'"
        ) from error
    return serialization, exceptions, ed25519
