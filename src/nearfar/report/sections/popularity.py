"""What is recommended: how much of the catalogue, and how popular it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nearfar.evaluation.table import Table, comparison_table
from nearfar.pages.chart import Axis, BarChart, Bars
from nearfar.pages.page import Captioned, Charts, Section
from nearfar.report.report import LISTS, K, Report

N_PARTS = 10
NAMES = [str(n) for n in range(1, N_PARTS + 1)]


def section(report: Report) -> Section:
    """Coverage, inequality and novelty of the first 20, and their share of popular items."""
    text = (
        f"The first {K} recommendations of every test user. Coverage: the share of all items that "
        "anybody is shown. Gini: 0 where all items are shown equally often, near 1 where a few "
        "are shown always. Novelty: in bits, higher where rarer items are shown."
    )
    explained = (
        "Items in ten parts of equal number by their training users, the most popular first. A "
        "model follows popularity where its share of the first part exceeds that of what users "
        "really chose (to find)."
    )
    chosen, shown = shares(report)
    lists = comparison_table(report.evaluations, LISTS, seed=report.options.seed)
    caption = "Share of each tenth of the items, the most popular first"
    blocks = [
        text,
        Captioned(lists, f"What stands in the first {K}"),
        explained,
        Charts([_chart(chosen, shown)]),
        Captioned(_table([*chosen, *shown]), caption),
    ]
    return Section("popularity", "Popularity and coverage", blocks)


@dataclass(frozen=True, eq=False)
class Shares:
    """How interactions, or recommendations, are spread over the tenths of the items."""

    name: str
    of_tenth: Float[np.ndarray, " tenths"]


def tenths(counts: Int[np.ndarray, " items"]) -> Int[np.ndarray, " items"]:
    """To which tenth of the items each belongs by popularity, 0 the most popular.

    Ties keep their order, so that all tenths are of one size, to one item.
    """
    order = np.argsort(-counts, kind="stable")
    part = np.empty(len(counts), np.int64)
    part[order] = np.arange(len(counts)) * N_PARTS // max(1, len(counts))
    return part


def shares(report: Report) -> tuple[list[Shares], list[Shares]]:
    """What users chose, in training and in what was to be found; and what each bundle shows."""
    split = report.split
    part = tenths(split.train.item_counts)

    def spread(name: str, counts: np.ndarray) -> Shares:
        found = np.bincount(part, weights=counts, minlength=N_PARTS)
        return Shares(name, found / max(1, counts.sum()))

    chosen = [
        spread("training", split.train.item_counts),
        spread("to find", split.test.held_out.item_counts),
    ]
    return chosen, [spread(title, one.shown) for title, one in report.measured.items()]


def _chart(chosen: list[Shares], shown: list[Shares]) -> BarChart:
    bars = [Bars(chosen[-1].name, chosen[-1].of_tenth.tolist())]
    bars += [Bars(one.name, one.of_tenth.tolist(), n) for n, one in enumerate(shown)]
    x, y = Axis("tenth of the items, the most popular first"), Axis("share", percent=True)
    return BarChart("Recommendations by popularity of the item", NAMES, bars, x, y)


def _table(columns: list[Shares]) -> Table:
    rows = tuple(
        (name, *(f"{one.of_tenth[number]:.1%}" for one in columns))
        for number, name in enumerate(NAMES)
    )
    return Table(("tenth", *(one.name for one in columns)), rows)
