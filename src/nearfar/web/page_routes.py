"""Serves the page at /: its files, Plotly, and their Content-Security-Policy."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from nearfar.web.problems import ProblemError

FOLDER = Path(str(files("nearfar.web"))) / "page"
INDEX = "index.html"
PLOTLY = "/plotly.min.js"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page may use nothing inline, no eval, no other host, and no site may frame it."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Browsers check files by ETag each time, so that a new version is seen at once."""


def page_routes() -> list[Route]:
    """Return the routes of the page's files, and of Plotly from its installed package.

    Each file has its own route: a common one would answer a wrong method on a path of the
    interface with 404 instead of 405.
    """
    static = StaticFiles(directory=FOLDER)
    names = sorted(path.name for path in FOLDER.iterdir() if path.is_file())
    return [
        *(Route("/" if n == INDEX else f"/{n}", partial(_file, static, n)) for n in names),
        Route(PLOTLY, _plotly),
    ]


async def _file(static: StaticFiles, name: str, request: Request) -> Response:
    response = await static.get_response(name, request.scope)
    response.headers.update(HEADERS)
    return response


async def _plotly(request: Request) -> Response:
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ProblemError(404, "no-plotly", "there is no Plotly; pip install 'nearfar[maps]'")
    folder = Path(spec.origin).parent / "package_data"
    return await _file(StaticFiles(directory=folder), PLOTLY.lstrip("/"), request)
