"""What looks odd about ids: said when a log is read, and left as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from nearfar.core.identity import CANONICAL
from nearfar.core.vocabulary import Vocabulary

STAND_FOR_MANY = {
    "user": (
        "guest", "anonymous", "anon", "anonym", "unknown", "unregistered", "nobody", "visitor",
        "default", "test", "user", "gast", "invitado", "00000000-0000-0000-0000-000000000000",
    ),
    "item": (
        "unknown", "undefined", "default", "other", "others", "test", "misc", "deleted",
        "not found", "no title", "untitled", "00000000-0000-0000-0000-000000000000",
    ),
}  # fmt: skip
"""Ids, in lower case, under which programs put everybody without an account, or what they lack."""
TOTALS = (
    "total", "totals", "grand total", "subtotal", "sub-total", "total general", "sum", "summe",
    "gesamt", "gesamtsumme", "gesamtergebnis", "zwischensumme", "insgesamt", "suma", "somme",
    "total général", "totale", "totale complessivo", "totaal", "eindtotaal", "razem",
    "итого", "всего", "总计",
    "合计", "合計", "합계",
)  # fmt: skip
"""What stands in the place of an id in the footers of reports and pivot tables, in lower case."""
NUMBERS_FOR_MANY = {"user": (0, -1), "item": (-1,)}
"""Research data number items by popularity, so that item 0 is one."""
MANY_TIMES = 5
FEW = 0.05
"""Of ids that are whole numbers but for a share up to this, the others are odd."""
MAY_BE_ANOTHER = r"""[^\x21-\x7e]|^[+0]\d|["'`=,]"""
"""Text that another id may differ from by what `_folded` takes away."""
INVISIBLE = r"[\p{Cf}\p{Cc}\s]"
MISREAD = "\ufffd|[\u00c2\u00c3][\u0080-\u00bf]"
"""A character that was lost, and UTF-8 that was read as Latin-1."""
SEPARATORS = ("|", ";", ",")


def remarks_on_ids(role: str, ids: pl.Series) -> list[str]:
    """What there is to say of the ids of a log.

    Args:
        role: "user" or "item".
        ids: each once.
    """
    if ids.dtype != pl.String or not len(ids):
        return []
    found = [
        _case(role, ids),
        _alike(role, ids),
        _odd(role, ids),
        _quoted(role, ids),
        _misread(role, ids),
        _joined(ids) if role == "item" else "",
        _labelled(ids) if role == "item" else "",
    ]
    return [remark for remark in found if remark]


HOW = "; if so, empty the id in these rows and leave them out with --drop-bad-rows"


def remark_on_shared(role: str, ids: Vocabulary, counts: np.ndarray, *, advice: str = HOW) -> str:
    """Name ids that may stand for many users or items; "" without any.

    Args:
        role: "user" or "item".
        ids: of the log.
        counts: events of each of them.
        advice: what to do.
    """
    numbers: list[int] | list[str] = list(NUMBERS_FOR_MANY[role])
    words: list[str] = []
    if not ids.is_integer:
        numbers = list(map(str, numbers))
        known = ids.ids.str.to_lowercase().is_in(STAND_FOR_MANY[role])
        words = ids.ids.filter(known).to_list()
    n_of: Mapping[int | str, int] = {
        name: int(counts[at])
        for name, at in zip([*words, *numbers], ids.index([*words, *numbers]), strict=True)  # pyright: ignore[reportArgumentType]
        if at >= 0
    }
    limit = MANY_TIMES * float(np.median(counts))
    most = counts.max()
    shared = [
        name
        for name, n in n_of.items()
        if (n == most and n >= limit) or (name in words and (role == "user" or n == most))
    ]
    whom = "many without an account" if role == "user" else "items that are not known"
    more = ", or use --max-user" if role == "user" and advice else ""
    return "; ".join(
        f"{role} {name!r} has {n_of[name]:,} events and may stand for {whom}{advice}{more}"
        for name in shared
    )


def remark_on_totals(role: str, ids: pl.Series, count: Callable[[pl.Series], int]) -> str:
    """Name ids that are a total's line in a report, or a group's ("u1 Total"); "" without any.

    Args:
        role: "user" or "item".
        ids: each once.
        count: how many events some of them have.
    """
    if ids.dtype != pl.String or not len(ids):
        return ""
    lower = ids.str.to_lowercase().str.strip_chars(" :*")
    group = lower.str.strip_suffix(" total").str.strip_suffix(" ergebnis")
    totals = ids.filter(lower.is_in(TOTALS) | ((group != lower) & group.is_in(lower.implode())))
    if not len(totals):
        return ""
    n_events = count(totals)
    more = f" and {len(totals) - 3:,} more" if len(totals) > 3 else ""
    such = ", ".join(map(repr, totals.head(3)))
    events = "1 event" if n_events == 1 else f"{n_events:,} events"
    return (
        f"{events} of {role} {such}{more}: if that is a line of totals, take it away, since it "
        "counts as an interaction"
    )


def _case(role: str, ids: pl.Series) -> str:
    n_alike = len(ids) - ids.str.to_lowercase().n_unique()
    return f"{n_alike:,} {role} ids differ from another by case only and are kept apart" * (
        n_alike > 0
    )


def _folded(ids: pl.Series) -> pl.Series:
    """Ids without what does not tell one from another: width, blanks, quotes, zeros before them."""
    # Each step only where it may do something: logs have millions of ids.
    if ids.str.contains(r"[^\x21-\x7e]").any():
        ids = ids.str.normalize("NFKC").str.to_lowercase().str.replace_all(INVISIBLE, "")
    ids = ids.str.strip_chars("\"'`=")
    if ids.str.contains(r"^[+0]").any():
        ids = ids.str.replace(r"^\+?0*(\d)", "$1")
    if ids.str.contains(",", literal=True).any():
        ids = ids.str.replace_all(r"(\d),(\d{3})\b", "$1$2")
    return ids


def _alike(role: str, ids: pl.Series) -> str:
    lower = ids.str.to_lowercase()
    suspect = lower.str.contains(MAY_BE_ANOTHER)
    if not suspect.any():
        return ""
    folded = lower.clone().scatter(suspect.arg_true(), _folded(lower.filter(suspect)))
    n_alike = lower.n_unique() - folded.n_unique()
    if not n_alike:
        return ""
    frame = pl.DataFrame({"id": ids, "lower": lower, "folded": folded})
    frame = frame.unique("lower", keep="first", maintain_order=True)
    first, second = (
        frame.filter(pl.col("folded").is_duplicated())
        .sort("folded", maintain_order=True)["id"]
        .head(2)
    )
    return (
        f"{n_alike:,} {role} ids differ from another by blanks, invisible characters, quotes, "
        f"forms of letters or zeros before a number only and are kept apart, as {first!r} and "
        f"{second!r}; write each id one way"
    )


def _odd(role: str, ids: pl.Series) -> str:
    comments = ids.filter(ids.str.starts_with("#"))
    if _are_few(len(comments), len(ids)):
        return (
            f"{len(comments):,} {role} ids begin with '#' as comments do, such as {comments[0]!r}; "
            "if they are comments, take their lines away"
        )
    whole = ids.str.contains(CANONICAL)
    odd = ids.filter(~whole)
    if not _are_few(len(odd), len(ids)):
        return ""
    such = " and ".join(map(repr, odd.head(2)))
    return (
        f"{len(odd):,} of {len(ids):,} {role} ids are no whole numbers as the others are, such as "
        f"{such}; if these are a total, a header or a comment, take their rows away"
    )


def _are_few(n: int, n_ids: int) -> bool:
    return 0 < n <= max(1, FEW * n_ids) and n * 2 <= n_ids


def _quoted(role: str, ids: pl.Series) -> str:
    quoted = ids.str.contains(r"""^(?:'.*'|".*"|`.*`|“.*”|‘.*’|«.*»)$""")
    n_quoted = int(quoted.sum())
    if n_quoted * 2 <= len(ids):
        return ""
    such = ids.filter(quoted)[0]
    return f"{n_quoted:,} {role} ids stand in quotes, which are a part of them, as {such!r}"


def _misread(role: str, ids: pl.Series) -> str:
    if not (misread := ids.str.contains(MISREAD)).any():
        return ""
    such = ids.filter(misread)[0]
    return (
        f"{int(misread.sum()):,} {role} ids look misread, such as {such!r}: name the encoding of "
        "the file with --encoding, or export it again"
    )


def _joined(ids: pl.Series) -> str:
    for separator in SEPARATORS:
        joined = ids.filter(ids.str.contains(separator, literal=True))
        if not len(joined):
            continue
        pieces = joined.str.split(separator).list.eval(pl.element().str.strip_chars())
        known = pl.DataFrame({"id": joined, "piece": pieces}).explode("piece")
        known = known.with_columns(pl.col("piece").is_in(ids.implode()))
        lists = known.group_by("id", maintain_order=True).agg(pl.col("piece").all())
        if n := int(lists["piece"].sum()):
            such = lists.filter("piece")["id"][0]
            return (
                f"{n:,} item ids are other ids joined by {separator!r}, such as {such!r}; take "
                f"them apart with --item-separator '{separator}'"
            )
    return ""


def _labelled(ids: pl.Series) -> str:
    labels = ids.str.extract(r"[^\W_]-([01])$")
    if labels.null_count() or labels.n_unique() < len("01"):
        return ""
    n_no = int((labels == "0").sum())
    return (
        f"all item ids end with -0 or -1, such as {ids[0]!r}, as items do that were shown and "
        f"clicked; if so, take the {n_no:,} with -0 away, and the ending"
    )
