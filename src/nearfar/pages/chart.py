"""The description of a chart; `plotly` renders it for a page, `matplotlib` for a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from nearfar.evaluation.text import finite

# Okabe and Ito's palette: distinct for readers with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")

NEUTRAL = "#8a8f98"
"""The colour of what belongs to no model; visible on white and on black."""

FEW_POINTS = 30
"""A line of at most this many points shows them."""


def colour_of(number: int | None) -> str:
    """Return the colour of a model or cohort by its number; they repeat after seven."""
    return NEUTRAL if number is None else COLOURS[number % len(COLOURS)]


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Args:
        label: its title, with the unit.
        logarithmic: the scale is logarithmic.
        whole: it counts something, such as epochs: ticks are at whole numbers only.
        percent: tick labels are percentages of a share.
        from_zero: it includes 0.
        span: the lowest and the highest value that it shows, where it is not logarithmic; None to
            choose them by the values.
        names: what stands at the positions 0, 1, ...; empty for numbers.
    """

    label: str = ""
    logarithmic: bool = False
    whole: bool = False
    percent: bool = False
    from_zero: bool = False
    span: tuple[float, float] | None = None
    names: Sequence[str] = ()

    def name_of(self, position: float) -> str:
        """Return what stands at a position."""
        return self.names[int(position)] if self.names else f"{position:g}"


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Args:
        name: in the legend; "" for no entry.
        x: positions, rising.
        y: values; None or NaN where there is none.
        colour: the number of its model; None for a line of no model, or of all.
        dash: the number of its pattern.
        marked: a position whose point is drawn large.
        points: only the points are drawn, not joined.
        errors: half the widths of intervals, one per point.
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
    """A value in a row of its own, with its interval and the published value where known."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    colour: int = 0
    published: float | None = None


@dataclass(frozen=True)
class Bars:
    """One value per category; `errors` are half the widths of intervals."""

    name: str
    values: Sequence[float | None]
    colour: int | None = None
    errors: Sequence[float | None] | None = None


@dataclass(frozen=True)
class Label:
    """A text beside the point at `place`, left or right of it."""

    place: int
    text: str
    left: bool


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a scatter plot.

    Args:
        name: in the legend.
        xy: positions.
        colour: the number of the cohort; None for crosses in the colour of the text.
        texts: shown when pointing at a point, one per point; "\\n" separates lines.
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
        """Return where each line starts and ends, for readers who cannot see the chart."""
        told = [f"{self.y.label or 'value'} by {self.x.label}."]
        for line in self.lines:
            points = [
                (x, value)
                for x, y in zip(line.x, line.y, strict=True)
                if (value := finite(y)) is not None
            ]
            if points:
                (x0, y0), (x1, y1) = points[0], points[-1]
                values = [y for _, y in points]
                told.append(
                    f"{line.name or 'The line'}: from {y0:.4g} at {self.x.name_of(x0)} to "
                    f"{y1:.4g} at {self.x.name_of(x1)}, lowest {min(values):.4g}, "
                    f"highest {max(values):.4g}."
                )
        return " ".join(told)


@dataclass(frozen=True)
class DotChart:
    """Values with intervals, one row each.

    Args:
        title: above the chart.
        dots: from top to bottom.
        x: the axis of the values.
        reference: where a vertical line stands, such as 0 for differences.
        colours: names of colours for the legend, by number.
    """

    title: str
    dots: Sequence[Dot]
    x: Axis = Axis()
    reference: float | None = None
    colours: Mapping[int, str] = field(default_factory=dict)

    def words(self) -> str:
        """Return the values and intervals, for readers who cannot see the chart."""
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
        title: above the chart.
        categories: their names; "\\n" separates lines, so that names fit on a phone.
        bars: with a legend where there are several.
        x: the axis of the categories.
        y: the axis of the values.
        at_most: the highest possible value; intervals are cut there, and at 0.
    """

    title: str
    categories: Sequence[str]
    bars: Sequence[Bars]
    x: Axis = Axis()
    y: Axis = Axis()
    at_most: float | None = None

    def top(self) -> float | None:
        """Return the upper end of the values' axis, or None to choose it by the values."""
        if self.at_most is None:
            return None
        ends = [
            (finite(value) or 0) + (finite(error) or 0)
            for each in self.bars
            for value, error in zip(
                each.values, each.errors or [None] * len(each.values), strict=True
            )
        ]
        return 1.03 * min(self.at_most, max(ends, default=self.at_most))

    def words(self) -> str:
        """Return all values, for readers who cannot see the chart."""
        told = "; ".join(f"{each.name or 'The bars'}: {self._words(each)}" for each in self.bars)
        return f"{self.y.label}, {self.x.label}. {told}."

    def _words(self, bars: Bars) -> str:
        form = ".0%" if self.y.percent else ".4g"
        return ", ".join(
            f"{category} {value:{form}}".replace("\n", " ")
            for category, value in zip(self.categories, bars.values, strict=True)
            if finite(value) is not None
        )


@dataclass(frozen=True)
class ScatterChart:
    """Points in the plane, both axes on one scale and without ticks.

    Args:
        title: above the chart.
        points: the groups of points; readers of a page can hide each in the legend.
        below: lines under the chart.
    """

    title: str
    points: Sequence[Points]
    below: Sequence[str] = ()

    def words(self) -> str:
        """Return what is drawn, for readers who cannot see the chart."""
        groups = "; ".join(each.name for each in self.points)
        return f"Points in the plane, {groups}. {self.title}: {', '.join(self.below)}."


Chart = LineChart | DotChart | BarChart | ScatterChart


def shortened(text: str, length: int) -> str:
    """Return a text of at most `length` characters, with an ellipsis where it is cut."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def finite_values(values: Iterable[float | None]) -> list[float | None]:
    """Return numbers with None in place of what is missing, NaN or infinite."""
    return [finite(value) for value in values]
