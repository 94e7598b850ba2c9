"""Which column is the user, the item, the rating: given, or told by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nearfar.core.errors import SchemaError

# In order of preference; the first few are names of the role itself and beat the rest.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "user": (
        *("user", "userid", "uid", "users", "username"),
        *("customer", "customerid", "visitor", "visitorid", "member", "memberid", "account"),
        *("accountid", "profile", "profileid", "client", "clientid", "reviewer", "reviewerid"),
        *("buyer", "buyerid", "listener", "listenerid", "viewer", "viewerid", "person"),
        *("personid", "subscriber", "subscriberid", "household", "householdid"),
    ),
    "item": (
        *("item", "itemid", "iid", "items"),
        *("movie", "movieid", "film", "filmid", "product", "productid", "song", "songid"),
        *("track", "trackid", "artist", "artistid", "book", "bookid", "isbn", "asin", "sku"),
        *("article", "articleid", "video", "videoid", "content", "contentid", "titleid"),
        *("show", "showid", "game", "gameid", "business", "businessid", "poi", "poiid"),
        *("location", "locationid", "venue", "venueid", "news", "newsid", "anime", "animeid"),
        *("recipe", "recipeid", "gmapid", "parentasin"),
    ),
    "rating": ("rating", "ratings", "score", "stars", "star", "overall", "reviewscore"),
    "timestamp": (
        *("timestamp", "timestamps", "ts", "time", "datetime", "date", "unixtime", "epoch"),
        *("eventtime", "eventtimestamp", "eventdate", "createdat", "occurredat", "ratedat"),
        *("unixreviewtime", "unixtimestamp", "reviewtime", "reviewdate", "when", "tstamp"),
    ),
    "weight": (
        *("weight", "count", "plays", "playcount", "nplays", "listens", "listencount"),
        *("quantity", "qty", "clicks", "views", "purchases", "frequency", "times"),
    ),
}
OWN_NAMES = {"user": 5, "item": 4}


@dataclass(frozen=True)
class Columns:
    """The names of a table's columns, by role; None leaves a role to be told by name."""

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    timestamp: str | None = None
    weight: str | None = None

    def resolve(self, present: Sequence[str], where: str) -> dict[str, str]:
        """The column of each role there is: `{"user": "userId", "item": "movieId", ...}`.

        Names are compared without case, spaces and underscores.

        Raises:
            SchemaError: a column is doubled, or a given one missing, or the user or the item
                cannot be told.
        """
        doubled = [c for c, n in Counter(present).items() if n > 1]
        if doubled:
            raise SchemaError(
                f"{where} has the column {doubled[0]!r} more than once; rename one of them"
            )
        result: dict[str, str] = {}
        for role in SYNONYMS:
            given = getattr(self, role)
            if given is not None:
                if given not in present:
                    raise SchemaError(
                        f"{where} has no column {given!r} for the {role}; it has {_quoted(present)}"
                    )
                result[role] = given
        for role in SYNONYMS:
            if role not in result:
                found = self._by_name(role, [c for c in present if c not in result.values()], where)
                if found is not None:
                    result[role] = found
        for role in ("user", "item"):
            if role not in result:
                raise SchemaError(
                    f"{where} has no column known as the {role}; it has {_quoted(present)}: "
                    f"name one with {role}='...'"
                )
        return {role: result[role] for role in SYNONYMS if role in result}

    def _by_name(self, role: str, candidates: Sequence[str], where: str) -> str | None:
        plain = {plain_name(c): c for c in reversed(candidates)}
        matching = [s for s in SYNONYMS[role] if s in plain]
        if not matching:
            return None
        own = OWN_NAMES.get(role)
        if own is not None and len(matching) > 1 and matching[0] not in SYNONYMS[role][:own]:
            raise SchemaError(
                f"{where}: {_quoted([plain[s] for s in matching])} could each be the {role}; "
                f"name one with {role}='...'"
            )
        return plain[matching[0]]


def plain_name(name: str) -> str:
    """A column's name as names are compared: without case, spaces and underscores."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(n) for n in names)
