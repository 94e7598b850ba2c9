"""Words for events that are no interactions (shown, refunded, removed), for yes, no and never."""

from __future__ import annotations

from nearfar.tables.contradiction_columns import OPERATIONS
from nearfar.tables.names import plain_name, words

NO_EVENT_WORDS = frozenset(
    words(
        "impression impressions impressed exposure exposed shown served displayed refund refunded "
        "partialrefund orderrefunded return returned cancel cancelled canceled cancellation "
        "ordercancelled removefromcart removefrombasket removefromwishlist remove removed "
        "productremoved delete deleted unlike dislike disliked downvote thumbsdown unfollow "
        "unfavorite unfavourite unsubscribe notinterested hide skip skipped voided chargeback "
        "failed abandoned creditnote creditmemo "
        "retoure retouren retourniert rückgabe rueckgabe zurückgegeben storno storniert "
        "stornierung "
        "erstattung erstattet rückerstattung gutschrift gelöscht entfernt abgebrochen devolución "
        "devuelto devuelta reembolso reembolsado anulado anulada anulación cancelado cancelada "
        "cancelación eliminado retour retourné remboursement remboursé annulé annulée annulation "
        "supprimé reso restituito rimborso rimborsato annullato annullata annullamento devolução "
        "devolvido estorno cancelamento geretourneerd terugbetaling terugbetaald geannuleerd zwrot "
        "anulowane anulowano retur återbetalning avbruten iade iptal возврат отмена отменен "
        "退货 退款 取消 已取消 已退款 曝光 返品 返金 キャンセル 반품 환불 취소 노출"
    )
)
"""Kinds of events that are no interactions, in the form of `plain_name`."""
NO_EVENT_KINDS = NO_EVENT_WORDS | frozenset(
    words(
        "down negative bad rejected declined denied voided void unpaid notrecommended uninstall "
        "uninstalled sell withdrawn lost closedlost draft onhold"
    )
)
"""`NO_EVENT_WORDS` and words that mean the same in a column of kinds only ("sell", "down")."""
DELETIONS = frozenset(words("d del updatebefore updatepreimage"))
"""Words for a deleted or replaced row in a column of change capture."""
AMBIGUOUS_KINDS = frozenset(words("sold dropped expired"))
"""Kinds that are no interactions in some logs and interactions in others: rows are kept."""
YES = frozenset((
    "1", "1.0", "true", "t", "yes", "y", "x", "\u2713",
    "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "prawda", "sann", "sandt", "истина",
    "ja", "oui", "si", "sí", "sì", "sim", "tak", "evet", "да", "是", "はい", "예",
))  # fmt: skip
NO = frozenset((
    "0", "0.0", "-1", "-1.0", "false", "f", "no", "n",
    "falsch", "faux", "falso", "onwaar", "fałsz", "falskt", "falsk", "usant", "ложь",
    "nein", "non", "não", "nao", "nee", "nej", "nie", "hayır", "нет", "否", "いいえ", "아니요",
))  # fmt: skip
NEVER = (
    r"(?i)^(?:[\s$€£¥+0.,:-]*|(?:0000-00-00|0001-01-01|1899-12-3[01]|1900-01-0[01]|1970-01-01|"
    r"9999-12-31)(?:[\st].*)?)$"
)
"""Matches zeros, and the dates that databases and spreadsheets write for no date."""


def no_event_kinds(column: str) -> frozenset[str]:
    """Return the kinds that are no interactions in a column of kinds only."""
    return NO_EVENT_KINDS | DELETIONS if plain_name(column) in OPERATIONS else NO_EVENT_KINDS
