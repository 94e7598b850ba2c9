"""What alignment is made of, and how it contracts posteriors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nearfar.core.errors import DataError, SettingsError
from nearfar.kernels.rows import Rows
from nearfar.theory.contraction import Contraction, alignment_parts, mask_variability
from nearfar.theory.finding import Curve, Number
from nearfar.theory.instrument import Instrument, Measured
from nearfar.theory.latent_hessian import latent_hessian
from nearfar.theory.latent_optimum import latent_optimum
from nearfar.theory.subject import Subject


@dataclass(frozen=True)
class Alignment(Instrument):
    """The three parts of A(x), and the contraction that the Hessian predicts, checked.

    Args:
        n_users: users whose latents are optimised under masks.
    """

    title = "Alignment and its contraction"
    source = "Propositions 3.1 and 3.2"

    n_users: int = 16

    def read(self, subject: Subject) -> Measured:
        if subject.model.anchors is None:
            raise SettingsError("the model was trained without PIA; it has no anchors")
        anchors = torch.from_numpy(subject.model.anchors)
        parts = alignment_parts(subject.posterior, anchors, Rows.from_csr(subject.histories))
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
        notes: list[str] = []
        curves: tuple[Curve, ...] = ()
        if subject.align_weight > 0:
            rows, refused = _contractions(subject, parts.centroids, self.n_users)
            found = _contraction_numbers(rows)
            numbers += found
            curves = _contraction_curves(rows)
            notes.append(
                f"Contraction: for {self.n_users - refused} users, by the best latents of a fixed "
                "decoder for what each mask leaves of the history, with and without alignment at "
                f"lambda_A = {subject.align_weight:g}; the prior is taken for N(0, I)."
            )
            if refused:
                notes.append(
                    f"{refused} users were left out: their Hessian is not positive there, or no "
                    "mask hid an item of theirs."
                )
            by_key = {n.key: n.value for n in found}
            meaning += (
                f" It leaves {100 * by_key['variance_measured']:.0f} % of the variance across "
                f"masks; the Hessian predicts {100 * by_key['variance_predicted']:.0f} %."
            )
        return Measured(meaning, tuple(numbers), curves, tuple(notes))

    def work(self, subject: Subject) -> float:
        if subject.model.anchors is None or subject.align_weight == 0:
            return 0.0
        rows = self.n_users * subject.n_masks
        hessians = 6.0 * self.n_users * subject.network.n_latent * subject.n_decoder
        return hessians + 2 * 150 * 6.0 * 2 * rows * subject.n_decoder  # twice for float64


def _contractions(subject: Subject, centroids: np.ndarray, n_users: int) -> tuple[np.ndarray, int]:
    """Predicted and measured contraction, a row per user, and how many users were left out.

    Of each user: shares of the variance, then of the drift, that are left, each as predicted and
    as measured; kappa; whether the bounds hold.
    """
    network = subject.network
    users = np.sort(subject.rng("alignment").choice(subject.n_users, n_users, replace=False))
    q, histories = subject.part(users)
    device = subject.model.device
    kept = [torch.from_numpy(masked[users].toarray()) for masked in subject.masked_histories]
    targets = torch.stack(kept, 1) / subject.keep_prob
    flat = targets.flatten(0, 1).to(device)
    start = q.mu.repeat_interleave(subject.n_masks, 0).to(device)
    c = torch.from_numpy(centroids[users])
    aim = c.repeat_interleave(subject.n_masks, 0).to(device)
    free = latent_optimum(network.decoder, flat, start, subject.beta)
    pulled = latent_optimum(network.decoder, flat, start, subject.beta, subject.align_weight, aim)
    whole = torch.from_numpy(histories.toarray()).to(device)
    at = latent_optimum(network.decoder, whole, q.mu.to(device), subject.beta)
    hessians = latent_hessian(
        network.decoder, Rows.from_csr(histories, device=device), at.mu.to(q.mu.dtype), subject.beta
    )
    shape = (n_users, subject.n_masks, -1)
    without, with_pull = (o.mu.cpu().view(shape).numpy() for o in (free, pulled))
    rows = []
    for user in range(n_users):
        try:
            law = Contraction(hessians[user], subject.align_weight)
        except DataError:
            continue
        centre = c[user].numpy()
        before = mask_variability(without[user], centre)
        if not (before.trace and before.drift):
            continue
        after = mask_variability(with_pull[user], centre)
        predicted = mask_variability(law.optimum(without[user], centre), centre)
        bound = law.bound(before)
        rows.append((
            predicted.trace / before.trace, after.trace / before.trace,
            predicted.drift / before.drift, after.drift / before.drift,
            law.kappa, after.trace <= bound.trace and after.drift <= bound.drift,
        ))  # fmt: skip
    if not rows:
        raise DataError(
            "no user has a positive Hessian at the best latent and a mask that hides something; "
            "nothing is predicted"
        )
    return np.asarray(rows, dtype=float), n_users - len(rows)


def _contraction_numbers(rows: np.ndarray) -> list[Number]:
    """Means over users."""
    keys = [
        ("variance_predicted", "variance across masks left, predicted", "share"),
        ("variance_measured", "variance across masks left, measured", "share"),
        ("drift_predicted", "way to the centroid left, predicted", "share"),
        ("drift_measured", "way to the centroid left, measured", "share"),
        ("kappa", "kappa, at most", ""),
        ("bounded", "users within the proposition's bounds", "share"),
    ]
    mean = rows.mean(0)
    return [Number(key, label, float(mean[i]), unit) for i, (key, label, unit) in enumerate(keys)]


def _contraction_curves(rows: np.ndarray) -> tuple[Curve, ...]:
    """Each user's variance left as measured against that predicted, and where both are equal."""
    predicted, measured = rows[np.argsort(rows[:, 0]), :2].T.tolist()
    chart = ("Variance across masks left by alignment", "predicted, share", "measured, share")
    ends = (0.0, max(predicted))
    return (
        Curve(chart[0], "users", *chart[1:], tuple(predicted), tuple(measured), "points"),
        Curve(chart[0], "as predicted", *chart[1:], ends, ends),
    )
