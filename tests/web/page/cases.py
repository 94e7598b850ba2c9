"""The page's service with two models that were really trained, and a browser's view of it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.splits.folder import save_split
from nearfar.train.run import Run
from nearfar.vae.encoders.base import Base
from tests.conftest import interactions
from tests.waiting import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDS_A_BROWSER = [
    pytest.mark.slow,
    *(
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name} is installed")
        for name in ("playwright", "axe_playwright_python", "plotly")
    ),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
MILLISECONDS = 1000 * PATIENCE
"""A limit for what must happen some time; only a failure reaches it."""
PATIENT = f"""
const timeout = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (milliseconds) => timeout(Math.max(milliseconds, {MILLISECONDS}));
"""
"""Raises the page's own limit of 15 s for a request, which a busy machine exceeds."""
REFUSED = re.compile("Failed to load resource")

HOSTILE = (
    "<img src=x onerror=window.hacked=1> (1999)",
    '"><script>window.hacked=1</script>',
    "</title><b>Bold</b> &amp; <a href=javascript:alert(1)>%{x}</a>",
    "\u202eevil\u202c " + "A very long title without an end " * 8,
)
PLAIN_TITLES = (
    "Night Train (1991)", "Night Ferry (1994)", "The Harbour (1988)", "Winter Light (2001)",
    "Paper Moons (1979)", "Café Amélie (1996)", "Two Brothers (1983)", "Star Field (1999)",
)  # fmt: skip
N_ITEMS = 48
N_GROUPS = 4
GENRES = ("Drama", "Comedy", "<b>War</b>", "Crime")


def titles() -> list[str | None]:
    """Of every item: well-behaved ones, hostile ones, and one that is missing."""
    named: list[str | None] = [*PLAIN_TITLES, *HOSTILE, None]
    return named + [f"Film number {i} (20{i % 100:02})" for i in range(len(named), N_ITEMS)]


def items() -> Vocabulary:
    """Ids from 100, with titles, and a genre of most: the taste that likes the item."""
    genres = [[GENRES[i % N_GROUPS]] if i % 7 else [] for i in range(N_ITEMS)]
    details = pl.DataFrame(
        {"title": titles(), "genres": genres}, schema_overrides={"genres": pl.List(pl.String)}
    )
    return Vocabulary(list(range(100, 100 + N_ITEMS)), details)


def make_split() -> Split:
    """Users of four tastes, with few, some or many items; the first items are popular."""
    rng = np.random.default_rng(0)
    n = 240
    popular = 1.0 / (3.0 + np.arange(N_ITEMS))
    dense = np.zeros((n, N_ITEMS))
    for user in range(n):
        liking = popular * np.where(np.arange(N_ITEMS) % N_GROUPS == user % N_GROUPS, 8.0, 1.0)
        size = (3, 8, 30)[user % 3]
        dense[user, rng.choice(N_ITEMS, size, replace=False, p=liking / liking.sum())] = 1
    half = dense[180:] * (np.arange(N_ITEMS) % 2)
    held_out = FoldIn(_named(half), _named(dense[180:] - half))
    return Split(_named(dense[:180]), held_out, held_out, {})


def _named(dense: np.ndarray) -> Interactions:
    made = interactions(dense)
    return Interactions(made.x, made.user_ids, items())


def make_bundles(folder: Path) -> tuple[Path, Path, Path]:
    """A plain Mult-VAE and one with PIA, and their split, on disk."""
    split = make_split()
    paths = []
    for name, alignment in (("plain", None), ("pia", PIA(weight=1.0))):
        algorithm = MultVAE(
            n_latent=8, encoder=Base(hidden=(24,)), decoder_hidden=(24,), epochs=12, batch_size=45,
            alignment=alignment,
        )  # fmt: skip
        model = algorithm.fit(split.train, split.validation, run=Run(seed=1))
        paths.append(save_bundle(Bundle.of(model, algorithm, split.train), folder / name))
    save_split(split, folder / "split")
    return paths[0], paths[1], folder / "split"


def expect(locator: Any) -> Any:
    """Playwright's assertions, which wait; here so that no test file needs it to be read."""
    from playwright.sync_api import expect as expecting

    return expecting(locator)


class Opened:
    """A page opened in a browser, and all that it asked for or complained of."""

    def __init__(self, browser: Any, url: str, path: str = "", **context: Any) -> None:
        self.context = browser.new_context(viewport=context.pop("viewport", DESK), **context)
        self.context.add_init_script(PATIENT)
        self.page = self.context.new_page()
        self.page.set_default_timeout(MILLISECONDS)
        self.url = url
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.path = path

    def go(self, path: str | None = None) -> Any:
        """Open the page; its models are there when this returns."""
        self.page.goto(f"{self.url}/{self.path if path is None else path}")
        self.page.locator(".card-head h2").first.wait_for()
        return self.page

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def check(self, *, refusals: bool = False) -> None:
        """What always holds: no complaint, no other host, nothing wider than the screen."""
        complaints = [c for c in self.complaints if not (refusals and REFUSED.match(c))]
        assert complaints == []
        hosts = {url for url in self.asked if not url.startswith((self.url, "data:", "blob:"))}
        assert hosts == set()
        width = self.page.evaluate("document.documentElement.clientWidth")
        assert self.page.evaluate("document.documentElement.scrollWidth") <= width

    def accessible(self) -> None:
        """No violation that axe-core finds, in what is shown now."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response
        assert len(found["passes"]) > 10
        told = [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found["violations"]]
        assert told == []


def pick(page: Any, typed: str, title: str | None = None) -> None:
    """Type, and pick what is called so, or the first that is found."""
    search = page.get_by_role("combobox", name="Search by title")
    search.fill("")
    search.press_sequentially(typed, delay=10)
    options = page.locator("#found").get_by_role("option")
    options.first.wait_for()
    (options.filter(has_text=title) if title else options).first.click()


def settled(page: Any) -> None:
    """Wait until both lists and maps are there and nothing is under way."""
    page.locator(".recommended > li:not(.ghost)").first.wait_for()
    page.wait_for_timeout(250)
    page.locator(".body[aria-busy], .map[aria-busy]").first.wait_for(state="detached")


def shown(page: Any, column: int) -> list[str]:
    """Ids recommended in a column."""
    rows = page.locator(".card").nth(column).locator(".recommended > li")
    return [row.get_attribute("data-item") for row in rows.all()]


def picked(page: Any) -> list[str]:
    """Titles of the chips."""
    return page.locator("#chips .chip > span").all_text_contents()


def you(page: Any, column: int) -> list[float] | None:
    """Where the reader's point is on a map, by what Plotly was given."""
    return page.evaluate(
        "(n) => { const trace = document.querySelectorAll('.plot')[n].data.at(-1);"
        " return trace.x.length ? [trace.x[0], trace.y[0]] : null; }",
        column,
    )


def eventually(page: Any, holds: Callable[[], bool]) -> None:
    """Wait for a condition that the page has no element for."""
    end = time.monotonic() + MILLISECONDS / 1000
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        page.wait_for_timeout(50)
