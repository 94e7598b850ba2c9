"""The map, and somebody placed on it."""

from pathlib import Path

import numpy as np
import pytest

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.data.interactions import FoldIn, Split
from nearfar.data.splits.folder import save_split
from nearfar.web.settings import ServiceSettings
from tests.bundle.cases import ABOUT, make_model
from tests.conftest import interactions
from tests.web.cases import Answering


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    folder = tmp_path_factory.mktemp("web")
    rng = np.random.default_rng(0)
    sizes = rng.choice([2, 6, 15], 90)
    dense = np.zeros((90, 20))
    for row, size in zip(dense, sizes, strict=True):
        row[rng.permutation(20)[:size]] = 1
    train = interactions(dense[:70])
    half = dense[70:] * (np.arange(20) % 2)
    held_out = FoldIn(interactions(half), interactions(dense[70:] - half))
    save_split(Split(train, held_out, held_out, {}), folder / "split")
    paths: dict[str, Path] = {}
    for kind in ("autoencoder", "item_item"):
        bundle = Bundle(make_model(kind, 20), train.item_ids, ABOUT)
        paths[kind] = save_bundle(bundle, folder / kind)
    return Answering(ServiceSettings(bundles=paths, threads=1, data=folder / "split"))


def test_cohorts_and_anchors_have_places(answering: Answering) -> None:
    body = answering.ask("GET", "/v1/map").json()
    assert body["projection"] == "PCA"
    assert len(body["cohorts"]) >= 2
    for cohort in body["cohorts"]:
        assert len(cohort["x"]) == len(cohort["y"]) == cohort["n_users"] > 1
    assert {a["item"] for a in body["anchors"]} == set(range(100, 120))
    models = answering.ask("GET", "/v1/model").json()["models"]
    assert {m["name"]: m["map"] for m in models} == {"autoencoder": True, "item_item": False}


def test_a_user_of_the_map_is_placed_where_it_is_drawn(answering: Answering) -> None:
    served = answering.service.models.get("autoencoder")
    latents = served.scorer.latents
    body = answering.ask("GET", "/v1/map").json()
    drawn = {(x, y) for c in body["cohorts"] for x, y in zip(c["x"], c["y"], strict=True)}
    split = answering.service.settings.data
    assert split is not None
    from nearfar.data.interactions import whole_histories
    from nearfar.data.splits.folder import load_split

    users = whole_histories(load_split(split))
    assert latents(users.x).shape == (users.n_users, 3)
    on_map = 0
    for row in range(12):
        items = (users.x[[row]].indices + 100).tolist()
        found = answering.post("/v1/map/point", {"items": items}).json()
        assert found["n_known"] == len(items)
        on_map += min(abs(x - found["x"]) + abs(y - found["y"]) for x, y in drawn) < 2e-4
    assert on_map >= 6


def test_a_model_without_a_latent_space_has_no_map(answering: Answering) -> None:
    response = answering.ask("GET", "/v1/map?model=item_item")
    assert response.status_code == 404
    assert "no latent space" in response.json()["detail"]
