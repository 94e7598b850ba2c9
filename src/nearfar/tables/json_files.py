"""Tell which files hold JSON, and which .json files of a folder hold rows."""

from __future__ import annotations

import contextlib
import re

from nearfar.core.errors import DataError
from nearfar.tables.json_checks import strict_loads
from nearfar.tables.json_table import JsonTable, lines_of
from nearfar.tables.raw import COMPRESSED, RawFiles

JSON_LINES = r".*\.(?:jsonl|ndjson)"
JSON = r".*\.(?:jsonl|ndjson|json)"
ARRAY_OF_OBJECTS = re.compile(rb"\s*\[\s*\{\s*[\"}]")


def holds_json(files: RawFiles, name: str, encoding: str | None = None) -> bool:
    """Return whether a file has a JSON name, or begins like an object or an array of objects."""
    if re.fullmatch(rf"{JSON}{COMPRESSED}", name, re.IGNORECASE):
        return True
    return files.sample(name, encoding).lstrip()[:1] == b"{" or _is_array(files, name, encoding)


def is_json(name: str) -> bool:
    """Return whether a file's name ends in .json, also compressed."""
    return re.fullmatch(rf".*\.json{COMPRESSED}", name, re.IGNORECASE) is not None


def is_note(files: RawFiles, name: str) -> bool:
    """Return whether a .json file holds one object without rows, such as a manifest.

    Args:
        files: the file alone.
        name: its name.
    """
    return is_json(name) and not (json_files_of_rows(files) or json_files_of_one_object(files))


def json_files_of_rows(files: RawFiles) -> list[str]:
    """Return the .json files that hold rows: JSON lines, or an array of objects.

    A file with one object, such as manifest.json or package.json, is included only if a file of
    several rows has the same keys, so that it is a part with one row.
    """
    names: list[str] = []
    single_objects: dict[str, frozenset[str]] = {}
    keys_of_rows: set[frozenset[str]] = set()
    for name in files.find_all(r".*\.json"):
        try:
            sample = files.sample(name).lstrip()
        except DataError:
            continue
        if ARRAY_OF_OBJECTS.match(sample):
            names.append(name)
            continue
        lines = lines_of(sample)
        try:
            row = strict_loads(lines[0])
        except (ValueError, RecursionError):
            continue
        if not isinstance(row, dict):
            continue
        if len(lines) == 1:
            single_objects[name] = frozenset(row)
        elif lines[1].lstrip().startswith(b"{"):
            names.append(name)
            keys_of_rows.add(frozenset(row))
    names += [name for name, keys in single_objects.items() if keys in keys_of_rows]
    return sorted(names)


def json_files_of_one_object(files: RawFiles) -> list[str]:
    """Return the .json files with one object that holds a list, or a table in another layout."""
    names: list[str] = []
    for name in files.find_all(r".*\.json"):
        with contextlib.suppress(DataError):
            if JsonTable(files, name, None).holds_rows:
                names.append(name)
    return sorted(names)


def _is_array(files: RawFiles, name: str, encoding: str | None) -> bool:
    """Return whether a file begins like an array of objects."""
    return ARRAY_OF_OBJECTS.match(files.sample(name, encoding)) is not None
