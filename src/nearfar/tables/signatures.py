"""Recognise files that are not tables by their first bytes, with advice for each type."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

SIGNATURES = (
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file", "save the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "decompress it with zstd -d"),
    (b"\x04\x22\x4d\x18", "compressed by LZ4", "decompress it with lz4 -d"),
    (b"\x1f\x8b", "compressed by gzip twice", "decompress it with gzip -d"),
    (b"\xff\xfe\0\0", "UTF-32 text", "convert it with iconv -f UTF-32 -t UTF-8"),
    (b"\0\0\xfe\xff", "UTF-32 text", "convert it with iconv -f UTF-32 -t UTF-8"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it and give its folder"),
    (b"Rar!", "a RAR archive", "unpack it and give its folder"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "write its table as Parquet or CSV"),
    (b"%PDF", "a PDF", "export the table as CSV"),
    (b"\x80\x02", "a pickle, which is never opened", "write its table as Parquet or CSV"),
    (b"\x80\x03", "a pickle, which is never opened", "write its table as Parquet or CSV"),
    (b"\x80\x04", "a pickle, which is never opened", "write its table as Parquet or CSV"),
    (b"\x80\x05", "a pickle, which is never opened", "write its table as Parquet or CSV"),
    (b"PK\x03\x04", "a zip archive inside another file", "unpack it and give its folder"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "run git lfs pull"),
)
"""First bytes, the type of the file, and what to do."""
PAGE = re.compile(rb"\s*<(?:!doctype\s+html|html)", re.IGNORECASE)
XML = re.compile(rb"\s*<\?xml")
STATEMENT = re.compile(
    rb"\s*(?:--[^\n]*\n|/\*.*?\*/;?|\s)*(?:CREATE\s+(?:TABLE|DATABASE)|INSERT\s+INTO|"
    rb"DROP\s+TABLE|LOCK\s+TABLES|SET\s+[@\w]+\s*=|USE\s+\S+;|BEGIN;)",
    re.IGNORECASE | re.DOTALL,
)
WORKBOOKS = {
    "xl/": ("an Excel workbook", "save the sheet as CSV"),
    "content.xml": ("an OpenDocument spreadsheet", "save the sheet as CSV"),
    "word/": ("a Word document", "export the table as CSV"),
}
"""Document types in zip archives, by the start of a member's name."""


NUMPY = (
    "a NumPy archive",
    "load it in Python (scipy.sparse.load_npz) and give the matrix to nf.read_log",
)


def no_table(first: bytes) -> tuple[str, str] | None:
    """Return the type of a file by its first bytes, and what to do; None if it may be text."""
    for signature, file_type, advice in SIGNATURES:
        binary = b"\0" in first or not signature.isascii() or signature.startswith(b"version")
        if first.startswith(signature) and binary:
            return file_type, advice
    if first[257:262] == b"ustar":
        return "a tar archive", "rename it to .tar, or unpack it and give its folder"
    if first[8:12] == b"DUCK":
        return "a DuckDB database", "write its table to Parquet with COPY ... TO"
    if first.startswith(b"%%MatrixMarket"):
        return "a Matrix Market file", "read it with scipy.io.mmread and give it to nf.read_log"
    if PAGE.match(first):
        return "an HTML page", "download the data itself"
    if XML.match(first):
        return "an XML file", "export the table as CSV"
    if STATEMENT.match(first[:2000]):
        return "an SQL script", "load it into a database and export the table as CSV"
    return None


def zipped(path: Path) -> bool:
    """Return whether a file is a zip archive, by its first bytes."""
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def workbook(path: Path) -> tuple[str, str] | None:
    """Return the document type of a zip archive, and what to do; None for an archive of files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return None
    if names and all(name.endswith(".npy") for name in names):
        return NUMPY
    for member, problem in WORKBOOKS.items():
        if any(name.startswith(member) for name in names):
            return problem
    return None
