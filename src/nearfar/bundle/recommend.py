"""Recommend from a bundle: for histories, for titles, or for a file of users."""

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
from nearfar.bundle.item_index import ItemIndex, index_of
from nearfar.bundle.match_items import match_items
from nearfar.bundle.writers import check_output, open_writer
from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import DataError
from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import canonical
from nearfar.models.top_k import Candidates
from nearfar.reranking.reranking import Rerank

ROWS_AT_ONCE = 500_000
"""Recommendations written at once."""

RERANKED_AT_ONCE = 4096
"""Users re-ranked at once."""


@dataclass(frozen=True, eq=False, repr=False)
class Recommendations(Ranking):
    """A ranking by a bundle; `items` holds positions, `to_polars` returns ids and titles.

    Args:
        n_unknown_allowed: unknown ids in the list of allowed items.
        n_unknown_denied: unknown ids in the list of denied items.
        unknown_rules: what the rules name that the bundle does not have.
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
    """The counts of what `recommend_to_file` wrote, and of what the bundle did not know.

    Args:
        n_users: users written, including those with an empty history.
        n_rows: recommendations written.
        n_unknown_items: interactions with items that the bundle does not have.
        n_empty_histories: users without a known item; they get the popular items.
        n_unknown_allowed: unknown ids in the list of allowed items.
        n_unknown_denied: unknown ids in the list of denied items.
        unknown_rules: what the rules name that the bundle does not have.
        n_by_index: users ranked without scoring the whole catalogue.
    """

    n_users: int
    n_rows: int
    n_unknown_items: int
    n_empty_histories: int
    n_unknown_allowed: int = 0
    n_unknown_denied: int = 0
    unknown_rules: tuple[str, ...] = ()
    n_by_index: int = 0


@validate_arguments()
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
    """Return the best k items for every history; an empty history gets the popular items.

    `items` of the result holds positions; its `to_polars()` returns ids and titles.

    Args:
        bundle: the model and its items.
        histories: users x items, over the bundle's items; or a list of item ids per user, in which
            unknown ids are ignored.
        k: items per user; rows with fewer candidates end in -1.
        exclude_seen: leave out the items of the history itself.
        allow: ids of the only items to recommend; unknown ids are counted and ignored.
        deny: ids of items that are never recommended; unknown ids are counted and ignored.
        batch_size: users scored at once; by default as many as fit 32 MiB of scores. Users whom
            `index` ranks are searched all at once.
        rerank: how to choose the list from the best candidates: "mmr diversity=0.3",
            `nf.reranking.MMR(0.3)`, `nf.read_rules("rules.toml")`, or a `nf.Reranking` of both.
        index: an index of the bundle, see `load_index`; only the candidates that it proposes are
            scored. With `allow` or `rerank`, or too few candidates, all items are scored.

    Raises:
        DataError: k is below 1, the histories are over other items, no allowed item is known, or
            the index belongs to another bundle.
        SettingsError: the re-ranking is wrong, or the items lack what it needs.

    Examples:
        >>> ranking = nf.recommend(bundle, [[0, 3], []], k=3)
        >>> ranking.n_users, ranking.k
        (2, 3)
    """
    check_bundle(bundle)
    candidates = candidate_items(bundle, allow, deny, rerank)
    if not issparse(histories):
        histories = _read_lists(bundle, histories)
    index = index_of(bundle, index)
    histories = csr_array(histories)
    ranking, n_by_index = _rank(bundle, histories, k, exclude_seen, candidates, batch_size, index)
    return Recommendations(
        ranking.items, ranking.scores, **candidates.unknown, n_by_index=n_by_index,
        item_ids=bundle.items,
    )  # fmt: skip


def _read_lists(bundle: Bundle, lists: Any) -> csr_array:
    if not isinstance(lists, Sequence) or any(
        isinstance(ids, str) or not isinstance(ids, Sequence) for ids in lists
    ):
        raise DataError(
            f"histories is a {type(lists).__name__}; give a sparse matrix of users x items, or a "
            "list of item ids per user, such as [[1, 2], [3]]"
        )
    return histories_from_items(bundle, lists)[0]


@validate_arguments()
def recommend_titles(bundle: Bundle, titles: str | Sequence[str], *, k: int = 10) -> pl.DataFrame:
    """Return what to recommend to someone who likes these titles, as rank, item, title, score.

    Args:
        bundle: the model and its items.
        titles: titles or ids, as a list or as one text separated by semicolons or commas.
        k: how many items.

    Raises:
        DataError: none of the titles is known, or one is the title of several items.

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
    """Return a ranking as a table of user, rank (from 1), item, title (if any) and score.

    Raises:
        DataError: the number of user ids is not that of the ranking's rows.
    """
    if len(user_ids) != ranking.n_users:
        raise DataError(
            f"{len(user_ids)} user ids for a ranking of {ranking.n_users} users; give one per row"
        )
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
    """Write a ranking to a file, in the format of its suffix; see `recommend_to_file`."""
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
    """Write recommendations for many users to a file, atomically.

    Memory depends on the size of a chunk, on k and on the number of items, not on the number of
    users.

    Args:
        bundle: the model and its items.
        chunks: the users; `read_histories` reads them from a file.
        out: .csv, .tsv or .parquet (user, rank, item, title, score: one row per recommendation),
            or .jsonl ({"user": ..., "items": [{"item", "score", "title"}, ...]}: one line per
            user).
        progress: called with the number of users that are done.
        formulas: keep titles that a spreadsheet would take for a formula unchanged in CSV and TSV;
            by default an apostrophe is put before them.
        k, exclude_seen, allow, deny, batch_size, rerank, index: as in `recommend`.

    Raises:
        DataError: the suffix is not one of these, or as in `recommend`; no file is written.

    Examples:
        >>> pl.DataFrame({"user": ["u", "u"], "item": [0, 3]}).write_csv("histories.csv")
        >>> chunks = nf.read_histories(bundle, "histories.csv")
        >>> summary = nf.recommend_to_file(bundle, chunks, "recommended.parquet", k=3)
        >>> pl.read_parquet("recommended.parquet").height
        3
    """
    out = Path(out)
    check_output(out)
    if k < 1:
        raise DataError(f"k is {k}; it must be at least 1")
    candidates = candidate_items(bundle, allow, deny, rerank)
    index = index_of(bundle, index)
    n_users = n_rows = n_unknown = n_empty = n_by_index = 0
    step = max(1, ROWS_AT_ONCE // k)
    with open_writer(out, formulas=formulas) as writer:
        for chunk in chunks:
            n_chunk = chunk.histories.shape[0]
            for start in range(0, max(1, n_chunk), step):
                part = chunk.histories[start : start + step]
                users = chunk.user_ids.slice(start, step)
                ranking, n = _rank(bundle, part, k, exclude_seen, candidates, batch_size, index)
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
            ranking = Ranking(np.empty((0, k), np.int64), np.empty((0, k), np.float32))
            users = pl.Series("user", [], dtype=pl.String)
            frame = recommendations_frame(bundle, users, ranking)
            writer.write(users, np.empty(0, np.int64), frame)
    return Summary(
        n_users, n_rows, n_unknown, n_empty, **candidates.unknown, n_by_index=n_by_index
    )  # fmt: skip


def _rank(
    bundle: Bundle,
    histories: csr_array,
    k: int,
    exclude_seen: bool,
    candidates: CandidateItems,
    batch_size: int | None,
    index: ItemIndex | None,
) -> tuple[Ranking, int]:
    """Return the ranking, and how many users were ranked without scoring the whole catalogue."""
    if index is not None and candidates.builder is None and candidates.allow is None:
        ranking, is_exact = index.top_k(
            histories, k, exclude_seen=exclude_seen, deny=candidates.deny
        )
        return ranking, int((~is_exact).sum())
    options: dict[str, Any] = {
        "exclude_seen": exclude_seen, "allow": candidates.allow, "deny": candidates.deny,
        "batch_size": batch_size,
    }  # fmt: skip
    builder = candidates.builder
    if builder is None:
        return bundle.model.top_k(histories, k, **options), 0
    banned = Candidates.of(bundle.n_items, candidates.allow, candidates.deny).banned
    n_users, n_candidates = histories.shape[0], builder.n_candidates(k)
    parts = []
    for start in range(0, max(1, n_users), RERANKED_AT_ONCE):
        rows = canonical(histories[start : start + RERANKED_AT_ONCE])
        ranking = bundle.model.top_k(rows, n_candidates, **options)
        parts.append(
            builder.build(ranking, rows, k, excluded=rows if exclude_seen else None, banned=banned)
        )
    items, scores = (np.concatenate([getattr(p, n) for p in parts]) for n in ("items", "scores"))
    return Ranking(items, scores), 0
