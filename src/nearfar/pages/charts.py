"""Plotly's figures on a page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

INK = "ink"
"""A trace with this for its `meta` has markers in the colour of the page's text."""

CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "responsive": True,
    "showSendToCloud": False,  # a button that would upload what is shown, there by default
}


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure with what stands around it.

    Args:
        name: its id on the page: letters, digits and "-".
        title: stands above it.
        told: what it shows, in words, for readers who cannot see it.
        figure: Plotly's, with a height; colours of text and grid are the page's.
        below: markup under it, such as its numbers as a table.
        least_width: in pixels; where there is less room it is scrolled sideways.
        wheel_zooms: whether the wheel zooms in place of scrolling the page.
    """

    name: str
    title: str
    told: str
    figure: Figure
    below: str = ""
    least_width: int = 0
    wheel_zooms: bool = False

    def markup(self) -> str:
        """The figure as HTML; the page's script draws it.

        What is drawn stands beside it as JSON, in which "<" is escaped, so that no text of the
        data can end the script.
        """
        from plotly.io.json import to_json_plotly

        plain = self.figure.to_plotly_json()
        plain["layout"].pop("template", None)
        config: dict[str, Any] = {**CONFIG, "scrollZoom": self.wheel_zooms}
        content = to_json_plotly({**plain, "config": config}, engine="json")
        least = f"min-width:{self.least_width}px;" if self.least_width else ""
        box = (
            f'<div class="chart" id="{self.name}" role="img" aria-label="{escape(self.told)}" '
            f'style="{least}height:{plain["layout"]["height"]}px"></div>'
        )
        if least:
            box = f'<div class="wide" tabindex="0">{box}</div>'
        return (
            f"<figure><figcaption>{escape(self.title)}</figcaption>{box}\n"
            f'<script type="application/json" id="{self.name}-figure">{content}</script>\n'
            f"{self.below}</figure>\n"
        )


def as_words(text: str) -> str:
    """Text that Plotly shows as it stands, tags and entities too."""
    return escape(text, quote=False)
