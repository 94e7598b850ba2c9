"""Examples of requests and responses for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from nearfar.web import map_schemas, schemas

TOY_STORY = {"item": 1, "title": "Toy Story (1995)", "new": False}
ALADDIN = {"item": 95, "title": "Aladdin (1992)", "new": False}
FARGO = {"item": 100, "title": "Fargo (1996)", "new": False}
MODEL_VERSION = {"model": "pia", "version": "2026-08-01-001"}

RECOMMEND_REQUESTS: dict[str, Any] = {
    "by id": {"items": [1, 95], "k": 2, "explain": True},
    "by title": {"titles": ["Toy Story", "Aladdin"], "k": 2, "diversity": 0.3},
    "somebody new": {"k": 2},
}
RECOMMEND_RESPONSE = {
    **MODEL_VERSION,
    "source": "history",
    "reason": "folded in from the history",
    "arm": None,
    "history": [TOY_STORY, ALADDIN],
    "unknown": [],
    "unmatched": [],
    "recommendations": [
        {
            "rank": 1,
            "item": 71,
            "title": "Lion King, The (1994)",
            "new": False,
            "score": 7.91,
            "because": [{**ALADDIN, "share": 0.82}, {**TOY_STORY, "share": 0.18}],
        }
    ],
}
BATCH_REQUESTS: dict[str, Any] = {"two people": {"histories": [[1, 95], [100]], "k": 1}}
BATCH_RESPONSE = {
    **MODEL_VERSION,
    "results": [
        {
            "source": "history",
            "n_unknown": 0,
            "recommendations": [
                {"rank": 1, "item": 71, "title": "Lion King, The (1994)", "new": False,
                 "score": 7.9, "because": None}
            ],
        }
    ],
}  # fmt: skip
USER_RESPONSE = {
    "model": None,
    "version": "2026-08-01-001",
    "source": "stored",
    "reason": "made before, for 2026-08-03, by version 2026-08-01-001",
    "arm": "treatment",
    "date": "2026-08-03",
    "scored_at": "2026-08-04T02:00:00+00:00",
    "recommendations": [
        {"rank": 1, **FARGO, "score": 6.2, "because": None},
    ],
}
SEARCH_RESPONSE = {**MODEL_VERSION, "items": [{**TOY_STORY, "popularity": 452}]}
SIMILAR_RESPONSE = {
    **MODEL_VERSION,
    "item": {**TOY_STORY, "popularity": 452},
    "similar": [{**ALADDIN, "popularity": 219, "similarity": 0.61}],
}
MAP_RESPONSE = {
    **MODEL_VERSION,
    "projection": "PCA",
    "notes": [],
    "cohorts": [{"name": "about 50 interactions (46-55)", "n_users": 2, "x": [0.1, 0.4],
                 "y": [-0.2, 0.3]}],
    "anchors": [{**TOY_STORY, "x": 0.2, "y": 0.5}],
}  # fmt: skip
ITEM_MAP_RESPONSE = {
    **MODEL_VERSION,
    "projection": "PCA",
    "n_items": 1349,
    "groups": ["Comedy", "Drama"],
    "items": [{**TOY_STORY, "x": 0.31, "y": -0.2, "group": "Animation"},
              {**FARGO, "x": -0.12, "y": 0.44, "group": "Drama"}],
}  # fmt: skip
POINT_REQUESTS: dict[str, Any] = {"by id": {"items": [1, 95]}}
POINT_RESPONSE = {**MODEL_VERSION, "x": 0.31, "y": -0.12, "n_known": 2}
HEALTH_RESPONSE = {"status": "alive"}
READY_RESPONSE = {"ready": True, "models": {"current": "2026-08-01-001"}, "troubles": []}
MODELS_RESPONSE = {
    "models": [
        {
            "name": "current",
            "version": "2026-08-01-001",
            "runtime": "torch",
            "algorithm": "pia",
            "kind": "autoencoder",
            "n_items": 1349,
            "n_train_users": 743,
            "created": "2026-08-01T02:11:09+00:00",
            "age_seconds": 86400.0,
            "loaded_seconds": 3600.0,
            "metrics": {"validation": {"NDCG@100": 0.41}},
            "settings": {},
            "abilities": ["explain", "latent", "similar"],
            "titles": True,
            "map": False,
            "item_map": True,
            "index": False,
        }
    ],
    "experiment": None,
    "report": False,
}

BODIES: dict[type[BaseModel], dict[str, Any]] = {
    schemas.RecommendRequest: RECOMMEND_REQUESTS,
    schemas.BatchRequest: BATCH_REQUESTS,
    map_schemas.PointRequest: POINT_REQUESTS,
}
"""Model of the request body -> name of the example -> body."""

ANSWERS: dict[type[BaseModel], Any] = {
    schemas.RecommendResponse: RECOMMEND_RESPONSE,
    schemas.BatchResponse: BATCH_RESPONSE,
    schemas.UserResponse: USER_RESPONSE,
    schemas.SearchResponse: SEARCH_RESPONSE,
    schemas.SimilarResponse: SIMILAR_RESPONSE,
    map_schemas.MapResponse: MAP_RESPONSE,
    map_schemas.ItemMapResponse: ITEM_MAP_RESPONSE,
    map_schemas.PointResponse: POINT_RESPONSE,
    schemas.ModelsResponse: MODELS_RESPONSE,
    schemas.Health: HEALTH_RESPONSE,
    schemas.Ready: READY_RESPONSE,
}
