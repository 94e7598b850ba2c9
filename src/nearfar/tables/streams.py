"""Streams between a file's bytes and its text: bounded decompression, and decoding."""

from __future__ import annotations

import codecs
from typing import IO

from nearfar.core.errors import DataError, SettingsError

MAX_EXPANSION = 200
"""Compressed text of a log is some 3 to 40 times as long as the file that it comes from."""
SMALL_BYTES = 256 << 20
"""Up to here no ratio of compression is suspicious."""


class Bounded:
    """A decompressed stream that stops with an error where it expands too much."""

    def __init__(self, stream: IO[bytes], compressed: int, ratio: int, where: str) -> None:
        self._stream, self._where, self._ratio = stream, where, ratio
        self._limit = max(SMALL_BYTES, compressed * ratio)
        self._n_bytes = 0

    def read(self, size: int = -1) -> bytes:
        read = self._stream.read(self._limit + 1 if size < 0 else size)
        self._n_bytes += len(read)
        if self._n_bytes > self._limit:
            raise DataError(
                f"{self._where} expands to more than {self._ratio} times its compressed size; "
                "if it is no decompression bomb, allow more with --max-expansion"
            )
        return read

    def readline(self, size: int = -1) -> bytes:
        return self._stream.readline(size)


class TextDecoder:
    """Turns the bytes of a text file, piece by piece, into UTF-8.

    Args:
        encoding: as Python names it; None for UTF-8, which is passed on unchecked.
        where: how messages name the file.

    Raises:
        SettingsError: Python knows no such encoding.
    """

    def __init__(self, encoding: str | None, where: str) -> None:
        self._encoding, self._where = encoding, where
        self._decoder: codecs.IncrementalDecoder | None = None
        if encoding is None:
            return
        try:
            found = codecs.lookup(encoding)
            if not getattr(found, "_is_text_encoding", True):
                raise LookupError(encoding)
            name = "utf-8-sig" if found.name == "utf-8" else encoding
            self._decoder = codecs.getincrementaldecoder(name)()
        except (LookupError, TypeError):
            raise SettingsError(
                f"unknown encoding {encoding!r}; give one that Python knows, such as utf-8, "
                "latin-1, cp1252 or utf-16"
            ) from None

    def __call__(self, piece: bytes, *, final: bool = False) -> bytes:
        """The piece in UTF-8.

        Raises:
            DataError: it is not of that encoding.
        """
        if self._decoder is None:
            return piece
        try:
            return self._decoder.decode(piece, final).encode("utf-8")
        except UnicodeError as error:
            raise DataError(
                f"{self._where} is not {self._encoding} text ({error}); name its encoding with "
                "--encoding"
            ) from None
