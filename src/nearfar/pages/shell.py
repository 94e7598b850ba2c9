"""A page: one HTML file, Plotly's own bundle inside, that asks nothing of any network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

from nearfar._version import __version__
from nearfar.core.files import atomic_file
from nearfar.pages.section import Section

HERE = Path(__file__).parent

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""What the browser lets the page do; it can reach no host. Plotly compiles shaders' parameters
by eval where it draws by WebGL."""


def write_page(path: Path, title: str, introduction: str, sections: Sequence[Section]) -> None:
    """Write a page with its charts, some 5 MB of Plotly in it, atomically.

    Args:
        path: the file.
        title: of the page, plain text.
        introduction: markup that stands above the sections.
        sections: in their order; a navigation leads to them where there are several.
    """
    with atomic_file(path, text=True) as file:
        file.write(page(title, introduction, sections))


def page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The page as text; see `write_page`."""
    from plotly.offline import get_plotlyjs

    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="generator" content="nearfar {__version__}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_own('page.css')}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f"<header>\n<h1>{escape(title)}</h1>\n{introduction}\n</header>\n{_navigation(sections)}"
        f'<main id="content" tabindex="-1">\n{"".join(map(_section, sections))}</main>\n'
        "<noscript><p>The charts are drawn by a script inside this file; scripts are turned off."
        "</p></noscript>\n"
        f"<script>{get_plotlyjs()}</script>\n<script>\n{_own('charts.js')}</script>\n"
        "</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    heading = f"{section.anchor}-heading"
    return (
        f'<section id="{section.anchor}" aria-labelledby="{heading}">\n'
        f'<h2 id="{heading}">{escape(section.title)}</h2>\n{section.body}\n</section>\n'
    )


def _navigation(sections: Sequence[Section]) -> str:
    if len(sections) < 2:
        return ""
    links = "".join(f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in sections)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n'


@cache
def _own(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
