"""Any table with a user and an item column: text, JSON lines, Parquet, SQLite, in parts too."""

from __future__ import annotations

from pathlib import PurePosixPath

from nearfar.data.events import Log
from nearfar.data.sources.source import Source, SourceRequest
from nearfar.tables.columnar import COLUMNAR
from nearfar.tables.folder import open_tables
from nearfar.tables.json_lines import JSON_LINES
from nearfar.tables.raw import RawFiles
from nearfar.tables.table import TEXT, read_rows


class TableData(Source):
    """A table whose columns are named, or recognised by their names (user_id, movieId, ...)."""

    label = "CSV, TSV, JSON lines, Parquet or SQLite table"
    generic = True
    own_columns = False

    def matches(self, files: RawFiles) -> bool:
        found = any(map(files.find_all, (TEXT, COLUMNAR, JSON_LINES)))
        parts = any("." not in PurePosixPath(name).name for name in files.names)
        return found or parts or files.kind == "file"

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        with files.kept_open():
            given = vars(request.columns)
            tables, skipped = open_tables(files, request.roles, given, request.options)
            report = request.report
            report.skipped_files = skipped
            report.files = [table.where for table in tables]
            report.format = f"{tables[0].kind} table"
            builder = request.builder(tables[0].where, typed=tables[0].typed)
            rows = read_rows(
                tables, request.roles, given, request.options.rules, report, needed=("user", "item")
            )
            builder.add_all(rows)
        return builder.log(request.items)
