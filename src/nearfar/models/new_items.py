"""Models with items that nobody has interacted with yet, placed by their features."""

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
from nearfar.metrics.judged import judge
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
"""Of the first places, for new items together, however many they are."""

MAX_LEFT_OUT = 512
"""Items that the weight of an item for itself is found by."""

OWN_MULTIPLES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Of the weight by least squares, which most entries of a matrix, being small, pull to 0."""

MAX_JUDGES, JUDGED = 2_000, NDCG(20)
"""Histories that choose one of the multiples, and what by."""

OUTPUT = "network.decoder.out."


@dataclass(frozen=True)
class Placement:
    """How new items were placed.

    Args:
        n_known: items that the regression was fitted on.
        n_features: features that at least two of them have.
        strengths: of the ridge, by table.
        explained: share of the variance of known items' vectors that their features explain for
            items left out, by table.
        share: of the first places of lists that new items are to take.
    """

    n_known: int
    n_features: int
    strengths: dict[str, float]
    explained: dict[str, float]
    share: float


class _Regression:
    """The regression, and what was chosen for each table."""

    def __init__(self, ridge: FeatureRidge, histories: csr_array | None) -> None:
        self.ridge = ridge
        self.histories = histories
        self.strengths: dict[str, float] = {}
        self.explained: dict[str, float] = {}

    def strength(self, name: str, table: np.ndarray) -> float:
        self.strengths[name], self.explained[name] = self.ridge.strength(table)
        return self.strengths[name]

    def extended(self, name: str, table: np.ndarray) -> np.ndarray:
        """A table of item rows, with those of the new items below."""
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
    """Return the model with new items after its own, and how they were placed.

    What a model holds of an item (its row and bias in the decoder, its row in the encoder, anchor,
    factors, row and column of an item-item matrix) is predicted by `FeatureRidge`. Scores of the
    model's own items do not change for histories of such items; in an ensemble, whose parts are
    standardised over all items, they may by a factor.

    The new items' level is set so that over `N_PROBES` histories they take the share of the first
    `N_PLACES` places that their expected popularity has of all: that of known items, in proportion
    to what their features predict; but no more than `MAX_SHARE`. `popularity` of new items is 0.

    Args:
        model: fitted.
        known: features of the model's items; see `ItemFeatures.encoded`.
        new: of the new items.
        exposure: what the expected popularity of new items is multiplied by.
        histories: of users, over the model's items, to set the level by, and in item-item models
            how much an item like the new one counts; made up for the level if not given, which is
            less exact.
        seed: of folds, sketches and probes.

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
            "known items, too"
        )
    share = _expected_share(ridge, exposure)
    parts = model.parts if isinstance(model, Ensemble) else [model]
    made, strengths, explained = [], {}, {}
    for number, part in enumerate(parts):
        regression = _Regression(ridge, histories)
        extended = _extended(part, regression)
        made.append(with_share(part, extended, share, histories, seed))
        prefix = f"{number}." if isinstance(model, Ensemble) else ""
        strengths |= {prefix + k: v for k, v in regression.strengths.items()}
        explained |= {prefix + k: v for k, v in regression.explained.items()}
    result = Ensemble(made, model.weights) if isinstance(model, Ensemble) else made[0]
    result.label = model.label
    result.to(model.device)
    n_known = int((ridge.weights > 0).sum())
    return result, Placement(n_known, known.shape[1], strengths, explained, share)


def _expected_share(ridge: FeatureRidge, exposure: float) -> float:
    """The share of all interactions that new items may be expected to have, were they known."""
    counts = ridge.counts
    there = ridge.weights > 0
    logs = np.log1p(counts)[:, None]
    strength, explained = ridge.strength(logs)
    ratio = np.ones(ridge.new.shape[0])
    if explained > 0:
        typical = np.exp(ridge.left_out(logs, strength)[there, 0]).mean()
        ratio = np.exp(ridge.predict(logs, strength)[:, 0].astype(np.float64)) / typical
    expected = exposure * counts[there].mean() * ratio.sum()
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
    output, bias = OUTPUT + "weight", OUTPUT + "bias"
    both = np.column_stack([arrays[output], arrays[bias]])
    both = regression.extended("decoder", both)
    new = {output: both[:, :-1], bias: both[:, -1]}
    for name in sorted(tables - {output}):
        new[name] = regression.extended(name.removeprefix("network.").split(".weight")[0],
                                     arrays[name])  # fmt: skip
    if model.anchors is not None:
        new["anchors"] = regression.extended("anchors", model.anchors)
    arrays |= {name: np.ascontiguousarray(table) for name, table in new.items()}
    description = {**description, "n_items": model.n_items + regression.n_new}
    return Autoencoder.restore(
        description, arrays, _popularity(model, regression), model.n_train_users
    )


@_extended.register
def _(model: Factors, regression: _Regression) -> Model:
    both = np.column_stack([model.item_factors, model.item_bias])
    both = regression.extended("factors", both)
    factors, bias = np.ascontiguousarray(both[:, :-1]), np.ascontiguousarray(both[:, -1])
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
    """New rows S B + c S, columns B S' + c S' and the rest S (B + c I) S', with 0 diagonal.

    The diagonal of B is 0 because an item must not recommend itself, but an item like the new one
    should; c, what it would be, is found by least squares on items left out, and where histories
    are given as the multiple of it that ranks these best.
    """
    ridge, b = regression.ridge, model.weights
    strength = regression.strength("item-item", b.T)
    own = _own_weight(regression, b, strength)
    s = ridge.smoother(strength)
    filled = b.astype(np.float64)
    filled[np.diag_indices_from(filled)] = own
    n, n_new = model.n_items, regression.n_new
    weights = np.zeros((n + n_new, n + n_new), b.dtype)
    weights[:n, :n] = b
    weights[n:, :n] = below = s @ filled
    weights[:n, n:] = filled @ s.T
    weights[n:, n:] = below @ s.T
    weights[np.arange(n, n + n_new), np.arange(n, n + n_new)] = 0
    return ItemItem(weights, _popularity(model, regression), model.n_train_users)


def _own_weight(regression: _Regression, b: np.ndarray, strength: float) -> float:
    """c of the least squares B_ij = sum_l S_jl B_il + c S_ji over items j left out, i known.

    Where histories are given, the multiple of it with which they rank the items left out best.
    """
    ridge = regression.ridge
    trusted = np.flatnonzero(ridge.weights > 0)
    n_out = min(MAX_LEFT_OUT, len(trusted) // N_FOLDS)
    out = np.sort(generator(ridge.seed, "own weight").choice(trusted, n_out, replace=False))
    smoother = ridge.smoother_left_out(out, strength)
    others = np.setdiff1d(trusted, out)
    residual = (b[:, out].T - smoother @ b.T)[:, others]
    s = smoother[:, others]
    own = max(0.0, float((s * residual).sum() / max((s * s).sum(), 1e-300)))
    if regression.histories is None or own == 0:
        return own
    return own * _best_multiple(regression.histories, b, smoother, out, own, ridge.seed)


def _best_multiple(
    histories: csr_array,
    b: np.ndarray,
    smoother: np.ndarray,
    out: np.ndarray,
    own: float,
    seed: int,
) -> float:
    """The multiple of `own` with which items left out are ranked best for histories that have some.

    Args:
        histories: over the model's items.
        b: the item-item matrix.
        smoother: from known items to those left out; their own columns are 0.
        out: the items left out.
        own: the weight of an item for itself.
        seed: of the histories drawn.
    """
    left = np.zeros(histories.shape[1], bool)
    left[out] = True
    wanted = csr_array(histories[:, out])
    n_wanted = np.diff(wanted.indptr)
    able = np.flatnonzero((n_wanted > 0) & (np.diff(histories.indptr) > n_wanted))
    if not len(able):
        return 1.0
    n = min(MAX_JUDGES, len(able))
    rows = np.sort(generator(seed, "own multiple").choice(able, n, replace=False))
    shown, wanted = csr_array(histories[rows].multiply(~left)), csr_array(wanted[rows])
    base, direct = (shown @ b) @ smoother.T, shown @ smoother.T
    ones = np.ones(len(out), np.int64)
    reached = []
    for multiple in OWN_MULTIPLES:
        scores = base + multiple * own * direct
        judged = judge(ranking(torch.from_numpy(scores), JUDGED.depth), wanted, ones, n)
        reached.append(float(JUDGED.per_user(judged).mean()))
    return OWN_MULTIPLES[int(np.argmax(reached))]


def _popularity(model: Model, regression: _Regression) -> Any:
    return np.concatenate([model.popularity, np.zeros(regression.n_new, np.int64)])
