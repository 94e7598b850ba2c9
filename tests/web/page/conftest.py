"""One service for all tests of the page, and a browser for those of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.cases import Program
from tests.web.page.cases import CHROMIUM, MILLISECONDS, make_bundles


@pytest.fixture(scope="session")
def page_bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return make_bundles(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def served(page_bundles: tuple[Path, Path, Path]) -> Iterator[Program]:
    with Program(*arguments(page_bundles)) as program:
        yield program


# Not for the session: while it is there an event loop runs, and other tests need their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=MILLISECONDS)  # five seconds otherwise, whatever the page's own
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


def arguments(bundles: tuple[Path, Path, Path]) -> list[str]:
    """What `nearfar serve` is given for these."""
    plain, pia, split = bundles
    return ["--bundle", str(plain), "--bundle", str(pia), "--data", str(split), "--threads", "1"]
