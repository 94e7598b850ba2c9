"""The objective that a fitted model was trained by, made again with its prior."""

from __future__ import annotations

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.models.autoencoder import Autoencoder
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.objective import Objective


def trained_objective(algorithm: AutoencoderAlgorithm, model: Autoencoder) -> Objective:
    """Return the objective with the prior as it is after training, where the model is.

    A composite prior takes over the encoder as it does at the end of every epoch. Other terms
    with parameters, such as a critic or anchors, are fresh.

    Args:
        algorithm: what fitted the model.
        model: holds the prior's parameters.

    Raises:
        SettingsError: the model does not hold the parameters of this prior.
    """
    catalogue = TrainingCounts(model.popularity, model.n_train_users)
    objective = algorithm.objective(catalogue, 0).to(model.device)
    if objective.prior is not None:
        objective.prior.load_learned(model.prior, model.network.encoder)
    return objective.requires_grad_(False)
