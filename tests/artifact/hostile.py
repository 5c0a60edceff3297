"""An artifact of version 1 that an earlier fraudnet made, its parts, and hostile files of them."""

import hashlib
import io
import json
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fraudnet.artifact.package import package
from fraudnet.device import tail
from fraudnet.device.tail import seal

VERSION_1 = Path(__file__).with_name("version_1.tflite")
Document = dict[str, Any]


def parts(path: Path = VERSION_1) -> tuple[bytes, Document, list[Document]]:
    """Model, contract and vectors, by way of zipfile alone."""
    with zipfile.ZipFile(path) as archive:
        contract, vectors = (json.loads(archive.read(f"{n}.json")) for n in ("contract", "vectors"))
        start = archive.getinfo("contract.json").header_offset
    return path.read_bytes()[:start], contract, vectors


MODEL, CONTRACT, VECTORS = parts()
SEALED = package(MODEL, CONTRACT, VECTORS)
TAIL = SEALED[len(MODEL) :]


def resealed(content: bytes) -> bytes:
    """With the digest that fits, as one who means harm would write it."""
    return content[:-64] + hashlib.sha256(content[:-64]).hexdigest().encode()


def changed(contract: Document | None = None, vectors: object = VECTORS) -> bytes:
    """An artifact whose contract has other values."""
    return seal(MODEL, [json.dumps(CONTRACT | (contract or {})), json.dumps(vectors)])


def with_texts(contract: str = json.dumps(CONTRACT), vectors: str = json.dumps(VECTORS)) -> bytes:
    """An artifact of these texts, which may be no JSON."""
    return seal(MODEL, [contract, vectors])


def with_input(place: int, **values: object) -> bytes:
    """An input of the contract says other things."""
    inputs = [dict(entry) for entry in CONTRACT["inputs"]]
    inputs[place] |= values
    return changed({"inputs": inputs})


def with_vector(**values: object) -> bytes:
    """The first test vector has other inputs."""
    return changed(vectors=[VECTORS[0] | {"inputs": VECTORS[0]["inputs"] | values}, *VECTORS[1:]])


def directory(index: int) -> int:
    """Where the entry of a member is in the directory of the zip, from the end of the file."""
    return -64 - 22 - (46 + 13 + 46 + 12) + index * (46 + 13)


def patched(place: int, values: bytes) -> bytes:
    """Other bytes at a place counted from the end, under a digest that fits."""
    content = bytearray(SEALED)
    content[place : place + len(values)] = values
    return resealed(bytes(content))


def zipped(*members: tuple[str, bytes], comment: bytes = bytes(64), extra: bytes = b"") -> bytes:
    """The tail by way of zipfile, with any members."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, text in members:
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.extra = 3, extra
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
        archive.comment = comment
    content = MODEL + written.getvalue()
    return resealed(content) if len(comment) == 64 else content


def bomb() -> bytes:
    """A gigabyte in a megabyte, declared as four."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush the next block knows nothing of this one, so it may come again.
    block = deflate.compress(bytes(16 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    deflated = 64 * block + deflate.flush()
    members = [tail.Member(deflated, 0, 4 << 20), tail._deflate(b"[]")]
    return resealed(MODEL + tail._framed(members, 64) + bytes(64))


def without_numbers() -> bytes:
    """The weights of the largest layer are NaN, under digests that fit."""
    model = bytearray(MODEL)
    read = schema.Model.GetRootAs(model, 0)
    graph = read.Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    weights = max(
        (read.Buffers(t.Buffer()) for t in tensors if t.Type() == schema.TensorType.FLOAT32),
        key=lambda buffer: buffer.DataLength(),
    )
    weights.DataAsNumpy().view(np.float32)[:] = np.nan
    assert bytes(model) != MODEL
    return package(bytes(model), CONTRACT, VECTORS)
