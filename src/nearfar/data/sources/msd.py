"""The Million Song Dataset's taste profile: train_triplets.txt (user, song, plays)."""

from __future__ import annotations

from nearfar.data.events import Log
from nearfar.data.sources._rows import add_rows, has_rows, read_as, required
from nearfar.data.sources.source import Download, Source, SourceRequest
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import RawFiles

TRIPLETS = r"train_triplets\.txt"


class MillionSong(Source):
    """Forty-eight million play counts of 1,019,318 listeners, 2011; plays are the weight."""

    label = "Million Song Dataset, taste profile"
    licence = "research use with acknowledgement (Bertin-Mahieux et al. 2011, The Echo Nest)"
    # The publisher gives no checksum, and none could be verified.
    downloads = (
        Download(
            "http://millionsongdataset.com/sites/default/files/challenge/train_triplets.txt.zip",
            "train_triplets.txt.zip",
            max_bytes=2 << 30,
        ),
    )

    def matches(self, files: RawFiles) -> bool:
        return has_rows(files, files.find(TRIPLETS), "\t", 3, integers=False)

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        name = required(files, TRIPLETS, "train_triplets.txt")
        builder = request.builder(files.where(name))
        columns = ("user", "item", "weight")
        dialect = Dialect("\t", header=False)
        with read_as(self.label, columns):
            add_rows(builder, files, name, columns, request, integer_ids=False, dialect=dialect)
        return builder.log(request.items)
