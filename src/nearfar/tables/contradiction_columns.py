"""Find columns whose values may say that a row is no interaction, such as returns and dislikes."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from nearfar.tables.names import KINDS, RARER, SYNONYMS, plain_name, words
from nearfar.tables.roles import KIND_ROLE, Role

CONTRADICTION_PREFIX = "contradiction: "
"""Prefix of the role that such a column gets; its name follows."""

UNDO_STEMS = re.compile(
    "return|refund|cancel|void|delet|remov|dislik|skip|reject|declin|chargeback|abandon|retour|"
    "storn|erstatt|devol|reembols|anula|annul|rimbors|zwrot|iade|возврат|отмен|退货|退款|取消|返品|"
    "unlike|unliking|unfollow|unsubscri|uninstall|downvot|thumbs?down|notinterest|dismiss|"
    "^(?:is|was|has)?(?:hate|hated|hidden|ignored|blocked|bounced|negative)$"
)
NO_UNDO = re.compile("returning|returnvisit|able|policy|avoid|voided?by|deadline|revolu|until")
"""Parts of names that match `UNDO_STEMS` but are not about undone events ("returning_visitor")."""
KIND_ENDINGS = (
    "status", "state", "stage", "thumbs", "type", "kind", "action", "event", "reaction", "feedback",
    "vote", "sentiment", "operation", "result", "disposition", "behavior", "behaviour",
    "side", "direction",
)  # fmt: skip
PRAISE = re.compile(
    "recommend|upvote|votedup|thumbsup|favou?rite|positive|approved|accepted|"
    "^(?:is|was|has)?(?:valid|success|successful|succeeded|completed|active|watched|read|attended)$"
)
OPERATIONS = frozenset(
    words("op cdcop dmlop operation operationtype cdcoperation changetype hoodieoperation rowkind")
)
"""Columns of change capture, which say that a row was inserted, updated or deleted."""
AMOUNTS = re.compile(
    "amount|price|total|revenue|sales|value|umsatz|betrag|preis|importe|precio|"
    "montant|prix|importo|prezzo|valor"
)
NOT_AMOUNTS = re.compile("discount|tax|shipping|fee|margin|change|diff|balance|sentiment|rabatt")
"""Amounts that may be negative in a purchase too."""
WEIGHTS = frozenset((*SYNONYMS["weight"], *(n for group in RARER["weight"] for n in group)))
NOT_REAL = frozenset(
    words(
        "istest test isbot bot isrobot iscrawler isinternal internal isstaff isemployee isfraud "
        "isfraudulent isspam isfake isduplicate isimpression testorder istestorder"
    )
)
"""Columns that mark rows of nobody who chose anything."""
ITEM_ATTRIBUTES = frozenset(words("producttype itemtype contenttype mediatype devicetype usertype"))


def contradiction_type(name: str) -> str:
    """Return how a column's values may contradict an interaction, judged by its name.

    Returns:
        "kind" (by a word such as "return"), "undone" (by a yes, a number or a text), "praise" (by
        a no), "amount" (by a negative number), or "" for a column that cannot.
    """
    plain = plain_name(name.partition("(")[0] or name)
    if plain in NOT_REAL:
        return "undone"
    if UNDO_STEMS.search(plain):
        return "" if NO_UNDO.search(plain) else "undone"
    if (
        plain in OPERATIONS
        or plain in KIND_ROLE.names
        or plain in KINDS
        or plain.endswith(KIND_ENDINGS)
    ):
        return "" if plain in ITEM_ATTRIBUTES else "kind"
    if PRAISE.search(plain):
        return "praise"
    amount = plain in WEIGHTS or (AMOUNTS.search(plain) and not NOT_AMOUNTS.search(plain))
    return "amount" if amount else ""


def contradiction_roles(columns: Sequence[str], used: Collection[str]) -> dict[Role, str]:
    """Return a role for each column of a table that may contradict its rows, with the column.

    Args:
        columns: the columns of the table.
        used: columns that already have a role; skipped.
    """
    contradicting = [
        c for c in columns
        if c not in used and columns.count(c) == 1 and contradiction_type(c)
    ]  # fmt: skip
    return {Role(CONTRADICTION_PREFIX + column, "hint", ()): column for column in contradicting}
