"""Recall: how much of what could be found was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import UnknownNameError
from nearfar.metrics.metric import Judged, UserMetric, reachable


@dataclass(frozen=True)
class Recall(UserMetric):
    """Recall@k = |top-k in H| / min(k, |H|).

    Notation: H, the user's held-out items.
    Source: Liang et al. 2018, "Variational autoencoders for collaborative filtering", section
    4.2, where the ideal ranking reaches 1 for every user.
    Differs: LightGCN and most graph models, LensKit, RecBole and trec_eval divide by |H|, which
    is `over="held_out"` and prints as "Recall@20(all)"; users with |H| > k cannot reach 1 then.
    Users without held-out items have NaN.

    Args:
        k: the cutoff.
        over: what the hits are divided by: "reachable", min(k, |H|), or "held_out", |H|.
    """

    over: Literal["reachable", "held_out"] = "reachable"

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"all": {"over": "held_out"}}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.over not in ("reachable", "held_out"):
            raise UnknownNameError("over", self.over, ["reachable", "held_out"])

    def per_user(self, judged: Judged) -> Float64[np.ndarray, " users"]:
        top = judged.first(self.depth)
        return top.hits.sum(axis=1) / reachable(top, self.depth, self.over)
