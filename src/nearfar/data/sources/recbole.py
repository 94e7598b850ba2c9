"""RecBole's atomic files: NAME.inter, and NAME.item beside it for titles."""

from __future__ import annotations

from pathlib import PurePosixPath

from nearfar.core.errors import DataError
from nearfar.data.events import Log
from nearfar.data.sources._atomic import read_atomic, read_items
from nearfar.data.sources.source import Source, SourceRequest
from nearfar.tables.raw import RawFiles

INTER = r"(?!ml-100k\.).*\.inter"


class RecBole(Source):
    """Any data set in RecBole's atomic files."""

    label = "RecBole atomic files"
    own_columns = False

    def matches(self, files: RawFiles) -> bool:
        return files.find(INTER) is not None

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        pattern = request.options.table
        names = [
            name
            for name in files.find_all(r".*\.inter")
            if pattern is None or PurePosixPath(name).match(pattern)
        ]
        if len(names) != 1:
            raise DataError(
                f"{files.path} has {len(names)} .inter files ({', '.join(names[:5])}); name one "
                "with --table"
            )
        items = request.items
        return read_atomic(
            files, names[0], request, read_items(files, names[0]) if items is None else items
        )
