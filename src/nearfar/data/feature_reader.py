"""Read the columns of a table of items as features, with remarks on how they are read."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Int
from polars.exceptions import PolarsError
from scipy.sparse import csr_array

from nearfar.core import identity
from nearfar.core.errors import DataError, SchemaError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.feature_column import FeatureColumn
from nearfar.tables.names import plain_name
from nearfar.tables.numbers import SURE_DECIMAL_COMMA

FEATURE, VALUE = "feature", "value"
ATTRIBUTES = ("attribute", "attributename", "property", "propertyname", "characteristic", "key")
MOST = 0.5
"""A remark describes what a column looks like if at least this share of its values does."""
LIKE_A_NUMBER = r"^[^\w\s]{0,3}\s?[+-]?\d[\d.,'\s]*(?:[^\W\d_]{1,4}|[%$€£¥])?$"
LIKE_A_DATE = r"^\d{4}-\d{2}-\d{2}"
MOST_COLUMNS = 20


class FeatureReader:
    """Read the columns of a table of items as features.

    Args:
        rows: the position of the item of each row.
        n_items: the number of items.
        where: the table's name in messages.

    Attributes:
        remarks: remarks on the columns, after they were read.
    """

    def __init__(self, rows: Int[np.ndarray, " rows"], n_items: int, where: str) -> None:
        self._rows, self._n_items, self._where = rows, n_items, where
        self.remarks: list[str] = []

    def read(self, table: pl.DataFrame) -> tuple[FeatureColumn, ...]:
        """Return the features by column, or those in the columns feature and value.

        Raises:
            DataError: a value is not a finite number, or lists differ in length.
            SchemaError: attributes and their values are in two columns.
        """
        names = {plain_name(column): column for column in reversed(table.columns)}
        if FEATURE in names:
            features = [self._long(table, names[FEATURE], names.get(VALUE))]
        elif VALUE in names and (known := [names[n] for n in ATTRIBUTES if n in names]):
            raise SchemaError(
                f"{self._where} has attributes in {known[0]!r} and their values in "
                f"{names[VALUE]!r}; join them in a column 'feature', such as 'color=red', or give "
                "each attribute its own column"
            )
        else:
            features = self._wide(table)
        if features:
            more = f" and {len(features) - MOST_COLUMNS} more" * (len(features) > MOST_COLUMNS)
            listed = ", ".join(map(str, features[:MOST_COLUMNS]))
            self.remarks.insert(0, f"features: {listed}{more}")
        return tuple(features)

    def _long(self, table: pl.DataFrame, feature: str, value: str | None) -> FeatureColumn:
        used = ("item", "id", "title", feature, value)
        if others := [column for column in table.columns if column not in used]:
            self.remarks.append(
                f"columns not used beside {feature!r}: {', '.join(others)}"
                + "; name the column of features' weights 'value'" * (value is None)
            )
        weights = None if value is None else self._numbers(table[value])
        return self._tags(table[feature].cast(pl.String), self._rows, FEATURE, weights)

    def _wide(self, table: pl.DataFrame) -> list[FeatureColumn]:
        while objects := [c for c in table.columns if isinstance(table.schema[c], pl.Struct)]:
            table = table.unnest(objects, separator=".")
        features, empty = [], []
        for name in table.columns:
            if name in ("item", "id", "title"):
                continue
            if table[name].null_count() == table.height:
                empty.append(name)
            else:
                features.append(self._column(table[name]))
        if empty:
            self.remarks.append(f"columns without values: {', '.join(empty)}")
        return features

    def _column(self, column: pl.Series) -> FeatureColumn:
        kind = column.dtype
        if isinstance(kind, pl.List | pl.Array):
            return self._of_lists(column)
        if kind.is_temporal():
            column = column.cast(pl.Int64)
        if kind == pl.String:
            text, numbers = _spelled_numbers(column)
            if numbers.null_count() > text.null_count():
                return self._of_text(text, numbers)
            if text.str.contains(",", literal=True).any():
                self.remarks.append(f"decimal commas in {column.name!r} are read as decimal points")
            column = numbers
        if not column.dtype.is_numeric():
            return self._tags(column.cast(pl.String), self._rows, column.name)
        return self._number(column)

    def _of_text(self, text: pl.Series, numbers: pl.Series) -> FeatureColumn:
        known = text.drop_nulls()
        if (known.str.starts_with("[") & known.str.ends_with("]")).all():
            return self._of_lists(self._arrays(text))
        self._remark_on_text(known, text.filter(text.is_not_null() & numbers.is_null())[0])
        lists = text.str.replace_all(";", "|", literal=True).str.split("|")
        return self._of_lists(lists)

    def _arrays(self, text: pl.Series) -> pl.Series:
        """Convert cells with JSON or Python arrays to lists of text."""
        if not text.str.contains('"', literal=True).any():
            text = text.str.replace_all("'", '"', literal=True)
        try:
            return text.str.json_decode(pl.List(pl.String))
        except PolarsError:
            raise DataError(
                f"{self._where}: the cells of {text.name!r} have the brackets of arrays but are "
                "not arrays; write them as JSON, or separate tags by |"
            ) from None

    def _of_lists(self, column: pl.Series) -> FeatureColumn:
        lists = column.cast(pl.List(column.dtype.inner))  # pyright: ignore[reportAttributeAccessIssue]
        if lists.dtype.inner.is_numeric():  # pyright: ignore[reportAttributeAccessIssue]
            return self._vector(lists)
        lists = lists.cast(pl.List(pl.String))
        if _are_vectors(lists):
            return self._vector(lists.cast(pl.List(pl.Float64)))
        tags = pl.DataFrame({"row": self._rows, "tag": lists}).explode("tag")
        return self._tags(tags["tag"], tags["row"].to_numpy(), column.name)

    def _remark_on_text(self, known: pl.Series, odd: str) -> None:
        """Add a remark on tags that may be something else."""
        name = known.name
        listed = known.str.contains("[|;]").any()
        if not listed and known.str.contains(LIKE_A_NUMBER).mean() >= MOST:  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
            self.remarks.append(
                f"{name!r} looks like numbers but is read as tags, because of values such as "
                f"{odd!r}; write numbers without units and thousands separators"
            )
        elif known.str.contains(LIKE_A_DATE).mean() >= MOST:  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
            self.remarks.append(
                f"{name!r} has dates such as {odd!r}, which are read as tags; write the year as a "
                "number"
            )
        elif not listed and len(with_comma := known.filter(known.str.contains(",", literal=True))):
            pieces = known.str.split(",").explode().str.strip_chars()
            n_tags = known.n_unique() + len(with_comma)
            if len(with_comma) >= MOST * len(known) and pieces.n_unique() < n_tags:
                self.remarks.append(
                    f"{name!r} is not split at commas, so {with_comma[0]!r} is one tag; separate "
                    "tags by |"
                )

    def _tags(
        self,
        tags: pl.Series,
        rows: np.ndarray,
        column: str,
        weights: np.ndarray | None = None,
    ) -> FeatureColumn:
        values = np.ones(len(rows)) if weights is None else weights
        tags = tags.str.strip_chars()
        frame = pl.DataFrame({"row": rows, "tag": tags, "weight": values})
        missing = (identity.missing_words(tags) | (tags == "")).fill_null(True)
        frame = frame.filter(~missing)
        n_weights = frame.unique(["row", "tag", "weight"]).height
        frame = frame.unique(["row", "tag"], keep="first", maintain_order=True)
        self._remark_on_repeats(n_weights - frame.height, "a feature of an item", "weights")
        names = frame["tag"].unique().sort()
        columns = Vocabulary(names).index(frame["tag"]) if len(names) else np.empty(0, np.int64)
        entries = (frame["weight"].to_numpy(), (frame["row"].to_numpy(), columns))
        x = csr_array(entries, shape=(self._n_items, len(names)))
        x.eliminate_zeros()
        self._remark_on_tags(column, names)
        return FeatureColumn(column, "tags", names.to_list(), x)

    def _remark_on_tags(self, column: str, names: pl.Series) -> None:
        n_alike = len(names) - names.str.to_lowercase().n_unique()
        if n_alike:
            self.remarks.append(
                f"{n_alike:,} tags of {column!r} differ from another tag only by case and are kept "
                "apart"
            )

    def _number(self, column: pl.Series) -> FeatureColumn:
        present = column.is_not_null().to_numpy()
        values = self._numbers(column.drop_nulls())
        # The first of several rows of an item counts.
        row, first = np.unique(self._rows[present], return_index=True)
        n_values = len(np.unique(np.stack([self._rows[present], values]), axis=1).T)
        self._remark_on_repeats(n_values - len(row), "an item", f"values of {column.name!r}")
        entries = (values[first], (row, np.zeros(len(row), np.int64)))
        x = csr_array(entries, shape=(self._n_items, 1))
        return FeatureColumn(column.name, "number", ["value"], x)

    def _vector(self, column: pl.Series) -> FeatureColumn:
        lists = column.cast(pl.List(pl.Float64))
        present = lists.is_not_null().to_numpy()
        lengths = lists.drop_nulls().list.len().unique().to_list()
        if len(lengths) > 1 or lists.drop_nulls().explode().null_count():
            raise DataError(
                f"{self._where}: the lists in {column.name!r} have {min(lengths)} to "
                f"{max(lengths)} numbers; all embeddings must have the same length and no missing "
                "numbers"
            )
        values = self._numbers(lists.drop_nulls().explode()).reshape(-1, lengths[0])
        row, first = np.unique(self._rows[present], return_index=True)
        n_values = lists.drop_nulls().to_frame().with_columns(
            row=self._rows[present]
        ).unique().height  # fmt: skip
        self._remark_on_repeats(n_values - len(row), "an item", f"lists of {column.name!r}")
        columns = np.tile(np.arange(lengths[0]), len(row))
        entries = (values[first].ravel(), (np.repeat(row, lengths[0]), columns))
        x = csr_array(entries, shape=(self._n_items, lengths[0]))
        return FeatureColumn(column.name, "vector", [str(i) for i in range(lengths[0])], x)

    def _remark_on_repeats(self, n: int, entity: str, values: str) -> None:
        if n:
            self.remarks.append(
                f"{n:,} rows repeat {entity} with other {values} and are left out; the first counts"
            )

    def _numbers(self, column: pl.Series) -> np.ndarray:
        values = column.cast(pl.Float64, strict=False)
        wrong = (values.is_null() | ~values.is_finite()).fill_null(True)
        if wrong.any():
            at = int(wrong.arg_max() or 0)
            hint = ""
            if column.name.lower() == VALUE and isinstance(column[at], str):
                hint = "; the column is for weights of features: write other values to 'feature', "
                hint += "such as 'color=red'"
            raise DataError(
                f"{self._where}: {column.name} is {column[at]!r} in value {at + 1}; expected a "
                f"finite number{hint}"
            )
        return values.to_numpy()


def _are_vectors(lists: pl.Series) -> bool:
    """Return whether lists of text have equal lengths and hold numbers, not only whole ones."""
    pieces = lists.drop_nulls().explode()
    numbers = pieces.cast(pl.Float64, strict=False)
    if not len(numbers) or numbers.null_count() or (numbers == numbers.round()).all():
        return False
    return lists.drop_nulls().list.len().n_unique() == 1 and len(pieces) > len(lists.drop_nulls())


def _spelled_numbers(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return text without blanks and words for missing values, and its numbers."""
    text = column.str.strip_chars()
    absent = identity.missing_words(text) | (text == "")
    text = pl.select(pl.when(~absent.fill_null(True)).then(text).alias(column.name)).to_series()
    if text.str.contains(SURE_DECIMAL_COMMA).any() and not text.str.contains(r"\d\.\d").any():
        points = text.str.replace(",", ".", literal=True)
        return text, points.cast(pl.Float64, strict=False)
    return text, text.cast(pl.Float64, strict=False)
