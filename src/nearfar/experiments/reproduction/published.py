"""Published numbers, from published.toml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nearfar.core import settings
from nearfar.metrics.metric import Metric

FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class Published:
    """What is published of one table on one data set.

    Args:
        rows: label -> metric as printed -> value; those of other work included.
        elsewhere: the labels that the paper's own table does not have.
        standard_errors: metric -> standard error of a published mean, where known.
    """

    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    standard_errors: dict[str, float] = field(default_factory=dict)

    def value(self, label: str, metric: Metric) -> float | None:
        """The published mean of a row, or None."""
        return self.rows.get(label, {}).get(str(metric))

    @property
    def digits(self) -> int:
        """How many digits were published."""
        values = [value for row in self.rows.values() for value in row.values()]
        return 3 if all(round(value, 3) == value for value in values) else 4

    def beyond(self, labels: Sequence[str]) -> list[str]:
        """Labels that only other work has, so that no row of ours stands beside them."""
        return [label for label in self.rows if label in self.elsewhere and label not in labels]


def published(table: str, dataset: str) -> Published:
    """What is published of a table on a data set; empty where nothing is."""
    found = settings.read_toml(FILE).get(table, {}).get(dataset)
    if found is None:
        return Published()
    metrics = found["metrics"]
    own, other = found.get("rows", {}), found.get("elsewhere", {})
    rows = {
        label: dict(zip(metrics, values, strict=True)) for label, values in {**own, **other}.items()
    }
    errors = found.get("standard_errors")
    return Published(
        rows, frozenset(other), dict(zip(metrics, errors, strict=True)) if errors else {}
    )
