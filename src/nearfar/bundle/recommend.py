"""Recommending from a bundle: for given histories, for titles, or for a file of users."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array, issparse

from nearfar.bundle.bundle import Bundle, check_bundle
from nearfar.bundle.candidate_items import CandidateItems, Ids, candidate_items
from nearfar.bundle.histories import histories_from_items
from nearfar.bundle.history_file import HistoryChunk
from nearfar.bundle.item_index import ItemIndex, check_index
from nearfar.bundle.match_items import match_items
from nearfar.bundle.writers import check_output, open_writer
from nearfar.core.arguments import told_in_words
from nearfar.core.errors import DataError
from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import canonical
from nearfar.models.top_k import Candidates
from nearfar.reranking.reranking import Rerank

ROWS_AT_ONCE = 500_000
RERANKED_AT_ONCE = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Recommendations(Ranking):
    """A ranking by a bundle, whose `items` are positions; `to_polars` gives ids and titles.

    Args:
        n_unknown_allowed, n_unknown_denied: how many ids of the lists of allowed and denied items
            were unknown.
        unknown_rules: what the rules name that the bundle lacks.
        n_by_index: users ranked without scoring the whole catalogue.
        item_ids: the bundle's items.
    """

    n_unknown_allowed: int = 0
    n_unknown_denied: int = 0
    unknown_rules: tuple[str, ...] = ()
    n_by_index: int = 0
    item_ids: Vocabulary | None = None

    def to_polars(
        self, item_ids: Vocabulary | None = None, user_ids: Vocabulary | None = None
    ) -> pl.DataFrame:
        return super().to_polars(item_ids or self.item_ids, user_ids)


@dataclass(frozen=True)
class Summary:
    """What was written: users and rows, and what of the histories the bundle did not know.

    Users of an empty history, one without a known item, are among `n_users`: they were given
    what is popular. `n_by_index` users were ranked without scoring the whole catalogue.
    """

    n_users: int
    n_rows: int
    n_unknown_items: int
    n_empty_histories: int
    n_unknown_allowed: int = 0
    n_unknown_denied: int = 0
    unknown_rules: tuple[str, ...] = ()
    n_by_index: int = 0


@told_in_words()
def recommend(
    bundle: Bundle,
    histories: csr_array | Sequence[Sequence[int | str]],
    *,
    k: int = 10,
    exclude_seen: bool = True,
    allow: Ids | None = None,
    deny: Ids | None = None,
    batch_size: int | None = None,
    rerank: Rerank = None,
    index: ItemIndex | None = None,
) -> Recommendations:
    """The best k items for every history; for an empty one, the popular items.

    `to_polars()` of the result has the items' ids and titles; its `items` are positions.

    Args:
        bundle: the model and its items.
        histories: users x items, over the bundle's items; or a list of item ids per user, of which
            unknown ones are left out.
        k: how many items; rows end in -1 where there are fewer candidates.
        exclude_seen: leave out the items of the history itself.
        allow: ids of the only items that are candidates.
        deny: ids of items that never are. Unknown ids in either list are counted, no more.
        batch_size: users scored at once; by default as many as fit 32 MiB of scores.
        rerank: how the list is chosen from the best candidates, as "mmr diversity=0.3",
            `nf.reranking.MMR(0.3)`, `nf.read_rules("rules.toml")`, or a `nf.Reranking` of both.
        index: of the bundle, see `load_index`: proposes the candidates that are scored. With
            `allow` or `rerank`, and where it has too few candidates, all items are scored.

    Raises:
        DataError: k is below 1, the histories are over other items, no allowed item is known, or
            the index is of another bundle.
        SettingsError: the re-ranking is wrong, or the items lack what it needs.

    Examples:
        >>> found = nf.recommend(bundle, [[0, 3], []], k=3)
        >>> found.n_users, found.k
        (2, 3)
    """
    check_bundle(bundle)
    chosen = candidate_items(bundle, allow, deny, rerank)
    if not issparse(histories):
        histories = _of_lists(bundle, histories)
    check_index(index, bundle)
    histories = csr_array(histories)
    ranking, n_by_index = _rank(bundle, histories, k, exclude_seen, chosen, batch_size, index)
    return Recommendations(
        ranking.items, ranking.scores, **chosen.unknown, n_by_index=n_by_index,
        item_ids=bundle.items,
    )  # fmt: skip


def _of_lists(bundle: Bundle, lists: Any) -> csr_array:
    if not isinstance(lists, Sequence) or any(
        isinstance(ids, str) or not isinstance(ids, Sequence) for ids in lists
    ):
        raise DataError(
            "histories are a sparse matrix of users x items, or a list of item ids per user, "
            "such as [[1, 2], [3]]"
        )
    return histories_from_items(bundle, lists)[0]


@told_in_words()
def recommend_titles(bundle: Bundle, titles: str | Sequence[str], *, k: int = 10) -> pl.DataFrame:
    """What to recommend to someone who likes these titles (or ids): rank, item, title, score.

    Args:
        bundle: the model and its items.
        titles: titles or ids; in one text separated by semicolons, or by commas.
        k: how many items.

    Raises:
        DataError: not one of them is known, or one is the title of several items.

    Examples:
        >>> nf.recommend_titles(bundle, ["0", "3"], k=3).columns
        ['rank', 'item', 'score']
    """
    matches = match_items(bundle, titles)
    if matches.problems:
        raise DataError(" | ".join(matches.problems))
    ranking = recommend(bundle, matches.history(), k=k)
    return recommendations_frame(bundle, pl.Series("user", [0]), ranking).drop("user")


def recommendations_frame(bundle: Bundle, user_ids: pl.Series, ranking: Ranking) -> pl.DataFrame:
    """A ranking as a table: user, rank (from 1), item, title (where there are any), score.

    Raises:
        DataError: there are not as many users as rows in the ranking.
    """
    if len(user_ids) != ranking.n_users:
        raise DataError(f"{len(user_ids)} user ids for a ranking of {ranking.n_users} users")
    frame = ranking.to_polars(bundle.items)
    return frame.with_columns(user_ids.gather(frame["user"]).alias("user"))


def ranking_to_file(
    bundle: Bundle,
    user_ids: pl.Series,
    ranking: Ranking,
    out: str | Path,
    *,
    formulas: bool = False,
) -> None:
    """A ranking into a file, its format by the suffix; see `recommend_to_file`."""
    frame = recommendations_frame(bundle, user_ids, ranking)
    with open_writer(Path(out), formulas=formulas) as writer:
        writer.write(user_ids, (ranking.items >= 0).sum(1), frame)


def recommend_to_file(
    bundle: Bundle,
    chunks: Iterable[HistoryChunk],
    out: str | Path,
    *,
    k: int = 10,
    exclude_seen: bool = True,
    allow: Ids | None = None,
    deny: Ids | None = None,
    batch_size: int | None = None,
    progress: Callable[[int], None] | None = None,
    formulas: bool = False,
    rerank: Rerank = None,
    index: ItemIndex | None = None,
) -> Summary:
    """Recommendations for many users into a file, which is written atomically.

    Memory depends on the size of a chunk, on k and on the number of items, never on the number
    of users.

    Args:
        bundle: the model and its items.
        chunks: the users; `read_histories` reads them from a file.
        out: .csv, .tsv or .parquet (user, rank, item, title, score: a row a recommendation), or
            .jsonl ({"user": ..., "items": [{"item", "score", "title"}, ...]}: a line per user).
        progress: called with the number of users that are done.
        formulas: whether titles that a spreadsheet would take for a formula stay as they are in
            CSV and TSV; otherwise an apostrophe is put before them.
        k, exclude_seen, allow, deny, batch_size, rerank, index: as of `recommend`.

    Raises:
        DataError: the suffix is none of these, or see `recommend`; nothing is written then.

    Examples:
        >>> pl.DataFrame({"user": ["u", "u"], "item": [0, 3]}).write_csv("histories.csv")
        >>> chunks = nf.read_histories(bundle, "histories.csv")
        >>> found = nf.recommend_to_file(bundle, chunks, "recommended.parquet", k=3)
        >>> pl.read_parquet("recommended.parquet").height
        3
    """
    out = Path(out)
    check_output(out)
    if k < 1:
        raise DataError(f"k is {k}; it must be at least 1")
    chosen = candidate_items(bundle, allow, deny, rerank)
    check_index(index, bundle)
    n_users = n_rows = n_unknown = n_empty = n_by_index = 0
    step = max(1, ROWS_AT_ONCE // k)
    with open_writer(out, formulas=formulas) as writer:
        for chunk in chunks:
            n_chunk = chunk.histories.shape[0]
            for start in range(0, max(1, n_chunk), step):
                part = chunk.histories[start : start + step]
                users = chunk.user_ids.slice(start, step)
                ranking, n = _rank(bundle, part, k, exclude_seen, chosen, batch_size, index)
                frame = recommendations_frame(bundle, users, ranking)
                writer.write(users, (ranking.items >= 0).sum(1), frame)
                n_users += len(users)
                n_rows += frame.height
                n_by_index += n
                n_empty += int((np.diff(part.indptr) == 0).sum())
                if progress is not None:
                    progress(n_users)
            n_unknown += chunk.n_unknown
        if not n_users:
            nobody = Ranking(np.empty((0, k), np.int64), np.empty((0, k), np.float32))
            users = pl.Series("user", [], dtype=pl.String)
            writer.write(users, np.empty(0, np.int64), recommendations_frame(bundle, users, nobody))
    return Summary(
        n_users, n_rows, n_unknown, n_empty, **chosen.unknown, n_by_index=n_by_index
    )  # fmt: skip


def _rank(
    bundle: Bundle,
    histories: csr_array,
    k: int,
    exclude_seen: bool,
    chosen: CandidateItems,
    batch_size: int | None,
    index: ItemIndex | None,
) -> tuple[Ranking, int]:
    """The ranking, and how many users were ranked without scoring the whole catalogue."""
    if index is not None and chosen.builder is None and chosen.allow is None:
        ranking, exactly = index.top_k(histories, k, exclude_seen=exclude_seen, deny=chosen.deny)
        return ranking, int((~exactly).sum())
    rules: dict[str, Any] = {
        "exclude_seen": exclude_seen, "allow": chosen.allow, "deny": chosen.deny,
        "batch_size": batch_size,
    }  # fmt: skip
    builder = chosen.builder
    if builder is None:
        return bundle.model.top_k(histories, k, **rules), 0
    banned = Candidates.of(bundle.n_items, chosen.allow, chosen.deny).banned
    n_users, n_candidates = histories.shape[0], builder.n_candidates(k)
    parts = []
    for start in range(0, max(1, n_users), RERANKED_AT_ONCE):
        rows = canonical(histories[start : start + RERANKED_AT_ONCE])
        candidates = bundle.model.top_k(rows, n_candidates, **rules)
        parts.append(
            builder.build(candidates, rows, k, excluded=rows if exclude_seen else None,
                          banned=banned)
        )  # fmt: skip
    columns = (np.concatenate([getattr(p, n) for p in parts]) for n in ("items", "scores"))
    return Ranking(*columns), 0
