"""Descriptions of charts; `plotly` renders them for a page, `matplotlib` for a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from nearfar.evaluation.text import finite

# Okabe and Ito's palette: distinct for readers with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")

NEUTRAL = "#8a8f98"
"""The colour of elements of no model; visible on white and on black."""

FEW_POINTS = 30
"""A line with at most this many points shows them as dots."""


def colour_of(number: int | None) -> str:
    """Return the colour of a model or cohort by its number; colours repeat after seven."""
    return NEUTRAL if number is None else COLOURS[number % len(COLOURS)]


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Args:
        label: title, with the unit.
        logarithmic: whether the scale is logarithmic.
        whole: whether ticks are at whole numbers only, as for epochs.
        percent: whether ticks show shares in percent.
        from_zero: whether the axis includes 0.
        span: lowest and highest value shown on a linear axis; None to choose them by the values.
        names: tick labels at the positions 0, 1, ...; empty for numbers.
    """

    label: str = ""
    logarithmic: bool = False
    whole: bool = False
    percent: bool = False
    from_zero: bool = False
    span: tuple[float, float] | None = None
    names: Sequence[str] = ()

    def name_of(self, position: float) -> str:
        """Return the label at a position."""
        return self.names[int(position)] if self.names else f"{position:g}"


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Args:
        name: name in the legend; "" for no entry.
        x: positions, in rising order.
        y: values; None or NaN for no value.
        colour: number of the model; None for a line of no model, or of all models.
        dash: number of the dash style.
        marked: position of the point to draw large.
        points: whether to draw points only, without a line.
        errors: half widths of intervals, one per point.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: int | None = 0
    dash: int = 0
    marked: float | None = None
    points: bool = False
    errors: Sequence[float | None] | None = None


@dataclass(frozen=True)
class Dot:
    """A value in its own row, with its interval and the published value if known."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    colour: int = 0
    published: float | None = None


@dataclass(frozen=True)
class Bars:
    """One value per category; `errors` are half widths of intervals."""

    name: str
    values: Sequence[float | None]
    colour: int | None = None
    errors: Sequence[float | None] | None = None


@dataclass(frozen=True)
class Label:
    """A text beside the point with index `place`, to its left or right."""

    place: int
    text: str
    left: bool


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a scatter plot.

    Args:
        name: name in the legend.
        xy: positions.
        colour: number of the cohort; None for crosses in the colour of the text.
        texts: hover texts, one per point; "\\n" separates lines.
        labels: texts beside some points.
    """

    name: str
    xy: Float[np.ndarray, "points 2"]
    colour: int | None = 0
    texts: Sequence[str] = ()
    labels: Sequence[Label] = ()


@dataclass(frozen=True)
class LineChart:
    """Lines over two axes, with a legend."""

    title: str
    lines: Sequence[Line]
    x: Axis = Axis()
    y: Axis = Axis()

    def words(self) -> str:
        """Return the ends and extremes of each line as text, for readers who cannot see it."""
        sentences = [f"{self.y.label or 'value'} by {self.x.label}."]
        for line in self.lines:
            points = [
                (x, value)
                for x, y in zip(line.x, line.y, strict=True)
                if (value := finite(y)) is not None
            ]
            if points:
                (x0, y0), (x1, y1) = points[0], points[-1]
                values = [y for _, y in points]
                sentences.append(
                    f"{line.name or 'The line'}: from {y0:.4g} at {self.x.name_of(x0)} to "
                    f"{y1:.4g} at {self.x.name_of(x1)}, lowest {min(values):.4g}, "
                    f"highest {max(values):.4g}."
                )
        return " ".join(sentences)


@dataclass(frozen=True)
class DotChart:
    """Values with intervals, one row each.

    Args:
        title: title above the chart.
        dots: the values, from top to bottom.
        x: the axis of the values.
        reference: position of a vertical line, such as 0 for differences.
        colours: number of a colour -> its name in the legend.
    """

    title: str
    dots: Sequence[Dot]
    x: Axis = Axis()
    reference: float | None = None
    colours: Mapping[int, str] = field(default_factory=dict)

    def words(self) -> str:
        """Return the values and intervals as text, for readers who cannot see the chart."""
        return f"{self.title}: {'; '.join(map(self._words, self.dots))}."

    def _words(self, dot: Dot) -> str:
        if finite(dot.value) is None:
            return f"{dot.name} -"
        interval = "" if dot.low is None else f" ({dot.low:.4f} to {dot.high:.4f})"
        return f"{dot.name} {dot.value:.4f}{interval}"


@dataclass(frozen=True)
class BarChart:
    """Bars side by side in each category.

    Args:
        title: title above the chart.
        categories: names of the categories; "\\n" separates lines, so that names fit on a phone.
        bars: the bars; several have a legend.
        x: the axis of the categories.
        y: the axis of the values.
        at_most: highest possible value; the axis ends there, and at 0.
    """

    title: str
    categories: Sequence[str]
    bars: Sequence[Bars]
    x: Axis = Axis()
    y: Axis = Axis()
    at_most: float | None = None

    def top(self) -> float | None:
        """Return the upper end of the values' axis; None to choose it by the values."""
        if self.at_most is None:
            return None
        ends = [
            (finite(value) or 0) + (finite(error) or 0)
            for bars in self.bars
            for value, error in zip(
                bars.values, bars.errors or [None] * len(bars.values), strict=True
            )
        ]
        return 1.03 * min(self.at_most, max(ends, default=self.at_most))

    def words(self) -> str:
        """Return all values as text, for readers who cannot see the chart."""
        values = "; ".join(f"{bars.name or 'The bars'}: {self._words(bars)}" for bars in self.bars)
        return f"{self.y.label}, {self.x.label}. {values}."

    def _words(self, bars: Bars) -> str:
        form = ".0%" if self.y.percent else ".4g"
        return ", ".join(
            f"{category} {value:{form}}".replace("\n", " ")
            for category, value in zip(self.categories, bars.values, strict=True)
            if finite(value) is not None
        )


@dataclass(frozen=True)
class ScatterChart:
    """Points in the plane, with both axes on the same scale and without ticks.

    Args:
        title: title above the chart.
        points: groups of points; the legend of a page can hide each group.
        below: lines under the chart.
    """

    title: str
    points: Sequence[Points]
    below: Sequence[str] = ()

    def words(self) -> str:
        """Return the groups and the lines below as text, for readers who cannot see the chart."""
        groups = "; ".join(points.name for points in self.points)
        return f"Points in the plane, {groups}. {self.title}: {', '.join(self.below)}."


Chart = LineChart | DotChart | BarChart | ScatterChart


def shortened(text: str, length: int) -> str:
    """Return a text of at most `length` characters, with an ellipsis if it is cut."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def finite_values(values: Iterable[float | None]) -> list[float | None]:
    """Return numbers with None instead of missing, NaN and infinite values."""
    return [finite(value) for value in values]
