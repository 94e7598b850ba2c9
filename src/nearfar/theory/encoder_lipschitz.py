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
    """The greatest distance of two points per item by which their histories differ.

    With points whose Euclidean distance is W2 (Eq. 18), at least W1, it is a lower bound of L_phi
    in latent units per item: pairs that are not in the sample may be steeper, and L_phi times a
    distance is a bound of W1 for sure only with `lipschitz_upper_bound`. Pairs of equal histories
    tell nothing and are left out.

    Args:
        points: one per history, as `gaussian_points` makes them.
        histories: binary histories as the encoder was given them, masked ones for a lemma on
            masked inputs.

    Raises: DataError where counts differ or all histories are equal.
    """
    if len(points) != histories.shape[0]:
        raise DataError(
            f"there are {len(points)} posteriors of {histories.shape[0]} histories; give one each"
        )
    apart = pairwise_overlap(histories)[0]
    if not apart.any():
        raise DataError(
            "all histories are equal, which tells no slope; give two or more that differ"
        )
    return float((pairwise_distance(points) / np.where(apart > 0, apart, np.inf)).max())


@torch.no_grad()
def lipschitz_upper_bound(encoder: EncoderNetwork, among: DiagonalGaussian | None = None) -> float:
    """An L_phi for which the lemma holds for every pair of binary histories, from layer norms.

    From the l1 norm to the first layer's sums it is the longest row w_i of its weights, an
    item's; tanh adds nothing; a hidden layer adds its spectral norm; and the head that of
    (W_mu, diag(s) W_logvar), where s = sigma_max / 2 bounds d sigma / d logvar, as features of
    tanh lie in [-1, 1] and so logvar below its bias plus the l1 norm of its weights. With
    hundreds of features that is so much that the bound says nothing. Then give posteriors
    `among` whose users it shall hold: their own greatest sigma is enough, as the two sigmas of a
    pair differ by at most half the greater one times the difference of the logvars.

    It holds for raw histories and masks (`Mask`: a masked history is a history), and for
    L2-normalised ones (`Clean`, and `Dropout` at test time): to add an item i to N turns the sums
    by w_i/sqrt(N+1) - (1 - sqrt(N/(N+1))) times what was there, whose length is at most sqrt(N)
    max ||w||, in all at most max ||w||; and the way from x_u to x_v has ||x_u - x_v||_1 such
    steps. It does not hold for `Dropout`'s inputs in training, which are scaled by the norm of
    what was dropped too.

    Args:
        encoder: a base or deeper encoder with tanh units.
        among: posteriors of the users whose pairs are bounded; without any, all histories.

    Source: Lemma 2.4 assumes an L_phi; how to bound it is ours.
    Raises: SettingsError for an encoder of which no such bound is known: gated units multiply,
        so that they have no global Lipschitz constant; IAF, dense and hierarchical encoders are
        not covered.
    """
    hidden = passable(encoder.middle) if isinstance(encoder, BaseNetwork) else None
    if not isinstance(encoder, BaseNetwork) or encoder.units != "tanh" or hidden is None:
        raise SettingsError(
            f"no upper bound of L_phi is known for {type(encoder).__name__} as it is; it takes "
            "a base or deeper encoder with tanh units; see steepest_pair for others"
        )
    slope = float(_float64(encoder.first.weight).norm(dim=1).max())
    for layer in hidden:
        slope *= _spectral_norm(_float64(layer.weight))
    mean, log_variance = _float64(encoder.head.weight).chunk(2)
    bias = _float64(encoder.head.bias).chunk(2)[1]
    highest = bias + log_variance.abs().sum(1)
    if among is not None:
        highest = torch.minimum(highest, _float64(among.logvar).amax(0))
    sigma_max = torch.exp(0.5 * highest)
    return slope * _spectral_norm(torch.cat([mean, 0.5 * sigma_max[:, None] * log_variance]))


def _float64(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)


def _spectral_norm(weight: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight, ord=2))
