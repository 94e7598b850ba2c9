"""A PostgreSQL server for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import postgres as throwaway


@pytest.fixture(scope="session")
def postgres() -> Iterator[throwaway.Server]:
    reason = throwaway.why_not()
    if reason is not None:
        pytest.skip(reason)
    with throwaway.running(fsync="off", max_connections="40") as server:
        yield server
