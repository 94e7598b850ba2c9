"""Schemas of requests and responses about maps."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nearfar.web.schemas import Item, ModelParameter, UserHistory


class PointRequest(UserHistory):
    """A user to place on the map."""


class MapParameters(BaseModel):
    """The model whose map is shown."""

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
    """Users of the split in the first two principal components of the latent space."""

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
    group: str | None = Field(description="Its first genre; null without genres.")


class ItemMapResponse(BaseModel):
    """Items in the first two principal components of the model's item vectors."""

    model: str
    version: str
    projection: str
    n_items: int = Field(
        description="Items in the catalogue; `items` has the 2,000 most popular and up to 200 new."
    )
    groups: list[str] = Field(description="The most frequent genres, at most ten, sorted by name.")
    items: list[MapItem]


class PointResponse(BaseModel):
    """A user's coordinates on the map of the same model and version."""

    model: str
    version: str
    x: float
    y: float
    n_known: int = Field(description="Number of items of the request that the model knows.")
