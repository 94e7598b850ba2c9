"""Columns without a role whose values may say the opposite of an interaction."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from nearfar.tables.columns import KIND_ROLE, Role
from nearfar.tables.names import KINDS, RARER, SYNONYMS, plain_name, words

CONTRARY = "contrary: "
"""Before the name of such a column among the roles of a block."""

UNDONE_STEMS = re.compile(
    "return|refund|cancel|void|delet|remov|dislik|skip|reject|declin|chargeback|abandon|retour|"
    "storn|erstatt|devol|reembols|anula|annul|rimbors|zwrot|iade|возврат|отмен|退货|退款|取消|返品"
)
NOT_UNDONE = re.compile("returning|returnvisit|able|policy|avoid|voided?by|deadline|revolu|until")
"""What has a name with such a stem and tells of no event that was undone ("returning_visitor")."""
KIND_ENDINGS = (
    "status", "state", "type", "kind", "action", "event", "reaction", "feedback", "vote",
    "sentiment", "operation", "result", "disposition", "behavior", "behaviour",
    "side", "direction",
)  # fmt: skip
PRAISE = re.compile("recommend|upvote|votedup|thumbsup|favou?rite|positive|approved|accepted")
AMOUNTS = re.compile(
    "amount|price|total|revenue|sales|value|umsatz|betrag|preis|importe|precio|"
    "montant|prix|importo|prezzo|valor"
)
NOT_AMOUNTS = re.compile("discount|tax|shipping|fee|margin|change|diff|balance|sentiment|rabatt")
"""What may be below 0 where something was bought."""
WEIGHTS = frozenset((*SYNONYMS["weight"], *(n for group in RARER["weight"] for n in group)))
OF_ITEMS = frozenset(words("producttype itemtype contenttype mediatype devicetype usertype"))


def contrary_of(name: str) -> str:
    """How a column may speak against its rows: "kind", "undone", "praise", "amount", or ""."""
    plain = plain_name(name)
    if UNDONE_STEMS.search(plain):
        return "" if NOT_UNDONE.search(plain) else "undone"
    if plain in KIND_ROLE.names or plain in KINDS or plain.endswith(KIND_ENDINGS):
        return "" if plain in OF_ITEMS else "kind"
    if PRAISE.search(plain):
        return "praise"
    amount = plain in WEIGHTS or (AMOUNTS.search(plain) and not NOT_AMOUNTS.search(plain))
    return "amount" if amount else ""


def contrary_roles(
    columns: Sequence[str], used: Collection[str], listed: Collection[str]
) -> dict[Role, str]:
    """Roles of the columns of a table that may speak against its rows, and these columns.

    Args:
        columns: of the table.
        used: columns that have a role, and so do not count.
        listed: columns whose values are in lists, which make rows.
    """
    found = [
        c for c in columns
        if c not in used and c not in listed and columns.count(c) == 1 and contrary_of(c)
    ]  # fmt: skip
    return {Role(CONTRARY + column, "hint", ()): column for column in found}
