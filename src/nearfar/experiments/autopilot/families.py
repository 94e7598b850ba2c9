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
from nearfar.experiments.tuning.space import Space, plain_settings, with_values

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

`patience` is 0 because Algorithm 1 needs validation users, and the last fit on all users has none.
"""

LEAST_STEPS = 6
"""Minimum steps per epoch: with 2, Mult-VAE loses a tenth of its NDCG@100 on 500 users, and with 6
nothing on 1,500."""

LEAST_BATCH = 25


@dataclass(frozen=True)
class Family:
    """An algorithm with the first settings of its search.

    The search space is the algorithm's own (`algorithms/spaces`), as in `nearfar tune`.

    Args:
        algorithm: name of the algorithm.
        label: name in tables.
        kind: kind of model.
        start: preset of the first settings; None for the defaults.
        variants: names of `VARIANTS` to apply over the first settings.
        searched: whether to try settings other than the first.
    """

    algorithm: str
    label: str
    kind: Kind
    start: str | None = None
    variants: tuple[str, ...] = ()
    searched: bool = True

    @property
    def name(self) -> str:
        """Its name in --only and in files, such as "multvae+pia"."""
        return "+".join((self.algorithm, *self.variants))

    def base(self) -> Algorithm:
        """Return the algorithm with its first settings; those that depend on data are open."""
        values: dict[str, Any] = preset(self.algorithm, self.start) if self.start else {}
        for variant in self.variants:
            values = settings.merge(values, VARIANTS[variant])
        return make_algorithm(self.algorithm, values)

    def start_on(self, train: Interactions) -> Algorithm:
        """Return the algorithm of the first trial on these data.

        Settings that depend on the data are filled in. For few users the batches are smaller, so
        that an epoch has `LEAST_STEPS` steps.

        Args:
            train: training interactions.
        """
        algorithm = self.base()
        batch_size = getattr(algorithm, "batch_size", None)
        limit = max(LEAST_BATCH, train.n_users // LEAST_STEPS)
        if batch_size is not None and batch_size > limit:
            algorithm = self.with_values(algorithm, {"batch_size": limit})
        alignment = getattr(algorithm, "alignment", None)
        if isinstance(algorithm, AutoencoderAlgorithm) and alignment and alignment.weight is None:
            algorithm = self.with_values(algorithm, {"alignment.weight": algorithm.ALIGN_WEIGHT})
        return algorithm.alternatives()[0].resolved(train)

    def space(self, algorithm: Algorithm) -> Space:
        """Return the search space of an algorithm of this family; it may be empty."""
        if not self.searched:
            return Space({})
        return Space.of(self.algorithm).within(algorithm)

    def with_values(self, algorithm: Algorithm, values: Mapping[str, Any]) -> Algorithm:
        """Return the algorithm with some settings (by dotted name) replaced.

        Raises:
            SettingsError: the settings contradict each other.
        """
        return make_algorithm(self.algorithm, with_values(plain_settings(algorithm), values))


BLEND = Family("blend", "Blend", "blend", searched=False)
"""A blend of the best trials of the other families, tried after they are searched."""

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
    """Return the families that `only` names, in the order of `FAMILIES`; all if it is empty.

    Args:
        only: names of families ("multvae+pia") or of algorithms ("multvae": all its variants).

    Raises:
        UnknownNameError: a family is unknown.
        SettingsError: a name is empty.
    """
    names: set[str] = set()
    for name in only:
        key = name.strip().lower()
        if not key:
            raise SettingsError("the name of a family is empty; name some, as ease,multvae+pia")
        matching = {f.name for f in FAMILIES if key in (f.name, f.algorithm, f.label.lower())}
        exact = {f.name for f in FAMILIES if key == f.name and "+" in key}
        if not matching:
            raise UnknownNameError("family", name, [f.name for f in FAMILIES])
        names |= exact or matching
    return tuple(f for f in FAMILIES if not only or f.name in names)
