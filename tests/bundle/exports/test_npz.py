"""A NumPy archive holds all that a model needs: by the guide's formulas, the same scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nearfar.bundle.exports.npz import Npz
from nearfar.core.errors import ArtefactError
from tests.bundle.exports.cases import KINDS, N_ITEMS, make_bundle, some_histories


def read(path) -> tuple[dict, dict, dict]:
    with np.load(path) as archive:
        arrays = dict(archive)
    header, items = (json.loads(arrays.pop(n).tobytes()) for n in ("header.json", "items.json"))
    return header, items, arrays


@pytest.mark.parametrize("kind", KINDS)
def test_it_holds_all_that_the_model_is_made_of(kind, tmp_path) -> None:
    bundle = make_bundle(kind)
    Npz().write(bundle, tmp_path / "x.npz")
    header, items, arrays = read(tmp_path / "x.npz")
    assert header["format"] == 1
    assert header["about"]["settings"] == {"l2": 1.0}
    assert items["id"] == bundle.items.ids.to_list()
    assert items["title"] == bundle.items.details["title"].to_list()
    popularity = arrays.pop("popularity")
    model = type(bundle.model).restore(
        header["model"]["description"], arrays, popularity, header["model"]["n_train_users"]
    )
    histories = some_histories()
    np.testing.assert_array_equal(model.score(histories), bundle.model.score(histories))


def by_formula(header: dict, a: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Scores of histories that are not empty, in NumPy alone, as the guide has it."""
    kind, description = header["model"]["kind"], header["model"]["description"]
    if kind == "constant":
        return np.broadcast_to(a["popularity"], x.shape)
    if kind == "item_item":
        return x @ a["weights"]
    if kind == "factors":
        v = a["item_factors"].astype(float)
        if description["folding"] == "linear":
            u = x @ a["projection"] + a["offset"]
        else:
            alpha, l2, power = (description[n] for n in ("unobserved_weight", "l2", "l2_exponent"))
            rows = []
            for met in x > 0:
                weight = met.sum() + alpha * (~met).sum()
                gram = alpha * v.T @ v + (1 - alpha) * v[met].T @ v[met]
                gram += l2 * weight**power * np.eye(v.shape[1])
                rows.append(np.linalg.solve(gram, v[met].sum(0)))
            u = np.array(rows)
        return u @ v.T + a["item_bias"]
    if kind == "ensemble":
        total = np.zeros(x.shape)
        for number, (part, weight) in enumerate(
            zip(description["parts"], description["weights"], strict=True)
        ):
            prefix = f"{number}."
            own = {k.removeprefix(prefix): v for k, v in a.items() if k.startswith(prefix)}
            s = by_formula({"model": part}, {**own, "popularity": a["popularity"]}, x)
            total += weight * (s - s.mean(1, keepdims=True)) / s.std(1, keepdims=True)
        return total
    h = x / np.sqrt(x.sum(1, keepdims=True))
    h = np.tanh(h @ a["network.encoder.first.weight"] + a["network.encoder.first.bias"])
    h = h @ a["network.encoder.head.weight"].T + a["network.encoder.head.bias"]
    h = h[:, : h.shape[1] // 2]
    h = np.tanh(h @ a["network.decoder.hidden.0.weight"].T + a["network.decoder.hidden.0.bias"])
    return h @ a["network.decoder.out.weight"].T + a["network.decoder.out.bias"]


@pytest.mark.parametrize("kind", ["constant", "item_item", "projection", "wmf", "base", "ensemble"])
def test_the_formulas_of_the_guide_give_the_scores(kind, tmp_path) -> None:
    bundle = make_bundle(kind)
    Npz().write(bundle, tmp_path / "x.npz")
    header, _, arrays = read(tmp_path / "x.npz")
    histories = some_histories()[1:-1]
    histories = histories[np.diff(histories.indptr) > 0]
    found = by_formula(header, arrays, histories.toarray())
    np.testing.assert_allclose(found, bundle.model.score(histories), rtol=2e-4, atol=2e-4)


def test_the_same_bundle_gives_the_same_bytes(tmp_path) -> None:
    for name in ("a.npz", "b.npz"):
        Npz().write(make_bundle("iaf"), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_what_cannot_be_written_is_refused(tmp_path) -> None:
    with pytest.raises(ArtefactError, match=r"must end in \.npz"):
        Npz().write(make_bundle("base"), tmp_path / "x")
    bundle = make_bundle("item_item")
    bundle.model.weights[0, N_ITEMS - 1] = np.inf
    with pytest.raises(ArtefactError, match="not finite"):
        Npz().write(bundle, tmp_path / "x.npz")
    assert not list(tmp_path.iterdir())
