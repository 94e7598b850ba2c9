"""Extend models by items that no user has interacted with yet, from the items' features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from nearfar.core.errors import SettingsError
from nearfar.core.seeding import generator
from nearfar.kernels.gradients import ParameterTable
from nearfar.metrics.judged_ranking import judge
from nearfar.metrics.ndcg import NDCG
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.constant import Constant
from nearfar.models.ensemble import Ensemble
from nearfar.models.exposure import with_share
from nearfar.models.factors import Factors, LeastSquaresFolding, LinearFolding
from nearfar.models.feature_ridge import N_FOLDS, FeatureRidge
from nearfar.models.item_item import ItemItem
from nearfar.models.model import Model
from nearfar.models.top_k import ranking

MAX_SHARE = 0.25
"""Share of the first places that all new items together may take."""

MAX_LEFT_OUT = 512
"""Items left out to estimate the weight of an item for itself."""

OWN_MULTIPLES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Multiples of an item's weight for itself that are tried: least squares estimates it too close to
0, because most entries of an item-item matrix are small."""

MAX_JUDGES, JUDGED = 2_000, NDCG(20)
"""Histories with which a multiple is chosen, and the metric that it maximises."""

OUTPUT = "network.decoder.out."


@dataclass(frozen=True)
class Placement:
    """How new items were placed.

    Args:
        n_known: items on which the regression was fitted.
        n_features: features that at least two of them have.
        strengths: strength of the ridge penalty, by table.
        explained: share of the variance of left-out known items' vectors that their features
            explain, by table.
        share: share of the first places of recommendation lists intended for new items.
    """

    n_known: int
    n_features: int
    strengths: dict[str, float]
    explained: dict[str, float]
    share: float


class _Regression:
    """The regression, and the strength and explained variance of each table."""

    def __init__(self, ridge: FeatureRidge, histories: csr_array | None) -> None:
        self.ridge = ridge
        self.histories = histories
        self.strengths: dict[str, float] = {}
        self.explained: dict[str, float] = {}

    def strength(self, name: str, table: np.ndarray) -> float:
        """Choose and record the strength for a table of item rows."""
        self.strengths[name], self.explained[name] = self.ridge.strength(table)
        return self.strengths[name]

    def extended(self, name: str, table: np.ndarray) -> np.ndarray:
        """Return a table of item rows with the predicted rows of the new items appended."""
        new = self.ridge.predict(table, self.strength(name, table))
        return np.concatenate([table, new.astype(table.dtype)])

    @property
    def n_new(self) -> int:
        return self.ridge.new.shape[0]


def with_new_items(
    model: Model,
    known: csr_array,
    new: csr_array,
    *,
    exposure: float = 1.0,
    histories: csr_array | None = None,
    seed: int = 0,
) -> tuple[Model, Placement]:
    """Return the model extended by new items after its own, and how they were placed.

    `FeatureRidge` predicts each item's parameters (its row and bias in the decoder, its row in the
    encoder, anchor, factors, row and column of an item-item matrix). For histories of known items
    the scores of known items stay the same; in an ensemble, whose parts are standardised over all
    items, they may change by a factor.

    The scores of new items are then shifted so that, over `N_PROBES` histories, they take a share
    of the first `N_PLACES` places: their share of the expected popularity of all items, as
    predicted from their features, but at most `MAX_SHARE`. `popularity` of new items is 0.

    Args:
        model: a fitted model.
        known: features of the model's items; see `ItemFeatures.encoded`.
        new: features of the new items.
        exposure: factor by which the expected popularity of new items is multiplied.
        histories: users x items of the model. They set the shift and, in item-item models, the
            weight of an item for itself. If not given, synthetic histories set the shift, which is
            less exact.
        seed: random seed for folds, sketches and probes.

    Raises:
        SettingsError: exposure is not above 0, no known item has a feature, or the model's kind
            cannot take new items.
    """
    if not 0 < exposure < np.inf:
        raise SettingsError(f"exposure is {exposure}; it must be a number above 0")
    ridge = FeatureRidge(known, new, model.popularity.astype(np.float64), seed)
    if not (ridge.weights > 0).any():
        raise SettingsError(
            "no item that the model was trained on has any of the features; give the features of "
            "known items as well"
        )
    share = _expected_share(ridge, exposure)
    parts = model.parts if isinstance(model, Ensemble) else [model]
    extended_parts, strengths, explained = [], {}, {}
    for number, part in enumerate(parts):
        regression = _Regression(ridge, histories)
        extended = _extended(part, regression)
        extended_parts.append(with_share(part, extended, share, histories, seed))
        prefix = f"{number}." if isinstance(model, Ensemble) else ""
        strengths |= {prefix + k: v for k, v in regression.strengths.items()}
        explained |= {prefix + k: v for k, v in regression.explained.items()}
    result = extended_parts[0]
    if isinstance(model, Ensemble):
        result = Ensemble(extended_parts, model.weights)
    result.label = model.label
    result.to(model.device)
    n_known = int((ridge.weights > 0).sum())
    return result, Placement(n_known, known.shape[1], strengths, explained, share)


def _expected_share(ridge: FeatureRidge, exposure: float) -> float:
    """Return the share of all interactions that new items would have if they were not new."""
    counts = ridge.counts
    weighted = ridge.weights > 0
    logs = np.log1p(counts)[:, None]
    strength, explained = ridge.strength(logs)
    ratio = np.ones(ridge.new.shape[0])
    if explained > 0:
        mean_of_known = np.exp(ridge.left_out(logs, strength)[weighted, 0]).mean()
        ratio = np.exp(ridge.predict(logs, strength)[:, 0].astype(np.float64)) / mean_of_known
    expected = exposure * counts[weighted].mean() * ratio.sum()
    return min(MAX_SHARE, float(expected / (expected + counts.sum())))


@singledispatch
def _extended(model: Model, regression: _Regression) -> Model:
    raise SettingsError(
        f"a model of class {type(model).__qualname__} cannot take new items; autoencoders, "
        "factors, item-item models and ensembles of these can"
    )


@_extended.register
def _(model: Constant, regression: _Regression) -> Model:
    return Constant(_popularity(model, regression), model.n_train_users)


@_extended.register
def _(model: Autoencoder, regression: _Regression) -> Model:
    description, arrays = model.state()
    tables = {
        f"network.{name}" for name, weight in model.network.named_parameters()
        if isinstance(weight, ParameterTable)
    }  # fmt: skip
    weight, bias = OUTPUT + "weight", OUTPUT + "bias"
    decoder = np.column_stack([arrays[weight], arrays[bias]])
    decoder = regression.extended("decoder", decoder)
    extended = {weight: decoder[:, :-1], bias: decoder[:, -1]}
    for name in sorted(tables - {weight}):
        table_name = name.removeprefix("network.").split(".weight")[0]
        extended[name] = regression.extended(table_name, arrays[name])
    if model.anchors is not None:
        extended["anchors"] = regression.extended("anchors", model.anchors)
    arrays |= {name: np.ascontiguousarray(table) for name, table in extended.items()}
    description = {**description, "n_items": model.n_items + regression.n_new}
    return Autoencoder.restore(
        description, arrays, _popularity(model, regression), model.n_train_users
    )


@_extended.register
def _(model: Factors, regression: _Regression) -> Model:
    columns = np.column_stack([model.item_factors, model.item_bias])
    columns = regression.extended("factors", columns)
    factors, bias = np.ascontiguousarray(columns[:, :-1]), np.ascontiguousarray(columns[:, -1])
    folding = model.folding
    if isinstance(folding, LinearFolding):
        folding = replace(folding, projection=regression.extended("projection", folding.projection))
    elif isinstance(folding, LeastSquaresFolding):
        n_background = folding.n_background or model.n_items
        folding = LeastSquaresFolding(factors, folding.confidence, n_background)
    else:
        raise SettingsError(
            f"factors folded in by {type(folding).__qualname__} cannot take new items"
        )
    return Factors(factors, bias, folding, _popularity(model, regression), model.n_train_users)


@_extended.register
def _(model: ItemItem, regression: _Regression) -> Model:
    """Add rows S B + c S, columns B S' + c S' and the corner S (B + c I) S' with a 0 diagonal.

    The diagonal of B is 0 so that an item does not recommend itself, but it should recommend new
    items like itself. c is the diagonal to use for that; see `_self_weight`.
    """
    ridge, b = regression.ridge, model.weights
    strength = regression.strength("item-item", b.T)
    self_weight = _self_weight(regression, b, strength)
    s = ridge.smoother(strength)
    filled = b.astype(np.float64)
    filled[np.diag_indices_from(filled)] = self_weight
    n, n_new = model.n_items, regression.n_new
    weights = np.zeros((n + n_new, n + n_new), b.dtype)
    weights[:n, :n] = b
    weights[n:, :n] = below = s @ filled
    weights[:n, n:] = filled @ s.T
    weights[n:, n:] = below @ s.T
    weights[np.arange(n, n + n_new), np.arange(n, n + n_new)] = 0
    return ItemItem(weights, _popularity(model, regression), model.n_train_users)


def _self_weight(regression: _Regression, b: np.ndarray, strength: float) -> float:
    """Return c of the least squares B_ij = sum_l S_jl B_il + c S_ji over j left out and i known.

    With histories, return the multiple of c with which they rank the left-out items best.
    """
    ridge = regression.ridge
    trusted = np.flatnonzero(ridge.weights > 0)
    n_out = min(MAX_LEFT_OUT, len(trusted) // N_FOLDS)
    out = np.sort(generator(ridge.seed, "own weight").choice(trusted, n_out, replace=False))
    smoother = ridge.smoother_left_out(out, strength)
    others = np.setdiff1d(trusted, out)
    residual = (b[:, out].T - smoother @ b.T)[:, others]
    s = smoother[:, others]
    self_weight = max(0.0, float((s * residual).sum() / max((s * s).sum(), 1e-300)))
    if regression.histories is None or self_weight == 0:
        return self_weight
    return self_weight * _best_multiple(
        regression.histories, b, smoother, out, self_weight, ridge.seed
    )


def _best_multiple(
    histories: csr_array,
    b: np.ndarray,
    smoother: np.ndarray,
    out: np.ndarray,
    self_weight: float,
    seed: int,
) -> float:
    """Return the multiple of `self_weight` with which histories rank their left-out items best.

    Args:
        histories: users x items of the model.
        b: the item-item matrix.
        smoother: predicts left-out items from known ones; the columns of left-out items are 0.
        out: positions of the left-out items.
        self_weight: the weight of an item for itself.
        seed: random seed for the choice of histories.
    """
    is_out = np.zeros(histories.shape[1], bool)
    is_out[out] = True
    targets = csr_array(histories[:, out])
    n_targets = np.diff(targets.indptr)
    usable = np.flatnonzero((n_targets > 0) & (np.diff(histories.indptr) > n_targets))
    if not len(usable):
        return 1.0
    n = min(MAX_JUDGES, len(usable))
    rows = np.sort(generator(seed, "own multiple").choice(usable, n, replace=False))
    fold_in, targets = csr_array(histories[rows].multiply(~is_out)), csr_array(targets[rows])
    base, direct = (fold_in @ b) @ smoother.T, fold_in @ smoother.T
    ones = np.ones(len(out), np.int64)
    means = []
    for multiple in OWN_MULTIPLES:
        scores = base + multiple * self_weight * direct
        judged = judge(ranking(torch.from_numpy(scores), JUDGED.depth), targets, ones, n)
        means.append(float(JUDGED.per_user(judged).mean()))
    return OWN_MULTIPLES[int(np.argmax(means))]


def _popularity(model: Model, regression: _Regression) -> Any:
    return np.concatenate([model.popularity, np.zeros(regression.n_new, np.int64)])
