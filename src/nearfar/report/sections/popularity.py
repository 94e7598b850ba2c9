"""The section on coverage and popularity of the recommended items."""

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
    """Return the section with coverage, inequality, novelty and popularity of the first 20."""
    text = (
        f"The first {K} recommendations of every test user. Coverage: the share of all items "
        "recommended to anyone. Gini: 0 if all items are recommended equally often, near 1 if "
        "always the same few. Novelty: in bits, higher for rarer items."
    )
    tenths_text = (
        "Items in ten parts of equal size by number of training users, the most popular first. A "
        "model is biased to popular items if its share of the first part exceeds that of the "
        "held-out interactions (to find)."
    )
    users_shares, model_shares = shares(report)
    lists = comparison_table(report.evaluations, LISTS, seed=report.options.seed)
    caption = "Share of each tenth of the items, the most popular first"
    blocks = [
        text,
        Captioned(lists, f"The first {K} recommendations"),
        tenths_text,
        Charts([_chart(users_shares, model_shares)]),
        Captioned(_table([*users_shares, *model_shares]), caption),
    ]
    return Section("popularity", "Popularity and coverage", blocks)


@dataclass(frozen=True, eq=False)
class Shares:
    """The shares of interactions or recommendations in each tenth of the items."""

    name: str
    of_tenth: Float[np.ndarray, " tenths"]


def tenths(counts: Int[np.ndarray, " items"]) -> Int[np.ndarray, " items"]:
    """Return the tenth of each item by popularity, 0 for the most popular.

    Ties keep their order, so that the sizes of tenths differ by at most one item.
    """
    order = np.argsort(-counts, kind="stable")
    part = np.empty(len(counts), np.int64)
    part[order] = np.arange(len(counts)) * N_PARTS // max(1, len(counts))
    return part


def shares(report: Report) -> tuple[list[Shares], list[Shares]]:
    """Return the shares of the users' interactions (training, held out) and of each bundle."""
    split = report.split
    part = tenths(split.train.item_counts)

    def spread(name: str, counts: np.ndarray) -> Shares:
        sums = np.bincount(part, weights=counts, minlength=N_PARTS)
        return Shares(name, sums / max(1, counts.sum()))

    by_users = [
        spread("training", split.train.item_counts),
        spread("to find", split.test.held_out.item_counts),
    ]
    return by_users, [spread(title, bundle.shown) for title, bundle in report.measured.items()]


def _chart(by_users: list[Shares], by_models: list[Shares]) -> BarChart:
    bars = [Bars(by_users[-1].name, by_users[-1].of_tenth.tolist())]
    bars += [Bars(s.name, s.of_tenth.tolist(), colour) for colour, s in enumerate(by_models)]
    x, y = Axis("tenth of the items, the most popular first"), Axis("share", percent=True)
    return BarChart("Recommendations by popularity of the item", NAMES, bars, x, y)


def _table(columns: list[Shares]) -> Table:
    rows = tuple(
        (name, *(f"{column.of_tenth[number]:.1%}" for column in columns))
        for number, name in enumerate(NAMES)
    )
    return Table(("tenth", *(column.name for column in columns)), rows)
