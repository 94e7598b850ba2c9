"""Serves the HTML file of a report at /report, with its own Content-Security-Policy."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nearfar.core.errors import DataError

PATH = "/report"
MAX_BYTES = 64 << 20
BEGINS = ("<!doctype html", "<html")
POLICY = (
    "default-src 'none'; script-src {scripts} 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts allow-downloads"
)
"""Only the scripts inside the report may run, each allowed by its hash. Plotly writes styles and
compiles shaders, so styles and eval are allowed. The sandbox gives the file its own origin, so it
reaches neither the interface nor the page's token."""


@dataclass(frozen=True, eq=False)
class ReportFile:
    """A report, which is read once at the start.

    Args:
        content: the bytes of the file.
        policy: the Content-Security-Policy under which its scripts run.
        etag: hash of the content.
    """

    content: bytes
    policy: str
    etag: str

    def route(self) -> Route:
        """Return the route of the report."""
        return Route(PATH, self._answer)

    async def _answer(self, request: Request) -> Response:
        headers = {
            "Content-Security-Policy": self.policy, "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-cache", "ETag": self.etag,
        }  # fmt: skip
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type="text/html; charset=utf-8")


def read_report(path: Path) -> ReportFile:
    """Read the HTML file that `nearfar report` or `nearfar autopilot` wrote.

    Raises:
        DataError: the file cannot be read, is not HTML in UTF-8, or is larger than 64 MiB.
    """
    hint = "give the HTML file that nearfar report or nearfar autopilot wrote"
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {reason}; {hint}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {hint}") from None
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES >> 20} MiB; {hint}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; {hint}") from None
    if not text.lstrip()[:20].lower().startswith(BEGINS):
        raise DataError(f"{path} is not HTML: it does not begin with <!doctype html>; {hint}")
    scripts = _Scripts()
    scripts.feed(_normalised(text))
    scripts.close()
    allowed = " ".join(dict.fromkeys(scripts.hashes)) or "'none'"
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    return ReportFile(content, POLICY.format(scripts=allowed), etag)


def _normalised(text: str) -> str:
    """Return the text with line ends as browsers normalise them before they hash scripts."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class _Scripts(HTMLParser):
    """Collects the hashes of the scripts inside a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.hashes: list[str] = []
        self._parts: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            kind = (dict(attrs).get("type") or "").lower()
            self._parts = [] if kind in ("", "module", "text/javascript") else None

    def handle_data(self, data: str) -> None:
        if self._parts is not None:
            self._parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._parts is not None:
            digest = hashlib.sha256("".join(self._parts).encode()).digest()
            self.hashes.append(f"'sha256-{b64encode(digest).decode()}'")
            self._parts = None
