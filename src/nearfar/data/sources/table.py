"""Any table with a user and an item column: text, JSON lines, Parquet, SQLite, in parts too."""

from __future__ import annotations

from nearfar.data.events import Log
from nearfar.data.sources.source import Source, SourceRequest
from nearfar.tables.folder import files_of_tables, open_tables, remark_on_copies
from nearfar.tables.raw import RawFiles
from nearfar.tables.table import read_rows


class TableData(Source):
    """A table whose columns are named, or recognised by their names (user_id, movieId, ...)."""

    label = "CSV, TSV, JSON lines, Parquet or SQLite table"
    generic = True
    own_columns = False

    def matches(self, files: RawFiles) -> bool:
        return bool(files_of_tables(files))

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        with files.kept_open():
            given = vars(request.columns)
            tables, skipped = open_tables(files, request.roles, given, request.options)
            report = request.report
            report.skipped_files = skipped
            if copies := remark_on_copies(files, skipped, request.options):
                report.remarks.append(copies)
            report.files = [table.where for table in tables]
            report.format = f"{tables[0].kind} table"
            builder = request.builder(tables[0].where, typed=tables[0].typed)
            rows = read_rows(
                tables, request.roles, given, request.options.rules, report,
                needed=("user", "item"), contradictions=True,
            )  # fmt: skip
            builder.add_all(rows)
        return builder.log(request.items)
