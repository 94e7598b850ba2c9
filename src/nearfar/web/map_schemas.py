"""The models of requests and answers about maps."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nearfar.web.schemas import Item, ModelParameter, UserHistory


class PointRequest(UserHistory):
    """Somebody to be placed on the map."""


class MapParameters(BaseModel):
    """Of which model to show the map."""

    model: ModelParameter = None


class MapCohort(BaseModel):
    """A group of users on the map."""

    name: str
    n_users: int
    x: list[float]
    y: list[float]


class MapAnchor(Item):
    """An item's anchor on the map."""

    x: float
    y: float


class MapResponse(BaseModel):
    """Users of the split in the plane of the latent space's two widest directions."""

    model: str
    version: str
    projection: str
    notes: list[str]
    cohorts: list[MapCohort]
    anchors: list[MapAnchor]


class MapItem(Item):
    """An item on the map of items."""

    x: float
    y: float
    group: str | None = Field(description="Its first genre; null for an item without any.")


class ItemMapResponse(BaseModel):
    """Items in the plane of the two widest directions of what the model compares them by."""

    model: str
    version: str
    projection: str
    n_items: int = Field(
        description="In the catalogue; `items` are the 2,000 most popular and 200 new ones at most."
    )
    groups: list[str] = Field(description="The most frequent genres, at most ten, by name.")
    items: list[MapItem]


class PointResponse(BaseModel):
    """Where somebody lies on the map of the same model and version."""

    model: str
    version: str
    x: float
    y: float
    n_known: int = Field(description="Items of the request that the model knows.")
