"""The tutorials as notebooks, made of their pages; `python -m tests.house.pages` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TUTORIALS = ("shop", "choose", "weekly", "collaborate")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$\n?", re.DOTALL | re.MULTILINE)


def notebook(page: Path) -> str:
    """Return the notebook of a tutorial's page as JSON.

    Python and nearfar's commands become cells of code. What a reader does elsewhere stays text: the
    service, which runs until Ctrl-C, requests to it, and settings to edit by hand.
    """
    cells = [
        {"cell_type": kind, "id": f"cell-{n}", "metadata": {}, "source": source.splitlines(True)}
        | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        for n, (kind, source) in enumerate(_cells(page.read_text(encoding="utf-8")))
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content: dict[str, Any] = {
        "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5
    }  # fmt: skip
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cells(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and source of each cell."""
    prose, end = "", 0
    for fence in FENCE.finditer(text):
        prose += text[end : fence.start()]
        end = fence.end()
        if (source := _code(*fence.groups())) is None:
            prose += fence[0]
            continue
        if prose.strip():
            yield "markdown", prose.strip()
        prose = ""
        yield "code", source
    if (prose + text[end:]).strip():
        yield "markdown", (prose + text[end:]).strip()


def _code(language: str, block: str) -> str | None:
    """Return a block as the source of a cell; None for one to leave in the text."""
    if language == "python":
        return block.strip()
    if language == "toml" and "registry = " in block:
        return f"%%writefile pipeline.toml\n{block.strip()}"
    if language != "sh" or "nearfar serve" in block:
        return None
    return "\n".join(_command(line) for line in block.strip().splitlines())


def _command(line: str) -> str:
    if line.startswith("export "):
        return f"%env {line.removeprefix('export ')}"
    return f"!{line}" if line.startswith("nearfar ") else line
