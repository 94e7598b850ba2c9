"""Columns: which one is the user, the item, the rating; and the values of one once parsed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from nearfar.core.errors import SchemaError, near_hint


@dataclass(frozen=True, eq=False)
class Parsed:
    """The values of one column.

    Attributes:
        values: typed; null where a value is missing or unreadable.
        bad: which values are there and unreadable (Boolean).
        expected: what was expected of them, for messages.
        given: the values as the table has them, for messages; None: as `values`.
    """

    values: pl.Series
    bad: pl.Series
    expected: str
    given: pl.Series | None = None


Kind = Literal["id", "number", "time", "text", "tags"]

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
        *("recipe", "recipeid", "gmapid", "parentasin", "stockcode", "productsku", "itemsku"),
    ),
    "rating": ("rating", "ratings", "score", "stars", "star", "overall", "reviewscore"),
    "timestamp": (
        *("timestamp", "timestamps", "ts", "time", "datetime", "date", "unixtime", "epoch"),
        *("eventtime", "eventtimestamp", "eventdate", "createdat", "occurredat", "ratedat"),
        *("unixreviewtime", "unixtimestamp", "reviewtime", "reviewdate", "when", "tstamp"),
        *("orderedat", "orderdate", "ordertime", "purchasedat", "purchasedate", "purchasetime"),
        *("viewedat", "watchedat", "watchdate", "playedat", "listenedat", "clickedat", "boughtat"),
        *("invoicedate", "transactiondate", "transactiontime", "visittime", "interactiontime"),
        *("happenedat", "addedat", "loggedat", "checkintime", "checkedinat", "utctime"),
    ),
    "weight": (
        *("weight", "count", "plays", "playcount", "nplays", "listens", "listencount"),
        *("quantity", "qty", "clicks", "views", "purchases", "frequency", "times"),
    ),
}
OWN_NAMES = {"user": 5, "item": 4}
# Other languages and shops' own words, used only where none of the names above is there.
RARER: dict[str, tuple[str, ...]] = {
    "user": (
        *("customernumber", "customerno", "customernr", "customercode", "customerkey", "custid"),
        *("idcustomer", "iduser", "usernumber", "userno", "userkey", "shopper", "shopperid"),
        *("kunde", "kunden", "kundenid", "kundennummer", "kundennr", "benutzer", "benutzerid"),
        *("nutzer", "nutzerid", "cliente", "clienteid", "idcliente", "codigocliente", "usuario"),
        *("usuarioid", "idusuario", "idclient", "codeclient", "numeroclient", "utilisateur"),
        *("utilisateurid", "idutilisateur", "utente", "utenteid", "idutente", "codicecliente"),
        *("klant", "klantid", "klantnummer", "klantnr", "gebruiker", "gebruikerid"),
    ),
    "item": (
        *("productcode", "productnumber", "productno", "productkey", "itemcode", "itemnumber"),
        *("itemno", "itemkey", "articlenumber", "articleno", "articlecode", "idproduct", "iditem"),
        *("artikel", "artikelid", "artikelnummer", "artikelnr", "produkt", "produktid"),
        *("produktnummer", "produktnr", "producto", "productoid", "idproducto", "codigoproducto"),
        *("articulo", "articuloid", "idarticulo", "codigoarticulo", "produit", "produitid"),
        *("idproduit", "codeproduit", "idarticle", "codearticle", "prodotto", "idprodotto"),
        *("codiceprodotto", "articolo", "idarticolo", "codicearticolo", "produto", "produtoid"),
        *("idproduto", "codigoproduto", "artigo", "productnummer", "ean", "gtin", "barcode"),
    ),
    "rating": (
        *("bewertung", "sterne", "puntuacion", "valoracion", "calificacion", "notation"),
        *("valutazione", "voto", "avaliacao", "beoordeling"),
    ),
    "timestamp": (
        *("datum", "bestelldatum", "kaufdatum", "rechnungsdatum", "zeit", "zeitpunkt"),
        *("zeitstempel", "bestelltam", "gekauftam", "erstelltam", "fecha", "fechahora"),
        *("fechapedido", "fechacompra", "horodatage", "datecommande", "dateachat", "dataora"),
        *("dataordine", "dataacquisto", "datahora", "datapedido", "datacompra", "besteldatum"),
        *("tijdstip", "datecreated", "dateadded", "timecreated"),
    ),
    "weight": (
        *("units", "orderqty", "orderquantity", "qtyordered", "nitems", "menge", "anzahl"),
        *("stuck", "stueck", "stuckzahl", "stueckzahl", "cantidad", "unidades", "quantite"),
        *("quantita", "quantidade", "aantal"),
    ),
    "title": (
        *("titel", "bezeichnung", "artikelbezeichnung", "produktbezeichnung", "artikelname"),
        *("produktname", "titulo", "nombre", "nombreproducto", "titre", "nom", "libelle"),
        *("nomproduit", "titolo", "nome", "nomeprodotto", "nomeproduto", "naam", "productnaam"),
        *("displayname", "label"),
    ),
    "genres": (
        *("kategorie", "kategorien", "warengruppe", "produktgruppe", "categoria", "categorias"),
        *("categorie", "rubrique", "productcategory"),
    ),
}
TITLES = (
    "title", "itemtitle", "movietitle", "filmtitle", "booktitle", "producttitle", "songtitle",
    "tracktitle", "articletitle", "gametitle", "name", "itemname", "productname", "artistname",
    "songname", "trackname",
)  # fmt: skip
"""In order of preference; a name wins only where nothing is called a title."""
GENRES = ("genres", "genre", "categories", "category", "class", "tags")

OPTIONS = {
    "user": "--user-column",
    "item": "--item-column",
    "rating": "--rating-column",
    "timestamp": "--time-column",
    "weight": "--weight-column",
    "kind": "--kind-column",
}


class AmbiguousColumnError(SchemaError):
    """Several columns could have a role."""


@dataclass(frozen=True)
class Role:
    """What a column can be for.

    Attributes:
        name: how the column is called in a block of rows.
        kind: of its values.
        known: names by which it is recognised, lower case without blanks and underscores, in order
            of preference.
        n_own: how many of these are names of the role itself. Of the others only one may be there.
        required: whether a table without it is refused.
        rarer: names by which it is recognised where none of `known` is there.
    """

    name: str
    kind: Kind
    known: tuple[str, ...]
    n_own: int | None = None
    required: bool = False
    rarer: tuple[str, ...] = ()


def _event_role(name: str, kind: Kind, *, required: bool = False) -> Role:
    return Role(name, kind, SYNONYMS[name], OWN_NAMES.get(name), required, RARER[name])


EVENT_ROLES = (
    _event_role("user", "id", required=True),
    _event_role("item", "id", required=True),
    _event_role("rating", "number"),
    _event_role("timestamp", "time"),
    _event_role("weight", "number"),
)
KIND_ROLE = Role(
    "kind", "text",
    ("kind", "eventtype", "event", "eventname", "action", "actiontype", "behavior", "behaviour",
     "behaviortype", "interactiontype", "interaction", "feedback", "type"),
    required=True,
)  # fmt: skip
"""Whether an event is a view, a click, a purchase; looked for only where kinds have weights."""
HISTORY_ROLES = EVENT_ROLES[:2]
ITEM_ROLES = (
    EVENT_ROLES[1],
    Role("title", "text", TITLES, rarer=RARER["title"]),
    Role("genres", "tags", GENRES, rarer=RARER["genres"]),
)


@dataclass(frozen=True)
class Columns:
    """The names of a log's columns, by role; None leaves a role to be recognised by name.

    Examples:
        >>> from nearfar.tables.columns import Columns
        >>> Columns(item="song").resolve(["user", "song"], "plays.csv")
        {'user': 'user', 'item': 'song'}
    """

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    timestamp: str | None = None
    weight: str | None = None
    kind: str | None = None

    def resolve(
        self, present: Sequence[str], where: str, roles: Sequence[Role] = EVENT_ROLES
    ) -> dict[str, str]:
        """The column of each role there is, as `resolve` finds it."""
        return resolve(present, where, roles, vars(self))


def resolve(
    present: Sequence[str],
    where: str,
    roles: Sequence[Role],
    given: Mapping[str, str | None] | None = None,
) -> dict[str, str]:
    """The column of each role there is: `{"user": "userId", "item": "movieId", ...}`.

    Names are compared without case, blanks, underscores, accents and other signs.

    Args:
        present: the columns of the table.
        where: how messages name the table.
        roles: the roles wanted.
        given: names of columns by role, as far as they are given; "" for a role that no column
            has.

    Raises:
        SchemaError: a column that could have a role is there twice, a given one is missing, or a
            required role has no column; AmbiguousColumnError, a kind of it: several columns could
            have a role.
    """
    given = {role: column for role, column in (given or {}).items() if column is not None}
    known = {name for role in roles for name in (*role.known, *role.rarer)}
    known |= set(map(plain_name, given.values()))
    counts = Counter(present)
    doubled = [c for c, n in counts.items() if n > 1 and plain_name(c) in known]
    if doubled:
        raise SchemaError(
            f"{where} has the column {doubled[0]!r} more than once; rename one of them, or, if "
            "the first line does not name the columns, say --no-header"
        )
    result: dict[str, str] = {}
    for role in roles:
        column = given.get(role.name)
        if column is None or column == "":
            continue
        if column not in present:
            raise SchemaError(
                f"{where} has no column {column!r} for the {role.name}; "
                f"{near_hint(column, present)}it has {quoted(present)}"
            )
        result[role.name] = column
    for role in roles:
        if role.name not in result and given.get(role.name) != "":
            rest = [c for c in present if c not in result.values()]
            if (column := _by_name(role, rest, where)) is not None:
                result[role.name] = column
    missing = [role for role in roles if role.required and role.name not in result]
    if missing:
        names = " and no column known as the ".join(role.name for role in missing)
        raise SchemaError(
            f"{where} has no column known as the {names}; it has {quoted(present)}: "
            f"{_naming(*missing)}; if its first line does not name the columns, say --no-header"
        )
    return {role.name: result[role.name] for role in roles if role.name in result}


def _naming(*roles: Role) -> str:
    """How a user names the columns of roles."""
    names = [role.name for role in roles]
    options = [OPTIONS[name] for name in names if name in OPTIONS]
    if len(options) < len(names):
        return f"call one {' and one '.join(names)}"
    them = "it" if len(names) == 1 else "them"
    shell = " and ".join(f"{option} NAME" for option in options)
    settings = ", ".join(f"{name}='NAME'" for name in names)
    return f"name {them} with {shell} (in Python and in settings: {settings})"


def _by_name(role: Role, candidates: Sequence[str], where: str) -> str | None:
    plain = {plain_name(c): c for c in reversed(candidates)}
    matching = [name for name in role.known if name in plain]
    matching = matching or [name for name in role.rarer if name in plain]
    if not matching:
        return None
    alike = [c for c in candidates if plain_name(c) == matching[0]]
    if len(alike) > 1:
        raise AmbiguousColumnError(
            f"{where}: {quoted(alike)} could each be the {role.name}; {_naming(role)}"
        )
    if role.n_own is not None and len(matching) > 1 and matching[0] not in role.known[: role.n_own]:
        raise AmbiguousColumnError(
            f"{where}: {quoted([plain[name] for name in matching])} could each be the "
            f"{role.name}; {_naming(role)}"
        )
    return plain[matching[0]]


def plain_name(name: str) -> str:
    """A column's name as names are compared: letters without accents and digits in lower case."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", name.casefold()))


def quoted(names: Sequence[str]) -> str:
    """Names for a message, at most a hundred of them."""
    shown = ", ".join(repr(n) for n in names[:100])
    return shown if len(names) <= 100 else f"{shown} and {len(names) - 100} more"
