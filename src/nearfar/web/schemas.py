"""The schemas of requests and responses, and the limits of their lists."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

from nearfar.core.identity import id_text

MAX_K = 200
MAX_ITEMS = 1000
MAX_LISTED = 10_000
MAX_TITLES = 100
MAX_USERS = 256
MAX_ID = 200
MAX_TITLE = 300

Id = Annotated[
    Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
    | Annotated[StrictStr, Field(max_length=MAX_ID)],
    Field(description='An integer or a string; 7, 7.0 and "7" are the same id.'),
]
Title = Annotated[StrictStr, Field(max_length=MAX_TITLE)]
Items = Annotated[list[Id], Field(max_length=MAX_ITEMS)]
Ids = Annotated[list[Id], Field(max_length=MAX_LISTED)]
K = Annotated[StrictInt, Field(ge=1, le=MAX_K, description="How many items.")]
ModelName = Annotated[
    StrictStr,
    Field(max_length=MAX_ID, description="Name of a served model; by default the first."),
]
ModelParameter = Annotated[
    str | None,
    Field(max_length=MAX_ID, description="Name of a served model; by default the first."),
]
Source = Literal["stored", "history", "popular"]


class Request(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class UserHistory(Request):
    """The history of a user; empty for a new user."""

    items: Items = Field([], description="Ids of the items that the user likes, the latest last.")
    titles: list[Title] = Field(
        [], max_length=MAX_TITLES,
        description="Titles of items that the user likes, as people type them.",
    )  # fmt: skip
    model: ModelName | None = None


class RecommendRequest(UserHistory):
    """A request of recommendations for one history."""

    k: K = 10
    exclude_seen: bool = Field(True, description="Leave out the items of the history.")
    exclude: Items = Field(
        [], description="Ids to leave out for this user; they do not count as history."
    )
    allow: Ids | None = Field(None, description="Ids of the only items to recommend.")
    deny: Ids = Field([], description="Ids that are never recommended.")
    diversity: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False,
        description="From 0, the highest scores, to 1, the items least similar to the history and "
        "to each other (maximal marginal relevance). Above 0 it replaces the service's re-ranker.",
    )  # fmt: skip
    explain: bool = Field(
        False, description="Return the history items that explain each recommendation."
    )
    user: Id | None = Field(
        None, description="Id of the user; only used to choose the arm of an experiment."
    )


class BatchRequest(Request):
    """A request of recommendations for several histories."""

    histories: Annotated[list[Items], Field(min_length=1, max_length=MAX_USERS)]
    k: K = 10
    exclude_seen: bool = True
    allow: Ids | None = None
    deny: Ids = []
    model: ModelName | None = None


class UserParameters(BaseModel):
    """A request of recommendations for a user known by id."""

    user: Annotated[str, AfterValidator(id_text)] = Field(
        min_length=1, max_length=MAX_ID, examples=["42"]
    )
    k: int = Field(10, ge=1, le=MAX_K, description="How many items.")
    model: str | None = Field(
        None, max_length=MAX_ID,
        description="Name of a model that scores now; stored recommendations are ignored.",
    )  # fmt: skip


class SearchParameters(BaseModel):
    """A search for items by title."""

    query: str = Field(max_length=MAX_TITLE, description="The text typed.", examples=["toy sto"])
    limit: int = Field(10, ge=1, le=50, description="How many items at most.")
    model: ModelParameter = None


class SimilarParameters(BaseModel):
    """A request of items similar to an item."""

    item: str = Field(min_length=1, max_length=MAX_ID, examples=["1"])
    k: int = Field(10, ge=1, le=MAX_K, description="How many items.")
    model: ModelParameter = None


class Item(BaseModel):
    """An item."""

    item: int | str
    title: str | None
    new: bool = Field(description="Whether it was added after training and placed by its features.")


class Carrier(Item):
    """An item of the history that explains a recommendation."""

    share: float = Field(ge=0, le=1, description="Its share in the recommendation.")


class Recommendation(Item):
    """A recommended item."""

    rank: int = Field(ge=1)
    score: float | None = Field(description="The model's score; larger is better.")
    because: list[Carrier] | None = Field(
        description="The history items that explain it; null unless requested by explain."
    )
    features: list[str] | None = Field(
        None,
        description="With explain, the main features by which a new item was placed, at most five; "
        "null for others.",
    )


class UnmatchedTitle(BaseModel):
    """A title that matches no item, or several."""

    title: str
    candidates: list[Item] = Field(description="Items that may be meant.")


class RecommendResponse(BaseModel):
    """Recommendations for one history."""

    model: str
    version: str
    source: Source
    reason: str = Field(description="Where the recommendations come from, in a sentence.")
    arm: str | None = Field(
        description="The user's arm; null without an experiment or without user in the request."
    )
    history: list[Item] = Field(description="Items of the request that the model knows.")
    unknown: list[int | str] = Field(description="Ids that the model does not know.")
    unmatched: list[UnmatchedTitle]
    recommendations: list[Recommendation]


class BatchResult(BaseModel):
    """Recommendations for one history of a batch."""

    source: Source
    n_unknown: int
    recommendations: list[Recommendation]


class BatchResponse(BaseModel):
    """Recommendations in the order of the histories."""

    model: str
    version: str
    results: list[BatchResult]


class UserResponse(BaseModel):
    """Recommendations for a user known by id."""

    model: str | None = Field(description="Null for stored recommendations.")
    version: str
    source: Source
    reason: str
    arm: str | None
    date: str | None = Field(description="Day of stored recommendations; otherwise null.")
    scored_at: str | None
    recommendations: list[Recommendation]


class FoundItem(Item):
    """An item with its popularity."""

    popularity: int = Field(description="How many training users interacted with it.")


class SearchResponse(BaseModel):
    """The items that match a search, best first."""

    model: str
    version: str
    items: list[FoundItem]


class SimilarItem(FoundItem):
    """A similar item."""

    similarity: float = Field(ge=-1, le=1)


class SimilarResponse(BaseModel):
    """Items similar to an item, most similar first."""

    model: str
    version: str
    item: FoundItem
    similar: list[SimilarItem]


class ModelInfo(BaseModel):
    """A served model."""

    name: str
    version: str
    runtime: str
    algorithm: str | None
    kind: str | None
    n_items: int
    n_train_users: int | None
    created: str | None
    age_seconds: float | None
    loaded_seconds: float
    metrics: dict[str, Any]
    settings: dict[str, Any]
    abilities: list[Literal["explain", "similar", "latent"]]
    titles: bool = Field(description="Whether its items have titles.")
    map: bool = Field(description="Whether it has a map of users.")
    item_map: bool = Field(description="Whether it has a map of items.")
    index: bool = Field(description="Whether it has an index, which proposes candidates.")


class ExperimentInfo(BaseModel):
    """The running experiment."""

    name: str
    arms: list[str]
    chooses_model: bool = Field(
        description="Whether the arms are names of served models, and choose the model."
    )


class ModelsResponse(BaseModel):
    """The served models, the default first."""

    models: list[ModelInfo]
    experiment: ExperimentInfo | None
    report: bool = Field(description="Whether there is a report at /report.")


class Health(BaseModel):
    """The process is alive."""

    status: Literal["alive"]


class Ready(BaseModel):
    """Whether the service answers requests."""

    ready: bool
    models: dict[str, str] = Field(description="Name -> version of the served models.")
    troubles: list[str] = Field(description="Published versions that could not be loaded.")
