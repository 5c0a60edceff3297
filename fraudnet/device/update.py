"""An artifact is replaced by a verified one, or by the one before it: whole, through any crash.

Beside `fraud.tflite` are `fraud.tflite.previous`, which a rollback brings back, `fraud.tflite.sig`,
and the signature of each of the two under its digest, where there is one (see signature.py).
"""

import fcntl
import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraudnet.device.artifact import open_artifact
from fraudnet.device.errors import ArtifactError, DeviceInputError
from fraudnet.device.files import replace_file, sync_folder
from fraudnet.device.signature import check_signed, kept_signature_path, signature_path
from fraudnet.device.tail import read_regular


@dataclass(frozen=True)
class Installed:
    """What is in place after an update or a rollback."""

    sha256: str
    previous_sha256: str | None  # of what a rollback brings back; None: there is none
    changed: bool  # False: it was in place already


def previous_path(artifact: Path) -> Path:
    """Where the artifact before this one is kept."""
    return artifact.with_name(f"{artifact.name}.previous")


def update_artifact(new: Path, artifact: Path, public_key: Path | None = None) -> Installed:
    """Replaces an artifact by a new one that has been verified on this device.

    The old one is kept for `roll_back`. Killed at any moment, the old or the new one is in place,
    whole and with its signature; called again, it goes on. Scorers that are open keep the one that
    they opened. A store goes on with another artifact as it is: what it holds is encoded anew.

    Args:
        new: the file; its signature, if it has one, is beside it as NEW.sig.
        artifact: the one in use; put there if there is none.
        public_key: PEM of the key that the new one must be signed with; None: it need not be.

    Raises:
        ArtifactError: the new one is damaged, not signed with the key, of another format, or does
            not answer its test vectors on this device; the old one stays.
        DeviceInputError: a file cannot be written, or another update is at work.
    """
    verified = open_artifact(new, public_key)
    with _alone(artifact):
        content = _read(new)
        if _sha256(content) != verified.sha256:
            raise ArtifactError(f"{new}: was changed while it was verified; copy it again")
        given = [signature_path(new), kept_signature_path(new, content)]
        if public_key is not None:
            given = [check_signed(new, content, public_key)]
        _keep_signature(given, artifact, content)
        return _install(artifact, content, keep=True)


def roll_back(artifact: Path, public_key: Path | None = None) -> Installed:
    """Brings back the artifact before the last update; called again, it changes nothing more.

    Killed at any moment, either is in place, whole and with its signature.

    Args:
        artifact: the one in use.
        public_key: PEM of the key that the previous one must be signed with; None: it need not be.

    Raises:
        ArtifactError: there is no previous one, or it cannot be used on this device; what is in
            use stays.
        DeviceInputError: the file cannot be written, or an update is at work.
    """
    previous = previous_path(artifact)
    with _alone(artifact):
        if not previous.exists():
            raise ArtifactError(f"{previous}: not there: no update has kept an artifact to go back")
        open_artifact(previous, public_key)
        return _install(artifact, _read(previous), keep=False)


def _install(artifact: Path, content: bytes, keep: bool) -> Installed:
    """Puts a verified artifact in place, whose signature is kept already."""
    kept, beside = kept_signature_path(artifact, content), signature_path(artifact)
    old = _read(artifact) if artifact.exists() else None
    previous = previous_path(artifact)
    before = _read(previous) if previous.exists() else None
    if keep and old is not None and old != content and _is_usable(artifact):
        own = kept_signature_path(artifact, old)
        if not own.exists():
            _keep_signature((beside,), artifact, old)
        replace_file(previous, old)
        if before not in (None, old, content):
            assert before is not None
            kept_signature_path(artifact, before).unlink(missing_ok=True)
        before = old
    if old != content:
        replace_file(artifact, content)
    # For whoever looks beside the artifact alone.
    if kept.exists():
        replace_file(beside, kept.read_bytes())
    elif old != content:
        beside.unlink(missing_ok=True)
        sync_folder(artifact)
    return Installed(_sha256(content), _sha256(before) if before else None, old != content)


def _is_usable(artifact: Path) -> bool:
    """Whether a rollback could go back to it; else what it could go back to stays."""
    try:
        open_artifact(artifact)
    except ArtifactError:
        return False
    return True


def _keep_signature(given: Sequence[Path], artifact: Path, content: bytes) -> None:
    """Keeps the first signature that is there under the digest of what it signs."""
    kept = kept_signature_path(artifact, content)
    for signature in given:
        if signature.exists():
            if signature != kept:
                replace_file(kept, _read(signature))
            return


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _alone(artifact: Path) -> Iterator[None]:
    """One update or rollback at a time; the lock goes with the process."""
    try:
        folder = os.open(artifact.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for pattern in (
                f".{glob.escape(artifact.name)}*.partial",
                f".{'?' * 16}.sig.*.partial",
            ):
                for cut_off in artifact.parent.glob(pattern):
                    cut_off.unlink(missing_ok=True)
            yield
        finally:
            os.close(folder)
    except BlockingIOError as error:
        raise DeviceInputError(
            f"{artifact.parent}: another update or rollback is at work in it; try again"
        ) from error
    except OSError as error:
        raise DeviceInputError(
            f"{artifact}: {error.strerror}; give an artifact in a folder that can be written"
        ) from error
