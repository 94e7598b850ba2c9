"""The models that are served, and the one that answers a request."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nearfar.core.vocabulary import Vocabulary
from nearfar.reranking.mmr import MMR
from nearfar.reranking.reranker import ItemFacts
from nearfar.reranking.reranking import ListBuilder, Reranking
from nearfar.web.catalogue import Catalogue
from nearfar.web.problems import ProblemError, not_ready
from nearfar.web.scorers.scorer import Ability, Scorer

if TYPE_CHECKING:
    from nearfar.web.item_map import ItemMap
    from nearfar.web.latent_map import ServedMap
    from nearfar.web.user_store import StoredHistories


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model with its items by id and title; replaced as a whole, never changed.

    Args:
        name: by which requests ask for it.
        scorer: the model.
        catalogue: its items.
        histories: of known users over these items, where they are served.
        map: of the latent space, where there is one.
        item_map: of its items, where there is one.
        builder: builds lists as the service was told to; None where they are by score.
        loaded: when, seconds since 1970.
    """

    name: str
    scorer: Scorer
    catalogue: Catalogue
    histories: StoredHistories | None = None
    map: ServedMap | None = None
    item_map: ItemMap | None = None
    builder: ListBuilder | None = None
    loaded: float = field(default_factory=time.time)

    def diverse(self, diversity: float) -> ListBuilder | None:
        """What builds a list as diverse as a request asks, by `MMR`; the service's rules hold.

        Args:
            diversity: of `MMR`; 0 for a list as the service was told to build it.

        Raises:
            ProblemError: the model cannot tell how alike items are.
        """
        if not diversity:
            return self.builder
        self.needs("similar")
        mmr = MMR(diversity, history=True)
        if self.builder is not None:
            return self.builder.by(mmr)
        return Reranking(mmr).over(facts_of(self.scorer, self.scorer.items))

    def needs(self, ability: Ability) -> None:
        """Refuses what the model cannot do.

        Raises:
            ProblemError: it cannot.
        """
        if ability not in self.scorer.abilities:
            told = {
                "explain": "explain its recommendations", "similar": "tell how alike items are",
                "latent": "place people on a map",
            }[ability]  # fmt: skip
            raise ProblemError(422, "not-supported", f"the model {self.name} cannot {told}")

    def about(self) -> dict[str, Any]:
        """What `/v1/model` tells."""
        about = self.scorer.about
        return {
            "name": self.name,
            "version": self.scorer.version,
            "runtime": self.scorer.runtime,
            "algorithm": about.get("algorithm"),
            "kind": about.get("kind"),
            "n_items": len(self.scorer.items),
            "n_train_users": about.get("n_train_users"),
            "created": about.get("created") or None,
            "age_seconds": _age(about.get("created")),
            "loaded_seconds": time.time() - self.loaded,
            "metrics": about.get("metrics") or {},
            "settings": about.get("settings") or {},
            "abilities": sorted(self.scorer.abilities),
            "titles": any(title is not None for title in self.catalogue.titles),
            "map": self.map is not None,
            "item_map": self.item_map is not None,
            "index": self.scorer.index_path is not None,
        }


class ServedModels:
    """The models served, by name; the first is the default."""

    def __init__(self) -> None:
        self._served: dict[str, ServedModel] = {}

    def __iter__(self):
        return iter(tuple(self._served.values()))

    def __len__(self) -> int:
        return len(self._served)

    def put(self, served: ServedModel) -> ServedModel | None:
        """Serve a model from now on; returns the one of that name before.

        Requests in progress keep the model that they began with.
        """
        before = self._served.get(served.name)
        self._served[served.name] = served
        return before

    def get(self, name: str | None) -> ServedModel:
        """The model of that name, or the default.

        Raises:
            ProblemError: there is none.
        """
        if name is None:
            if not self._served:
                raise not_ready("no model is published yet")
            return next(iter(self._served.values()))
        if name not in self._served:
            raise ProblemError(404, "unknown-model", "no such model is served; see /v1/model")
        return self._served[name]

    def __contains__(self, name: str) -> bool:
        return name in self._served


def facts_of(scorer: Scorer, items: Vocabulary) -> ItemFacts:
    """What re-rankers may know of a model's items."""
    able = "similar" in scorer.abilities
    return ItemFacts(items, scorer.similarities_of_pools if able else None)


def _age(created: str | None) -> float | None:
    if not created:
        return None
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, time.time() - moment.timestamp())
