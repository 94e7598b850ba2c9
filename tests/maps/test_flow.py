"""Maps of a model with a flow: users are drawn where the decoder is given them."""

import numpy as np
import pytest

from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.core.vocabulary import Vocabulary
from nearfar.maps.atlas import BEHIND_FLOW, ModelToMap, encode, make_atlas
from nearfar.maps.cohorts import cohorts_by_interactions
from nearfar.maps.projections.pca import PCA
from nearfar.maps.table import separability_table
from nearfar.models.autoencoder import Autoencoder
from nearfar.train.run import Run
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.iaf import IAF
from tests.conftest import interactions
from tests.theory.cases import BASE, model, two_tastes

X = two_tastes()
EVERYONE = interactions(X.toarray())


@pytest.fixture(scope="module")
def flow_with_anchors() -> Autoencoder:
    settings = {**BASE, "encoder": IAF(before=Base((8,)), steps=1, hidden=8)}
    fitted = MultVAE(**settings, alignment=PIA(weight=0.5)).fit(EVERYONE, None, run=Run(seed=0))
    assert isinstance(fitted, Autoencoder)
    return fitted


def atlas_of(fitted: Autoencoder):
    cohorts = cohorts_by_interactions(np.diff(X.indptr), (3, 6), tolerance=0.2)
    items: Vocabulary = EVERYONE.item_ids
    return make_atlas({"one": ModelToMap(fitted, items)}, EVERYONE, cohorts, PCA(), n_anchors=4)


def test_users_are_drawn_at_the_latents_that_the_decoder_is_given(flow_with_anchors) -> None:
    points = encode(flow_with_anchors, X)
    scores = flow_with_anchors.network.decoder(flow_with_anchors.latents(X).clone())
    np.testing.assert_allclose(scores.detach().numpy(), flow_with_anchors.score(X), atol=1e-5)
    np.testing.assert_array_equal(points, flow_with_anchors.latents(X).numpy())
    assert np.abs(points - flow_with_anchors.encode(X).mu.numpy()).max() > 1e-3


def test_anchors_before_the_flow_are_left_out_and_it_is_said(flow_with_anchors) -> None:
    atlas = atlas_of(flow_with_anchors)
    (one,) = atlas.maps
    assert one.anchors is None
    assert one.to_dict()["anchors_left_out"] == BEHIND_FLOW
    assert any(BEHIND_FLOW in note for note in separability_table(atlas).notes)


@pytest.mark.parametrize("name", ["pia", "plain", "flow"])
def test_nothing_is_said_where_nothing_is_left_out(name) -> None:
    (one,) = atlas_of(model(name)).maps
    assert (one.anchors is not None) == (name == "pia")
    assert one.to_dict()["anchors_left_out"] is None
