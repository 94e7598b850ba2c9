"""The families that the autopilot searches, from the cheapest to the most expensive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nearfar.algorithms.algorithm import Algorithm, make_algorithm, preset
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.algorithms.multvae import RICHER
from nearfar.core import settings
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.data.interactions import Interactions
from nearfar.experiments.tuning.space import Space, with_values

Kind = Literal["popularity", "linear", "factors", "autoencoder", "blend"]

KIND_NAMES: dict[Kind, str] = {
    "popularity": "popularity",
    "linear": "linear model",
    "factors": "matrix factorisation",
    "autoencoder": "variational autoencoder",
    "blend": "blend of several models",
}

PIA_VARIANT = "pia"

VARIANTS: dict[str, dict[str, Any]] = {
    "richer": {name: settings.to_plain(value) for name, value in RICHER.items()},
    PIA_VARIANT: {"alignment": {"kind": "pia", "patience": 0}},
}
"""Settings that make a variant of an autoencoder, by name.

`patience` is 0 because Algorithm 1 needs validation users, which the last fit on all users has not.
"""

LEAST_STEPS = 6
"""Steps per epoch that a training starts with at least: with 2, Mult-VAE loses a tenth of its
NDCG@100 on 500 users, and with 6 nothing on 1,500."""

LEAST_BATCH = 25


@dataclass(frozen=True)
class Family:
    """An algorithm with the settings that its search starts from.

    What is searched is the algorithm's own space (`algorithms/spaces`), as `nearfar tune` has it.

    Args:
        algorithm: its name.
        label: its name in tables.
        kind: what sort of model it is.
        start: the preset that the search starts from; None for the defaults.
        variants: which of `VARIANTS` are laid over it.
        searched: whether other settings than the first are tried.
    """

    algorithm: str
    label: str
    kind: Kind
    start: str | None = None
    variants: tuple[str, ...] = ()
    searched: bool = True

    @property
    def name(self) -> str:
        """What --only and files call it, as "multvae+pia"."""
        return "+".join((self.algorithm, *self.variants))

    def base(self) -> Algorithm:
        """Return the algorithm that the search starts from; the data may still fill in settings."""
        values: dict[str, Any] = preset(self.algorithm, self.start) if self.start else {}
        for variant in self.variants:
            values = settings.merge(values, VARIANTS[variant])
        return make_algorithm(self.algorithm, values)

    def start_on(self, train: Interactions) -> Algorithm:
        """Return the algorithm of the first trial on these data.

        Settings left to the data are filled in. Where users are few, batches are smaller, so that
        an epoch has `LEAST_STEPS` steps.

        Args:
            train: the training users x items.
        """
        algorithm = self.base()
        batch_size = getattr(algorithm, "batch_size", None)
        most = max(LEAST_BATCH, train.n_users // LEAST_STEPS)
        if batch_size is not None and batch_size > most:
            algorithm = self.with_values(algorithm, {"batch_size": most})
        alignment = getattr(algorithm, "alignment", None)
        if isinstance(algorithm, AutoencoderAlgorithm) and alignment and alignment.weight is None:
            algorithm = self.with_values(algorithm, {"alignment.weight": algorithm.ALIGN_WEIGHT})
        return algorithm.alternatives()[0].resolved(train)

    def space(self, algorithm: Algorithm) -> Space:
        """Return what is searched around an algorithm of this family; it may be empty."""
        if not self.searched:
            return Space({})
        return Space.of(self.algorithm).within(algorithm)

    def with_values(self, algorithm: Algorithm, values: Mapping[str, Any]) -> Algorithm:
        """Return the algorithm with the searched settings (dotted names) replaced.

        Raises:
            SettingsError: the settings do not go together.
        """
        plain = {k: v for k, v in settings.to_plain(algorithm).items() if k != "kind"}
        return make_algorithm(self.algorithm, with_values(plain, values))


BLEND = Family("blend", "Blend", "blend", searched=False)
"""Of the best trials of the other families, once they are searched."""

FAMILIES: tuple[Family, ...] = (
    Family("popularity", "Popularity", "popularity", searched=False),
    Family("ease", "EASE", "linear"),
    Family("edlae", "EDLAE", "linear"),
    Family("plrec", "PLRec", "linear"),
    Family("wmf", "WMF", "factors"),
    Family("multvae", "Mult-VAE", "autoencoder"),
    Family("multvae", "Mult-VAE, richer", "autoencoder", variants=("richer",)),
    Family("recvae", "RecVAE", "autoencoder"),
    Family("multvae", "Mult-VAE + PIA", "autoencoder", variants=(PIA_VARIANT,)),
    Family("recvae", "RecVAE + PIA", "autoencoder", variants=(PIA_VARIANT,)),
    BLEND,
)


def select_families(only: Sequence[str] = ()) -> tuple[Family, ...]:
    """Return the families that `only` names, in the order of `FAMILIES`; all where it is empty.

    Args:
        only: names of families ("multvae+pia") or of algorithms ("multvae": all its variants).

    Raises:
        UnknownNameError: no family is called so.
        SettingsError: a name is empty.
    """
    names: set[str] = set()
    for name in only:
        key = name.strip().lower()
        if not key:
            raise SettingsError("a family's name is empty; name some, as ease,multvae+pia")
        matching = {f.name for f in FAMILIES if key in (f.name, f.algorithm, f.label.lower())}
        exact = {f.name for f in FAMILIES if key == f.name and "+" in key}
        if not matching:
            raise UnknownNameError("family", name, [f.name for f in FAMILIES])
        names |= exact or matching
    return tuple(f for f in FAMILIES if not only or f.name in names)
