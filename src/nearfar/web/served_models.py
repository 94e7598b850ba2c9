"""The models in service, and the choice of the one that answers a request."""

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
    """A model in service with all that belongs to it; replaced as a whole, never changed.

    Args:
        name: the name by which requests choose it.
        scorer: the model.
        catalogue: its items by id and title.
        histories: histories of known users over these items; None if not served.
        map: the map of its latent space; None if there is none.
        item_map: the map of its items; None if there is none.
        builder: builds lists by the service's re-ranking; None to list items by score.
        loaded: time of loading in seconds since 1970.
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
        """Return what builds lists of this diversity by `MMR`, under the service's rules.

        Args:
            diversity: the diversity of `MMR`; 0 for the service's own re-ranking.

        Raises:
            ProblemError: the model cannot compare items.
        """
        if not diversity:
            return self.builder
        self.needs("similar")
        mmr = MMR(diversity, history=True)
        if self.builder is not None:
            return self.builder.by(mmr)
        return Reranking(mmr).over(facts_of(self.scorer, self.scorer.items))

    def needs(self, ability: Ability) -> None:
        """Check that the model has an ability.

        Raises:
            ProblemError: it does not.
        """
        if ability not in self.scorer.abilities:
            action = {
                "explain": "explain its recommendations", "similar": "tell how alike items are",
                "latent": "place people on a map",
            }[ability]  # fmt: skip
            raise ProblemError(422, "not-supported", f"the model {self.name} cannot {action}")

    def metadata(self) -> dict[str, Any]:
        """Return the model's entry in `/v1/model`."""
        metadata = self.scorer.metadata
        return {
            "name": self.name,
            "version": self.scorer.version,
            "runtime": self.scorer.runtime,
            "algorithm": metadata.get("algorithm"),
            "kind": metadata.get("kind"),
            "n_items": len(self.scorer.items),
            "n_train_users": metadata.get("n_train_users"),
            "created": metadata.get("created") or None,
            "age_seconds": _age_seconds(metadata.get("created")),
            "loaded_seconds": time.time() - self.loaded,
            "metrics": metadata.get("metrics") or {},
            "settings": metadata.get("settings") or {},
            "abilities": sorted(self.scorer.abilities),
            "titles": any(title is not None for title in self.catalogue.titles),
            "map": self.map is not None,
            "item_map": self.item_map is not None,
            "index": self.scorer.index_path is not None,
        }


class ServedModels:
    """The models in service, by name; the first is the default."""

    def __init__(self) -> None:
        self._served: dict[str, ServedModel] = {}

    def __iter__(self):
        return iter(tuple(self._served.values()))

    def __len__(self) -> int:
        return len(self._served)

    def put(self, served: ServedModel) -> ServedModel | None:
        """Put a model in service and return the previous one of that name, if any.

        Requests in progress keep the model that they started with.
        """
        previous = self._served.get(served.name)
        self._served[served.name] = served
        return previous

    def get(self, name: str | None) -> ServedModel:
        """Return the model of a name, or the default for None.

        Raises:
            ProblemError: there is no such model.
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
    """Return what re-rankers may use of a model's items."""
    has_similarities = "similar" in scorer.abilities
    return ItemFacts(items, scorer.similarities_of_pools if has_similarities else None)


def _age_seconds(created: str | None) -> float | None:
    if not created:
        return None
    try:
        date = datetime.fromisoformat(created)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, time.time() - date.timestamp())
