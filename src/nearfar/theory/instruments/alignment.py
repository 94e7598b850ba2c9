"""Measure the parts of the alignment, and how it contracts posteriors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from nearfar.core.errors import DataError, SettingsError
from nearfar.evaluation.text import percent
from nearfar.kernels.rows import Rows
from nearfar.theory.contraction import (
    AlignmentParts,
    Contraction,
    MaskVariability,
    alignment_parts,
    mask_variability,
)
from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.latent_objective import LatentObjective, LatentOptimum
from nearfar.theory.subject import Subject
from nearfar.vae.priors.normal import NormalNetwork

STEPS = 150
"""About the number of steps of a search for a minimum, to estimate its time."""

PRECISE = 0.1
"""Largest error of a minimum, as a share of the spread over masks; other users are left out."""


@dataclass(frozen=True)
class AlignmentInstrument(Instrument):
    """Measure the three parts of A(x), and compare the contraction with the Hessian's prediction.

    Args:
        n_users: users whose latents are optimised under masks.
        n_masks: masks per user.
        n_pairs: pairs of draws eps and -eps that the objective averages over.
        n_draws: draws that A averages over if the posterior is not Gaussian.
    """

    title = "Alignment and its contraction"
    source = "Propositions 3.1 and 3.2"

    n_users: int = 12
    n_masks: int = 4
    n_pairs: int = 2
    n_draws: int = 4

    def read(self, subject: Subject) -> Measured:
        if subject.model.anchors is None:
            raise SettingsError("the model was trained without PIA; it has no anchors")
        parts = _mean_alignment(subject, 1 if subject.gaussian else self.n_draws)
        total = float(parts.total.mean())
        numbers = [
            Number("total", "A(x), mean of users", total, "latent units^2"),
            Number("drift", "of it ||mu - c||^2", float(parts.squared_drift.mean()) / total,
                   "share"),
            Number("trace", "of it tr Sigma", float(parts.trace.mean()) / total, "share"),
            Number("spread", "of it V(S), of the anchors", float(parts.spread.mean()) / total,
                   "share"),
        ]  # fmt: skip
        meaning = (
            f"Of the alignment, {100 * numbers[3].value:.0f} % is the spread of the items' "
            f"anchors, which no encoder can lower, {100 * numbers[1].value:.0f} % the way to their "
            "centroid."
        )
        notes, curves = [], ()
        try:
            contraction = self._contraction(subject, parts.centroids)
        except (SettingsError, DataError) as error:
            notes.append(f"No contraction: {error}.")
        else:
            numbers += contraction.numbers
            curves = contraction.curves
            notes += contraction.notes
            meaning += f" {contraction.meaning}"
        return Measured(meaning, tuple(numbers), curves, tuple(notes))

    def work(self, subject: Subject) -> float:
        if subject.model.anchors is None or subject.align_weight == 0:
            return 0.0
        a_pass = 6.0 * self.n_users * self.n_masks * 2 * self.n_pairs * subject.n_decoder
        return 2 * a_pass * (2 * STEPS + subject.network.n_latent)  # float64 takes twice the time

    def _contraction(self, subject: Subject, centroids: np.ndarray) -> Measured:
        """Measure Proposition 3.2, with the full history as target and a mask on the input only."""
        if subject.align_weight == 0:
            raise SettingsError("the weight of the alignment is 0 or was not recorded")
        if not subject.gaussian:
            raise SettingsError(
                "the encoder has a flow, so z is not a mean plus noise as Proposition 3.2 assumes"
            )
        n = min(self.n_users, subject.n_users)
        users = np.sort(subject.rng("alignment").choice(subject.n_users, n, replace=False))
        objective, encoder_mu = _objective(subject, users, self.n_masks, self.n_pairs)
        centroid_rows = torch.from_numpy(centroids[users]).repeat_interleave(self.n_masks, 0)
        start = subject.posterior.mu[users].repeat_interleave(self.n_masks, 0)
        device = subject.model.device
        free = objective.minimum(start.to(device))
        aligned = objective.minimum(
            start.to(device), subject.align_weight, centroid_rows.to(device)
        )
        hessians = objective.hessian(free.mu).view(n, self.n_masks, *2 * (start.shape[1],)).cpu()
        rows = _contraction_rows(
            hessians.numpy(), _by_user(free, n), _by_user(aligned, n), centroids[users],
            encoder_mu, subject.align_weight,
        )  # fmt: skip
        if not len(rows):
            raise DataError(
                "no user has both a positive Hessian at the minima and minima that masks move"
            )
        numbers = _numbers(rows)
        values = {number.key: number.value for number in numbers}
        notes = [
            f"Contraction: for {len(rows)} users and {self.n_masks} masks as in training, by the "
            "minima over mu of the objective with a fixed decoder, the full history as target and "
            f"sigma of the masked input, with and without alignment at lambda_A = "
            f"{subject.align_weight:g}.",
            "With the full target a mask moves these minima through sigma alone; the encoder's own "
            "mean moves because it cannot know what is hidden.",
            f"The objective is a mean over {2 * self.n_pairs} draws, which makes the variance of "
            "the minima too large on average, never too small.",
        ]
        if len(rows) < n:
            notes.append(
                f"{n - len(rows)} of {n} users were left out: their Hessian is not positive "
                "there, or masks move their minima by no more than the search misses them."
            )
        return Measured(
            f"It leaves {100 * values['variance_measured']:.0f} % of the variance of the best "
            f"means across masks; the Hessian predicts {100 * values['variance_predicted']:.0f} %. "
            f"That variance is {percent(values['share'])} of that of the encoder's means.",
            tuple(numbers), _curves(rows), tuple(notes),
        )  # fmt: skip


def _mean_alignment(subject: Subject, n_draws: int) -> AlignmentParts:
    """Compute A(x) of clean histories as a mean over draws, from the Gaussian in training."""
    assert subject.model.anchors is not None
    anchors, all_users = torch.from_numpy(subject.model.anchors), np.arange(subject.n_users)
    rows = Rows.from_csr(subject.histories)
    draws = []
    for draw in range(n_draws):
        q = subject.step(all_users, "alignment", str(draw), corrupt=False).posterior
        draws.append(alignment_parts(type(q)(q.mu.cpu(), q.logvar.cpu()), anchors, rows))
    return AlignmentParts(
        np.mean([p.squared_drift for p in draws], 0), np.mean([p.trace for p in draws], 0),
        np.mean([p.spread for p in draws], 0), draws[0].centroids,
    )  # fmt: skip


def _objective(
    subject: Subject, users: Int[np.ndarray, " part"], n_masks: int, n_pairs: int
) -> tuple[LatentObjective, Float[np.ndarray, "part masks latent"]]:
    """Return the objective of users x masks, and the encoder's means of the same masked inputs."""
    rows = np.repeat(users, n_masks)
    step = subject.step(rows, "alignment", "masks", corrupt=True)
    q, device = step.posterior, subject.model.device
    if bool((step.shown.counts == step.histories.counts).all()):
        raise SettingsError("training masks no part of a history, so there are no masks to compare")
    half = torch.randn((n_pairs, q.mu.shape[1]), generator=subject.generator("alignment", "noise"))
    prior = subject.prior
    with torch.no_grad():
        density = None if isinstance(prior, NormalNetwork) else prior.density(step)
    objective = LatentObjective(
        subject.network.decoder,
        torch.from_numpy(subject.histories[rows].toarray()).to(device),
        q.variance.sqrt(),
        torch.cat([half, -half]).to(device),
        torch.from_numpy(subject.kl_weights(rows)).to(device),
        subject.loss,
        density,
    )
    means = q.mu.double().cpu().view(len(users), n_masks, -1).numpy()
    return objective, means


def _by_user(optimum: LatentOptimum, n_users: int) -> tuple[np.ndarray, np.ndarray]:
    mu, slope = optimum.mu.cpu().numpy(), optimum.slope.cpu().numpy()
    return mu.reshape(n_users, -1, mu.shape[1]), slope.reshape(n_users, -1)


def _contraction_rows(
    hessians: np.ndarray,
    free: tuple[np.ndarray, np.ndarray],
    aligned: tuple[np.ndarray, np.ndarray],
    centroids: np.ndarray,
    encoder_mu: np.ndarray,
    align_weight: float,
) -> np.ndarray:
    """Return one row per user with the columns that `_numbers` names.

    Users without a positive Hessian, or with minima that are not precise enough, are left out.
    """
    rows = []
    for user, user_hessians in enumerate(hessians):
        hessian, centre = user_hessians.mean(0), centroids[user]
        try:
            contraction = Contraction(hessian, align_weight)
        except DataError:
            continue
        before = mask_variability(free[0][user], centre)
        after = mask_variability(aligned[0][user], centre)
        lowest = max(float(np.linalg.eigvalsh(hessian).min()), 0.0)
        errors = [float(o[1][user].max()) / (lowest + more) if lowest + more else math.inf
                  for o, more in ((free, 0.0), (aligned, 2 * align_weight))]  # fmt: skip
        if not all(_precise(*each) for each in zip(errors, (before, after), strict=True)):
            continue
        predicted = mask_variability(contraction.optimum(free[0][user], centre), centre)
        bound = contraction.bound(before)
        hessian_distance = max(np.linalg.norm(h - hessian, 2) for h in user_hessians)
        rows.append((
            predicted.trace / before.trace, after.trace / before.trace,
            predicted.drift / before.drift, after.drift / before.drift,
            contraction.kappa, after.trace <= bound.trace and after.drift <= bound.drift,
            before.trace, mask_variability(encoder_mu[user], centre).trace,
            hessian_distance / np.linalg.norm(hessian, 2),
        ))  # fmt: skip
    return np.asarray(rows, dtype=float)


def _precise(error: float, spread: MaskVariability) -> bool:
    """Return whether the error of minima is small against their variation over masks."""
    return spread.trace > 0 and error <= PRECISE * math.sqrt(spread.trace) and spread.drift > 0


def _numbers(rows: np.ndarray) -> list[Number]:
    """Return the means over users, one number per column of `rows`."""
    keys = [
        ("variance_predicted", "variance across masks left, predicted", "share"),
        ("variance_measured", "variance across masks left, measured", "share"),
        ("drift_predicted", "way to the centroid left, predicted", "share"),
        ("drift_measured", "way to the centroid left, measured", "share"),
        ("kappa", "kappa, at most", ""),
        ("bounded", "users within the proposition's bounds", "share"),
        ("variance", "variance of the best means across masks, no alignment", "latent units^2"),
        ("encoder", "variance of the encoder's means across masks", "latent units^2"),
        ("hessian", "Hessians' distance from their mean over masks, of it", ""),
    ]
    mean = rows.mean(0)
    numbers = [
        Number(key, label, float(mean[i]), unit) for i, (key, label, unit) in enumerate(keys)
    ]
    share = float(mean[6] / mean[7]) if mean[7] else math.nan
    return [*numbers, Number("share", "variance of the best means, of the encoder's", share, "")]


def _curves(rows: np.ndarray) -> tuple[Curve, ...]:
    """Return the remaining variance of each user, measured over predicted, and the diagonal."""
    predicted, measured = rows[np.argsort(rows[:, 0]), :2].T.tolist()
    chart = ("Variance across masks left by alignment", "predicted, share", "measured, share")
    ends = (0.0, max(predicted))
    return (
        Curve(chart[0], "users", *chart[1:], tuple(predicted), tuple(measured), "points"),
        Curve(chart[0], "as predicted", *chart[1:], ends, ends),
    )
