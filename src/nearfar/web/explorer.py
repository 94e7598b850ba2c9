"""The page at /: its files, Plotly's own, and what the browser lets it do."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from nearfar.web.problems import ProblemError

FOLDER = Path(str(files("nearfar.web"))) / "page"
INDEX = "index.html"
PLOTLY = "/plotly.min.js"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the browser lets the page do: nothing inline, no eval, no other host, no frame around it."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Files are asked for again each time, by ETag, so that a new version is seen at once."""


def mount_page(app: FastAPI) -> None:
    """Serve the page at /, and Plotly from its own package, where that is installed.

    Each file has a route of its own: one for all of them would take what the interface answers
    to a wrong method for a file that is missing.
    """
    kept = StaticFiles(directory=FOLDER)
    for path in sorted(FOLDER.iterdir()):
        if path.is_file():
            address = "/" if path.name == INDEX else f"/{path.name}"
            app.add_route(address, partial(_file, kept, path.name), ["GET"], None, False)
    app.add_route(PLOTLY, _plotly, ["GET"], None, False)


async def _file(kept: StaticFiles, name: str, request: Request) -> Response:
    response = await kept.get_response(name, request.scope)
    response.headers.update(HEADERS)
    return response


async def _plotly(request: Request) -> Response:
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise ProblemError(404, "no-plotly", "there is no Plotly; pip install 'nearfar[maps]'")
    folder = Path(found.origin).parent / "package_data"
    return await _file(StaticFiles(directory=folder), PLOTLY.lstrip("/"), request)
