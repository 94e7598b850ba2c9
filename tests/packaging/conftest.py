"""The wheel, built and installed once per run of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.installed import Environment, build, install


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel made of it alone."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel in an environment of its own."""
    return install(built[1], tmp_path_factory.mktemp("installed"))
