"""A program under load while its registry moves on, once to a damaged version."""

import operator
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest

from nearfar.bundle.bundle import Bundle
from tests.bundle.cases import ABOUT, make_items, make_model
from tests.threads import Threads
from tests.waiting import PATIENCE
from tests.web.cases import Program, point, version

pytestmark = pytest.mark.slow

N_REQUESTS = 150
"""Of each thread between two steps of the registry: a second in all on two idle cores."""

N_THREADS = 3
N_ITEMS = 2500
"""An item-item model over so many holds 24 MiB of weights, which shows if it stays."""

GROWTH_MIB = 20.0
"""Of the resident set from the first step to the last; without a leak it is some 7 MiB."""


def rss_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    (kib,) = (line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(kib) / 1024


class Load(Threads):
    """Threads that ask for one thing after the other until they are told to stop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.failures: list[str] = []
        self.versions: list[list[str]] = [[] for _ in range(N_THREADS)]
        self.n_answered = [0] * N_THREADS
        super().__init__(self._ask, N_THREADS)

    def _ask(self, number: int) -> None:
        asked = [
            ("POST", "/v1/recommend", {"items": [100 + number, 150], "k": 20}),
            ("POST", "/v1/recommend", {"items": [101, 102, 103], "explain": True, "k": 3}),
            ("POST", "/v1/recommend/batch", {"histories": [[100], [101, "no such"], []], "k": 5}),
            ("GET", "/v1/items?query=film", None),
            ("GET", f"/v1/users/{number}/recommendations", None),
        ]
        with httpx.Client(base_url=self._url, timeout=PATIENCE) as client:
            while not self.over.is_set():
                for method, path, body in asked:
                    try:
                        answer = client.request(method, path, json=body)
                    except httpx.HTTPError as error:
                        self.failures.append(f"{path}: {error!r}")
                        return
                    self.statuses[path, answer.status_code] += 1
                    self.n_answered[number] += 1
                    seen = answer.json().get("version")
                    if not self.versions[number] or self.versions[number][-1] != seen:
                        self.versions[number].append(seen)


def made(kind: str) -> Bundle:
    return Bundle(make_model(kind, N_ITEMS), make_items(N_ITEMS), ABOUT)


def test_load_two_new_versions_and_a_damaged_one(tmp_path: Path) -> None:
    version(tmp_path, "v1", made("autoencoder"))
    point(tmp_path, "v1")
    for name, kind in (("v2", "item_item"), ("v3", "item_item"), ("v4", "autoencoder")):
        version(tmp_path, name, made(kind))
    weights = next((tmp_path / "versions" / "v3" / "bundle").glob("model.*"))
    weights.write_bytes(weights.read_bytes()[:-1000])

    arguments = ["--registry", str(tmp_path), "--watch-seconds", "0.1", "--deadline", str(PATIENCE)]
    with (
        Program(*arguments) as program,
        httpx.Client(base_url=program.url, timeout=PATIENCE) as client,
    ):
        pid = program.process.pid

        def ready() -> dict:
            return client.get("/readyz").json()

        with Load(program.url) as load:

            def wait(n_steps: int = 1) -> None:
                enough = [n + n_steps * N_REQUESTS for n in load.n_answered]
                program.until(lambda: all(map(operator.ge, load.n_answered, enough)))

            wait(2)
            warm = rss_mib(pid)
            point(tmp_path, "v2")
            program.until(lambda: ready()["models"] == {"current": "v2"})
            wait()
            point(tmp_path, "v3")
            program.until(lambda: bool(ready()["troubles"]))
            assert ready()["models"] == {"current": "v2"}
            wait()
            point(tmp_path, "v4")
            program.until(lambda: ready()["models"] == {"current": "v4"})
            wait(2)
            last = rss_mib(pid)
        assert ready()["troubles"] == []
        metrics = client.get("/metrics").text
        # Uvicorn ends by the signal once all is answered.
        assert program.stop() in (-signal.SIGTERM, 128 + signal.SIGTERM)

    assert load.failures == []
    assert {status for _, status in load.statuses} == {200}
    assert load.versions == [["v1", "v2", "v4"]] * N_THREADS
    assert last - warm < GROWTH_MIB, (warm, last)
    events = Counter(line["event"] for line in program.log())
    assert events["serving"] == 3
    assert events["not-loaded"] == 1
    assert events["stopped"] == 1
    assert 'nearfar_model_loads_total{model="current",outcome="failed"} 1.0' in metrics
    assert 'nearfar_model_stale{model="current"} 0.0' in metrics
