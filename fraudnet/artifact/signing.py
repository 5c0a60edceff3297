"""Keys, and signatures made with them."""

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fraudnet.artifact.package import write_atomically
from fraudnet.device.artifact import read_documents
from fraudnet.device.signature import signature_path
from fraudnet.errors import InputError

PUBLIC_SUFFIX = ".pub"


def generate_key(path: Path) -> Path:
    """Make a pair of Ed25519 keys (RFC 8032), PEM each, the private one for its owner's eyes.

    Args:
        path: of the private key; never overwritten.

    Returns:
        The path of the public key, beside it.

    Raises:
        InputError: there is a file, or none can be made.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    beside = path.with_name(path.name + PUBLIC_SUFFIX)
    for file, content, mode in ((path, private, 0o600), (beside, public, 0o644)):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise InputError(
                f"{file}: {error.strerror}; a key is never overwritten, choose another path"
            ) from error
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
    return beside


def sign(artifact: Path, private_key: Path) -> Path:
    """Sign a whole artifact; returns the path of the signature.

    Raises:
        ArtifactError: the file is no whole artifact.
        InputError: the key cannot be used, or the signature cannot be written.
    """
    read_documents(artifact)
    try:
        key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    except OSError as error:
        raise InputError(f"{private_key}: {error.strerror}; give the private key") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{private_key}: no private key in PEM, or one with a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{private_key}: no Ed25519 key; `fraudnet artifact keygen` makes one")
    path = signature_path(artifact)
    write_atomically(path, key.sign(artifact.read_bytes()))
    return path
