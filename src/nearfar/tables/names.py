"""The usual names of columns: in English, in analytics and shop programs, in other languages.

Names are compared in the form of `plain_name`.
"""

from __future__ import annotations

import re
import unicodedata

WITHOUT_ACCENT = str.maketrans("łøıđ", "loid")
"""Letters that Unicode normalisation does not decompose."""


def plain_name(name: str) -> str:
    """Return a name in the form for comparison: lower case letters without accents, and digits."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return re.sub(r"[\W_]", "", letters).translate(WITHOUT_ACCENT)


def words(text: str) -> tuple[str, ...]:
    """Split a text at blanks into names in the form of `plain_name`."""
    return tuple(plain_name(name) for name in text.split())


BEFORE = frozenset(
    words(
        "id code cod codigo codice kod ref reference referencia numero identifiant identificador "
        "nr nbr номер код hashed"
    )
)
AFTER = BEFORE | frozenset(words("no num number key sk pk hash uuid guid"))
"""Words for an id before or after the entity. "num" before it is a count: "num items"."""
COUNTS_OR_NUMBERS = frozenset(words("numero nr nbr"))
"""Words for a number that mean a count before a plural."""
OLD_STATES = frozenset(words("before old previous prior oldvalue oldvalues oldimage"))
"""Keys of what a changed row was before."""
COUNTING = frozenset(words("n no nr num number count total sum mean avg max min"))
"""Words that mean a count before a dot, as in R: "n.items"."""
FILLERS = frozenset(words("d de del do da di du des of the la le l el"))


def stem(name: str, *, ids: bool = True) -> str:
    """Return a column's name without articles and words for an id; "" if it has none of these.

    Args:
        name: the column's name.
        ids: also remove a word for an id at the start or the end.

    Examples:
        >>> from nearfar.tables.names import stem
        >>> stem("N° client"), stem("cod_produto"), stem("Date d'achat", ids=False), stem("client")
        ('client', 'produto', 'dateachat', '')
    """
    numbered = re.sub(r"(?i)^(?:n[°º]|№)", "numero ", name.strip())
    parts = [plain_name(part) for part in re.findall(r"[^\W_]+", numbered)]
    stems = [part for part in parts if part not in FILLERS]
    if ids and stems and stems[0] in BEFORE:
        # "Nº de productos" is a count.
        is_count = stems[0] in COUNTS_OR_NUMBERS and stems[-1].endswith("s")
        stems = [] if is_count else stems[1:]
    elif ids and stems and stems[-1] in AFTER:
        stems = stems[:-1]
    return "".join(stems) if len(stems) < len(parts) else ""


ROW_TIME = "createdat"
"""The time when a row was written; names of the event's own time come before it."""

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
        *("timestamp", "timestamps", "ts", "time", "datetime", "timestampms", "timems", "date"),
        *("unixtime", "epoch"),
        *("eventtime", "eventtimestamp", "eventdate", "occurredat", "ratedat"),
        *("unixreviewtime", "unixtimestamp", "reviewtime", "reviewdate", "when", "tstamp"),
        *("orderedat", "orderdate", "ordertime", "purchasedat", "purchasedate", "purchasetime"),
        *("viewedat", "watchedat", "watchdate", "playedat", "listenedat", "clickedat", "boughtat"),
        *("invoicedate", "transactiondate", "transactiontime", "visittime", "interactiontime"),
        *("happenedat", "addedat", "loggedat", "checkintime", "checkedinat", "utctime"),
        *("utctimestamp", "clicktimestamp", "viewtimestamp", "transactiontimestamp"),
        *("transactiondt", "orderdt", "purchasedt", "eventdt"),
        ROW_TIME,
    ),
    "weight": (
        *("weight", "count", "plays", "playcount", "nplays", "listens", "listencount"),
        *("quantity", "qty", "clicks", "views", "purchases", "frequency", "times"),
    ),
}
OWN_NAMES = {"user": 5, "item": 4}
# Western European languages and shops' own words.
EUROPEAN: dict[str, tuple[str, ...]] = {
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
        *(
            "artnr",
            "artno",
            "artikel",
            "artikelid",
            "artikelnummer",
            "artikelnr",
            "produkt",
            "produktid",
        ),
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
        *("verkaufsdatum", "fechaventa", "datevente", "datavenda", "datavendita", "verkoopdatum"),
        *("tijdstip", "datecreated", "dateadded", "timecreated"),
    ),
    "weight": (
        *("units", "orderqty", "orderquantity", "qtyordered", "nitems", "menge", "anzahl"),
        *("stuck", "stueck", "stuckzahl", "stueckzahl", "cantidad", "unidades", "quantite"),
        *("quantita", "quantidade", "aantal", "qte", "qtd", "cant"),
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

NUMBERED = words("id 编号 编码 号 代码 標識 编號 番号 コード 번호 아이디 코드")
"""Words for an id after the word for a user or an item in Chinese, Japanese and Korean."""


def _numbered(text: str) -> tuple[str, ...]:
    return tuple(stem + ending for stem in words(text) for ending in ("", *NUMBERED))


ELSEWHERE: dict[str, tuple[str, ...]] = {
    "user": (
        *_numbered(
            "用户 使用者 会员 會員 客户 顾客 买家 ユーザー ユーザ 顧客 会員 사용자 고객 회원 유저"
        ),
        *words(
            "пользователь пользователя idпользователя кодпользователя "
            "клиент клиента idклиента клиентid кодклиента"
        ),
        *words(
            "покупатель покупателя idпокупателя المستخدم معرفالمستخدم رقمالمستخدم العميل معرفالعميل"
        ),
        *words("رقمالعميل kullanici kullaniciid kullanicino musteri musteriid musterino"),
        *words(
            "musterikodu uzytkownik iduzytkownika klient klienta idklienta numerklienta kodklienta"
        ),
        *words("kund kundid kundnummer kundenummer anvandare anvandarid bruker brukerid bruger"),
        *words("zakaznik idzakaznika uzivatel asiakas asiakasnumero kayttaja felhasznalo vasarlo"),
        *words("πελάτης χρήστης khachhang nguoidung pengguna pelanggan"),
    ),
    "item": (
        *_numbered("商品 产品 產品 物品 电影 歌曲 アイテム 製品 作品 상품 제품 아이템"),
        *words(
            "товар товара idтовара кодтовара артикул "
            "продукт номенклатура المنتج معرفالمنتج رقمالمنتج"
        ),
        *words(
            "السلعة الصنف urun urunid urunkodu urunno "
            "towar towaru produktu idproduktu idtowaru kodproduktu"
        ),
        *words("vara varenummer zbozi tuote tuotenumero termek προϊόν sanpham produk barang"),
    ),
    "rating": words("评分 評分 評価 평점 оценка рейтинг التقييم puan ocena betyg"),
    "timestamp": words(
        "时间 時間 时间戳 日期 日時 日付 下单时间 购买时间 購入日 購入日時 注文日 "
        "날짜 시간 일시 주문일시 구매일시 orderdatum tilauspaiva дата время "
        "датаивремя датазаказа датапокупки التاريخ الوقت تاريخالطلب tarih siparistarihi zaman "
        "datazamowienia datazakupu czas dato tidpunkt paivamaara ημερομηνία tanggal"
    ),
    "weight": words(
        "数量 數量 次数 购买数量 수량 количество колво maara الكمية adet miktar ilosc antal"
    ),
}
KINDS = words(
    "ereignis ereignistyp ereignisart aktion vorgang vorgangsart vorgangstyp bewegungsart "
    "buchungsart belegart belegtyp typ bestellstatus auftragsstatus evento tipoevento "
    "tipodeevento accion tipo tipooperacion tipodeoperacion operacion estado estadopedido "
    "evenement typeevenement typedevenement operation typeoperation typedoperation statut "
    "statutcommande etat azione operazione tipooperazione stato statoordine acao operacao "
    "situacao gebeurtenis actie soort bestelstatus zdarzenie akcja handelse islem durum событие "
    "действие операция статус типсобытия 行为 行为类型 事件 事件类型 类型 操作 状态 イベント 行動 "
    "種別 区分 状態 ステータス 이벤트 행동 유형 상태"
)
"""Names of columns of event kinds and order states in other languages."""
OUTCOMES_ELSEWHERE = words(
    "gekauft geklickt bestellt gekocht geklikt comprado comprada compro achete achetee clique "
    "acquistato acquistata cliccato comprou clicou kupione kliknieto satinalindi куплено кликнул "
    "购买 点击 購入 購入済 구매"
)
"""Names of columns of outcomes in other languages."""
TOOLS: dict[str, tuple[tuple[str, ...], ...]] = {
    "user": (
        words("customeruserid customeruniqueid userpseudoid domainuserid distinctid steamid"),
        words("fullvisitorid idvisitor profilename"),
        words("student studentid learner learnerid player playerid reader readerid"),
        words("email emailaddress customeremail useremail buyeremail billingemail emailbilling"),
        words("anonymousid deviceid cookieid amplitudeid networkuserid"),
        words("sessionid session visitid idvisit"),
    ),
    "item": (
        words("lineitemsku variantid appid spotifytrackuri trackuri"),
        words(
            "itemids productids movieids products movies songs tracks books articles basket skus"
        ),
        words(
            "courseid paperid jobid hotelid restaurantid podcastid episodeid listingid offerid "
            "albumid placeid"
        ),
        words("lineitemname productname itemname producttitle movietitle trackname songname title"),
    ),
    "rating": (words("bookrating myrating userrating starrating"),),
    "timestamp": (
        words("starttime starttimestamp startedat servertimestamp collectortstamp derivedtstamp"),
        words(
            "clienteventtime timestampcreated paidat processedat receivedat sentat visitstarttime "
            "tdat dateread dt ds logdate at created createdutc creationdate"
        ),
        words("updatedat modifiedat lastmodified lastupdated mylastupdated lastplayed lastseen"),
    ),
    "weight": (words("lineitemquantity playtimeforever msplayed"),),
}
"""Column names of analytics and shop programs, best first: an account before a session."""
SESSIONS = TOOLS["user"][-1]
TITLES_AS_IDS = TOOLS["item"][-1]
"""Columns that are used as the item if a log has no item ids."""
RARER: dict[str, tuple[tuple[str, ...], ...]] = {
    role: (EUROPEAN[role] + ELSEWHERE.get(role, ()), *TOOLS.get(role, ())) for role in EUROPEAN
}
"""Groups of names that are used if a table has none of `SYNONYMS`; the first match counts."""
STATUSES = ("status", "orderstatus", "financialstatus", "paymentstatus", "orderstate")
OUTCOMES = (
    "click", "clicked", "clk", "isclk", "isclick", "isclicked", "wasclicked", "purchase",
    "purchased", "ispurchase", "ispurchased", "bought", "converted", "conversion", "isconversion",
    "like", "liked", "islike", "isliked", "votedup", "isinteraction", "interacted", "engaged",
    "label", "target", "response", "outcome",
)  # fmt: skip
UNDONE = (
    "returned", "isreturned", "isreturn", "refunded", "isrefunded", "isrefund", "cancelled",
    "canceled", "iscancelled", "iscanceled", "voided", "isvoided", "isvoid", "deleted", "isdeleted",
    "removed", "isremoved", "disliked", "dislike", "isdisliked", "isdislike", "skipped",
    "isskipped", "nonclk", "nonclick", "noclick", "notclicked", "cancelledat", "canceledat",
    "refundedat", "voidedat", "deletedat",
)  # fmt: skip
"""Columns of undone events: a row with a yes or a time there is no event."""
THINGS = (
    "item", "movie", "film", "book", "product", "song", "track", "article", "game", "artist",
    "album", "show", "video", "recipe", "course", "app", "place", "venue", "restaurant", "paper",
)  # fmt: skip
TITLES = ("title", *(f"{thing}title" for thing in THINGS), "name", *(f"{t}name" for t in THINGS))
"""In order of preference: names are used only if no column is a title."""
GENRES = ("genres", "genre", "categories", "category", "class", "tags")
