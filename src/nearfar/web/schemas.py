"""The models of requests and answers, and the limits of their lists."""

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
    Field(description='A whole number or text; 7, 7.0 and "7" are one id.'),
]
Title = Annotated[StrictStr, Field(max_length=MAX_TITLE)]
Items = Annotated[list[Id], Field(max_length=MAX_ITEMS)]
Ids = Annotated[list[Id], Field(max_length=MAX_LISTED)]
K = Annotated[StrictInt, Field(ge=1, le=MAX_K, description="How many items.")]
ModelName = Annotated[
    StrictStr,
    Field(max_length=MAX_ID, description="Which of the models served; by default the first."),
]
ModelParameter = Annotated[
    str | None, Field(max_length=MAX_ID, description="Which model; by default the first.")
]
Source = Literal["stored", "history", "popular"]


class Request(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class UserHistory(Request):
    """What somebody is known to like; empty for somebody new."""

    items: Items = Field([], description="Ids of what the person likes, the latest last.")
    titles: list[Title] = Field(
        [], max_length=MAX_TITLES, description="The same by title, as people type them."
    )
    model: ModelName | None = None


class RecommendRequest(UserHistory):
    """What to recommend to somebody."""

    k: K = 10
    exclude_seen: bool = Field(True, description="Leave out what the person likes already.")
    exclude: Items = Field(
        [], description="Ids that the person is not to be given, and that tell nothing of taste."
    )
    allow: Ids | None = Field(None, description="Ids of the only candidates.")
    deny: Ids = Field([], description="Ids that nobody is to be given.")
    diversity: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False,
        description="From 0, the most likely, to 1, the most unlike what the person knows and "
        "each other (maximal marginal relevance); above 0 it replaces the service's re-ranker.",
    )  # fmt: skip
    explain: bool = Field(False, description="Tell which of the person's items carried each.")
    user: Id | None = Field(
        None, description="Whom it is for; only to choose the arm of an experiment."
    )


class BatchRequest(Request):
    """What to recommend to several people."""

    histories: Annotated[list[Items], Field(min_length=1, max_length=MAX_USERS)]
    k: K = 10
    exclude_seen: bool = True
    allow: Ids | None = None
    deny: Ids = []
    model: ModelName | None = None


class UserParameters(BaseModel):
    """For whom to recommend, and how much."""

    user: Annotated[str, AfterValidator(id_text)] = Field(
        min_length=1, max_length=MAX_ID, examples=["42"]
    )
    k: int = Field(10, ge=1, le=MAX_K, description="How many items.")
    model: str | None = Field(
        None, max_length=MAX_ID, description="Scores now, by this model, whatever was stored."
    )


class SearchParameters(BaseModel):
    """What to search for."""

    query: str = Field(max_length=MAX_TITLE, description="What was typed.", examples=["toy sto"])
    limit: int = Field(10, ge=1, le=50)
    model: ModelParameter = None


class SimilarParameters(BaseModel):
    """To which item others are to be similar."""

    item: str = Field(min_length=1, max_length=MAX_ID, examples=["1"])
    k: int = Field(10, ge=1, le=MAX_K, description="How many items.")
    model: ModelParameter = None


class Item(BaseModel):
    """An item."""

    item: int | str
    title: str | None
    new: bool = Field(description="Came after the training; placed by its features.")


class Carrier(Item):
    """An item of the history that carried a recommendation."""

    share: float = Field(ge=0, le=1, description="Of what all items of the history carried.")


class Recommendation(Item):
    """An item recommended."""

    rank: int = Field(ge=1)
    score: float | None = Field(description="The model's own; larger is better.")
    because: list[Carrier] | None = Field(description="Null unless it was asked for.")


class UnmatchedTitle(BaseModel):
    """A title that names no item, or several."""

    title: str
    candidates: list[Item] = Field(description="What could be meant.")


class RecommendResponse(BaseModel):
    """Recommendations for somebody."""

    model: str
    version: str
    source: Source
    reason: str = Field(description="Where the recommendations come from, in a sentence.")
    arm: str | None = Field(description="Of the experiment, where one runs and the user is told.")
    history: list[Item] = Field(description="What of the request the model knows.")
    unknown: list[int | str] = Field(description="Ids that it does not.")
    unmatched: list[UnmatchedTitle]
    recommendations: list[Recommendation]


class BatchResult(BaseModel):
    """Recommendations for one of several."""

    source: Source
    n_unknown: int
    recommendations: list[Recommendation]


class BatchResponse(BaseModel):
    """Recommendations in the order of the histories."""

    model: str
    version: str
    results: list[BatchResult]


class UserResponse(BaseModel):
    """Recommendations for a user who is known by id."""

    model: str | None = Field(description="Null where they are stored ones.")
    version: str
    source: Source
    reason: str
    arm: str | None
    date: str | None = Field(description="Of stored ones: the day that they are of.")
    scored_at: str | None
    recommendations: list[Recommendation]


class FoundItem(Item):
    """An item found."""

    popularity: int = Field(description="How many training users interacted with it.")


class SearchResponse(BaseModel):
    """Items found, best first."""

    model: str
    version: str
    items: list[FoundItem]


class SimilarItem(FoundItem):
    """An item like another."""

    similarity: float = Field(ge=-1, le=1)


class SimilarResponse(BaseModel):
    """Items like one, most alike first."""

    model: str
    version: str
    item: FoundItem
    similar: list[SimilarItem]


class ModelInfo(BaseModel):
    """A model that is served."""

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
    titles: bool = Field(description="Whether items have titles.")
    map: bool = Field(description="Whether there is a map of users.")
    item_map: bool = Field(description="Whether there is a map of its items.")
    index: bool = Field(description="Whether an index proposes its candidates.")


class ExperimentInfo(BaseModel):
    """The experiment that runs."""

    name: str
    arms: list[str]
    chooses_model: bool = Field(description="Whether arms are models' names, and choose them.")


class ModelsResponse(BaseModel):
    """The models served, the default first."""

    models: list[ModelInfo]
    experiment: ExperimentInfo | None
    report: bool = Field(description="Whether there is a report at /report.")


class Health(BaseModel):
    """The process runs."""

    status: Literal["alive"]


class Ready(BaseModel):
    """Requests are answered."""

    ready: bool
    models: dict[str, str] = Field(description="Name and version.")
    troubles: list[str] = Field(description="What is published and could not be loaded.")
