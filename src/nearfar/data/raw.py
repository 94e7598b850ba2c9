"""Raw files as bytes: a folder, a zip or tar archive, or one file, read in place and in blocks.

Nothing is unpacked to disk; a block is some ten megabytes of decompressed bytes that end with a
line, so that a file of any length is read in bounded memory.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from nearfar.core.errors import DataError, EmptyDataError

BLOCK_BYTES = 32 << 20
MAX_LINE_BYTES = 256 << 20
MAX_DEPTH = 3
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, tarfile.TarError)


class RawFiles:
    """The files at a path, by name relative to it, whatever container holds them.

    Args:
        path: a folder (searched three levels deep), a .zip, a .tar, or a single file; a file
            that ends in .gz, in a folder or alone, is decompressed while it is read.

    Raises:
        DataError: nothing is at `path`, or it is a damaged or unreadable archive.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise DataError(f"{self.path} does not exist; give the path of a file or folder")
        lower = self.path.name.lower()
        if self.path.is_dir():
            self.kind = "folder"
        elif lower.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
            raise DataError(
                f"{self.path} is a compressed tar archive; unpack it and give its folder"
            )
        else:
            self.kind = {".zip": "zip", ".tar": "tar"}.get(self.path.suffix.lower(), "file")
        self._archive: zipfile.ZipFile | tarfile.TarFile | None = None
        self.names: list[str] = self._list()

    def _list(self) -> list[str]:
        if self.kind == "file":
            return [self.path.name]
        if self.kind == "folder":
            levels = (self.path.glob("/".join(["*"] * d)) for d in range(1, MAX_DEPTH + 1))
            found = (p for level in levels for p in level if p.is_file())
            return sorted(p.relative_to(self.path).as_posix() for p in found)
        with self.kept_open():
            if isinstance(self._archive, zipfile.ZipFile):
                names = [m.filename for m in self._archive.infolist() if not m.is_dir()]
            elif isinstance(self._archive, tarfile.TarFile):
                names = [m.name for m in self._archive.getmembers() if m.isfile()]
            else:
                names = []
        return sorted(n for n in names if not n.startswith("__MACOSX"))

    @contextlib.contextmanager
    def kept_open(self) -> Iterator[None]:
        """Opens an archive once for all files read inside the block."""
        if self._archive is not None or self.kind in ("folder", "file"):
            yield
            return
        try:
            if self.kind == "zip":
                self._archive = zipfile.ZipFile(self.path)
            else:
                self._archive = tarfile.open(self.path, "r:")  # noqa: SIM115
            yield
        except _DAMAGE as error:
            raise DataError(f"{self.path} is not a whole archive ({error}); get it again") from None
        finally:
            if self._archive is not None:
                self._archive.close()
            self._archive = None

    def find_all(self, pattern: str) -> list[str]:
        """The names whose last part matches the regular expression, with or without .gz."""
        wanted = re.compile(f"(?:{pattern})(?:\\.gz)?", re.IGNORECASE)
        return [n for n in self.names if wanted.fullmatch(PurePosixPath(n).name)]

    def find(self, pattern: str) -> str | None:
        """The first, least deep of `find_all`, or None."""
        return min(self.find_all(pattern), key=lambda n: (n.count("/"), n), default=None)

    def where(self, name: str) -> str:
        """How a message names one file."""
        return str(self.path) if self.kind == "file" else f"{self.path}:{name}"

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file's decompressed bytes.

        Raises:
            DataError: the file, or the archive that holds it, is truncated or damaged.
        """
        with contextlib.ExitStack() as stack:
            try:
                yield stack.enter_context(self._decompressed(name))
            except _DAMAGE as error:
                raise DataError(
                    f"{self.where(name)} is truncated or damaged ({error}); get it again"
                ) from None

    @contextlib.contextmanager
    def _decompressed(self, name: str) -> Iterator[IO[bytes]]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.kept_open())
            stream: IO[bytes] | None
            if isinstance(self._archive, zipfile.ZipFile):
                stream = stack.enter_context(self._archive.open(name))
            elif isinstance(self._archive, tarfile.TarFile):
                stream = self._archive.extractfile(name)
            else:
                file = self.path if self.kind == "file" else self.path / name
                stream = stack.enter_context(file.open("rb"))
            assert stream is not None
            if name.lower().endswith(".gz"):
                stream = stack.enter_context(cast(IO[bytes], gzip.GzipFile(fileobj=stream)))
            yield stream

    def text(self, name: str, encoding: str) -> str:
        """A small file's whole text; bytes that are not `encoding` become U+FFFD."""
        with self.open(name) as stream:
            return stream.read().decode(encoding, errors="replace").removeprefix("\ufeff")

    def first_line(self, name: str) -> str:
        """The first line of a text file, without its end.

        Raises:
            EmptyDataError: the file is empty.
            DataError: it is no UTF-8 text.
        """
        with self.open(name) as stream:
            line = stream.readline(1 << 20)
        if not line.strip():
            raise EmptyDataError(f"{self.where(name)} is empty; a table with a header was expected")
        try:
            if b"\0" in line:
                raise ValueError
            return line.decode("utf-8").removeprefix("\ufeff").rstrip("\r\n")
        except ValueError:
            raise DataError(
                f"{self.where(name)} is not UTF-8 text; give a CSV, TSV or Parquet file"
            ) from None

    def blocks(
        self, name: str, *, size: int = BLOCK_BYTES, quoted: bool = False
    ) -> Iterator[bytes]:
        """A text file in blocks of about `size` bytes, each of whole lines.

        With `quoted` a line may hold newlines between double quotes.

        Raises:
            DataError: the file is damaged, or is not text.
        """
        rest = b""
        first = True
        with self.open(name) as stream:
            while read := stream.read(size):
                if first:
                    read, first = read.removeprefix(b"\xef\xbb\xbf"), False
                if b"\0" in read:
                    raise DataError(
                        f"{self.where(name)} is not UTF-8 text; give a CSV, TSV or Parquet file"
                    )
                block = rest + read if rest else read
                cut = _cut(block, quoted)
                if cut:
                    yield block[:cut] if cut < len(block) else block
                rest = block[cut:]
                if len(rest) > MAX_LINE_BYTES:
                    raise DataError(
                        f"{self.where(name)} has a line of more than {MAX_LINE_BYTES >> 20} MiB; "
                        "is a quote left open, or is it no text file?"
                    )
        if rest and not rest.isspace():
            yield rest


def _cut(block: bytes, quoted: bool) -> int:
    """One past the last newline that ends a line; 0 where there is none."""
    end = block.rfind(b"\n") + 1
    if not quoted or b'"' not in block:
        return end
    quotes = block.count(b'"', 0, end)
    while end and quotes % 2:
        earlier = block.rfind(b"\n", 0, end - 1) + 1
        quotes -= block.count(b'"', earlier, end)
        end = earlier
    return end
