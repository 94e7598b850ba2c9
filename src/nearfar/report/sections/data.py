"""The section on the data."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.evaluation.table import Table
from nearfar.maps.anchors import item_names
from nearfar.pages.chart import Axis, BarChart, Bars, Line, LineChart
from nearfar.pages.page import Block, Captioned, Charts, Details, Section
from nearfar.report.flat import flat, plain

N_POPULAR = 10
N_RANKS = 120
QUANTILES = {"least": 0.0, "10%": 0.1, "25%": 0.25, "median": 0.5, "75%": 0.75, "90%": 0.9,
             "99%": 0.99, "most": 1.0}  # fmt: skip


def section(split: Split, everyone: Interactions) -> Section:
    """Return the section with the numbers of users, items and interactions and their distribution.

    Args:
        split: the data.
        everyone: whole histories of all its users.
    """
    train = split.train
    density = train.n_interactions / max(1, train.n_users * train.n_items)
    name = split.protocol.get("log")
    text = (
        f"{plain(name) if name else 'The data'}: {everyone.n_users:,} users, {train.n_items:,} "
        f"items and {everyone.n_interactions:,} interactions. Of the training users' matrix "
        f"{density:.2%} is filled."
    )
    activity = np.diff(everyone.x.indptr)
    blocks: list[Block] = [
        text,
        Captioned(_parts(split), "Users of the split"),
        Charts([_activity(activity), _popularity(train)]),
        Captioned(_quantiles(activity, train.item_counts), "How interactions are spread"),
        Captioned(_popular(train), "The most popular items among training users"),
    ]
    if split.protocol:
        protocol = Table(("what", "value"), tuple(flat(split.protocol).items()))
        blocks.append(Details("How the split was made", [Captioned(protocol, "Protocol")]))
    return Section("data", "Data", blocks)


def _parts(split: Split) -> Table:
    rows = [("training", f"{split.train.n_users:,}", f"{split.train.n_interactions:,}", "-")]
    for name, part in (("validation", split.validation), ("test", split.test)):
        rows.append(_held_out(name, part))
    notes = (
        "to find: interactions hidden from the model, by which it is judged; validation users "
        "choose settings and epochs, test users give the numbers on this page.",
    )
    return Table(("part", "users", "interactions shown", "to find"), tuple(rows), notes)


def _held_out(name: str, part: FoldIn) -> tuple[str, str, str, str]:
    n_fold_in, n_held_out = part.fold_in.n_interactions, part.held_out.n_interactions
    return name, f"{part.n_users:,}", f"{n_fold_in:,}", f"{n_held_out:,}"


def _activity(activity: Int[np.ndarray, " users"]) -> BarChart:
    """Return a chart of users by number of interactions, in groups that double in size."""
    power = np.ceil(np.log2(activity[activity > 0])).astype(int)
    first = power.min()
    n_users = np.bincount(power)[first:]
    names = [_between(2**p // 2 + 1, 2**p) for p in range(first, first + len(n_users))]
    bars = [Bars("users", n_users.tolist(), 0)]
    x, y = Axis("interactions"), Axis("users")
    return BarChart("Users by number of interactions", names, bars, x, y)


def _between(low: int, high: int) -> str:
    return str(high) if low == high else f"{low}-{high}"


def _popularity(train: Interactions) -> LineChart:
    """Return a chart of the items' training users by rank, the most popular item first."""
    counts = np.sort(train.item_counts[train.item_counts > 0])[::-1]
    ranks = np.unique(np.geomspace(1, max(1, len(counts)), N_RANKS).astype(int))[: len(counts)]
    line = Line("", ranks.tolist(), counts[ranks - 1].tolist())
    x, y = Axis("rank of the item", logarithmic=True), Axis("training users", logarithmic=True)
    return LineChart("Items by popularity", [line], x, y)


def _quantiles(activity: np.ndarray, popularity: np.ndarray) -> Table:
    rows = []
    for name, values in (("interactions of a user", activity), ("users of an item", popularity)):
        quantiles = np.quantile(values, list(QUANTILES.values()))
        rows.append((name, *(f"{v:,.0f}" for v in quantiles)))
    return Table(("of", *QUANTILES), tuple(rows))


def _popular(train: Interactions) -> Table:
    items = np.argsort(-train.item_counts, kind="stable")[:N_POPULAR]
    names = item_names(train.item_ids, items)
    rows = tuple(
        (str(place), name, f"{n:,}", f"{n / max(1, train.n_users):.1%}")
        for place, (name, n) in enumerate(zip(names, train.item_counts[items], strict=True), 1)
    )
    return Table(("place", "item", "users", "share of users"), rows)
