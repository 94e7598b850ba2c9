"""How benchmarks speak with other libraries, tried on a peer that recommends the popular."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks.peers import client, protocol
from benchmarks.peers.client import Peer, PeerError, UnavailableError
from scipy import sparse

POPULARITY = f"""
import os, subprocess, sys, time
sys.path.insert(0, {str(client.HERE)!r})
import numpy as np
import protocol

class Popularity(protocol.Adapter):
    distributions = ("numpy",)

    def check(self):
        print("a library that talks on import")
        os.system("echo from below too")

    def load(self, train, settings):
        self.counts, self.settings = np.asarray(train.sum(0)).ravel(), settings
        self.data, self.threads = train, os.environ["OMP_NUM_THREADS"]
        if settings.seed == 14:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            open("{{folder}}/child", "w").write(str(child.pid))

    def train(self, n_steps):
        ticker = protocol.Ticker(n_steps)
        n = -(-self.data.shape[0] // self.settings.batch_size)
        for _ in ticker(range(n)):
            time.sleep(0.02)
        return ticker.seconds

    def scores(self, histories):
        if self.settings.seed == 13:
            print("thirteen", file=sys.stderr)
            os._exit(1)
        if self.settings.seed == 14:
            time.sleep(600)
        return np.tile(self.counts, (histories.shape[0], 1))

    def recommend(self, k, n_users):
        return protocol.top_k(self.scores(self.data[:n_users]), self.data[:n_users], k)

    def columns(self, recommended):
        return recommended

protocol.serve(Popularity())
"""
POPULARITY = POPULARITY.replace("{folder}", "FOLDER")
TRAIN = sparse.csr_matrix(np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]], np.float32))


@pytest.fixture
def popularity(tmp_path: Path) -> Peer:
    adapter = tmp_path / "popularity_peer.py"
    adapter.write_text(POPULARITY.replace("FOLDER", str(tmp_path)))
    sparse.save_npz(tmp_path / "train.npz", TRAIN)
    return Peer("popularity", python=Path(sys.executable), adapter=adapter)


def test_a_peer_trains_and_ranks(popularity: Peer, tmp_path: Path) -> None:
    train, out = tmp_path / "train.npz", tmp_path / "out.npy"
    with popularity as peer:
        assert set(peer.ask("versions")) == {"python", "numpy"}
        peer.load(train, batch_size=2, threads=1)
        seconds = peer.ask("steps", n=3)["seconds"]
        assert len(seconds) == 3
        assert min(seconds) >= 0.02
        assert peer.ask("epoch")["seconds"] >= 0.04
        assert peer.ask("rank", histories=train, k=2, out=out) == {"users": 3}
        ranked = np.load(out)
        assert ranked.dtype == np.int32
        np.testing.assert_array_equal(ranked, [[2, 3], [1, 3], [2, 3]])
        assert peer.ask("recommend", k=2, n_users=2, out=out)["users"] == 2
        np.testing.assert_array_equal(np.load(out), [[2, 3], [1, 3]])
        assert 0 < peer.ask("memory")["peak_mib"] < 2000


def test_an_error_is_a_reply_and_the_peer_lives_on(popularity: Peer) -> None:
    with popularity as peer:
        with pytest.raises(PeerError, match="FileNotFoundError"):
            peer.load("no_such_file.npz")
        with pytest.raises(PeerError, match="no command 'dance'"):
            peer.ask("dance")
        assert peer.ask("versions")
    with pytest.raises(PeerError, match="not running"):
        peer.ask("versions")


def test_a_peer_that_dies_says_its_last_words(popularity: Peer, tmp_path: Path) -> None:
    train = tmp_path / "train.npz"
    with popularity as peer:
        peer.load(train, seed=13)
        with pytest.raises(PeerError, match="thirteen"):
            peer.ask("rank", histories=train, k=1, out=tmp_path / "out.npy")


def test_a_slow_peer_is_ended_with_its_children(popularity: Peer, tmp_path: Path) -> None:
    train = tmp_path / "train.npz"
    with popularity as peer:
        peer.load(train, seed=14)
        with pytest.raises(PeerError, match="no reply within 2 s"):
            peer.ask("rank", histories=train, k=1, out=tmp_path / "out.npy", timeout=2)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(child)], capture_output=True)
        if state.stdout.strip()[:1] in (b"", b"Z"):
            return
        time.sleep(0.05)
    pytest.fail("the child is still there")


def test_why_a_peer_is_not_available(tmp_path: Path) -> None:
    missing = Peer("popularity", python=tmp_path / "python")
    assert not missing.available()
    with pytest.raises(UnavailableError, match=r"benchmarks\.peers\.setup popularity"):
        missing.__enter__()
    broken = tmp_path / "broken_peer.py"
    broken.write_text("import no_such_library")
    reason = Peer("broken", python=Path(sys.executable), adapter=broken).reason()
    assert reason is not None
    assert "No module named 'no_such_library'" in reason


def test_every_adapter_has_requirements() -> None:
    assert client.names() == ["cornac", "irspack", "recbole", "recpack"]
    for name in client.names():
        assert (client.HERE / f"{name}.txt").exists()


def test_steps_are_timed_from_batch_to_batch() -> None:
    ticker = protocol.Ticker(2)
    assert list(ticker(iter("abc"))) == ["a", "b"]
    assert len(ticker.seconds) == 2
