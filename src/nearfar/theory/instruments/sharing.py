"""Measure which pairs of users are within the sharing radius."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nearfar.core.errors import SettingsError
from nearfar.theory.gradients import gradient_products
from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.lipschitz import lipschitz_bound
from nearfar.theory.losses import Loss
from nearfar.theory.sharing import SharingGraph, sharing_graph
from nearfar.theory.subject import Subject
from nearfar.theory.tenths import course
from nearfar.theory.transport import pairwise_distance
from nearfar.vae.decoder import Decoder


@dataclass(frozen=True)
class Sharing(Instrument):
    """Measure the sharing radius of pairs, and the first-order effect of steps.

    Args:
        n_draws: latents per user, an even number.
        n_pairs: pairs of latents that L is estimated from.
    """

    title = "Sharing radius"
    source = "Theorem 2.3"

    n_draws: int = 8
    n_pairs: int = 64

    def read(self, subject: Subject) -> Measured:
        users, loss = subject.sharing_users, subject.loss
        decoder = subject.network.decoder
        histories, points = subject.histories[users], subject.points[users]
        graph = sharing_graph(
            decoder, subject.latents(users, self.n_draws, "sharing"), histories,
            least_distance=pairwise_distance(subject.centres[users]),
            most_distance=pairwise_distance(points),
            rng=subject.generator("sharing", "pairs"), n_pairs=self.n_pairs, loss=loss,
        )  # fmt: skip
        z = subject.latents(users, self.n_draws, "products").to(decoder.out.weight)
        x = torch.from_numpy(histories.toarray()).to(z)
        upper_lipschitz, certain_share, notes = _by_layers(decoder, graph, z, x, loss)
        helps = gradient_products(decoder, z, x, loss).cpu().numpy() > 0
        others = ~np.eye(len(users), dtype=bool)
        sure, maybe = graph.surely_within[others], graph.maybe_within[others]
        helped, w2 = helps[others], graph.most_distance[others]
        radius = graph.radius[others]
        hit, n_sure = float(maybe.mean()), int(sure.sum())
        middle, by_help, by_reach = course(w2, helped, maybe)
        return Measured(
            meaning=f"At most {100 * hit:.1f} % of pairs are within the sharing radius, where help "
            f"is certain; to first order a step on one user helps {100 * helped.mean():.0f} % of "
            "the others.",
            numbers=(
                Number("hit", "pairs within radius, at most", hit, "share"),
                Number("sure", "pairs within radius by W2", float(sure.mean()), "share"),
                Number("surely", "the same with L from layer norms, for sure", certain_share,
                       "share"),
                Number("positive", "pairs with r > 0", float((radius > 0).mean()), "share"),
                Number("helps", "pairs whose step helps", float(helped.mean()), "share"),
                Number("sign", "of those within radius, whose step helps",
                       float(helped[sure].mean()) if n_sure else float("nan"), "share"),
                Number("radius", "r, median", float(np.median(radius)), "latent units"),
                Number("w2", "W2, median", float(np.median(w2)), "latent units"),
                Number("norm", "||g_v||, median", float(np.median(graph.gradient_norm)), "nats"),
                Number("mismatch", "mismatch, median",
                       float(np.median(graph.mismatch[others])), "nats"),
                Number("lipschitz", "L, median, from pairs of latents",
                       float(np.median(graph.lipschitz)), "nats per unit"),
                Number("lipschitz_bound", "L, median, from layer norms, at most", upper_lipschitz,
                       "nats per unit"),
            ),
            curves=(
                Curve("Whose step helps whom?", "helps", "W2, tenths of all pairs",
                      "share of pairs", middle, by_help),
                Curve("Whose step helps whom?", "within radius", "W2, tenths of all pairs",
                      "share of pairs", middle, by_reach),
            ),
            notes=(
                f"Of {len(users)} users of the sample.",
                "L is estimated from pairs of latents, at most the true one, so that the radii "
                "shown are at least the true ones.",
                f"Expectations are means of {self.n_draws} draws per user, independent of other "
                "users'.",
                *notes,
                *subject.flow_notes,
            ),
        )  # fmt: skip

    def work(self, subject: Subject) -> float:
        n = len(subject.sharing_users)
        hidden = sum(p.numel() for p in subject.network.decoder.hidden.parameters())
        a_pair = self.n_draws * (hidden + subject.network.decoder.out.weight.shape[1])
        products = 3.0 * self.n_draws * n * subject.n_decoder
        return n * n * a_pair * 2 + n * products + self.n_pairs * n * subject.n_decoder


def _by_layers(
    decoder: Decoder, graph: SharingGraph, z: Tensor, x: Tensor, loss: Loss
) -> tuple[float, float, list[str]]:
    """Return the median upper bound of L, the share of pairs within its radius, and notes."""
    longest = float(z.norm(dim=-1).max())
    try:
        scale = loss.scale(loss.targets(x))
        bound = lipschitz_bound(decoder, scale, longest, loss).cpu().numpy()
    except SettingsError as error:
        return math.nan, math.nan, [f"No upper bound of L: {error}."]
    sure = replace(graph, lipschitz=bound).surely_within
    n_pairs = len(bound) * (len(bound) - 1)
    note = f"L from layer norms is of all latents no longer than the longest drawn, {longest:.3g}."
    return float(np.median(bound)), float(sure.sum() / n_pairs), [note]
