"""Decompress files within a size limit, and decode them to UTF-8."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import tarfile
import zipfile
import zlib
from typing import IO, cast

from nearfar.core.errors import DataError, SettingsError

MAX_EXPANSION = 200
"""The text of a log is about 3 to 40 times as long as its compressed file."""
SMALL_BYTES = 256 << 20
"""Content up to this size may have any compression ratio."""
DAMAGE = (
    EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
"""The errors of the standard library for damaged archives and compressed files."""


def decompressed(stream: IO[bytes]) -> IO[bytes]:
    """Return a stream decompressed from gzip, bzip2 or xz, by its first bytes; else the stream."""
    first = stream.peek(10)[:10]  # pyright: ignore[reportAttributeAccessIssue]
    if first.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    if first.startswith(b"BZh") and first[4:] == b"1AY&SY":
        return cast(IO[bytes], bz2.BZ2File(stream))
    if first.startswith(b"\xfd7zXZ\x00"):
        return cast(IO[bytes], lzma.LZMAFile(stream))
    return stream


class Bounded:
    """A decompressed stream that raises an error if it expands too much."""

    def __init__(self, stream: IO[bytes], compressed: int, ratio: int, where: str) -> None:
        self._stream, self._where, self._ratio = stream, where, ratio
        self._limit = max(SMALL_BYTES, compressed * ratio)
        self._n_bytes = 0

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(self._limit + 1 if size < 0 else size)
        self._n_bytes += len(content)
        if self._n_bytes > self._limit:
            raise DataError(
                f"{self._where} expands to more than {self._ratio} times its compressed size; "
                "if it is not a decompression bomb, allow more with --max-expansion"
            )
        return content

    def readline(self, size: int = -1) -> bytes:
        return self._stream.readline(size)


class TextDecoder:
    """Convert the bytes of a text file to UTF-8, piece by piece.

    Args:
        encoding: Python's name of the encoding; None for UTF-8, which is not checked.
        where: the file's name in messages.

    Raises:
        SettingsError: Python does not know the encoding.
    """

    def __init__(self, encoding: str | None, where: str) -> None:
        self._encoding, self._where = encoding, where
        self._decoder: codecs.IncrementalDecoder | None = None
        if encoding is None:
            return
        try:
            codec = codecs.lookup(encoding)
            if not getattr(codec, "_is_text_encoding", True):
                raise LookupError(encoding)
            name = "utf-8-sig" if codec.name == "utf-8" else encoding
            self._decoder = codecs.getincrementaldecoder(name)()
        except (LookupError, TypeError):
            raise SettingsError(
                f"unknown encoding {encoding!r}; give one that Python knows, such as utf-8, "
                "latin-1, cp1252 or utf-16"
            ) from None

    def __call__(self, piece: bytes, *, final: bool = False) -> bytes:
        """Return the piece in UTF-8.

        Raises:
            DataError: the piece is not in the encoding.
        """
        if self._decoder is None:
            return piece
        try:
            return self._decoder.decode(piece, final).encode("utf-8")
        except UnicodeError as error:
            raise DataError(
                f"{self._where} is not {self._encoding} text ({error}); set its encoding with "
                "--encoding"
            ) from None
