"""`nearfar recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle
from nearfar.bundle.histories import histories_of_users
from nearfar.bundle.history_file import read_histories
from nearfar.bundle.index_folder import load_index
from nearfar.bundle.match_items import match_items, split_items
from nearfar.bundle.recommend import (
    Recommendations,
    ranking_to_file,
    recommend_to_file,
    recommendations_frame,
)
from nearfar.bundle.recommend import recommend as recommend_items
from nearfar.bundle.writers import check_output
from nearfar.cli.inputs import open_log
from nearfar.cli.log_options import DETAILS, FILTERS, WEIGHTS, LogOptions
from nearfar.cli.options import BundleOrRegistry, DeviceOption, with_options
from nearfar.cli.output import Output, table
from nearfar.cli.rerank_options import RerankOptions
from nearfar.core.errors import DataError
from nearfar.data.filters import Filters
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import OPTIONS

NOTHING_LEFT = (
    "no item is left to recommend: the history, --allow and --deny leave none; shorten the lists, "
    "or give --include-seen"
)
Ids = list[int] | list[str] | None


@with_options(without=(*FILTERS, *DETAILS, "rating", "timestamp", "weight", *WEIGHTS))
def recommend(
    bundle: BundleOrRegistry,
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--items",
            help="A history: item ids or titles, separated by semicolons, or by commas if no "
            "title contains one (a text that is one item is not split); may be given several "
            "times.",
        ),
    ] = None,
    user_id: Annotated[
        list[str] | None,
        typer.Option("--user", help="A user of the log --data; may be given several times."),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="The log that contains --user.")
    ] = None,
    histories: Annotated[
        Path | None,
        typer.Option(
            "--histories",
            help="A file of histories: user and item columns (.csv, .tsv, "
            '.parquet), or JSON lines {"user": ..., "items": [...]}.',
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a .csv, .tsv, .jsonl or .parquet file.")
    ] = None,
    formulas: Annotated[
        bool,
        typer.Option(
            "--formulas",
            help="In CSV, write titles that begin with = + - @ unchanged. By default they get a "
            "leading apostrophe, so that spreadsheets do not evaluate them.",
        ),
    ] = False,
    k: Annotated[int, typer.Option("-k", help="Number of items.", min=1)] = 10,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also recommend items of the history.")
    ] = False,
    allow: Annotated[
        Path | None,
        typer.Option("--allow", help="Recommend only these items: a file of ids, one per line."),
    ] = None,
    deny: Annotated[
        Path | None,
        typer.Option("--deny", help="Never recommend these items: a file of ids, one per line."),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            help="A folder of nearfar index: it proposes the candidates, which are scored exactly. "
            "With --allow, --rerank and --rules all items are scored.",
        ),
    ] = None,
    reranked: RerankOptions = RerankOptions(),
    log_options: LogOptions = LogOptions(),
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Recommend items for a typed history, for users of a log, or for a file of histories.

    nearfar recommend BUNDLE --items "Toy Story; Alien"
    nearfar recommend BUNDLE --user 42 --data ratings.csv
    nearfar recommend BUNDLE --histories histories.parquet --out recommended.parquet -k 100
    nearfar recommend BUNDLE --items "Toy Story" --rerank "mmr diversity=0.4" --rules rules.toml
    """
    if sum(map(bool, (items, user_id, histories))) != 1:
        raise typer.BadParameter("give one of --items, --user (with --data), --histories")
    if not user_id:
        for name in ("rating", "timestamp", "weight"):
            if getattr(log_options, name) is not None:
                raise typer.BadParameter(f"{OPTIONS[name]} needs --user and --data")
    if histories is not None and out is None:
        raise typer.BadParameter("--histories needs --out, the file for the recommendations")
    if user_id and data is None:
        raise typer.BadParameter("--user needs --data, the log with the user's history")
    if histories is not None and out is not None and out.resolve() == histories.resolve():
        raise typer.BadParameter(f"--out {out} is the file of histories itself; name another")
    if out is not None:
        check_output(out)
    reranking = reranked.reranking
    loaded = load_bundle(bundle, device=device)
    options: dict[str, Any] = {
        "k": k, "exclude_seen": not include_seen, "rerank": reranking,
        "allow": _read_ids(allow), "deny": _read_ids(deny),
        "index": None if index is None else load_index(index, loaded),
    }  # fmt: skip
    if histories is not None and out is not None:
        _recommend_to_file(output, loaded, histories, out, options, log_options, formulas)
        return
    if items:
        matches = match_items(loaded, split_items(loaded, items))
        for problem in matches.problems:
            output.warning(f"{problem}; left out")
        users, x, n_unknown = pl.Series("user", ["you"]), matches.history(), len(matches.problems)
    else:
        users, x, n_unknown = _histories_from_log(
            output, loaded, user_id or [], data or "", log_options
        )
    ranking = recommend_items(loaded, x, **options)
    if index is not None and ranking.n_by_index < ranking.n_users:
        output.remark(_exact_remark(ranking.n_users - ranking.n_by_index, loaded))
    _warn(output, ranking, n_unknown if user_id else 0)
    frame = recommendations_frame(loaded, users, ranking)
    if not frame.height:
        raise DataError(NOTHING_LEFT)
    with_items = set(frame["user"])
    without_items = [str(user) for user in users if user not in with_items]
    if without_items:
        output.warning(f"nothing is left to recommend to {', '.join(without_items)}")
    if out is not None:
        ranking_to_file(loaded, users, ranking, out, formulas=formulas)
        output.remark(f"saved {out}")
    value = {
        "bundle": str(bundle), "n_unknown_items": n_unknown, "n_by_index": ranking.n_by_index,
        "recommended": frame.to_dicts(),
    }  # fmt: skip
    output.result(value, *([] if out is not None else _tables(frame)))


def _read_ids(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; give a file of ids, one per line") from None
    return [line.strip() for line in lines if line.strip()]


def _histories_from_log(
    output: Output, bundle: Bundle, user_ids: list[str], data: str, log_options: LogOptions
) -> tuple[pl.Series, Any, int]:
    log = open_log(data, log_options, output, Filters())
    users, x, unknown = histories_of_users(bundle, log, user_ids)
    return users, x, int(unknown.sum())


def _recommend_to_file(
    output: Output,
    bundle: Bundle,
    path: Path,
    out: Path,
    options: dict[str, Any],
    log_options: LogOptions,
    formulas: bool,
) -> None:
    report = ReadReport(str(path))
    chunks = read_histories(
        bundle, path, user=log_options.user, item=log_options.item, kind=log_options.kind,
        outcome=log_options.outcome, options=log_options.reading, report=report,
    )  # fmt: skip
    with output.counting(f"recommending for {path.name}", "users") as progress:
        summary = recommend_to_file(
            bundle, chunks, out, progress=progress, formulas=formulas, **options
        )
    for line in report.lines():
        output.remark(line)
    for unknown in summary.unknown_rules:
        output.warning(f"{unknown}; the rule is ignored")
    if not summary.n_rows:
        raise DataError(f"{out} is empty: {NOTHING_LEFT}")
    if summary.n_unknown_items:
        output.warning(f"{summary.n_unknown_items:,} items of the histories are unknown; ignored")
    if summary.n_empty_histories:
        output.remark(f"{summary.n_empty_histories:,} users without a known item got popular items")
    if options["index"] is not None and summary.n_by_index < summary.n_users:
        output.remark(_exact_remark(summary.n_users - summary.n_by_index, bundle))
    output.result(
        {"out": str(out), **vars(summary), "read": report.to_dict()},
        f"{summary.n_rows:,} recommendations for {summary.n_users:,} users in {out}",
    )


def _exact_remark(n_users: int, bundle: Bundle) -> str:
    users = "1 user was" if n_users == 1 else f"{n_users:,} users were"
    return f"{users} ranked over all {bundle.n_items:,} items, without the index"


def _warn(output: Output, ranking: Recommendations, n_unknown: int) -> None:
    for count, what in (
        (n_unknown, "items of the history are unknown to the bundle"),
        (ranking.n_unknown_allowed, "allowed ids are unknown"),
        (ranking.n_unknown_denied, "denied ids are unknown"),
    ):
        if count:
            output.warning(f"{count:,} {what}; ignored")
    for unknown in ranking.unknown_rules:
        output.warning(f"{unknown}; the rule is ignored")


def _tables(frame: pl.DataFrame) -> list[Any]:
    tables = []
    has_titles = "title" in frame.columns
    for (user,), part in frame.group_by(["user"], maintain_order=True):
        rows = [
            [f"{r['rank']}.", str(r["title"] or r["item"]) if has_titles else str(r["item"]),
             str(r["item"]), f"{r['score']:.3f}"]
            for r in part.iter_rows(named=True)
        ]  # fmt: skip
        columns = ["", "title" if has_titles else "item", "id", "score"]
        heading = None if user == "you" else f"user {user}"
        tables.append(table(heading, columns, rows, left=2))
    return tables
