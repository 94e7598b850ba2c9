"""Remarks on ids that look wrong. The ids themselves are not changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from nearfar.core.identity import CANONICAL
from nearfar.core.vocabulary import Vocabulary

PLACEHOLDERS = {
    "user": (
        "guest", "anonymous", "anon", "anonym", "unknown", "unregistered", "nobody", "visitor",
        "default", "test", "user", "deleted", "[deleted]", "deleted user", "deleted_user",
        "not logged in", "not_logged_in", "no_user", "unidentified", "missing", "empty", "?", ".",
        "(direct)", "(leer)", "(vide)", "(vacío)", "(en blanco)",
        "erased", "removed", "redacted", "[redacted]", "anonymized", "anonymised", "gdpr", "gast",
        "invitado", "00000000-0000-0000-0000-000000000000",
    ),
    "item": (
        "unknown", "undefined", "default", "other", "others", "test", "misc", "deleted",
        "missing", "empty", "?", ".", "not found", "no title", "untitled",
        "00000000-0000-0000-0000-000000000000",
    ),
}  # fmt: skip
"""Ids, in lower case, that programs write for users without an account or for unknown items."""
TOTALS = (
    "total", "totals", "grand total", "subtotal", "sub-total", "total general", "sum", "summe",
    "gesamt", "gesamtsumme", "gesamtergebnis", "zwischensumme", "insgesamt", "suma", "somme",
    "total général", "totale", "totale complessivo", "totaal", "eindtotaal", "razem",
    "итого", "всего", "总计",
    "合计", "合計", "합계",
)  # fmt: skip
"""Labels, in lower case, of the total lines in reports and pivot tables."""
NUMBER_PLACEHOLDERS = {"user": (0, -1), "item": (-1,)}
"""Item 0 is not one: research data sets number items from 0."""
NO_NUMBERS = {"user": (-1, 2**31 - 1, 2**32 - 1, 2**63 - 1), "item": ()}
"""Numbers that no program gives to a user: they are remarked on however few events they have."""
MANY_TIMES = 5
FEW = 0.05
"""The largest share of ids that are remarked on for differing from all others."""
MAY_CHANGE = r"""[^\x21-\x7e]|^[+0]\d|["'`=,]"""
"""Matches every id that `_normalized` may change."""
INVISIBLE = r"[\p{Cf}\p{Cc}\s]"
MISREAD = "\ufffd|[\u00c2\u00c3][\u0080-\u00bf]"
"""A replacement character, or UTF-8 that was read as Latin-1."""
SEPARATORS = ("|", ";", ",")
CODES = r"^\S*\d\S*(?: \S*\d\S*)+$"
MOST_LISTS = 10_000


def remarks_on_ids(role: str, ids: pl.Series) -> list[str]:
    """Return remarks on the ids of a log.

    Args:
        role: "user" or "item".
        ids: the distinct ids.
    """
    if ids.dtype != pl.String or not len(ids):
        return []
    remarks = [
        _differ_by_case(role, ids),
        _differ_by_spelling(role, ids),
        _odd_format(role, ids),
        _quoted(role, ids),
        _misread(role, ids),
        _joined(ids) if role == "item" else "",
        _blank_lists(ids) if role == "item" else "",
        _with_labels(ids) if role == "item" else "",
        _with_numbers(ids) if role == "item" else "",
    ]
    return [remark for remark in remarks if remark]


EMPTY_IDS = "; if so, empty the id in these rows and leave them out with --drop-bad-rows"


def remark_on_shared(
    role: str, ids: Vocabulary, counts: np.ndarray, *, advice: str = EMPTY_IDS
) -> str:
    """Return a remark on ids that may stand for many users or items; "" for none.

    Args:
        role: "user" or "item".
        ids: the ids of the log.
        counts: number of events per id.
        advice: the end of the remark, which says what to do.
    """
    numbers: list[int] | list[str] = list(NUMBER_PLACEHOLDERS[role])
    words: list[int] | list[str] = list(NO_NUMBERS[role])
    if not ids.is_integer:
        numbers = list(map(str, numbers))
        is_placeholder = ids.ids.str.to_lowercase().is_in(PLACEHOLDERS[role])
        words = [*ids.ids.filter(is_placeholder), *map(str, words)]
    n_events: Mapping[int | str, int] = {
        name: int(counts[at])
        for name, at in zip([*words, *numbers], ids.index([*words, *numbers]), strict=True)  # pyright: ignore[reportArgumentType]
        if at >= 0
    }
    limit = MANY_TIMES * float(np.median(counts))
    most = counts.max()
    shared = [
        name
        for name, n in n_events.items()
        if (n == most and n >= limit) or (name in words and (role == "user" or n == most))
    ]
    whom = "all users without an account" if role == "user" else "all unknown items"
    more = ", or use --max-user" if role == "user" and advice else ""
    return "; ".join(
        f"{role} {name!r} has {n_events[name]:,} events and may stand for {whom}{advice}{more}"
        for name in shared
    )


def remark_on_totals(role: str, ids: pl.Series, count: Callable[[pl.Series], int]) -> str:
    """Return a remark on ids that label the total lines of a report; "" for none.

    Such a label is "Total", or an id with a suffix ("u1 Total").

    Args:
        role: "user" or "item".
        ids: the distinct ids.
        count: returns the number of events of given ids.
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
    examples = ", ".join(map(repr, totals.head(3)))
    events = "1 event" if n_events == 1 else f"{n_events:,} events"
    return (
        f"{events} of {role} {examples}{more}; if this is a line of totals, remove it, because it "
        "counts as an interaction"
    )


def _differ_by_case(role: str, ids: pl.Series) -> str:
    n_alike = len(ids) - ids.str.to_lowercase().n_unique()
    if not n_alike:
        return ""
    return f"{n_alike:,} {role} ids differ from another id only by case and are kept apart"


def _normalized(ids: pl.Series) -> pl.Series:
    """Return ids without blanks, quotes, leading zeros, thousands separators and letter forms."""
    # Logs have millions of ids, so skip each step that changes none of them.
    if ids.str.contains(r"[^\x21-\x7e]").any():
        ids = ids.str.normalize("NFKC").str.to_lowercase().str.replace_all(INVISIBLE, "")
    ids = ids.str.strip_chars("\"'`=")
    if ids.str.contains(r"^[+0]").any():
        ids = ids.str.replace(r"^\+?0*(\d)", "$1")
    if ids.str.contains(",", literal=True).any():
        ids = ids.str.replace_all(r"(\d),(\d{3})\b", "$1$2")
    return ids


def _differ_by_spelling(role: str, ids: pl.Series) -> str:
    lower = ids.str.to_lowercase()
    may_change = lower.str.contains(MAY_CHANGE)
    if not may_change.any():
        return ""
    normalized = lower.clone().scatter(may_change.arg_true(), _normalized(lower.filter(may_change)))
    n_alike = lower.n_unique() - normalized.n_unique()
    if not n_alike:
        return ""
    frame = pl.DataFrame({"id": ids, "lower": lower, "normalized": normalized})
    frame = frame.unique("lower", keep="first", maintain_order=True)
    first, second = (
        frame.filter(pl.col("normalized").is_duplicated())
        .sort("normalized", maintain_order=True)["id"]
        .head(2)
    )
    return (
        f"{n_alike:,} {role} ids differ from another id only by blanks, invisible characters, "
        f"quotes, forms of letters or leading zeros and are kept apart, such as {first!r} and "
        f"{second!r}; write each id in one way"
    )


def _odd_format(role: str, ids: pl.Series) -> str:
    comments = ids.filter(ids.str.starts_with("#"))
    if _are_few(len(comments), len(ids)):
        return (
            f"{len(comments):,} {role} ids begin with '#', such as {comments[0]!r}; if they are "
            "comments, remove their lines"
        )
    whole = ids.str.contains(CANONICAL)
    odd = ids.filter(~whole)
    if not _are_few(len(odd), len(ids)):
        return ""
    examples = " and ".join(map(repr, odd.head(2)))
    return (
        f"{len(odd):,} of {len(ids):,} {role} ids are not whole numbers like the others, such as "
        f"{examples}; if they are a total, a header or a comment, remove their rows"
    )


def _are_few(n: int, n_ids: int) -> bool:
    return 0 < n <= max(1, FEW * n_ids) and n * 2 <= n_ids


def _quoted(role: str, ids: pl.Series) -> str:
    quoted = ids.str.contains(r"""^(?:'.*'|".*"|`.*`|“.*”|‘.*’|«.*»)$""")
    n_quoted = int(quoted.sum())
    if n_quoted * 2 <= len(ids):
        return ""
    example = ids.filter(quoted)[0]
    return f"{n_quoted:,} {role} ids are read with the quotes around them, such as {example!r}"


def _misread(role: str, ids: pl.Series) -> str:
    if not (misread := ids.str.contains(MISREAD)).any():
        return ""
    example = ids.filter(misread)[0]
    return (
        f"{int(misread.sum()):,} {role} ids look like text in another encoding, such as "
        f"{example!r}; set the file's encoding with --encoding, or export the file again"
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
            example = lists.filter("piece")["id"][0]
            return (
                f"{n:,} item ids are other ids joined by {separator!r}, such as {example!r}; "
                f"split them with --item-separator '{separator}'"
            )
    return ""


def _blank_lists(ids: pl.Series) -> str:
    """Return a remark on ids that are lists of codes between blanks, as "N8 N5"; "" for none.

    Titles have blanks too, but few of their words have digits.
    """
    lists = ids.filter(ids.str.contains(CODES)).head(MOST_LISTS)
    if len(lists) * 2 <= min(len(ids), MOST_LISTS):
        return ""
    codes = lists.str.split(" ").explode()
    if codes.n_unique() * 10 > len(codes) * 9:
        return ""
    return (
        f"most item ids look like lists of ids between blanks, such as {lists[0][:40]!r}; split "
        "them with --item-separator ' '"
    )


def _with_labels(ids: pl.Series) -> str:
    labels = ids.str.extract(r"[^\W_]-([01])$")
    if labels.null_count() or labels.n_unique() < len("01"):
        return ""
    n_no = int((labels == "0").sum())
    return (
        f"all item ids end with -0 or -1, such as {ids[0]!r}; if that says whether a shown item "
        f"was clicked, remove the rows of the {n_no:,} ids with -0, and the ending of the others"
    )


def _with_numbers(ids: pl.Series) -> str:
    """Return a remark on ids that end with a rating or a count, as "m9:5"; "" for none."""
    if ":" not in str(ids[0]):
        return ""
    parts = ids.str.extract_groups(r"^(?<item>.+):(?<number>\d+(?:\.\d+)?)$").struct.unnest()
    if parts["item"].null_count():
        return ""
    n_items, n_numbers = parts["item"].n_unique(), parts["number"].n_unique()
    if not n_numbers < n_items < len(ids):
        return ""
    return (
        f"all {len(ids):,} item ids end with a number after a colon, such as {ids[0]!r}, and only "
        f"{n_items:,} differ before it; if the number is a rating or a count, write it to its own "
        "column"
    )
