"""Data made up on the spot, of any size: no files."""

from __future__ import annotations

from dataclasses import replace

from nearfar.core.errors import DataError
from nearfar.data.events import Log, with_details
from nearfar.data.shapes import SHAPES, SIZE, Synthetic
from nearfar.data.sources.source import Source, SourceRequest
from nearfar.data.synthetic import synthetic_log
from nearfar.tables.raw import RawFiles


class SyntheticData(Source):
    """`data.synthetic` under the name "synthetic:SHAPE,setting=value"."""

    label = "synthetic data"
    licence = "made on the spot, nothing to fetch"
    instructions = (
        "give synthetic:SHAPE where a log is asked for, "
        f"SHAPE one of {', '.join(SHAPES)}, or {SIZE}"
    )
    generated = True

    def matches(self, files: RawFiles) -> bool:
        return False

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        raise DataError(f"synthetic data are not read from {files.path}: {self.instructions}")

    def make(self, description: str, request: SourceRequest) -> Log:
        log = synthetic_log(Synthetic.parse(description), f"{self.name}:{description}")
        log = replace(log, item_ids=with_details(log.item_ids, request.items))
        return request.filters.rows_only.apply(log)
