"""How the interpreter is set while the service runs."""

import gc
import sys
from pathlib import Path

import pytest
import uvicorn

from nearfar.web import server
from nearfar.web.scorers.bundle import BundleScorer
from nearfar.web.settings import Limits, ServiceSettings
from tests.web.cases import Answering, bundles


def test_collections_are_rare_and_threads_switch_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def run(self: uvicorn.Server, sockets) -> None:
        seen.update(threshold=gc.get_threshold(), switch=sys.getswitchinterval())

    monkeypatch.setattr(uvicorn.Server, "run", run)
    before = gc.get_threshold(), sys.getswitchinterval()
    try:
        server.serve(ServiceSettings(bundles=bundles(tmp_path), threads=1), "127.0.0.1", 0)
    finally:
        gc.unfreeze()
        gc.set_threshold(*before[0])
        sys.setswitchinterval(before[1])
    assert seen == {"threshold": server.COLLECT_AFTER, "switch": pytest.approx(2e-5)}


def test_every_size_of_batch_is_met_before_requests_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    as_it_is = BundleScorer.top_k

    def top_k(self, histories, *others):
        sizes.append(histories.shape[0])
        return as_it_is(self, histories, *others)

    monkeypatch.setattr(BundleScorer, "top_k", top_k)
    Answering(ServiceSettings(bundles=bundles(tmp_path), threads=1, limits=Limits(batch_users=5)))
    assert sizes == [1, 2, 3, 4, 5]
    sizes.clear()
    Answering(
        ServiceSettings(bundles=bundles(tmp_path / "b"), threads=1, limits=Limits(batch_users=300))
    )
    assert sizes == [*range(1, 65), 300]
