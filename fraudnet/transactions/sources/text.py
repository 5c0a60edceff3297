"""Text in whatever encoding, compressed or not; bytes that are no text are marked, not lost."""

import codecs
import io
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pyarrow as pa

BAD_BYTES = "fraudnet.bad_bytes"
# Arrow's parser of delimited text overlooks what stands within 8 bytes after a zero byte, line ends
# and delimiters too; a character that is none stands in for it.
ZERO = "\ufdd0"


def open_text(path: Path, encoding: str, errors: str = BAD_BYTES) -> TextIO:
    """A text file for reading, unpacked as its ending says, without its byte-order mark.

    Args:
        path: the file.
        encoding: a Python codec's name.
        errors: a handler of undecodable bytes; by default a zero byte marks them.
    """
    stream = io.BufferedReader(pa.input_stream(str(path)))
    return io.TextIOWrapper(stream, _codec(encoding), errors=errors, newline="")


def utf8_stream(path: Path, encoding: str) -> pa.NativeFile:
    """The text of a file as UTF-8, unpacked, without byte-order marks, `ZERO` for zero bytes."""
    return pa.TransformInputStream(pa.input_stream(str(path)), _to_utf8(encoding))


def _codec(encoding: str) -> str:
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _to_utf8(encoding: str) -> Callable[[bytes], bytes]:
    decoder = codecs.getincrementaldecoder(_codec(encoding))(errors=BAD_BYTES)

    def transform(block: bytes) -> bytes:
        text = decoder.decode(block, final=not block)
        # Files with a mark, put together, have marks in the middle.
        return text.replace("\ufeff", "").replace("\0", ZERO).encode()

    return transform


def _mark_bad_bytes(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no text become a zero byte, by which the row is known, and their value."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(f"\0\\x{byte:02x}" for byte in bad), error.end


codecs.register_error(BAD_BYTES, _mark_bad_bytes)
