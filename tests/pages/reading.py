"""A page as a test reads it: its tags, its words, its figures."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

from nearfar.pages.page import Section, templates

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """All tags with their attributes in order, the words outside of scripts, the figures.

    Feeding fails where a tag is closed that is not open.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.figures: dict[str, dict[str, Any]] = {}
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(self.tags[-1])

    def handle_endtag(self, tag) -> None:
        assert self.open, f"</{tag}> without its beginning"
        opened, _ = self.open.pop()
        assert opened == tag, f"<{opened}> ended by </{tag}>"

    def handle_data(self, data) -> None:
        tag, attributes = self.open[-1] if self.open else ("", {})
        if tag == "script" and attributes.get("type") == "application/json":
            self.figures[str(attributes["id"]).removesuffix("-figure")] = json.loads(data)
        elif tag not in ("script", "style"):
            self.words += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def check_asks_nothing_of_others(self) -> None:
        """Fails where a tag would fetch something, or lead or send anywhere."""
        kinds = {tag for tag, _ in self.tags}
        assert not kinds & {"link", "img", "iframe", "object", "embed", "base", "form"}
        for tag, attributes in self.tags:
            assert "src" not in attributes, tag
            assert not [name for name in attributes if name.startswith("on")], tag
            if "href" in attributes:
                assert str(attributes["href"]).startswith("#"), attributes
            assert "url(" not in str(attributes.get("style")), tag


def section_html(section: Section) -> str:
    """One section as it is on the page."""
    return str(templates().get_template("blocks.html").module.section(section))
