"""Lemma 2.4: near histories have near posteriors, W1(q_u, q_v) <= L_phi ||x_u - x_v||_1."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import DataError, SettingsError
from nearfar.theory.masking import pairwise_overlap
from nearfar.theory.transport import pairwise_distance
from nearfar.vae.encoders.base import BaseNetwork
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.layers import passable
from nearfar.vae.posterior import DiagonalGaussian


def steepest_pair(points: Float64[np.ndarray, "users coordinates"], histories: csr_array) -> float:
    """Return the largest distance of two points divided by the number of items that differ.

    With points whose Euclidean distance is W2 (Eq. 18), at least W1, it is an estimate of L_phi
    from below, in latent units per item: pairs outside the sample may be steeper. Only
    `lipschitz_upper_bound` gives a certain bound of W1. Pairs of equal histories are left out.

    Args:
        points: one point per history, see `gaussian_points`.
        histories: binary histories as given to the encoder; masked ones for masked inputs.

    Raises:
        DataError: the numbers of points and histories differ, or all histories are equal.
    """
    if len(points) != histories.shape[0]:
        raise DataError(
            f"there are {len(points)} posteriors for {histories.shape[0]} histories; give one each"
        )
    n_different = pairwise_overlap(histories)[0]
    if not n_different.any():
        raise DataError("all histories are equal and give no slope; give two or more that differ")
    return float((pairwise_distance(points) / np.where(n_different > 0, n_different, np.inf)).max())


@torch.no_grad()
def lipschitz_upper_bound(encoder: EncoderNetwork, among: DiagonalGaussian | None = None) -> float:
    """Compute an L_phi, from layer norms, that makes the lemma hold for all binary histories.

    It is a product of factors. The first layer has the largest norm of a weight row w_i (one row
    per item), from the l1 norm of histories; tanh has 1; a hidden layer has its spectral norm. The
    head has the spectral norm of (W_mu, diag(s) W_logvar), where s = sigma_max / 2 bounds
    d sigma / d logvar: features of tanh lie in [-1, 1], so logvar is at most its bias plus the l1
    norm of its weights. With hundreds of features that sigma_max is too large to be useful. Then
    give `among`: the bound holds for pairs of these posteriors, with their own largest sigma,
    since the sigmas of a pair differ by at most half the larger one times the difference of the
    logvars.

    The bound holds for raw histories and masks (`Mask`: a masked history is a history). It also
    holds for L2-normalised ones (`Clean`, and `Dropout` at test time): adding item i to N items
    changes the sums by w_i/sqrt(N+1) minus (1 - sqrt(N/(N+1))) times the old sums, whose norm is at
    most sqrt(N) max ||w||, together at most max ||w||; from x_u to x_v there are ||x_u - x_v||_1
    such steps. It does not hold for the inputs of `Dropout` in training, whose scale includes the
    norm of the dropped items.

    Source: Lemma 2.4 assumes an L_phi; how to bound it is ours.

    Args:
        encoder: a base or deeper encoder with tanh units.
        among: posteriors of the users whose pairs are bounded; by default all histories.

    Raises:
        SettingsError: no bound is known for the encoder. Gated units multiply, so they have no
            global Lipschitz constant; IAF, dense and hierarchical encoders are not covered.
    """
    hidden = passable(encoder.middle) if isinstance(encoder, BaseNetwork) else None
    if not isinstance(encoder, BaseNetwork) or encoder.units != "tanh" or hidden is None:
        raise SettingsError(
            f"no upper bound of L_phi is known for {type(encoder).__name__} with these settings; "
            "it needs a base or deeper encoder with tanh units; see steepest_pair for others"
        )
    slope = float(_float64(encoder.first.weight).norm(dim=1).max())
    for layer in hidden:
        slope *= _spectral_norm(_float64(layer.weight))
    mean, log_variance = _float64(encoder.head.weight).chunk(2)
    bias = _float64(encoder.head.bias).chunk(2)[1]
    largest_logvar = bias + log_variance.abs().sum(1)
    if among is not None:
        largest_logvar = torch.minimum(largest_logvar, _float64(among.logvar).amax(0))
    sigma_max = torch.exp(0.5 * largest_logvar)
    return slope * _spectral_norm(torch.cat([mean, 0.5 * sigma_max[:, None] * log_variance]))


def _float64(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)


def _spectral_norm(weight: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight, ord=2))
