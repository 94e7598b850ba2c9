"""Read the bytes of files in a folder, in a zip or tar archive, or of one file, in blocks.

Nothing is unpacked to disk. A block has about ten megabytes of decompressed UTF-8 text and ends
with a whole line, so a file of any length is read in bounded memory.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, cast

from nearfar.core.errors import DataError, EmptyDataError
from nearfar.tables.signatures import no_table, workbook, zipped
from nearfar.tables.streams import DAMAGE, MAX_EXPANSION, Bounded, TextDecoder, decompressed

BLOCK_BYTES = 32 << 20
SAMPLE_BYTES = 1 << 18
MAX_LINE_BYTES = 256 << 20
MAX_FILES = 100_000
COMPRESSED = r"(?:\.(?:gz|bz2|xz))?"
LAKES = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table"}
"""Folders of table formats that keep outdated files beside the current ones."""
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def last_newline(block: bytes) -> int:
    """Return the position after the last newline of a block; 0 without one."""
    return block.rfind(b"\n") + 1


class RawFiles:
    """The files in a folder or archive, or one file, by name relative to the path.

    Args:
        path: a folder with its subfolders, a .zip, a .tar, or a file. Files compressed with gzip,
            bzip2 or xz are decompressed on reading. Inside a folder or archive, files and folders
            whose names begin with "." or "_" (".crc", "_SUCCESS", "__MACOSX") are left out.
        max_expansion: the largest allowed ratio of decompressed to compressed bytes, for content of
            more than 256 MiB.

    Raises:
        DataError: the path does not exist, or is a damaged or unreadable archive.

    Examples:
        >>> from nearfar.tables.raw import RawFiles
        >>> n_characters = Path("plays.csv").write_text("user,item\\n1,7\\n")
        >>> files = RawFiles("plays.csv")
        >>> files.names, b"".join(files.blocks("plays.csv"))
        (['plays.csv'], b'user,item\\n1,7\\n')
    """

    def __init__(self, path: str | Path, *, max_expansion: int = MAX_EXPANSION) -> None:
        self.path = Path(path)
        self.max_expansion = max_expansion
        if not self.path.exists():
            raise DataError(f"{self.path} does not exist; give the path of a file or folder")
        lower = self.path.name.lower()
        if self.path.is_dir():
            self.kind = "folder"
        elif not self.path.is_file():
            raise DataError(
                f"{self.path} is a pipe or device, which can be read only once; write it to a file"
            )
        elif lower.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
            raise DataError(
                f"{self.path} is a compressed tar archive; unpack it and give its folder"
            )
        elif zipped(self.path):
            self.kind = "zip"
            if (problem := workbook(self.path)) is not None:
                raise _no_table_error(str(self.path), *problem)
        else:
            self.kind = {".zip": "zip", ".tar": "tar"}.get(self.path.suffix.lower(), "file")
        self._archive: zipfile.ZipFile | tarfile.TarFile | None = None
        self.names: list[str] = self._list_names()

    def _list_names(self) -> list[str]:
        if self.kind == "file":
            return [self.path.name]
        if self.kind == "folder":
            return sorted(_names_below(self.path))
        with self.kept_open():
            if isinstance(self._archive, zipfile.ZipFile):
                names = [m.filename for m in self._archive.infolist() if not m.is_dir()]
            elif isinstance(self._archive, tarfile.TarFile):
                names = [m.name for m in self._archive.getmembers() if m.isfile()]
            else:
                names = []
        return sorted(n for n in names if not _is_hidden(n))

    @contextlib.contextmanager
    def kept_open(self) -> Iterator[None]:
        """Open an archive once for all reads inside a with statement."""
        if self._archive is not None or self.kind in ("folder", "file"):
            yield
            return
        try:
            if self.kind == "zip":
                self._archive = zipfile.ZipFile(self.path)
            else:
                self._archive = tarfile.open(self.path, "r:")  # noqa: SIM115
            yield
        except DAMAGE as error:
            raise DataError(
                f"{self.path} is a damaged archive ({error}); download it again"
            ) from None
        finally:
            if self._archive is not None:
                self._archive.close()
            self._archive = None

    def find_all(self, pattern: str) -> list[str]:
        """Return the paths whose file names match the pattern, also with .gz, .bz2 or .xz."""
        compiled = re.compile(f"(?:{pattern}){COMPRESSED}", re.IGNORECASE)
        return [n for n in self.names if compiled.fullmatch(PurePosixPath(n).name)]

    def find(self, pattern: str) -> str | None:
        """Return the first match of `find_all` at the lowest depth, or None."""
        return min(self.find_all(pattern), key=lambda n: (n.count("/"), n), default=None)

    def where(self, name: str) -> str:
        """Return a file's name in messages."""
        return str(self.path) if self.kind == "file" else f"{self.path}:{name}"

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open the decompressed bytes of a file.

        Raises:
            DataError: the file or its archive is truncated, damaged, encrypted or compressed with
                an unknown method, or expands beyond `max_expansion`.
        """
        with contextlib.ExitStack() as stack:
            try:
                yield stack.enter_context(self._decompressed(name))
            except (*DAMAGE, OSError) as error:
                if isinstance(error, PermissionError):
                    raise
                raise DataError(
                    f"{self.where(name)} is truncated or damaged ({error}); download it again"
                ) from None

    @contextlib.contextmanager
    def _decompressed(self, name: str) -> Iterator[IO[bytes]]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.kept_open())
            stream: IO[bytes] | None
            compressed: int | None = None
            if isinstance(self._archive, zipfile.ZipFile):
                member = self._archive.getinfo(name)
                stream = stack.enter_context(self._member(member))
                compressed = member.compress_size
            elif isinstance(self._archive, tarfile.TarFile):
                stream = self._archive.extractfile(name)
            else:
                file = self.path if self.kind == "file" else self.path / name
                stream = stack.enter_context(file.open("rb"))
            assert stream is not None
            plain = decompressed(stream)
            if plain is not stream:
                compressed = compressed or self._size(name)
                stream = stack.enter_context(plain)
            if compressed is None:
                yield stream
            else:
                bounded = Bounded(stream, compressed, self.max_expansion, self.where(name))
                yield cast(IO[bytes], bounded)

    def _member(self, member: zipfile.ZipInfo) -> IO[bytes]:
        assert isinstance(self._archive, zipfile.ZipFile)
        where = self.where(member.filename)
        if member.flag_bits & 1:
            raise DataError(
                f"{where} is encrypted with a password; unpack the archive and give its folder"
            )
        try:
            return self._archive.open(member)
        except (NotImplementedError, RuntimeError) as error:
            raise DataError(
                f"{where} is compressed with a method that Python's zipfile does not support "
                f"({error}); unpack the archive and give its folder"
            ) from None

    def _size(self, name: str) -> int:
        if isinstance(self._archive, tarfile.TarFile):
            return self._archive.getmember(name).size
        return (self.path if self.kind == "file" else self.path / name).stat().st_size

    def starts_with(self, name: str, *signatures: bytes) -> bool:
        """Return whether a file begins with one of these signatures."""
        with self.open(name) as stream:
            return stream.read(max(map(len, signatures))).startswith(signatures)

    def text(self, name: str, encoding: str) -> str:
        """Return the text of a small file; bytes that are not in `encoding` become U+FFFD."""
        with self.open(name) as stream:
            return stream.read().decode(encoding, errors="replace").removeprefix("\ufeff")

    def sample(self, name: str, encoding: str | None = None) -> bytes:
        """Return the first lines of a text file, in the form of `blocks`.

        Raises:
            EmptyDataError: the file is empty.
            DataError: the file is not text in this encoding.
        """
        for block in self.blocks(name, size=SAMPLE_BYTES, encoding=encoding):
            if not block.isspace():
                return block.lstrip(b"\r\n")
        raise EmptyDataError(f"{self.where(name)} is empty; a table with a header was expected")

    def blocks(
        self,
        name: str,
        *,
        size: int = BLOCK_BYTES,
        encoding: str | None = None,
        row_end: Callable[[bytes], int] = last_newline,
    ) -> Iterator[bytes]:
        """Yield a text file as UTF-8, in blocks of about `size` bytes that end with a row.

        A byte order mark is removed. A carriage return alone, the line end of old Macintosh files,
        becomes a newline.

        Args:
            name: the file.
            size: the size of a block, in bytes.
            encoding: the encoding of the file; None for UTF-8, or UTF-16 after its byte order mark.
            row_end: returns the position after the last row of a block; 0 without a whole row.

        Raises:
            DataError: the file is damaged, or is not text.
        """
        remainder = b""
        n_bytes = 0
        for piece in self._decoded(name, size, encoding):
            block = remainder + piece if remainder else piece
            end = row_end(block)
            if end:
                n_bytes += end
                yield block[:end] if end < len(block) else block
            remainder = block[end:]
            if len(remainder) > MAX_LINE_BYTES:
                raise DataError(
                    f"{self.where(name)}, after {n_bytes:,} bytes: the row is longer than "
                    f"{MAX_LINE_BYTES >> 20} MiB; close an open quote, or give a text file"
                )
        if remainder and not remainder.isspace():
            yield remainder

    def _decoded(self, name: str, size: int, encoding: str | None) -> Iterator[bytes]:
        """Yield the bytes of a text file as UTF-8 with newlines."""
        where = self.where(name)
        with self.open(name) as stream:
            first = stream.read(SAMPLE_BYTES)
            if encoding is None and (problem := no_table(first)) is not None:
                raise _no_table_error(where, *problem)
            encoding = encoding or _UTF16.get(first[:2])
            decode = TextDecoder(encoding, where)
            text = decode(first).removeprefix(codecs.BOM_UTF8)
            mac = b"\r" in text[:-1] and b"\n" not in text
            pieces = (text[at : at + size] for at in range(0, len(text), size))
            later_pieces = map(decode, iter(lambda: stream.read(size), b""))
            for piece in chain(pieces, later_pieces, [decode(b"", final=True)]):
                if b"\0" in piece:
                    raise DataError(
                        f"{where} is not UTF-8 text: it has NUL bytes; give a CSV, TSV or Parquet "
                        "file, or set its encoding (--encoding utf-16)"
                    )
                if piece:
                    yield piece.replace(b"\r", b"\n") if mac else piece


def _no_table_error(where: str, file_type: str, advice: str) -> DataError:
    return DataError(f"{where} is {file_type}; {advice}")


def _names_below(folder: Path) -> Iterator[str]:
    """Yield the paths of the files in a folder and its subfolders, without hidden ones."""
    n_files = 0
    for parent, folders, files in os.walk(folder):
        lake = next((label for name, label in LAKES.items() if name in folders), None)
        if any(name.endswith(".metadata.json") for name in files):
            lake = "an Iceberg table"
        if lake is not None:
            raise DataError(
                f"{parent} belongs to {lake}, whose folder may have outdated files; write its "
                "current rows to Parquet or CSV and read that"
            )
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            relative = (Path(parent) / name).relative_to(folder).as_posix()
            if not _is_hidden(name):
                n_files += 1
                yield relative
        if n_files > MAX_FILES:
            raise DataError(
                f"{folder} has more than {MAX_FILES:,} files; give the folder of the log"
            )


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)
