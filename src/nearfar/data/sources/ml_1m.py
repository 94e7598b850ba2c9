"""MovieLens-1M: ratings.dat and movies.dat, cut at "::"."""

from __future__ import annotations

from nearfar.data.events import Log
from nearfar.data.sources._movielens import LICENCE, archive
from nearfar.data.sources._rows import add_rows, double_colon_films, has_rows, read_as, required
from nearfar.data.sources.source import Packaged, Source, SourceRequest
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import RawFiles

RATINGS = r"ratings\.dat"
MD5 = "c4d9eecfca2ab87c1945afe126590906"


class MovieLens1M(Source):
    """One million ratings from 6,040 users, 2003."""

    label = "MovieLens-1M"
    licence = LICENCE
    downloads = archive("ml-1m", MD5, 50 << 20)
    packaged = Packaged(
        requirement="scikit-rec==0.3.0",
        sha256="949b0ea7b79047b85e49d08466c49837fb74dd1f7d61ce6557f4caf6d680f7fd",
        wheel=False,
        members={"ml-1m.zip": "scikit_rec-0.3.0/examples/data/movielens-1m/ml-1m.zip"},
        checksums={"ml-1m.zip": f"md5:{MD5}"},
    )

    def matches(self, files: RawFiles) -> bool:
        name = files.find(RATINGS)
        return has_rows(files, name, "::", 4) and files.find(r"tags\.dat") is None

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        name = required(files, RATINGS, "ratings.dat")
        builder = request.builder(files.where(name))
        columns = ("user", "item", "rating", "timestamp")
        dialect = Dialect("::", header=False)
        with read_as(self.label, columns):
            add_rows(builder, files, name, columns, request, dialect=dialect, max_rating=5)
        return builder.log(
            request.items if request.items is not None else double_colon_films(files)
        )
