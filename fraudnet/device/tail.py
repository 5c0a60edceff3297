"""The bytes of an artifact: a flatbuffer, a zip of two JSON documents, a digest of all of it.

Written down in docs/artifact.md. The framing of a zip leaves much free, and what two readers of
it see differently can be used against one of them. So here it follows from the two documents as
they are compressed, and a file that is framed otherwise is refused. How they are compressed is free
(libraries differ), which the digest makes up for.
"""

import hashlib
import json
import os
import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraudnet.device.errors import ArtifactError

CONTRACT, VECTORS = "contract.json", "vectors.json"
MIB = 1 << 20
FILE_LIMIT = 64 * MIB
LIMITS = {CONTRACT: 4 * MIB, VECTORS: 16 * MIB}
DEPTH_LIMIT = 32
INTEGER_LIMIT = 1 << 63
SEAL_LENGTH = 64  # SHA-256 in hexadecimal, as the comment of the zip

# APPNOTE.TXT of PKWARE, 4.3.7, 4.3.12 and 4.3.16.
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_DIRECTORY_LENGTH = sum(_CENTRAL.size + len(name) for name in LIMITS)
# Version 2.0, no flags, deflated, 1980-01-01 00:00.
_COMMON = (20, 0, 8, 0, 0x21)
_MADE_BY = 3 << 8 | 20  # Unix, version 2.0
_MODE = 0o600 << 16


@dataclass(frozen=True)
class Member:
    """A document of the tail, as the zip holds it."""

    deflated: bytes
    crc: int
    size: int


def seal(model: bytes, documents: Sequence[str]) -> bytes:
    """Returns the file: the model, the texts of contract.json and vectors.json, the digest."""
    members = [_deflate(text.encode()) for text in documents]
    content = model + _framed(members, SEAL_LENGTH)
    return content + hashlib.sha256(content).hexdigest().encode()


def read_regular(path: Path) -> bytes:
    """Reads a file that is no larger than an artifact may be.

    Raises:
        ArtifactError: it is a directory, a pipe or a device, or too large.
        OSError: it cannot be read.
    """
    # A pipe is waited for, and a device may never end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ArtifactError("not a regular file; give the path of a .tflite file")
    with path.open("rb") as file:
        # Of what was opened: an update may have put another file in its place since.
        size = os.fstat(file.fileno()).st_size
        if size > FILE_LIMIT:
            raise ArtifactError(
                f"{size:,} bytes, more than the {FILE_LIMIT:,} of the largest artifact; give the "
                ".tflite that `fraudnet export` wrote"
            )
        return file.read(size)


def split(content: bytes) -> tuple[bytes, dict[str, Any], bool]:
    """Splits an artifact into its flatbuffer and the two parsed documents.

    Returns:
        The flatbuffer, the documents by name, and whether a digest covers the file.

    Raises:
        ArtifactError: the file is truncated, damaged, or not of this format.
    """
    if content[4:8] != b"TFL3":
        raise ArtifactError("not a TFLite file; give the .tflite that `fraudnet export` wrote")
    end, sealed = _end_of_zip(content)
    if sealed and hashlib.sha256(content[:end]).hexdigest().encode() != content[end:]:
        raise ArtifactError("damaged: it differs from the sha256 at its end; copy it again")
    start, members = _members(content, end)
    documents = {name: _parse(name, member) for name, member in members.items()}
    return content[:start], documents, sealed


def _deflate(text: bytes) -> Member:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Member(deflate.compress(text) + deflate.flush(), zlib.crc32(text), len(text))


def _framed(members: Sequence[Member], comment_length: int) -> bytes:
    local = directory = b""
    for name, member in zip(LIMITS, members, strict=True):
        sizes = (member.crc, len(member.deflated), member.size, len(name), 0)
        directory += _CENTRAL.pack(
            b"PK\1\2", _MADE_BY, *_COMMON, *sizes, 0, 0, 0, _MODE, len(local)
        )
        directory += name.encode()
        local += _LOCAL.pack(b"PK\3\4", *_COMMON, *sizes) + name.encode() + member.deflated
    end = _END.pack(b"PK\5\6", 0, 0, 2, 2, len(directory), len(local), comment_length)
    return local + directory + end


def _end_of_zip(content: bytes) -> tuple[int, bool]:
    """Where the zip ends but for its comment, and whether that is a digest."""
    for comment_length in (SEAL_LENGTH, 0):
        end = len(content) - comment_length
        record = content[max(0, end - _END.size) : end]
        if record.startswith(b"PK\5\6") and record.endswith(struct.pack("<H", comment_length)):
            return end, comment_length > 0
    raise ArtifactError(
        "no contract at its end: the file is truncated, or is a plain .tflite; copy it again "
        "whole, or make it with `fraudnet export`"
    )


def _members(content: bytes, end: int) -> tuple[int, dict[str, Member]]:
    """Where the zip starts, and its members; its framing is the only one that they could have."""
    place = end - _END.size - _DIRECTORY_LENGTH
    told = []
    for name, limit in LIMITS.items():
        if not content.startswith(b"PK\1\2", max(0, place)):
            raise _misframed()
        crc, deflated_size, size = _CENTRAL.unpack_from(content, place)[7:10]
        if max(deflated_size, size) > limit:
            raise ArtifactError(
                f"its tail declares {max(deflated_size, size):,} bytes of {name}, more than the "
                f"{limit:,} that are read; export the artifact again"
            )
        told.append((name, crc, deflated_size, size))
        place += _CENTRAL.size + len(name)
    locals_length = sum(_LOCAL.size + len(name) + deflated for name, _, deflated, _ in told)
    start = place = end - _END.size - _DIRECTORY_LENGTH - locals_length
    members = {}
    for name, crc, deflated_size, size in told:
        place += _LOCAL.size + len(name)
        members[name] = Member(content[place : place + deflated_size], crc, size)
        place += deflated_size
    if start < 0 or _framed(list(members.values()), len(content) - end) != content[start:end]:
        raise _misframed()
    return start, members


def _misframed() -> ArtifactError:
    return ArtifactError(
        f"its zip tail is damaged: it is not '{CONTRACT}' and '{VECTORS}' alone, framed as "
        "docs/artifact.md says; copy the file again, or export it again"
    )


def _parse(name: str, member: Member) -> Any:  # noqa: ANN401  (whatever the JSON holds)
    try:
        document = json.loads(
            _inflate(member).decode(),
            object_pairs_hook=_object,
            parse_float=_float,
            parse_int=_integer,
            parse_constant=_refuse_constant,
        )
        _check_depth(document)
        # Half of a surrogate pair can be written as JSON, and printed nowhere.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, zlib.error, RecursionError) as error:
        raise ArtifactError(
            f"{name} is damaged ({error}); copy the file again, or export it again"
        ) from error
    return document


def _inflate(member: Member) -> bytes:
    """Never more than the size that was declared, which has been checked."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    text = inflate.decompress(member.deflated, member.size + 1)
    if not inflate.eof or inflate.unused_data or len(text) != member.size:
        raise ValueError(f"it does not inflate to {member.size:,} bytes")
    if zlib.crc32(text) != member.crc:
        raise ValueError("its checksum differs")
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} is there twice")
    return found


def _float(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _integer(text: str) -> int:
    value = int(text) if len(text) < 20 else INTEGER_LIMIT
    if abs(value) >= INTEGER_LIMIT:
        raise ValueError(f"integer {text[:20]} is too large")
    return value


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _check_depth(document: object) -> None:
    level = [document]
    for _ in range(DEPTH_LIMIT):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if level:
        raise ValueError(f"it is nested more than {DEPTH_LIMIT} deep")
