"""The registry's pointer followed while requests are answered."""

import asyncio
import io
import logging
from pathlib import Path

import pytest

from nearfar.core.errors import ArtefactError
from nearfar.web.logs import to_stream
from nearfar.web.settings import Limits, ServiceSettings
from tests.bundle.cases import make_bundle
from tests.web.cases import Answering, point, version

LIMITS = Limits(watch_seconds=0.01, deadline_seconds=60)


def made(registry: Path) -> ServiceSettings:
    version(registry, "v1", make_bundle("autoencoder"))
    point(registry, "v1")
    return ServiceSettings(registry=registry, threads=1, limits=LIMITS)


async def until(client, ready) -> dict:
    async with asyncio.timeout(60):
        while not ready(body := (await client.get("/readyz")).json()):
            await asyncio.sleep(0.02)
    return body


def test_the_next_version_is_served_and_no_request_is_dropped(tmp_path: Path) -> None:
    answering = Answering(made(tmp_path))

    async def under_load(client):
        stop, seen, statuses = asyncio.Event(), [], set()

        async def load():
            while not stop.is_set():
                response = await client.post("/v1/recommend", json={"items": [100], "k": 2})
                statuses.add(response.status_code)
                seen.append(response.json()["version"])

        tasks = [asyncio.create_task(load()) for _ in range(4)]
        for name in ("v2", "v3"):
            version(tmp_path, name, make_bundle("item_item"))
            point(tmp_path, name)
            await until(client, lambda b, n=name: b["models"] == {"current": n} and n in seen)
        stop.set()
        await asyncio.gather(*tasks)
        return statuses, seen

    statuses, seen = answering.run(under_load)
    assert statuses == {200}
    assert list(dict.fromkeys(seen)) == ["v1", "v2", "v3"]
    text = answering.ask("GET", "/metrics").text
    assert 'nearfar_model_loaded_timestamp_seconds{model="current",version="v3"}' in text
    assert 'version="v1"' not in text


def test_a_damaged_version_leaves_the_old_one_in_service_and_is_told(tmp_path: Path) -> None:
    answering = Answering(made(tmp_path))

    async def damaged(client):
        version(tmp_path, "v2", make_bundle("autoencoder"))
        file = tmp_path / "versions" / "v2" / "bundle" / "model.safetensors"
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
        point(tmp_path, "v2")
        told = await until(client, lambda b: b.get("troubles"))
        answer = (await client.post("/v1/recommend", json={})).json()
        metrics = (await client.get("/metrics")).text
        # The pointer moves on: all is well again.
        version(tmp_path, "v3", make_bundle("autoencoder"))
        point(tmp_path, "v3")
        return told, answer, metrics, await until(client, lambda b: not b["troubles"])

    told, answer, metrics, after = answering.run(damaged)
    assert told["ready"]
    assert told["models"] == {"current": "v1"}
    assert told["troubles"] == [
        "version v2 is published and cannot be loaded (ArtefactError); "
        "the previous version stays in service"
    ]
    assert str(tmp_path) not in str(told)
    assert answer["version"] == "v1"
    assert 'nearfar_model_stale{model="current"} 1.0' in metrics
    assert 'nearfar_model_loads_total{model="current",outcome="failed"} 1.0' in metrics
    assert after["models"] == {"current": "v3"}


@pytest.mark.parametrize(
    "text",
    [
        '{"version": "../../etc"}',
        "{",
        "{}",
        '{"version": 3}',
        "[" * 100_000,
        '{"version": 1' + "0" * 9999,
    ],
)
def test_a_damaged_pointer_leaves_the_old_one_in_service(tmp_path: Path, text: str) -> None:
    answering = Answering(made(tmp_path))

    async def damaged(client):
        (tmp_path / "current.json").write_text(text)
        return await until(client, lambda b: b.get("troubles"))

    told = answering.run(damaged)
    assert told["models"] == {"current": "v1"}
    assert told["troubles"][0].startswith("the registry's pointer cannot be read (ArtefactError)")


def test_an_empty_registry_waits_for_the_first_version(tmp_path: Path) -> None:
    answering = Answering(ServiceSettings(registry=tmp_path, threads=1, limits=LIMITS))

    async def wait(client):
        early = await client.get("/readyz"), await client.post("/v1/recommend", json={})
        made(tmp_path)
        return early, await until(client, lambda b: b.get("ready"))

    early, after = answering.run(wait)
    for response in early:
        assert response.status_code == 503
        assert response.json()["type"].endswith(":not-ready")
        assert response.headers["retry-after"] == "5"
    assert after["models"] == {"current": "v1"}


def test_what_is_damaged_at_the_start_stops_it(tmp_path: Path) -> None:
    settings = made(tmp_path)
    (tmp_path / "versions" / "v1" / "bundle" / "items.parquet").unlink()
    with pytest.raises(ArtefactError, match=r"items\.parquet is missing"):
        Answering(settings)


@pytest.mark.parametrize("lost", ["pointer", "volume"])
def test_a_lost_registry_is_told_and_the_last_version_serves_on(tmp_path: Path, lost: str) -> None:
    registry = tmp_path / "registry"
    answering = Answering(made(registry))
    stream = io.StringIO()
    to_stream(stream)

    async def asked(client):
        where = registry / "current.json" if lost == "pointer" else registry
        where.rename(tmp_path / "away")
        told = await until(client, lambda b: b.get("troubles"))
        answer = (await client.post("/v1/recommend", json={})).json()
        metrics = (await client.get("/metrics")).text
        (tmp_path / "away").rename(where)
        return told, answer, metrics, await until(client, lambda b: not b["troubles"])

    try:
        told, answer, metrics, after = answering.run(asked)
    finally:
        logging.getLogger("nearfar.web").handlers = []
    assert told["troubles"] == [
        "the registry has no pointer; is its volume mounted? (FileNotFoundError); "
        "the previous version stays in service"
    ]
    assert (answer["version"], after["models"]) == ("v1", {"current": "v1"})
    assert 'nearfar_model_stale{model="current"} 1.0' in metrics
    assert '"event":"not-loaded"' in stream.getvalue()
