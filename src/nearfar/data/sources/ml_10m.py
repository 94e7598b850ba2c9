"""MovieLens-10M: ratings.dat, movies.dat and tags.dat, cut at "::"."""

from __future__ import annotations

from nearfar.data.sources._movielens import LICENCE, archive
from nearfar.data.sources._rows import has_rows
from nearfar.data.sources.ml_1m import RATINGS, MovieLens1M
from nearfar.tables.raw import RawFiles


class MovieLens10M(MovieLens1M):
    """Ten million ratings from 69,878 users, 2009; laid out as the 1M set, with half stars."""

    label = "MovieLens-10M"
    licence = LICENCE
    downloads = archive("ml-10m", "ce571fd55effeba0271552578f2648bd", 200 << 20)
    packaged = None

    def matches(self, files: RawFiles) -> bool:
        name = files.find(RATINGS)
        return has_rows(files, name, "::", 4) and files.find(r"tags\.dat") is not None
