"""What made-up data look like: settings, and the sizes of published data sets by name."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.ranges import PositiveInt, Share
from nearfar.core.settings import Settings

SHAPES: dict[str, dict[str, int]] = {
    "ml-1m": {"users": 6_034, "items": 3_533, "interactions": 575_272},
    "ml-20m": {"users": 136_677, "items": 20_108, "interactions": 9_990_682},
    "msd": {"users": 571_355, "items": 41_140, "interactions": 33_633_450, "min_user": 20},
    "netflix": {"users": 463_435, "items": 17_769, "interactions": 56_880_037},
}
SIZE = "USERSxITEMSxINTERACTIONS"
FULLEST = 0.5  # of all pairs; beyond it most draws would be of pairs that stand already
FULLEST_USER = 0.75


@dataclass(frozen=True)
class Synthetic(Settings):
    """The shape of synthetic data.

    Attributes:
        users, items, interactions: exact numbers. Every user and every item has an interaction, and
            no pair occurs twice.
        seed: seed of all draws.
        min_user: minimum number of items per user.
        spread: standard deviation of the logarithm of users' activity, before clipping to
            `min_user` and to three quarters of the items.
        exponent, head: the probability of an item of popularity rank r = 0, 1, ... is proportional
            to (r + 1 + head * items) ** -exponent: a power law with a flat head.
        clusters: number of clusters of items, of unequal sizes; None for a quarter of the square
            root of `items`, at least 2.
        tastes: number of clusters per user, possibly repeated, with random shares.
        breadth: share of draws from the whole catalogue instead of the user's clusters.

    Raises:
        SettingsError: a value is out of range, or no such data exist; the error has valid values.

    Examples:
        >>> nf.synthetic_interactions(nf.Synthetic(50, 20, 400, clusters=3))
        Interactions(50 users, 20 items, 400 interactions)
    """

    users: PositiveInt
    items: Annotated[int, Ge(2)]
    interactions: int
    seed: int = 0
    min_user: PositiveInt = 5
    spread: Annotated[float, Ge(0), Le(10)] = 1.0
    exponent: Annotated[float, Ge(0), Le(10)] = 2.0
    head: Annotated[float, Ge(0), Le(10)] = 0.05
    clusters: int | None = None
    tastes: PositiveInt = 3
    breadth: Share = 0.2

    def check_together(self) -> None:
        if not 1 <= self.n_clusters <= self.items:
            raise SettingsError(
                f"clusters is {self.clusters}; expected 1 to {self.items:,}, the number of items"
            )
        if self.min_user > self.max_user:
            raise SettingsError(
                f"min_user is {self.min_user}; with {self.items:,} items a user has at most "
                f"{self.max_user:,}: ask for more items or a smaller min_user"
            )
        least = max(self.users * self.min_user, self.items)
        most = int(FULLEST * self.users * self.items)
        if least > most:
            raise SettingsError(
                f"{self.users:,} users are too few for {self.items:,} items: at most half of all "
                f"pairs are filled, {most:,}, and {least:,} are needed at least; ask for more users"
            )
        if not least <= self.interactions <= most:
            raise SettingsError(
                f"{self.interactions:,} interactions of {self.users:,} users and {self.items:,} "
                f"items are not possible; expected {least:,} ({self.min_user} per user, one per "
                f"item) to {most:,} (half of all pairs)"
            )

    @property
    def max_user(self) -> int:
        """The maximum number of items per user."""
        return int(FULLEST_USER * self.items)

    @property
    def n_clusters(self) -> int:
        """The number of clusters of items."""
        return max(2, round(math.sqrt(self.items) / 4)) if self.clusters is None else self.clusters

    @classmethod
    def parse(cls, text: str) -> Synthetic:
        """Parse "ml-20m", "5000x2000x100000" or either with settings: "ml-1m,seed=3,clusters=40".

        Settings follow "," or "?" and are separated by "," or "&". "scale=0.01" makes a shape
        smaller: users and interactions are multiplied by 0.01, so that users stay as active, and
        items by its square root, so that users have enough of them.

        Raises:
            UnknownNameError: the shape or a setting is unknown; the message has the nearest name.
            SettingsError: the size or a setting is out of range.
        """
        shape, *assignments = re.split(r"[?,&]", text.strip())
        values = parse_assignments(assignments)
        sizes = _scaled(_sizes(shape), values.pop("scale", 1))
        return settings.build(cls, {**sizes, **values})


def _scaled(sizes: dict[str, int], scale: object) -> dict[str, int]:
    if not isinstance(scale, int | float) or not 0 < scale <= 1:
        raise SettingsError(f"scale is {scale!r}; a number above 0 and up to 1 was expected")
    by = {"users": scale, "interactions": scale, "items": math.sqrt(scale)}
    return {name: round(size * by.get(name, 1)) for name, size in sizes.items()}


def _sizes(shape: str) -> dict[str, int]:
    known = SHAPES.get(shape.strip().lower().replace("_", "-"))
    if known is not None:
        return known
    size = re.fullmatch(r"([0-9_]+)x([0-9_]+)x([0-9_]+)", shape.strip(), re.IGNORECASE)
    if size is not None and all(part.strip("_") for part in size.groups()):
        numbers = (int(part.replace("_", "")) for part in size.groups())
        return dict(zip(("users", "items", "interactions"), numbers, strict=True))
    if shape[:1].isdigit():
        raise SettingsError(
            f"{shape!r} is not a size of synthetic data; expected {SIZE}, as 5000x2000x100000, "
            f"or one of {', '.join(SHAPES)}"
        )
    raise UnknownNameError("shape of synthetic data", shape, [*SHAPES, SIZE])
