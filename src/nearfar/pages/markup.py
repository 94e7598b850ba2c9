"""Text, tables and lists as HTML; whatever is given as text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from nearfar.evaluation.table import Table

NUMBER = re.compile(r"-|[-+<]?[\d.,]+(e[-+]?\d+)?( ?± ?[\d.]+(e[-+]?\d+)?)?( ?%)?")
"""A cell that holds a number, perhaps with its interval; "-" where there is none."""


def heading(text: str, level: int = 3) -> str:
    """A heading below a section's own, which is of level 2."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, *, soft: bool = False) -> str:
    """A paragraph, small and grey where it is but a remark; nothing where there is no text."""
    kind = ' class="soft"' if soft else ""
    return f"<p{kind}>{escape(text)}</p>" if text else ""


def bullets(lines: Iterable[str]) -> str:
    """A list; nothing where there is no line."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def table(found: Table, caption: str) -> str:
    """A table with its notes below; its first column names the rows.

    Args:
        found: what it says.
        caption: what it is of.
    """
    columns = zip(*found.rows, strict=True) if found.rows else ((),) * len(found.header)
    kinds = ["number" if all(map(NUMBER.fullmatch, cells)) else "text" for cells in columns]
    kinds[0] = "text"
    head = "".join(
        f'<th scope="col" class="{kind}">{escape(name)}</th>'
        for kind, name in zip(kinds, found.header, strict=True)
    )
    rows = "\n".join(f"<tr>{_cells(row, kinds)}</tr>" for row in found.rows)
    return (
        f'<div class="wide" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<caption><span>{escape(caption)}</span></caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table></div>\n{bullets(found.notes)}"
    )


def _cells(row: Sequence[str], kinds: Sequence[str]) -> str:
    first, *rest = zip(row, kinds, strict=True)
    return f'<th scope="row" class="{first[1]}">{escape(first[0])}</th>' + "".join(
        f'<td class="{kind}">{escape(cell)}</td>' for cell, kind in rest
    )


def folded(summary: str, body: str) -> str:
    """Markup that opens when its summary is chosen."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def commands(lines: Iterable[str]) -> str:
    """Command lines, to be copied one by one."""
    return "\n".join(f"<pre><code>{escape(line)}</code></pre>" for line in lines)


def side_by_side(parts: Iterable[str]) -> str:
    """Charts in as many columns as there is room for; nothing where there is none."""
    charts = "".join(parts)
    return f'<div class="charts">{charts}</div>' if charts else ""
