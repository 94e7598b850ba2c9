"""Vocabularies: the ids of a matrix's rows or columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Int64

from nearfar.core.errors import DataError
from nearfar.core.identity import looked_up, of_integers

HASHED_AT_ONCE = 1 << 16


class Vocabulary:
    """Unique ids in order, all 64-bit integers or all text, with optional details.

    Args:
        ids: ids at positions 0, 1, ...
        details: one row per id, with any columns; commands use "title" and "genres".

    Raises:
        DataError: an id is missing, occurs twice, or is neither integer nor text.

    Examples:
        >>> ids = nf.Vocabulary(["a", "b"])
        >>> ids.index(["b", "x"]).tolist()
        [1, -1]
    """

    def __init__(self, ids: Iterable[int] | Iterable[str], details: pl.DataFrame | None = None):
        series = _as_series(ids)
        if series.null_count():
            raise DataError(f"{series.null_count()} ids are missing")
        if series.n_unique() != len(series):
            duplicate = series.filter(series.is_duplicated())[0]
            raise DataError(f"id {duplicate!r} occurs twice in a vocabulary")
        if details is not None and details.height != len(series):
            raise DataError(f"{details.height} rows of details for {len(series)} ids")
        self.ids: pl.Series = series
        self.details: pl.DataFrame = pl.DataFrame() if details is None else details

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        kind = "integer" if self.is_integer else "text"
        return f"Vocabulary({len(self)} {kind} ids)"

    @property
    def is_integer(self) -> bool:
        return self.ids.dtype == pl.Int64

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of the ids in their order."""
        state = hashlib.sha256(b"int" if self.is_integer else b"str")
        if self.is_integer:
            state.update(self.ids.to_numpy().astype("<i8").tobytes())
        else:
            lengths = self.ids.str.len_bytes().to_numpy().astype("<i8")
            state.update(lengths.tobytes())
            for start in range(0, len(self), HASHED_AT_ONCE):
                state.update("".join(self.ids.slice(start, HASHED_AT_ONCE).to_list()).encode())
        return state.hexdigest()

    @cached_property
    def titles(self) -> pl.Series | None:
        """The titles, one per id (null if missing), or None if the details have no titles."""
        return self.details["title"] if "title" in self.details.columns else None

    def index(self, ids: pl.Series | Sequence[int] | Sequence[str]) -> Int64[np.ndarray, " n"]:
        """Return the positions of `ids`; -1 for an id that is not in the vocabulary.

        Ids are compared by the rules of `core.identity`.
        """
        series = ids if isinstance(ids, pl.Series) else pl.Series("id", list(ids), strict=False)
        if series.dtype == pl.String and not self.is_integer:
            positions = self._look_up(series)
            missing = np.flatnonzero(positions < 0)
            if len(missing):
                positions[missing] = self._look_up(looked_up(series[missing], pl.String))
            return positions
        return self._look_up(looked_up(series, self.ids.dtype))

    def alike(self, text: str, n: int = 3) -> list[int]:
        """Return the positions of at most n ids that differ from a text only in case or zeros.

        Zeros are leading zeros. Messages about an unknown id suggest these ids.
        """
        plain = pl.col("id").cast(pl.String).str.to_lowercase().str.strip_chars_start("0")
        similar = pl.DataFrame({"id": self.ids}).with_row_index("position").filter(
            plain == text.strip().lower().lstrip("0")
        )  # fmt: skip
        return similar["position"].head(n).to_list()

    def _look_up(self, ids: pl.Series) -> np.ndarray:
        joined = pl.DataFrame({"id": ids}).join(
            self._positions, on="id", how="left", maintain_order="left"
        )
        return joined["position"].fill_null(-1).cast(pl.Int64).to_numpy().copy()

    @cached_property
    def _positions(self) -> pl.DataFrame:
        return pl.DataFrame({"id": self.ids}).with_row_index("position")

    def take(self, positions: np.ndarray) -> Vocabulary:
        """Return the vocabulary of the ids at `positions`, in that order."""
        index = pl.Series(np.asarray(positions, dtype=np.int64))
        details = self.details[index] if self.details.width else None
        return Vocabulary(self.ids.gather(index), details)

    def frame(self) -> pl.DataFrame:
        """Return ids and details as one frame, with column "id" first."""
        return pl.DataFrame({"id": self.ids}).hstack(self.details.get_columns())

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> Vocabulary:
        """Build a vocabulary from a frame of `frame`."""
        details = frame.drop("id")
        return cls(frame["id"], details if details.width else None)


def _as_series(ids: Iterable[int] | Iterable[str]) -> pl.Series:
    series = ids if isinstance(ids, pl.Series) else pl.Series("id", list(ids))
    series = series.rename("id")
    if series.dtype.is_integer():
        return of_integers(series)
    if series.dtype in (pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    if series.dtype == pl.String:
        return series
    if len(series) == 0:
        return series.cast(pl.Int64)
    raise DataError(f"ids are {series.dtype}; they must be integers or text")
